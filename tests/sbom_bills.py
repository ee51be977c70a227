"""Bills of materials for tests."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from osv_records import GROUND, NOW, record, written

from pytest_artisan.audit.audit import Audit, Dependency, audit
from pytest_artisan.audit.inventory import Inventory, Pin
from pytest_artisan.audit.sbom.checks import Version
from pytest_artisan.audit.snapshot import Snapshot, import_records
from pytest_artisan.gates.auditing.bill import sbom_of
from pytest_artisan.gates.gate import Project

VERSIONS: tuple[Version, ...] = ("1.6", "1.7")
PYPROJECT = {"project": {"name": "Shop", "version": "2.1", "authors": [{"name": "Ada", "email": "ada@a.invalid"}]}}
HASHES = ("sha256:" + "a" * 64, "sha512:" + "b" * 128)


def inventory_of(*texts: str, **changes: Any) -> Inventory:
    """Pins such as "a==1.0", in the lines of one file."""
    released = (text.split("==", 1) for text in texts)
    return Inventory(tuple(Pin(name, version, "r.txt", n) for n, (name, version) in enumerate(released, 1)), **changes)


def clean(inventory: Inventory) -> Audit:
    return Audit(("nobody",), tuple(map(Dependency, inventory.pins)), inventory.unaudited)


def bill_of(
    folder: Path,
    inventory: Inventory,
    audited: Audit | None = None,
    *,
    version: Version = "1.6",
    models: tuple[str, ...] = (),
    pyproject: Mapping[str, Any] = PYPROJECT,
    now: datetime = NOW,
) -> str:
    project = Project(folder, pyproject)
    return sbom_of(project, audited or clean(inventory), inventory, version=version, models=models, now=now)


def of_name(bill: dict[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any]
    [found] = [one for one in bill["components"] if one["name"] == name]
    return found


def source_of(folder: Path, *records: dict[str, Any]) -> Snapshot:
    import_records([written(folder / "records.jsonl", *GROUND, *records)], folder / "a.sqlite", NOW)
    return Snapshot(folder / "a.sqlite", max_age=timedelta(days=7), floor=1, now=NOW)


def install(folder: Path, name: str, version: str, metadata: str | bytes) -> None:
    where = folder / f"{name}-{version}.dist-info"
    where.mkdir()
    head = f"Metadata-Version: 2.4\nName: {name}\nVersion: {version}\n".encode()
    data = metadata if isinstance(metadata, bytes) else metadata.encode()
    (where / "METADATA").write_bytes(head + data)


def safetensors(header: object, data: bytes = b"", length: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def tensor(start: int = 0, end: int = 8, dtype: str = "F32", shape: tuple[int, ...] = (2,)) -> dict[str, Any]:
    return {"dtype": dtype, "shape": list(shape), "data_offsets": [start, end]}


GOOD = safetensors({"__metadata__": {"format": "pt"}, "b": tensor(8, 12, "BF16", (1, 2)), "a": tensor()}, bytes(12))


def example() -> str:
    """The bill of pins, of a vulnerability and of the checkpoints in the folder that this process is in."""
    names = [f"p{n}" for n in range(9)]
    inventory = Inventory(
        tuple(Pin(name, "1.0", "r.txt", n, HASHES) for n, name in enumerate(names)),
        requires=dict.fromkeys(names, ("p1", "p2")),
    )
    records = [
        record(f"PYSEC-{n}", name, "introduced 0", aliases=["CVE-1", f"CVE-{n}"]) for n, name in enumerate(names, 5)
    ]
    audited = audit(inventory, [source_of(Path.cwd(), *records)])
    return bill_of(Path.cwd(), inventory, audited, version="1.7", models=("m",))
