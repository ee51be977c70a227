"""The project itself, of which everything else in the bill is a part."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from packaging.utils import canonicalize_name

from pytest_artisan.audit.inventory import Inventory
from pytest_artisan.audit.sbom.cleaning import cleaned
from pytest_artisan.audit.sbom.declared import NOASSERTION, supplier_of


@dataclass(frozen=True, slots=True)
class Root:
    """The project; `version` is "" where nobody knows it."""

    name: str
    version: str
    supplier: str


def root_of(folder: Path, pyproject: Mapping[str, Any], inventory: Inventory) -> Root:
    """By the inventory, else by [project] of its pyproject.toml, else by the folder's name."""
    table = pyproject.get("project")
    table = table if isinstance(table, Mapping) else {}
    stated = _text(table.get("name"))
    name, version = inventory.root
    if not name:
        name, version = stated, _text(table.get("version"))
    if not name:
        return Root(cleaned(folder.resolve().name) or "project", "", NOASSERTION)
    is_same = bool(stated) and canonicalize_name(stated) == canonicalize_name(name)
    return Root(cleaned(name), cleaned(version), supplier_of(_people(table)) if is_same else NOASSERTION)


def _people(table: Mapping[str, Any]) -> list[str]:
    """All authors as one text, else all maintainers."""
    return [
        ", ".join(_text(one.get("name")) for one in people if isinstance(one, Mapping))
        for people in (table.get("authors"), table.get("maintainers"))
        if isinstance(people, list)
    ]


def _text(value: object) -> str:
    return value.strip() if isinstance(value, str) else ""
