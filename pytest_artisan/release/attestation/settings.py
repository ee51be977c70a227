"""`[tool.artisan.attestation]`: whose signatures count, and how long a verdict does."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

from msgspec import Meta

from pytest_artisan.settings import Table, artisan_of, as_table, convert, seconds

# By then nothing of a verdict is still so: not what is known of vulnerabilities, and not who holds the key.
_LONGEST_S = 365 * 24 * 3600
_Path = Annotated[str, Meta(min_length=1)]


class Keyless(Table, frozen=True):
    """Who signs without a key, by sigstore: an `identity`, such as a workflow's address, that its `issuer` vouches for."""

    identity: Annotated[str, Meta(min_length=1)]
    issuer: Annotated[str, Meta(min_length=1)]


class Attestation(Table, frozen=True):
    """`keys`: public keys (PEM, Ed25519), paths below the project's root; `valid`: how long a verdict may be deployed.

    What is deployed beside the commit, each a path below the root: `image`, a file that holds the image's digest, `models`
    (a folder of checkpoints), `sbom`, `lock`.
    """

    keys: tuple[_Path, ...] = ()
    keyless: tuple[Keyless, ...] = ()
    valid: str = "24h"
    image: _Path | None = None
    models: _Path | None = None
    sbom: _Path | None = None
    lock: _Path | None = None

    def lint(self) -> Iterator[str]:
        try:
            if seconds(self.valid) > _LONGEST_S:
                yield f"valid: {self.valid} is longer than a year (8760h)"
        except ValueError as error:
            yield f"valid: {error}"


def attestation_of(artisan: Mapping[str, Any], where: str) -> Attestation:
    """The table of [tool.artisan]; raises SettingsError, which `where` begins."""
    table = as_table(artisan.get("attestation", {}), f"{where} attestation")
    return convert(table, Attestation, f"{where} attestation")


def table_here(root: Path) -> Attestation:
    """That of the project at `root`; raises SettingsError."""
    return attestation_of(artisan_of(root), "pyproject.toml [tool.artisan]")
