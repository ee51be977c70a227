"""OpenVEX (https://github.com/openvex/spec): what somebody states about a vulnerability of a product."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import unquote

import msgspec
from packaging.utils import canonicalize_name

from pytest_artisan.audit.matching import is_same
from pytest_artisan.settings import SettingsError, read_json

_PURL = "pkg:pypi/"
_CLEARS = "not_affected"


class _Vulnerability(msgspec.Struct, frozen=True):
    name: str
    aliases: tuple[str, ...] = ()


class _Product(msgspec.Struct, frozen=True):
    id: str = msgspec.field(name="@id", default="")
    identifiers: dict[str, str] = msgspec.field(default_factory=dict)

    @property
    def purl(self) -> str:
        return self.identifiers.get("purl", self.id)


class _Statement(msgspec.Struct, frozen=True):
    vulnerability: _Vulnerability
    status: str
    products: tuple[_Product, ...] = ()
    timestamp: datetime | None = None
    justification: str = ""
    impact_statement: str = ""


class _Document(msgspec.Struct, frozen=True):
    context: str = msgspec.field(name="@context")
    timestamp: datetime
    statements: tuple[_Statement, ...]


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
    """That one release is not affected, and why, as long as none of the `later` statements says something else of it.

    Which names are one vulnerability is known only when it is found: a later one may use any of them.
    """

    claim: _Claim
    later: tuple[_Claim, ...] = ()

    def covers(self, names: Collection[str], package: str, version: str) -> bool:
        if not self.claim.is_about(names, package, version):
            return False
        return not any(claim.is_about(names, package, version) for claim in self.later)

    def told(self) -> str:
        return f"not affected, says {self.claim.file}: {self.claim.why}"


def read_vex(files: Iterable[tuple[Path, str]]) -> tuple[Statement, ...]:
    """The statements of documents, each with its name for people, that a release is not affected.

    The latest about a vulnerability and a release counts, whichever document holds it. Raises SettingsError for what is no
    document, and where one clears a product without a version, or without a reason.
    """
    claims = sorted((claim for path, name in files for claim in _claims(path, name)), key=lambda claim: claim.time)
    return tuple(
        Statement(claim, tuple(other for other in claims[n + 1 :] if other.status != _CLEARS))
        for n, claim in enumerate(claims)
        if claim.status == _CLEARS
    )


def _claims(path: Path, name: str) -> Iterator[_Claim]:
    document = read_json(path, _Document, f"{name}: no OpenVEX document")
    if not document.context.startswith("https://openvex.dev/ns"):
        raise SettingsError(f"{name}: @context {document.context!r} is not OpenVEX's, https://openvex.dev/ns/…")
    for number, stated in enumerate(document.statements):
        names = frozenset((stated.vulnerability.name, *stated.vulnerability.aliases))
        why, time = stated.justification or stated.impact_statement, stated.timestamp or document.timestamp
        # RFC 3339 has an offset; where somebody leaves it out, UTC is meant.
        time = time if time.tzinfo is not None else time.replace(tzinfo=UTC)
        for package, version in _releases(stated, f"{name} statements[{number}]"):
            yield _Claim(names, package, version, stated.status, why, name, time)


def _releases(stated: _Statement, where: str) -> Iterator[tuple[str, str]]:
    if stated.status == _CLEARS and not (stated.justification or stated.impact_statement):
        raise SettingsError(f"{where}: not_affected needs a justification or an impact_statement")
    if not stated.products and stated.status != _CLEARS:
        yield "", ""
    for product in stated.products:
        purl = product.purl.partition("?")[0].partition("#")[0]
        if not purl.startswith(_PURL):
            continue
        package, _, version = purl.removeprefix(_PURL).partition("@")
        if not version and stated.status == _CLEARS:
            raise SettingsError(f"{where}: product {product.purl!r} has no version; write {_PURL}{package}@VERSION")
        yield canonicalize_name(unquote(package)), unquote(version)
