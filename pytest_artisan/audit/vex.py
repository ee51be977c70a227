"""OpenVEX (https://github.com/openvex/spec): what somebody states about a vulnerability of a product."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

import msgspec
from packaging.utils import canonicalize_name

from pytest_artisan.audit.matching import is_same
from pytest_artisan.settings import SettingsError

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
    timestamp: str = ""
    justification: str = ""
    impact_statement: str = ""


class _Document(msgspec.Struct, frozen=True):
    context: str = msgspec.field(name="@context")
    timestamp: str
    statements: tuple[_Statement, ...]


@dataclass(frozen=True, slots=True)
class Statement:
    """That one release is not affected, and why; what else a document states pardons nothing."""

    names: frozenset[str]
    package: str
    version: str
    why: str
    file: str

    def covers(self, names: Collection[str], package: str, version: str) -> bool:
        return self.package == package and not self.names.isdisjoint(names) and is_same(self.version, version)

    def told(self) -> str:
        return f"not affected, says {self.file}: {self.why}"


def read_vex(path: Path, name: str) -> tuple[Statement, ...]:
    """The statements of a document, which `name` names for people, that a release is not affected.

    The latest about a vulnerability and a product counts. Raises SettingsError where one names no version or no reason.
    """
    try:
        document = msgspec.json.decode(path.read_bytes(), type=_Document)
    except (OSError, msgspec.DecodeError) as error:
        raise SettingsError(f"{name}: no OpenVEX document: {error}") from None
    if not document.context.startswith("https://openvex.dev/ns"):
        raise SettingsError(f"{name}: @context {document.context!r} is not OpenVEX's, https://openvex.dev/ns/…")
    latest: dict[tuple[str, str, str], tuple[_Statement, Statement]] = {}
    in_time = sorted(enumerate(document.statements), key=lambda one: one[1].timestamp or document.timestamp)
    for number, stated in in_time:
        for release in _releases(stated, f"{name} statements[{number}]"):
            names = frozenset((stated.vulnerability.name, *stated.vulnerability.aliases))
            why = stated.justification or stated.impact_statement
            latest[stated.vulnerability.name, *release] = stated, Statement(names, *release, why, name)
    return tuple(statement for stated, statement in latest.values() if stated.status == _CLEARS)


def _releases(stated: _Statement, where: str) -> Iterator[tuple[str, str]]:
    if stated.status == _CLEARS and not (stated.justification or stated.impact_statement):
        raise SettingsError(f"{where}: not_affected needs a justification or an impact_statement")
    for product in stated.products:
        purl = product.purl.partition("?")[0].partition("#")[0]
        if not purl.startswith(_PURL):
            continue
        package, _, version = purl.removeprefix(_PURL).partition("@")
        if not version and stated.status == _CLEARS:
            raise SettingsError(f"{where}: product {product.purl!r} has no version; write {_PURL}{package}@VERSION")
        yield canonicalize_name(unquote(package)), unquote(version)
