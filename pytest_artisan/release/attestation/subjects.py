"""What a verdict is about, read from what lies here: the same when it is made as when it is deployed."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from pytest_artisan.git import told
from pytest_artisan.release.attestation.attested import Check
from pytest_artisan.release.attestation.revisions import heads, revisions_of
from pytest_artisan.release.attestation.settings import Attestation
from pytest_artisan.release.attestation.statement import Subject
from pytest_artisan.release.worktree import Worktree
from pytest_artisan.settings import SettingsError

_IMAGE = re.compile(r"(?:\S+@)?sha256:([0-9a-f]{64})")


def subjects(root: Path, table: Attestation, tree: Worktree) -> Mapping[Check, Callable[[], Subject | None]]:
    """How to read each, by the check that asks for it; None for one that this project has not.

    They raise SettingsError and NoEvidence.
    """
    found: dict[Check, Callable[[], Subject | None]] = {
        Check.COMMIT: lambda: Subject(name="commit", digest={"gitCommit": tree.commit}),
        Check.TREE: lambda: Subject(name="tree", digest={"gitTree": told(root, "HEAD^{tree}")}),
    }
    readers = {"image": _image, "models": _models, "sbom": _file, "lock": _file}
    for name, reader in readers.items():
        path = getattr(table, name)
        found[Check[name.upper()]] = partial(_read, reader, name, root, path)
    found[Check.MIGRATIONS] = partial(_migrations, root)
    return found


def _read(reader: Callable[[Path], str], name: str, root: Path, path: str | None) -> Subject | None:
    if path is None:
        return None
    try:
        return Subject(name=name, digest={"sha256": reader(root / path)})
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"attestation.{name}: {path}: {getattr(error, 'strerror', '') or error}") from None


def _bytes(path: Path) -> bytes:
    # A commit may hold a link to a device, or a pipe lie here, of which no reading ends.
    if path.exists() and not path.is_file():
        raise SettingsError(f"{path}: is no file")
    return path.read_bytes()


def _image(path: Path) -> str:
    text = _bytes(path).decode().strip()
    found = _IMAGE.fullmatch(text)
    if found is None:
        raise SettingsError(f"{path}: holds no digest of an image, such as sha256:9f86... or name@sha256:9f86...")
    return found[1]


def _models(path: Path) -> str:
    from pytest_artisan.release.checkpoints import snapshot

    return snapshot(path).digest


def _file(path: Path) -> str:
    return hashlib.sha256(_bytes(path)).hexdigest()


def _migrations(root: Path) -> Subject | None:
    """The newest revisions, by name, and all of them by their digest."""
    found = revisions_of(root)
    if not found:
        return None
    lines = "".join(f"{one.sha256}  {one.id}\n" for one in sorted(found, key=lambda one: (one.id, one.sha256)))
    return Subject(
        name=f"migrations at {', '.join(heads(found))}", digest={"sha256": hashlib.sha256(lines.encode()).hexdigest()}
    )
