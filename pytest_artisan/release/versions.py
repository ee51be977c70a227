"""The names of releases: v2.1.0 by Semantic Versioning, and hotfix-20261124-1930 by its time."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol, TypeVar

from pytest_artisan.settings import SettingsError

if TYPE_CHECKING:
    import semver

_HOTFIX = "hotfix-%Y%m%d-%H%M"
# Longer ones make no name of a file, which a tag may become.
_LONGEST = 100


def check_version(text: str) -> None:
    """Raises SettingsError for what can not be the name of a release."""
    if not is_hotfix(text) and semantic(text) is None:
        raise SettingsError(
            f"{text!r} is no version; allowed are v and a semantic version, such as v2.1.0 or v2.1.0-rc.1, "
            "and hotfix-YYYYMMDD-HHMM"
        )


def hotfix_version(now: datetime) -> str:
    """The version of a hotfix that is made `now` (aware), by the minute of UTC."""
    return f"{now.astimezone(UTC):{_HOTFIX}}"


def is_hotfix(text: str) -> bool:
    """Whether it names a hotfix by a minute that exists."""
    try:
        # strptime also takes 2026111 for a date.
        return re.fullmatch(r"hotfix-[0-9]{8}-[0-9]{4}", text) is not None and bool(datetime.strptime(text, _HOTFIX))  # noqa: DTZ007
    except ValueError:
        return False


def semantic(text: str) -> semver.Version | None:
    """The semantic version behind the v; None where it is none, or none that git can keep."""
    from semver import Version

    # The library's expressions also take the digits of other scripts.
    if not text.startswith("v") or not text.isascii() or text.endswith(".lock") or len(text) > _LONGEST:
        return None
    try:
        return Version.parse(text[1:])
    except ValueError:
        return None


class Dated(Protocol):
    """What has a version and the time when it was released."""

    @property
    def version(self) -> str: ...
    @property
    def at(self) -> datetime: ...


AnyDated = TypeVar("AnyDated", bound=Dated)


def newest_first(releases: Iterable[AnyDated]) -> list[AnyDated]:
    """Semantic versions by precedence, among equals by time; a hotfix before the first one that is older than it.

    What is no version comes last.
    """
    by_time = sorted(releases, key=lambda release: (release.at, release.version), reverse=True)
    semantics = [(found, release) for release in by_time if (found := semantic(release.version)) is not None]
    semantics.sort(key=lambda pair: pair[0], reverse=True)
    hotfixes = [release for release in by_time if is_hotfix(release.version)]
    ordered = list(_merged([release for _, release in semantics], hotfixes))
    return [*ordered, *(r for r in by_time if not is_hotfix(r.version) and semantic(r.version) is None)]


def _merged(semantics: list[AnyDated], hotfixes: list[AnyDated]) -> Iterator[AnyDated]:
    waiting = list(hotfixes)
    for release in semantics:
        while waiting and waiting[0].at >= release.at:
            yield waiting.pop(0)
        yield release
    yield from waiting
