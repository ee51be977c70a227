"""What is installed, from the files that say so."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pytest_artisan.audit.inputs.installed import ENVIRONMENT, installed
from pytest_artisan.audit.inputs.requirements import requirements
from pytest_artisan.audit.inventory import Inventory, NoAudit

_KNOWN = f"requirements files (*.txt, *.in) and {ENVIRONMENT!r} can be read"


def inventory_of(root: Path, files: Sequence[str]) -> Inventory:
    """All that files install, or that is installed in this interpreter, for the word "environment".

    Raises NoAudit for a file that is missing, can not be read, is of an unknown kind or installs nothing.
    """
    parts = [_part(root, file) for file in dict.fromkeys(files)]
    return Inventory(
        pins=tuple(dict.fromkeys(pin for part in parts for pin in part.pins)),
        unaudited=tuple(dict.fromkeys(one for part in parts for one in part.unaudited)),
        requires={name: needed for part in parts for name, needed in part.requires.items()},
        root=next((part.root for part in parts if part.root != ("", "")), ("", "")),
    )


def _part(root: Path, file: str) -> Inventory:
    if file == ENVIRONMENT:
        part = installed(root)
    elif file.endswith((".txt", ".in")):
        part = requirements(root, file)
    else:
        raise NoAudit(f"{file}: is of an unknown kind; {_KNOWN}")
    if not part.pins and not part.unaudited:
        raise NoAudit(f"{file}: installs nothing, so there is nothing to audit")
    return part
