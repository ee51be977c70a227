"""OpenVEX (https://github.com/openvex/spec): what somebody states about a vulnerability of a product."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from packaging.utils import canonicalize_name

from pytest_artisan.audit.advisories import AHEAD, key_of
from pytest_artisan.audit.matching import is_same, version_of
from pytest_artisan.settings import SettingsError, read_json

if TYPE_CHECKING:
    from packageurl import PackageURL

_SCHEME, _PYPI = "pkg:", "pypi"
_CLEARS = "not_affected"
_JUSTIFICATIONS = (
    "component_not_present",
    "vulnerable_code_not_present",
    "vulnerable_code_not_in_execute_path",
    "vulnerable_code_cannot_be_controlled_by_adversary",
    "inline_mitigations_already_exist",
)
_ANYTHING = ("", "")
# Packages of other languages; any other kind of name may be one of this one's, too.
_ELSEWHERE = frozenset(
    {"cargo", "composer", "cran", "gem", "golang", "hackage", "hex", "maven", "npm", "nuget", "pub", "swift"}
)


class _Vulnerability(msgspec.Struct, frozen=True):
    name: str
    aliases: tuple[str, ...] = ()


class _Component(msgspec.Struct, frozen=True):
    id: str = msgspec.field(name="@id", default="")
    identifiers: dict[str, str] = msgspec.field(default_factory=dict)

    @property
    def purls(self) -> set[PackageURL | None]:
        """The package URLs by which it is named; None for one that nobody can read."""
        texts = (text.strip() for text in (self.id, *self.identifiers.values()))
        return {_purl(text) for text in texts if text[: len(_SCHEME)].lower() == _SCHEME}


class _Product(_Component, frozen=True):
    subcomponents: tuple[_Component, ...] = ()


class _Statement(msgspec.Struct, frozen=True):
    vulnerability: _Vulnerability
    status: str
    products: tuple[_Product, ...] = ()
    timestamp: datetime | None = None
    last_updated: datetime | None = None
    justification: str = ""
    impact_statement: str = ""


class _Document(msgspec.Struct, frozen=True):
    context: str = msgspec.field(name="@context")
    timestamp: datetime
    statements: tuple[_Statement, ...]
    last_updated: datetime | None = None


@dataclass(frozen=True, slots=True)
class _Claim:
    """One statement about one release; "" is every version, or every package."""

    names: frozenset[str]
    package: str
    version: str
    status: str
    why: str
    file: str
    time: datetime

    def is_about(self, names: Collection[str], package: str, version: str) -> bool:
        return (
            not self.names.isdisjoint(names)
            and self.package in ("", package)
            and (not self.version or is_same(self.version, version))
        )


@dataclass(frozen=True, slots=True)
class Statement:
    """That one release is not affected, and why, as long as none of the `others`, which do not say so, is as late.

    Which names are one vulnerability is known only when it is found: another one may use any of them.
    """

    claim: _Claim
    others: tuple[_Claim, ...] = ()

    def covers(self, names: Collection[str], package: str, version: str) -> bool:
        if not self.claim.is_about(names, package, version):
            return False
        return not any(o.time >= self.claim.time and o.is_about(names, package, version) for o in self.others)

    def told(self) -> str:
        return f"not affected, says {self.claim.file}: {self.claim.why}"


def read_vex(files: Iterable[tuple[Path, str]], *, now: datetime) -> tuple[Statement, ...]:
    """The statements of documents, each with its name for people, that a release is not affected.

    The latest about a vulnerability and a release counts, whichever document holds it; of two of one time, the one that
    clears does not. Raises SettingsError for what is no document or of the future, and where one clears a product without
    a version, or without a reason.
    """
    claims = [claim for path, name in files for claim in _claims(path, name, now)]
    others = tuple(claim for claim in claims if claim.status != _CLEARS)
    return tuple(Statement(claim, others) for claim in claims if claim.status == _CLEARS)


def _claims(path: Path, name: str, now: datetime) -> Iterator[_Claim]:
    document = read_json(path, _Document, f"{name}: no OpenVEX document")
    if not document.context.startswith("https://openvex.dev/ns"):
        raise SettingsError(f"{name}: @context {document.context!r} is not OpenVEX's, https://openvex.dev/ns/…")
    for number, stated in enumerate(document.statements):
        where = f"{name} statements[{number}]"
        names = frozenset(map(key_of, (stated.vulnerability.name, *stated.vulnerability.aliases)))
        why, time = _why(stated, where), _time(stated, document)
        if time > now + AHEAD:
            raise SettingsError(f"{where}: is of {time:%Y-%m-%d}, which is in the future")
        for package, version in _releases(stated, where):
            yield _Claim(names, package, version, stated.status, why, name, time)


def _why(stated: _Statement, where: str) -> str:
    if stated.justification in _JUSTIFICATIONS:
        return stated.justification
    if stated.status == _CLEARS and not stated.impact_statement.strip():
        known = ", ".join(_JUSTIFICATIONS)
        raise SettingsError(f"{where}: not_affected needs an impact_statement, or a justification out of {known}")
    return stated.impact_statement


def _time(stated: _Statement, document: _Document) -> datetime:
    """From when on it holds; what does not clear also holds from its last change on."""
    times = [stated.timestamp or document.timestamp]
    if stated.status != _CLEARS:
        times += [time for time in (stated.last_updated, document.last_updated) if time is not None]
    # RFC 3339 has an offset; where somebody leaves it out, UTC is meant.
    return max(time if time.tzinfo is not None else time.replace(tzinfo=UTC) for time in times)


def _releases(stated: _Statement, where: str) -> Iterator[tuple[str, str]]:
    if stated.status != _CLEARS and not stated.products:
        yield _ANYTHING
    for product in stated.products:
        yield from _cleared(product, where) if stated.status == _CLEARS else _meant(product)


def _cleared(product: _Product, where: str) -> Iterator[tuple[str, str]]:
    """The release that is meant as a whole: not one file of it or one index's, nor only what it has within."""
    [purl, *more] = product.purls or {None}
    if purl is None or more or product.subcomponents:
        return
    if purl.type != _PYPI or purl.namespace or purl.qualifiers or purl.subpath:
        return
    if not purl.version:
        raise SettingsError(f"{where}: product {str(purl)!r} has no version; write {purl}@VERSION")
    yield canonicalize_name(purl.name), purl.version


def _meant(product: _Product) -> Iterator[tuple[str, str]]:
    """All releases that may be meant, also as parts of something else; anything, where nobody can tell."""
    purls = product.purls.union(*(one.purls for one in product.subcomponents))
    if not purls or None in purls:
        yield _ANYTHING
    for purl in purls:
        if purl is not None and purl.type not in _ELSEWHERE:
            # A range of versions, say, may be any, and so may the version of the same by another kind of name.
            version = purl.version if purl.type == _PYPI and purl.version else ""
            yield canonicalize_name(purl.name), version if version_of(version) is not None else ""


def _purl(text: str) -> PackageURL | None:
    from packageurl import PackageURL

    try:
        return PackageURL.from_string(_SCHEME + text[len(_SCHEME) :])
    except ValueError:
        return None
