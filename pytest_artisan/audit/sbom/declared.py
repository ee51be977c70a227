"""What a distribution that is installed here declares of itself, where it is the very release that was pinned."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import Distribution, PackageMetadata, PackageNotFoundError, distribution
from typing import TYPE_CHECKING

from pytest_artisan.audit.matching import version_of
from pytest_artisan.audit.sbom.cleaning import cleaned
from pytest_artisan.audit.sbom.licences import licences_of
from pytest_artisan.audit.source import Release

if TYPE_CHECKING:
    from cyclonedx.model.license import License

# SPDX's word for what nobody could find out. NTIA asks that an unknown supplier is stated, and its checkers know this word:
# they count it as missing, which it is, and not as a supplier of that name.
NOASSERTION = "NOASSERTION"
_SUPPLIERS = ("Author", "Author-email", "Maintainer", "Maintainer-email")
_NOBODY = ("unknown", "none", "n/a", "")


@dataclass(frozen=True, slots=True)
class Declared:
    """The supplier's names, NOASSERTION where none is declared, and the licences as CycloneDX has them."""

    supplier: str
    licences: tuple[License, ...]


def declared_by(release: Release) -> Declared:
    """What is declared by the release that is installed here; nothing where it is another one, or none."""
    try:
        found = distribution(release[0])
        if not _is(found, release[1]):
            return Declared(NOASSERTION, ())
        return Declared(_supplier(found.metadata), tuple(licences_of(found.metadata)))
    except (PackageNotFoundError, OSError, ValueError, TypeError, KeyError):
        # Metadata that is missing or in another encoding declares nothing.
        return Declared(NOASSERTION, ())


def _is(found: Distribution, version: str) -> bool:
    own = found.version
    return own == version or (version_of(own) is not None and version_of(own) == version_of(version))


def _supplier(metadata: PackageMetadata) -> str:
    return supplier_of(text for key in _SUPPLIERS for text in metadata.get_all(key) or ())


def supplier_of(texts: Iterable[str]) -> str:
    """The first text's names; addresses are left out: a bill is handed on, and needs to reach nobody by mail."""
    for text in texts:
        without = re.sub(r"<[^>]*>|\S*@\S*|\"", " ", cleaned(str(text)))
        names = ", ".join(filter(None, (" ".join(part.split()) for part in without.split(","))))
        if names.lower() not in _NOBODY:
            return names
    return NOASSERTION
