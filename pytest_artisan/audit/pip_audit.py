"""pip-audit as a source of advisories, and as a second opinion about what is installed; its exit status is never read."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Protocol

import msgspec
from packaging.utils import canonicalize_name

from pytest_artisan.audit.advisories import Advisory, Affected, Event, Package, Range, key_of
from pytest_artisan.audit.budget import Budget
from pytest_artisan.audit.canaries import INDEX, PUBLIC
from pytest_artisan.audit.inputs.installed import ENVIRONMENT
from pytest_artisan.audit.inventory import Inventory, NoAudit, Unaudited
from pytest_artisan.audit.matching import is_same
from pytest_artisan.audit.osv import base_of
from pytest_artisan.audit.source import Canaries, Known, Release, spellings

_CHILD = Path(__file__).with_name("pip_audit_child.py")
_GRACE_S = 0.5  # the child ends itself, and says why
_NAMED = 3  # in one line
_ECOSYSTEM = "PyPI"


class Output(Protocol):
    """What a process printed."""

    @property
    def stdout(self) -> str: ...

    @property
    def stderr(self) -> str: ...


class Run(Protocol):
    """Runs a tool that lies beside this interpreter, in an environment that nothing can disarm."""

    def __call__(self, tool: str, arguments: list[str], *, cwd: Path, timeout_s: float, stdin: str) -> Output: ...


class _Result(msgspec.Struct, frozen=True):
    id: str
    aliases: tuple[str, ...]
    fix_versions: tuple[str, ...]
    description: str


class _Answer(msgspec.Struct, frozen=True):
    """About one release: what is known, or `why` nobody could tell."""

    name: str
    version: str
    vulnerabilities: tuple[_Result, ...] | None = None
    why: str = ""


class _Collected(msgspec.Struct, frozen=True):
    """What pip-audit finds in a file, or `why` it takes none like that; the file "" is what is installed."""

    file: str
    found: tuple[Release, ...] = ()
    why: str = ""


class _Whole(msgspec.Struct, frozen=True):
    answers: tuple[_Answer, ...]
    collected: tuple[_Collected, ...]


class PipAudit:
    """Asks PyPI, or `{osv_url}/v1/query`, by pip-audit, within `timeout_s` seconds for all that is asked of this object.

    It tells no severity: what no other source rates is unknown. Raises NoAudit for an address that is none.
    """

    rates = False

    def __init__(
        self, run: Run, *, osv_url: str | None = None, timeout_s: float = 60.0, canaries: Canaries | None = None
    ) -> None:
        self._run = run
        base = None if osv_url is None else base_of(osv_url)
        self._url = None if base is None else f"{base}/v1/query"
        self.origin = f"pip-audit with {'PyPI' if base is None else 'osv ' + base.partition('://')[2]}"
        self.canaries = canaries or (INDEX if base is None else PUBLIC)
        self._budget = Budget(timeout_s)
        self._answers: dict[Release, list[str]] = {}
        self._advisories: dict[tuple[str, str], Advisory] = {}

    def known(self, releases: Sequence[Release]) -> Mapping[Release, Known]:
        wanted = {(name, text) for name, version in releases for text in self._spellings(version)}
        new = sorted(wanted - self._answers.keys())
        if new:
            self._keep(self._whole(new, ()).answers)
        return {release: self._known(*release) for release in releases}

    def disagreements(self, inventory: Inventory, root: Path) -> list[Unaudited]:
        """What pip-audit's own reading of the same files, or of the environment, finds, and the inventory has not.

        Files that pip-audit takes none of (other kinds, ranges instead of pins) have no second opinion. Raises NoAudit.
        """
        named = {pin.file for pin in inventory.pins} | {left.file for left in inventory.unaudited}
        files = {"" if name == ENVIRONMENT else str(root / name): name for name in sorted(named) if _is_read(name)}
        if not files:
            return []
        versions: dict[str, list[str]] = {}
        for pin in inventory.pins:
            versions.setdefault(pin.name, []).append(pin.version)
        passed = {inventory.root[0], *(one.name for one in inventory.unaudited)}
        return [
            Unaudited(name, files[read.file], 1, f"{version} is found by pip-audit, and was not audited")
            for read in self._whole((), list(files)).collected
            for stated, version in read.found
            if (name := canonicalize_name(stated)) not in passed
            and not any(is_same(listed, version) for listed in versions.get(name, ()))
        ]

    def _spellings(self, version: str) -> tuple[str, ...]:
        """The index has no builds, and would not find one."""
        return spellings(version)[-1:] if self._url is None else spellings(version)

    def _whole(self, releases: Sequence[Release], files: Sequence[str]) -> _Whole:
        """What the child answers, about all of them. Raises NoAudit."""
        seconds = self._budget.left()
        if not seconds:
            raise NoAudit(f"{self.origin} gives no whole answer within {self._budget.seconds:g} s")
        request = {"releases": releases, "osv_url": self._url, "files": files, "seconds": seconds}
        # Its folder is the child's cache as well: nothing of another day is believed.
        with TemporaryDirectory(prefix="artisan-pip-audit-") as folder:
            printed = self._run(
                Path(sys.executable).name,
                ["-I", str(_CHILD)],
                cwd=Path(folder),
                timeout_s=seconds + _GRACE_S,
                stdin=json.dumps(request),
            )
        try:
            whole = msgspec.convert(json.loads(printed.stdout), _Whole)
        except (ValueError, RecursionError, msgspec.ValidationError):
            raise NoAudit(f"{self.origin} gave no answer: {_last(printed.stderr)}") from None
        self._check(whole, releases, files)
        return whole

    def _check(self, whole: _Whole, releases: Sequence[Release], files: Sequence[str]) -> None:
        if [(one.name, one.version) for one in whole.answers] != list(releases):
            raise NoAudit(f"{self.origin} did not answer about what it was asked")
        if [one.file for one in whole.collected] != list(files):
            raise NoAudit(f"{self.origin} did not look at the files that it was given")
        left = [one for one in whole.answers if one.vulnerabilities is None]
        if left:
            named = ", ".join(f"{one.name}=={one.version}" for one in left[:_NAMED])
            more = f" and {len(left) - _NAMED} more" if len(left) > _NAMED else ""
            raise NoAudit(f"{self.origin} could not tell about {named}{more}: {left[0].why}")

    def _keep(self, answers: Iterable[_Answer]) -> None:
        for answer in answers:
            results = answer.vulnerabilities or ()
            self._answers[answer.name, answer.version] = [key_of(result.id) for result in results]
            for result in results:
                # Of what it said before of another version of the package, nothing is lost.
                place = answer.name, key_of(result.id)
                self._advisories[place] = _advisory(answer, result, self._advisories.get(place))

    def _known(self, name: str, version: str) -> Known:
        ids = dict.fromkeys(id_ for text in self._spellings(version) for id_ in self._answers[name, text])
        return Known(tuple(self._advisories[name, id_] for id_ in ids))


def _advisory(answer: _Answer, result: _Result, before: Advisory | None) -> Advisory:
    """As a record of OSV: affected from the asked version on, to the next that is fixed; alone, where none is."""
    fixed = tuple(Event(fixed=version) for version in result.fix_versions)
    ranges = (Range("ECOSYSTEM", (Event(introduced=answer.version), *fixed)),) if fixed else ()
    part = Affected(Package(answer.name, _ECOSYSTEM), ranges, (answer.version,))
    known = () if before is None else before.affected
    aliases = () if before is None else before.aliases
    return Advisory(
        id=key_of(result.id),
        modified="",
        aliases=tuple(dict.fromkeys((*aliases, *map(key_of, result.aliases)))),
        summary=result.description,
        affected=(*known, part),
    )


def _is_read(file: str) -> bool:
    return file == ENVIRONMENT or file.endswith((".txt", ".in"))


def _last(stderr: str) -> str:
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    return lines[-1][:300] if lines else "it printed nothing"
