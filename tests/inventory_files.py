"""Files that say what is installed, for tests: written, read, and what was found in them in short."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pytest_artisan.audit.inputs import inventory_of
from pytest_artisan.audit.inventory import Inventory

ADDRESS = "comes from an address, not from the index"
UNPINNED = "has no exact version"
CONTRADICT = "has versions that contradict each other"
ZEROS = "sha256:" + "0" * 64


def read(root: Path, files: Mapping[str, str | bytes]) -> Inventory:
    """The inventory of the first of the files, with all of them there."""
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return inventory_of(root, [next(iter(files))])


def pins(found: Inventory) -> list[tuple[str, str, str]]:
    return [(pin.name, pin.version, f"{pin.file}:{pin.line}") for pin in found.pins]


def left(found: Inventory) -> list[tuple[str, str, str]]:
    return [(one.name, one.why, f"{one.file}:{one.line}") for one in found.unaudited]
