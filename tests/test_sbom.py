"""The bill of a project's materials: what stands in it, who is not let through, and that it is the same everywhere."""

from __future__ import annotations

import hashlib
import io
import json
import os
import pickle
import re
import struct
import subprocess
import sys
import textwrap
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from osv_records import CRITICAL, GROUND, MEDIUM, NOW, PYPA, needs_data, record, written

from pytest_artisan.audit.audit import Audit, Dependency, Pardon, audit
from pytest_artisan.audit.inventory import Inventory, NoAudit, Pin, Unaudited
from pytest_artisan.audit.sbom.checkpoints import read_checkpoints
from pytest_artisan.audit.sbom.checks import Version, faults_of
from pytest_artisan.audit.sbom.cleaning import cleaned
from pytest_artisan.audit.sbom.declared import NOASSERTION, supplier_of
from pytest_artisan.audit.sbom.relations import Extent, relations_of
from pytest_artisan.audit.sbom.root import root_of
from pytest_artisan.audit.snapshot import Snapshot, import_records
from pytest_artisan.audit.vex import read_vex
from pytest_artisan.audit.waivers import Waiver
from pytest_artisan.gates import tools
from pytest_artisan.gates.auditing.bill import sbom_of
from pytest_artisan.gates.gate import NoEvidence, Project

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


# What stands in it


@pytest.mark.parametrize("version", VERSIONS)
def test_a_bill_names_the_project_and_everything_below_it(version: Version, tmp_path: Path) -> None:
    inventory = inventory_of(
        "a==1.0", "b==1!2.0+cpu", "c==not pep 440".replace(" ", "-"), requires={"a": ("b",), "b": ()}
    )
    text = bill_of(tmp_path, inventory, version=version)
    bill = json.loads(text)
    needs = {one["ref"]: one.get("dependsOn", []) for one in bill["dependencies"]}

    assert text.endswith("}\n")
    assert JsonStrictValidator(SchemaVersion.from_version(version)).validate_str(text) is None
    assert bill["specVersion"] == version
    assert [one["purl"] for one in bill["components"]] == [
        "pkg:pypi/a@1.0",
        "pkg:pypi/b@1%212.0%2Bcpu",
        "pkg:pypi/c@not-pep-440",
    ]
    assert all(one["bom-ref"] == one["purl"] for one in bill["components"])
    root = bill["metadata"]["component"]
    assert (root["name"], root["version"], root["type"], root["supplier"]) == (
        "Shop",
        "2.1",
        "application",
        {"name": "Ada"},
    )
    assert needs == {
        root["bom-ref"]: ["pkg:pypi/a@1.0", "pkg:pypi/c@not-pep-440"],
        "pkg:pypi/a@1.0": ["pkg:pypi/b@1%212.0%2Bcpu"],
        "pkg:pypi/b@1%212.0%2Bcpu": [],
        "pkg:pypi/c@not-pep-440": [],
    }
    assert bill["compositions"] == [
        {"aggregate": "complete", "dependencies": ["pkg:pypi/a@1.0", "pkg:pypi/b@1%212.0%2Bcpu"]},
        {"aggregate": "unknown", "dependencies": [root["bom-ref"], "pkg:pypi/c@not-pep-440"]},
    ]
    assert bill["metadata"]["timestamp"] == "2026-11-24T12:00:00+00:00"
    assert {one["name"] for one in bill["metadata"]["tools"]["components"]} >= {"pytest-artisan", "cyclonedx-py"}
    assert "Ada" in text
    assert "ada@a.invalid" not in text


@pytest.mark.parametrize(
    ("pyproject", "root", "expected"),
    [
        (PYPROJECT, ("shop", "9"), ("shop", "9", "Ada")),
        (PYPROJECT, ("other", "9"), ("other", "9", NOASSERTION)),
        ({"project": {"name": "x", "dynamic": ["version"]}}, ("", ""), ("x", "", NOASSERTION)),
        ({"project": {"name": 3, "authors": "nobody"}}, ("", ""), ("folder", "", NOASSERTION)),
        ({"project": []}, ("", ""), ("folder", "", NOASSERTION)),
        ({}, ("", ""), ("folder", "", NOASSERTION)),
    ],
    ids=["the lock's", "another's", "no version yet", "nonsense", "no table", "nothing"],
)
def test_the_project_has_the_name_that_is_known(
    pyproject: Mapping[str, Any], root: tuple[str, str], expected: tuple[str, str, str], tmp_path: Path
) -> None:
    found = root_of(tmp_path / "folder", pyproject, inventory_of("a==1", root=root))

    assert (found.name, found.version, found.supplier) == expected


def test_a_project_of_which_only_the_folder_is_known_has_a_bill(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    text = bill_of(tmp_path / "folder", inventory_of("a==1"), pyproject={})
    found = json.loads(text)["metadata"]["component"]

    assert (found["name"], found["supplier"], "version" in found) == ("folder", {"name": NOASSERTION}, False)
    assert str(tmp_path) not in text


def test_hashes_of_one_file_are_the_components_and_of_several_the_index_page_s(tmp_path: Path) -> None:
    one, two, odd = (
        replace(pin, hashes=hashes)
        for pin, hashes in zip(
            inventory_of("a==1", "b==1", "c==1").pins,
            [HASHES[:1], HASHES, ("crc32:12345678", HASHES[0].upper().replace("SHA", "sha"))],
            strict=True,
        )
    )
    # The same release in another file has its hash once, and another one as well.
    again = replace(two, file="other.txt", hashes=(HASHES[0], "sha256:" + "c" * 64))
    bill = json.loads(bill_of(tmp_path, Inventory((one, two, odd, again))))
    [page] = of_name(bill, "b")["externalReferences"]

    assert of_name(bill, "a")["hashes"] == [{"alg": "SHA-256", "content": "a" * 64}]
    assert of_name(bill, "c")["hashes"] == [{"alg": "SHA-256", "content": "a" * 64}]
    assert "hashes" not in of_name(bill, "b")
    assert page["type"] == "distribution"
    assert [h["content"][0] * 2 + h["alg"] for h in page["hashes"]] == ["aaSHA-256", "ccSHA-256", "bbSHA-512"]
    with pytest.raises(NoEvidence, match=r"not sound: it is not of the schema of CycloneDX 1\.6: \$\.components\[0\]"):
        bill_of(tmp_path, Inventory((replace(one, hashes=("sha256:nonsense",)),)))


def source_of(folder: Path, *records: dict[str, Any]) -> Snapshot:
    import_records([written(folder / "records.jsonl", *GROUND, *records)], folder / "a.sqlite", NOW)
    return Snapshot(folder / "a.sqlite", max_age=timedelta(days=7), floor=1, now=NOW)


def vulnerabilities_of(
    folder: Path, inventory: Inventory, *records: dict[str, Any], pardons: tuple[Pardon, ...] = ()
) -> Any:
    audited = audit(inventory, [source_of(folder, *records)], pardons=pardons)
    found = [
        json.loads(bill_of(folder, inventory, audited, version=version))["vulnerabilities"] for version in VERSIONS
    ]
    assert found[0] == found[1]
    return found[0]


V2, V4 = "AV:N/AC:L/Au:N/C:C/I:C/A:C", "CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N"


BASE = CRITICAL.partition("/")[2]
RATINGS: dict[str, dict[str, Any]] = {
    CRITICAL: {"severity": "critical", "score": 9.8, "method": "CVSSv31", "vector": BASE},
    f"CVSS:3.0/{BASE}": {"severity": "critical", "score": 9.8, "method": "CVSSv3", "vector": BASE},
    V4: {"severity": "critical", "score": 9.3, "method": "CVSSv4", "vector": V4.partition("/")[2]},
    V2: {"severity": "critical", "score": 10.0, "method": "CVSSv2", "vector": V2},
    "CVSS:3.1/nonsense": {"severity": "unknown"},
    "": {"severity": "unknown"},
}


def test_a_vulnerability_has_the_rating_that_the_gate_judges_by(tmp_path: Path) -> None:
    records = []
    for n, vector in enumerate(RATINGS):
        kind = "CVSS_V2" if vector == V2 else f"CVSS_V{vector[5:6]}"
        severity = [{"type": kind, "score": vector}] if vector else []
        records.append(record(f"PYSEC-2{n}", f"p{n}", "introduced 0") | {"severity": severity})
    found = vulnerabilities_of(tmp_path, inventory_of(*(f"p{n}==1" for n in range(len(RATINGS)))), *records)
    told = [rating for one in found for rating in one["ratings"]]

    assert all(rating.pop("source")["name"] for rating in told)
    assert told == [*RATINGS.values()]


def test_a_vulnerability_is_told_with_all_its_names_and_the_way_out(tmp_path: Path) -> None:
    stated = record("PYSEC-2", "p", "introduced 0", "fixed 1.2", summary="It breaks", aliases=["CVE-2", "GHSA-2"])
    [found] = vulnerabilities_of(tmp_path, inventory_of("p==1.0"), stated)

    assert (found["id"], found["source"]["name"], found["description"]) == ("PYSEC-2", "OSV", "It breaks")
    assert [(one["id"], one["source"]["name"]) for one in found["references"]] == [
        ("CVE-2", "NVD"),
        ("GHSA-2", "GITHUB"),
    ]
    assert found["affects"] == [{"ref": "pkg:pypi/p@1.0"}]
    assert found["recommendation"] == "p 1.0: go to 1.2"
    assert "analysis" not in found


def test_one_vulnerability_of_several_releases_is_told_once(tmp_path: Path) -> None:
    inventory = inventory_of("p==1.0", "p==1.1", "q==3", "q==3")
    found = vulnerabilities_of(
        tmp_path,
        inventory,
        record("PYSEC-2", "p", "introduced 0", "fixed 1.2", vectors=[MEDIUM], aliases=["CVE-2"]),
        record("PYSEC-3", "q", "introduced 0", vectors=[CRITICAL], aliases=["CVE-2"]),
        record("PYSEC-4", "q", "introduced 0", vectors=[MEDIUM]),
    )

    assert [(one["id"], [target["ref"] for target in one["affects"]]) for one in found] == [
        ("PYSEC-2", ["pkg:pypi/p@1.0", "pkg:pypi/p@1.1", "pkg:pypi/q@3"]),
        ("PYSEC-4", ["pkg:pypi/q@3"]),
    ]
    assert {one["severity"] for one in found[0]["ratings"]} == {"medium", "critical"}
    assert found[0]["recommendation"] == "p 1.0: go to 1.2; p 1.1: go to 1.2"


def test_a_statement_clears_and_a_waiver_does_not(tmp_path: Path) -> None:
    waiver = Waiver("CVE-2", "p", "<1.1", "nobody reads it", "ada", date(2026, 12, 1), "waivers.toml", 1)
    product = {"@id": "pkg:pypi/p@1.1"}
    statement = {
        "vulnerability": {"name": "CVE-2"},
        "status": "not_affected",
        "products": [product],
        "justification": "vulnerable_code_not_in_execute_path",
    }
    document = {
        "@context": "https://openvex.dev/ns/v0.2.0",
        "timestamp": "2026-11-01T00:00:00Z",
        "statements": [statement],
    }
    (tmp_path / "vex.json").write_text(json.dumps(document))
    stated = read_vex([(tmp_path / "vex.json", "vex.json")])
    found = vulnerabilities_of(
        tmp_path,
        inventory_of("p==1.0", "p==1.1", "p==1.2"),
        record("PYSEC-2", "p", "introduced 0", vectors=[MEDIUM], aliases=["CVE-2"]),
        pardons=(waiver, *stated),
    )

    assert {one["affects"][0]["ref"][-3:]: one.get("analysis") for one in found} == {
        "1.0": {"state": "exploitable", "detail": "waived by ada until 2026-12-01: nobody reads it"},
        "1.1": {
            "state": "not_affected",
            "justification": "code_not_reachable",
            "detail": "not affected, says vex.json: vulnerable_code_not_in_execute_path",
        },
        "1.2": None,
    }
    assert [one["id"] for one in found] == ["PYSEC-2"] * 3
    assert len({one["bom-ref"] for one in found}) == 3


@needs_data
def test_real_pins_with_all_that_is_known_of_them_make_a_sound_bill(tmp_path: Path) -> None:
    import_records([PYPA], tmp_path / "a.sqlite", datetime(2026, 7, 24, tzinfo=UTC))
    source = Snapshot(tmp_path / "a.sqlite", max_age=timedelta(days=7), floor=1, now=datetime(2026, 7, 24, tzinfo=UTC))
    lines = (PYPA.parent / "pins-200.txt").read_text().split()
    inventory = inventory_of(*dict.fromkeys(lines))
    audited = audit(inventory, [source])
    bill = json.loads(bill_of(tmp_path, inventory, audited, version="1.7"))
    told = {(one["id"], target["ref"]) for one in bill["vulnerabilities"] for target in one["affects"]}

    assert len(bill["components"]) == 200
    assert len(told) == len([*audited.vulnerabilities()]) == 458


# What is declared by what is installed


def install(folder: Path, name: str, version: str, metadata: str | bytes) -> None:
    where = folder / f"{name}-{version}.dist-info"
    where.mkdir()
    head = f"Metadata-Version: 2.4\nName: {name}\nVersion: {version}\n".encode()
    data = metadata if isinstance(metadata, bytes) else metadata.encode()
    (where / "METADATA").write_bytes(head + data)


CLASSIFIER = "Classifier: License :: OSI Approved ::"
LICENCES = [
    (f"License-Expression: mit\n{CLASSIFIER} BSD License\n", ["MIT"]),
    ("License-Expression: MIT OR (Apache-2.0 AND BSD-3-Clause)\n", ["MIT OR (Apache-2.0 AND BSD-3-Clause)"]),
    ("License-Expression: " + "MIT AND " * 4000 + "MIT\n", []),
    ("License-Expression: (((\n", ["((("]),
    (f"{CLASSIFIER} MIT License\nClassifier: Topic :: X\nLicense: MIT\n", ["MIT"]),
    (f"{CLASSIFIER} Eclipse Public License 2.0 (EPL-2.0)\n", ["EPL-2.0"]),
    (f"{CLASSIFIER} BSD License\n", ["License :: OSI Approved :: BSD License"]),
    (f"{CLASSIFIER} BSD License\nLicense: BSD-3-Clause\n", ["BSD-3-Clause", "License :: OSI Approved :: BSD License"]),
    (f"{CLASSIFIER} BSD License\nLicense: Three clause\n", ["License :: OSI Approved :: BSD License"]),
    (f"{CLASSIFIER} MIT License\nLicense: MIT OR Apache-2.0\n", ["MIT OR Apache-2.0"]),
    ("License: Three clause BSD\n", ["Three clause BSD"]),
    ("License: UNKNOWN\n", []),
    ("License: " + "Permission is granted. " * 10 + "\n", []),
    ("License: " + "Permission is granted. " * 300 + "\n", []),
    ("", []),
]  # fmt: skip


@pytest.mark.parametrize("version", VERSIONS)
def test_licences_are_those_that_are_declared(
    version: Version, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for n, (metadata, _) in enumerate(LICENCES):
        install(tmp_path, f"Some_Thing{n}", "1.0", metadata)
    monkeypatch.syspath_prepend(str(tmp_path))
    pins = [f"some-thing{n}==1.0" for n in range(len(LICENCES))]
    bill = json.loads(bill_of(tmp_path, inventory_of(*pins), version=version))

    for n, (_, licences) in enumerate(LICENCES):
        told = of_name(bill, f"some-thing{n}").get("licenses", [])
        texts = [one.get("expression") or one["license"].get("id") or one["license"]["name"] for one in told]
        assert sorted(texts) == licences


SUPPLIERS: list[tuple[str, str | bytes, str]] = [
    ("1.0", "Author: Ada, Grace Hopper\nAuthor-email: x <x@a.invalid>\n", "Ada, Grace Hopper"),
    ("1", 'Author-email: "Doe, Jane" <jane@a.invalid>, Ada <ada@a.invalid>\n', "Doe, Jane, Ada"),
    ("1.0", "Author: UNKNOWN\nAuthor-email: ada@a.invalid\nMaintainer: The team <t@a.invalid>\n", "The team"),
    ("1.0", "Author-email: ada@a.invalid\n", NOASSERTION),
    ("1.0", "Author: Ada https://ada:hunter2@a.invalid/\n", "Ada https://a.invalid/"),
    ("1.1", "Author: Another release's\n", NOASSERTION),
    ("1.0", b"Author: \xff\xfe\n", NOASSERTION),
]


def test_the_supplier_is_who_declares_it_and_nobody_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for n, (_, metadata, _) in enumerate(SUPPLIERS):
        install(tmp_path, f"thing{n}", "1.0", metadata)
    monkeypatch.syspath_prepend(str(tmp_path))
    text = bill_of(tmp_path, inventory_of(*(f"thing{n}=={pinned}" for n, (pinned, _, _) in enumerate(SUPPLIERS))))

    assert [one["supplier"]["name"] for one in json.loads(text)["components"]] == [name for _, _, name in SUPPLIERS]
    assert "@a.invalid" not in text


# What needs what


def relations(requires: dict[str, tuple[str, ...]], *texts: str, **changes: Any) -> Any:
    return relations_of(inventory_of(*texts, requires=requires, **changes), "Root")


@pytest.mark.parametrize(
    ("requires", "direct", "extent"),
    [
        ({}, "abcd", Extent.UNKNOWN),
        ({"a": ("b",), "b": ("c",), "c": (), "d": ()}, "ad", Extent.UNKNOWN),
        ({"root": ("b",), "a": ("b", "c"), "d": ("d",)}, "abd", Extent.COMPLETE),
        ({"root": ("b", "z"), "a": ("b", "c", "d")}, "ab", Extent.INCOMPLETE),
        ({"a": ("b",), "b": ("a",), "c": ("d",), "d": ("c", "c")}, "ac", Extent.UNKNOWN),
        ({"a": ("b",), "b": ("c",), "c": ("b",), "d": ()}, "ad", Extent.UNKNOWN),
    ],
    ids=["no graph", "a graph", "what it names", "names what is not there", "circles", "a circle that is reached"],
)
def test_the_project_needs_what_nothing_else_brings(
    requires: dict[str, tuple[str, ...]], direct: str, extent: Extent
) -> None:
    found = relations(requires, "a==1", "b==1", "c==1", "d==1")

    assert found.direct == tuple((name, "1") for name in direct)
    assert found.direct_extent is extent


def test_several_versions_of_a_name_are_all_needed_and_what_is_left_out_is_said() -> None:
    found = relations({"a": ("b", "a"), "b": ("gone",)}, "a==1", "a==2", "b==1", "b==2", "c==1")
    left = relations({"root": ("a",)}, "a==1", unaudited=(Unaudited("x", "r.txt", 9, "has no version"),))

    assert found.needs["a", "1"] == (("b", "1"), ("b", "2"))
    assert {release: extent.value for release, extent in found.extents.items()} == {
        ("a", "1"): "complete",
        ("a", "2"): "complete",
        ("b", "1"): "incomplete",
        ("b", "2"): "incomplete",
        ("c", "1"): "unknown",
    }
    assert left.direct_extent is Extent.INCOMPLETE


# Checkpoints


def safetensors(header: object, data: bytes = b"", length: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def tensor(start: int = 0, end: int = 8, dtype: str = "F32", shape: tuple[int, ...] = (2,)) -> dict[str, Any]:
    return {"dtype": dtype, "shape": list(shape), "data_offsets": [start, end]}


def npz(**arrays: Any) -> bytes:
    content = io.BytesIO()
    np.savez(content, allow_pickle=True, **arrays)
    return content.getvalue()


def zipped(*members: tuple[str, bytes]) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return content.getvalue()


def npy(shape: tuple[int, ...], data: bytes = b"", dtype: str = "<f8") -> bytes:
    content = io.BytesIO()
    header = {"descr": dtype, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(content, header)
    return content.getvalue() + data


class Evil:
    """Its pickle leaves a file where it is loaded."""

    def __reduce__(self) -> tuple[Any, ...]:
        return open, ("run", "w")


GOOD = safetensors({"__metadata__": {"format": "pt"}, "b": tensor(8, 12, "BF16", (1, 2)), "a": tensor()}, bytes(12))


CHECKPOINTS = {
    "plain.safetensors": GOOD,
    "padded.safetensors": safetensors(json.dumps({"a": tensor(0, 0, "NEW", (0, 9))}).encode() + b"   "),
    "half-bytes.safetensors": safetensors({"a": tensor(0, 3, "F4", (6,))}, bytes(3)),
    "arrays.npz": npz(a=np.zeros((2, 3)), b=np.array(3), c=np.array(["x"]), d=np.zeros((0, 4))),
    "packed.npz": zipped(("a.npy", npy((10**5,), bytes(8 * 10**5)))),
}


@pytest.mark.parametrize("version", VERSIONS)
def test_a_checkpoint_is_a_component_with_its_content(version: Version, tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    for name, content in CHECKPOINTS.items():
        (tmp_path / "models" / name).write_bytes(content)
    bill = json.loads(
        bill_of(tmp_path, inventory_of("a==1"), models=("./models/plain.safetensors", "models"), version=version)
    )
    [root] = [one for one in bill["dependencies"] if one["ref"] == bill["metadata"]["component"]["bom-ref"]]

    assert len(bill["components"]) == 1 + len(CHECKPOINTS)
    for name, content in CHECKPOINTS.items():
        found = of_name(bill, f"models/{name}")
        assert found["type"] == "machine-learning-model"
        assert found["hashes"] == [{"alg": "SHA-256", "content": hashlib.sha256(content).hexdigest()}]
        assert {one["name"]: one["value"] for one in found["properties"]} == {
            "pytest-artisan:format": name.partition(".")[2],
            "pytest-artisan:size_bytes": str(len(content)),
        }
        assert found["bom-ref"] in root["dependsOn"]


@pytest.mark.parametrize(
    ("name", "content", "cause"),
    [
        ("a.pt", pickle.dumps(Evil()), "is of a kind whose content could run; allowed are"),
        ("a.pkl", b"", "is of a kind whose content could run"),
        ("model", b"", "is of a kind whose content could run"),
        ("a.npy", npy((1,), bytes(8)), "is of a kind whose content could run"),
        ("a.safetensors", b"", "impossible length"),
        ("a.safetensors", safetensors({"a": tensor()}, bytes(8))[:30], "impossible length"),
        ("a.safetensors", safetensors({}, length=2**63), "impossible length"),
        ("a.safetensors", safetensors({}), "it holds no tensor"),
        ("a.safetensors", safetensors(b"\xff\xfe"), "can not be read"),
        ("a.safetensors", safetensors(b"[" * 10**6), "can not be read"),
        ("a.safetensors", safetensors(b'{"a": ' * 10**5), "can not be read"),
        ("a.safetensors", safetensors([]), "can not be read"),
        ("a.safetensors", safetensors({"__metadata__": {"x": 1}, "a": tensor()}, bytes(8)), "can not be read"),
        ("a.safetensors", safetensors({"a": tensor(shape=(-2,))}, bytes(8)), "can not be read"),
        ("a.safetensors", safetensors({"a": tensor()}, bytes(7)), "does not tell of all its bytes"),
        ("a.safetensors", safetensors({"a": tensor()}, bytes(9)), "does not tell of all its bytes"),
        ("a.safetensors", safetensors({"a": tensor(shape=(3,))}, bytes(8)), "'a' does not lie where"),
        ("a.safetensors", safetensors({"a": tensor(), "b": tensor()}, bytes(8)), "'b' does not lie where"),
        ("a.safetensors", safetensors({"a": tensor(8, 0)}, bytes(8)), "'a' does not lie where"),
        ("a.safetensors", safetensors({"a": tensor(shape=(2**62,) * 9999)}, bytes(8)), "'a' does not lie where"),
        ("a.npz", npz(a=np.array([Evil()], dtype=object)), "'a.npy' holds objects"),
        ("a.npz", pickle.dumps(Evil()), "it is no archive of arrays"),
        ("a.npz", pickle.dumps(Evil()) + npz(a=np.zeros(3)), "it is no archive of arrays"),
        ("a.npz", npy((1,), bytes(8)), "it is no archive of arrays"),
        ("a.npz", npz(a=np.zeros(9))[:-30], "it can not be read"),
        ("a.npz", b"", "it is no archive of arrays"),
        ("a.npz", zipped(), "it holds no array"),
        ("a.npz", zipped(("run.py", b"print(1)")), "it can not be read"),
        ("a.npz", zipped(("a.npy", npy((10**15,)))), "'a.npy' is not as long as its header says"),
        ("a.npz", zipped(("a.npy", npy((-1,), bytes(8)))), "'a.npy' is not as long as its header says"),
        ("a.npz", zipped(("a.npy", npy((1,), bytes(8))[:20])), "it can not be read"),
        ("a.npz", zipped(("a.npy", b"\x93NUMPY\x01\x00\xff\xff" + b"(" * 65535)), "it can not be read"),
    ],
    ids=[
        *("pt", "pkl", "no suffix", "npy", "nothing", "cut header", "length", "no tensor", "bytes", "deep", "deeper", "a list"),
        *("metadata", "negative", "short", "long", "wrong shape", "twice the same", "backwards", "huge shape"),
        *("objects", "a pickle", "a pickle before", "an array", "cut", "empty", "no member", "code", "huge array"),
        *("negative array", "cut array", "nonsense header"),
    ],
)  # fmt: skip
def test_what_is_no_checkpoint_or_could_run_is_no_evidence(
    name: str, content: bytes, cause: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / name).write_bytes(content)

    for given_path in (f"models/{name}", "models"):
        with pytest.raises(NoEvidence, match="^the SBOM can not be made: models/" + re.escape(name)) as caught:
            bill_of(tmp_path, inventory_of("a==1"), models=(given_path,))
        assert cause in str(caught.value)
        assert "allowed are *.safetensors, and *.npz without objects" in str(caught.value)
        assert str(caught.value).isprintable()
    assert not (tmp_path / "run").exists()


def link_out(folder: Path) -> None:
    (folder.parent / "outside.npz").write_bytes(npz(a=np.zeros(1)))
    (folder / "m" / "a.npz").symlink_to(folder.parent / "outside.npz")


def link_in(folder: Path) -> None:
    (folder / "m" / "deep").symlink_to(folder, target_is_directory=True)


@pytest.mark.parametrize(
    ("prepare", "path", "cause"),
    [
        (lambda folder: None, "nowhere.npz", "nowhere.npz: does not exist"),
        (lambda folder: None, "a\0.npz", "does not exist"),
        (lambda folder: None, "m", "m: holds no checkpoint; allowed are"),
        (lambda folder: (folder.parent / "x.npz").write_bytes(GOOD), "../x.npz", "lies outside of the project"),
        (lambda folder: None, "/etc", "lies outside of the project"),
        (link_out, "m", "m/a.npz: lies outside of the project"),
        (link_in, "m", "m/deep: is a link to a folder"),
        (lambda folder: (folder / "m" / "a.npz").symlink_to("a.npz"), "m", "m/a.npz: does not exist"),
        (lambda folder: os.mkfifo(folder / "m" / "a.npz"), "m", "m/a.npz: is no file"),
        (lambda folder: (folder / "m" / "a\n.npz").write_bytes(GOOD), "m", "can not be written in one line"),
        (lambda folder: Path(os.fsdecode(os.fsencode(folder) + b"/m/\xff.npz")).write_bytes(GOOD), "m", "can not be written"),
    ],
    ids=[
        *("missing", "a zero byte", "empty folder", "above", "absolute", "a link out", "a link to a folder"),
        *("a circle", "a pipe", "two lines", "no text"),
    ],
)  # fmt: skip
def test_only_files_below_the_project_are_its_checkpoints(
    prepare: Callable[[Path], object], path: str, cause: str, tmp_path: Path
) -> None:
    root = tmp_path / "project"
    (root / "m").mkdir(parents=True)
    prepare(root)

    with pytest.raises(NoAudit, match=re.escape(cause)):
        read_checkpoints(root, [path])


def test_a_folder_holds_checkpoints_and_what_describes_them(tmp_path: Path) -> None:
    for name in ("b/z.safetensors", "b/config.json", "README.md", "b/c/.gitattributes"):
        (tmp_path / "m" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "m" / name).write_bytes(GOOD)
    (tmp_path / "m" / "link.safetensors").symlink_to(tmp_path / "m" / "b" / "z.safetensors")

    assert [one.path for one in read_checkpoints(tmp_path, ["m", "m/b/z.safetensors"])] == ["m/b/z.safetensors"]


# Equal everywhere, and without secrets

SCRIPT = """
    import sys
    sys.path.insert(0, {tests!r})
    from pathlib import Path
    from osv_records import NOW, record
    from test_sbom import HASHES, Inventory, Pin, audit, bill_of, source_of

    names = [f"p{{n}}" for n in range(9)]
    inventory = Inventory(
        tuple(Pin(name, "1.0", "r.txt", n, HASHES) for n, name in enumerate(names)),
        requires=dict.fromkeys(names, ("p1", "p2")),
    )
    records = [record(f"PYSEC-{{n}}", name, "introduced 0", aliases=["CVE-1", f"CVE-{{n}}"]) for n, name in enumerate(names, 5)]
    audited = audit(inventory, [source_of(Path.cwd(), *records)])
    print(bill_of(Path.cwd(), inventory, audited, version="1.7", models=("m",)), end="")
"""


def test_equal_input_gives_equal_bytes_in_any_folder(tmp_path: Path) -> None:
    texts = []
    for seed, name in ((1, "here"), (2, "some where else")):
        folder = tmp_path / name
        (folder / "m").mkdir(parents=True)
        for model in ("a", "b", "c"):
            (folder / "m" / f"{model}.safetensors").write_bytes(GOOD)
        script = textwrap.dedent(SCRIPT).format(tests=str(Path(__file__).parent))
        paths = os.pathsep.join([str(Path(__file__).parent), str(Path(__file__).parents[1])])
        environment = os.environ | {"PYTHONHASHSEED": str(seed), "PYTHONPATH": paths}
        done = subprocess.run(
            [sys.executable, "-c", script], cwd=folder, env=environment, capture_output=True, check=True
        )
        texts.append(done.stdout)

    assert texts[0] == texts[1]
    assert len(json.loads(texts[0])["vulnerabilities"]) == 1
    assert str(tmp_path).encode() not in texts[0]


def test_the_serial_number_is_the_content_s(tmp_path: Path) -> None:
    texts = [
        bill_of(tmp_path, inventory_of(pin), now=now) for pin, now in (("a==1", NOW), ("a==2", NOW), ("a==1", NOW))
    ]
    later = bill_of(tmp_path, inventory_of("a==1"), now=NOW + timedelta(seconds=1))
    elsewhere = bill_of(tmp_path, inventory_of("a==1"), now=NOW.astimezone(timezone(timedelta(hours=9))))
    serials = [json.loads(text)["serialNumber"] for text in (*texts, later)]

    assert texts[0] == texts[2] == elsewhere
    assert len(set(serials)) == 3
    assert all(
        re.fullmatch(r"urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-5[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", s)
        for s in serials
    )


PART = st.text(st.characters(exclude_characters="/", exclude_categories=("Zs", "Zl", "Zp", "Cc", "Cs")), min_size=1)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(user=PART, password=PART, before=st.text(max_size=5), after=st.text(max_size=5))
def test_no_user_and_no_password_stays_in_an_address(user: str, password: str, before: str, after: str) -> None:
    text = cleaned(f"{before}https://{user}:{password}@a.invalid/x{after}")

    assert "https://a.invalid/x" in text
    assert not re.search(r"://[^\s/]*@", text)
    assert supplier_of([text]) == supplier_of([cleaned(text)])


def test_credentials_stand_nowhere_in_a_bill(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    address = "https://ada:hunter2@a.invalid/x"
    install(tmp_path, "p", "1.0", f"Author: {address}\nLicense: {address}\nHome-page: {address}\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    waiver = Waiver("CVE-2", "p", "*", f"see {address}", address, date(2026, 12, 1), "w.toml", 1)
    inventory = inventory_of("p==1.0")
    stated = record(address, "p", "introduced 0", aliases=["CVE-2"], summary=f"as {address} says")
    audited = audit(inventory, [source_of(tmp_path, stated)], pardons=[waiver])
    text = bill_of(tmp_path, inventory, audited, pyproject={"project": {"name": address, "version": address}})

    assert "a.invalid" in text
    assert "hunter2" not in text
    with pytest.raises(NoEvidence) as caught:
        bill_of(tmp_path, inventory_of(f"p=={address}"))
    assert "hunter2" not in str(caught.value)


# A tool that does not do what it should, and documents that are not sound


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """A cyclonedx-py that does as it is told, in Python, with `real(lines)` for what the real one makes of some pins."""

    def install_fake(body: str) -> None:
        folder = tmp_path / "bin"
        folder.mkdir()
        real = Path(tools.BESIDE_PYTHON) / "cyclonedx-py"
        text = f"""\
            #!{sys.executable}
            import json, os, subprocess, sys
            lines = sys.stdin.read().splitlines()
            def real(lines):
                command = [{str(real)!r}, *sys.argv[1:]]
                return json.loads(subprocess.run(command, input="\\n".join(lines), capture_output=True, text=True).stdout)
            """
        (folder / "cyclonedx-py").write_text(textwrap.dedent(text) + body)
        (folder / "cyclonedx-py").chmod(0o755)
        monkeypatch.setattr(tools, "BESIDE_PYTHON", str(folder))

    return install_fake


NESTED = """
bill = real(lines)
bill["components"][0]["components"] = [{"type": "library", "name": "hidden", "version": "1"}]
print(json.dumps(bill))
"""
MODEL = """
bill = real(lines)
bill["components"].append({"type": "machine-learning-model", "name": "m.npz", "version": "1", "bom-ref": "m"})
print(json.dumps(bill))
"""


def test_a_tool_that_does_not_end_is_no_evidence(
    fake: Callable[[str], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake("import threading; threading.Event().wait()")
    monkeypatch.setattr("pytest_artisan.gates.auditing.bill._TIMEOUT_S", 0.5)

    with pytest.raises(NoEvidence, match=r"cyclonedx-py did not end within 0\.5 s"):
        bill_of(tmp_path, inventory_of("a==1.0"))


@pytest.mark.parametrize(
    ("body", "cause"),
    [
        ("print(json.dumps(real(lines[1:])))", "a 1.0 was audited, and is not in it"),
        ("print(json.dumps(real([*lines, 'z==9'])))", "z 9 is in it, and was not audited"),
        ("print(json.dumps(real([*lines, lines[0]])))", "a 1.0 is in it 2 times"),
        ("print(json.dumps(real([lines[0] + '.1', lines[1]])))", "a 1.0 was audited, and is not in it"),
        ("print(json.dumps(real([])))", "a 1.0 was audited, and is not in it"),
        (NESTED, "hidden 1 is in it, and was not audited"),
        (MODEL, "m-npz 1 is in it, and was not audited"),
        ("print('<html>')", "can not be read"),
        ("print('{}')", "a 1.0 was audited, and is not in it"),
        ("print('[' * 100000)", "can not be read"),
        ("print('{\"components\": [{\"name\": 3}]}')", "can not be read"),
        ("sys.stdout.buffer.write(bytes(range(256)))", "can not be read"),
        ("", "can not be read"),
        ("sys.exit('it broke at https://ada:hunter2@a.invalid/')", "ended with status 1: it broke at https://a.invalid/"),
        ("os.kill(os.getpid(), 9)", "cyclonedx-py was killed by SIGKILL"),
    ],
    ids=[
        *("drops", "adds", "twice", "another version", "nothing at all", "nested", "a model", "HTML", "an empty object"),
        *("deep", "wrong types", "bytes", "silence", "fails", "is killed"),
    ],
)  # fmt: skip
def test_a_tool_that_can_not_be_believed_is_no_evidence(
    body: str, cause: str, fake: Callable[[str], None], tmp_path: Path
) -> None:
    fake(body)

    with pytest.raises(NoEvidence, match=re.escape(cause)) as caught:
        bill_of(tmp_path, inventory_of("a==1.0", "b==2.0"))
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    "text",
    [
        "a==1 --hash=x",
        "a==1\nb==2",
        "a==1 # comment",
        "a==",
        "a==1;x",
        "a==1\\",
        "-r /etc/passwd==1",
        "é==1",
    ],
)
def test_pins_that_are_no_requirement_never_become_another_one(text: str, tmp_path: Path) -> None:
    with pytest.raises(NoEvidence, match="was audited, and is not in it") as caught:
        bill_of(tmp_path, inventory_of("b==2", text))
    assert str(caught.value).isprintable()


def test_a_bill_is_only_of_what_was_audited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inventory = inventory_of("a==1", "b==2")
    with pytest.raises(NoEvidence, match="other pins were audited"):
        bill_of(tmp_path, inventory, clean(inventory_of("a==1")))
    with pytest.raises(NoEvidence, match="there is no pin"):
        bill_of(tmp_path, Inventory(()), clean(Inventory(())), version="1.7")
    monkeypatch.setattr(tools, "BESIDE_PYTHON", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NoEvidence, match="cyclonedx-py is not installed"):
        bill_of(tmp_path, inventory)


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("sound")
    (folder / "m.safetensors").write_bytes(GOOD)
    inventory = inventory_of("a==1", "b==2")
    audited = audit(inventory, [source_of(folder, record("PYSEC-2", "a", "introduced 0"))])
    return bill_of(folder, inventory, audited, models=("m.safetensors",))


def without(*path: Any) -> Callable[[Any], None]:
    def change(bill: Any) -> None:
        for key in path[:-1]:
            bill = bill[key]
        del bill[path[-1]]

    return change


def to(value: Any, *path: Any) -> Callable[[Any], None]:
    def change(bill: Any) -> None:
        for key in path[:-1]:
            bill = bill[key]
        bill[path[-1]] = value

    return change


def added(part: str, value: Any) -> Callable[[Any], None]:
    return lambda bill: bill[part].append(value)


LIBRARY = {
    "type": "library",
    "name": "B",
    "version": "2",
    "supplier": {"name": "x"},
    "purl": "pkg:pypi/x@2",
    "bom-ref": "b",
}


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (to("1.7", "specVersion"), "it is no CycloneDX 1.6"),
        (to("x", "components", 0, "type"), "it is not of the schema of CycloneDX 1.6: $.components[0].type: 'x' is not one of"),
        (to(1, "unknown"), "it is not of the schema of CycloneDX 1.6: $: Additional properties are not allowed"),
        (without("components", 0), "a 1 was audited, and is not in it"),
        (to("1.0", "components", 0, "version"), "a 1 was audited, and is not in it"),
        (added("components", LIBRARY), "b 2 is in it 2 times"),
        (without("components", 2), "the checkpoint m.safetensors is not in it with its SHA-256"),
        (to("0" * 64, "components", 2, "hashes", 0, "content"), "the checkpoint m.safetensors is not in it with its SHA-256"),
        (to("x.npz", "components", 2, "name"), "the checkpoint x.npz is in it, and was not looked at"),
        (without("components", 2, "hashes"), "the checkpoint m.safetensors is not in it with its SHA-256"),
        (without("components", 0, "supplier"), "a has no supplier"),
        (to({"name": ""}, "components", 0, "supplier"), "a has no supplier"),
        (without("components", 0, "purl"), "a has no purl"),
        (without("components", 2, "version"), "m.safetensors has no version"),
        (without("metadata", "authors"), "it names no author"),
        (without("metadata", "timestamp"), "it has no timestamp"),
        (without("metadata", "component"), "it does not say of what it is the bill"),
        (without("metadata", "component", "supplier"), "Shop has no supplier"),
        (without("metadata"), "it names no author"),
        (to("pkg:pypi/b@2", "components", 0, "purl"), "pkg:pypi/b@2 names 2 things"),
        (to("pkg:pypi/b@2", "vulnerabilities", 0, "bom-ref"), "pkg:pypi/b@2 names 2 things"),
        (to([{"ref": "nobody"}], "vulnerabilities", 0, "affects"), "nobody is named, and is not in it"),
        (added("compositions", {"aggregate": "complete", "dependencies": ["nobody"]}), "nobody is named, and is not in it"),
        (without("dependencies"), "nothing says what a needs"),
        (added("dependencies", {"ref": "nobody"}), "nobody is named, and is not in it"),
    ],
    ids=[
        *("of another version", "no type", "unknown key", "dropped", "another version", "twice", "no checkpoint"),
        *("another checkpoint", "one more checkpoint", "no hash", "no supplier", "empty supplier", "no purl"),
        *("no version", "no author", "no time", "no project", "nobody's project", "no metadata", "one purl", "one ref"),
        *("affects nobody", "composed of nobody", "no needs", "needs of nobody"),
    ],
)  # fmt: skip
def test_a_fault_is_found(change: Callable[[Any], None], fault: str, sound: str, tmp_path: Path) -> None:
    (tmp_path / "m.safetensors").write_bytes(GOOD)
    checkpoints = read_checkpoints(tmp_path, ["m.safetensors"])
    bill = json.loads(sound)
    change(bill)
    faults = faults_of(json.dumps(bill), inventory_of("a==1", "b==2"), "1.6", checkpoints)

    assert [one for one in faults if one.startswith(fault)]
    assert all(one.isprintable() and len(one) <= 200 for one in faults)


def test_a_sound_bill_has_no_fault(sound: str, tmp_path: Path) -> None:
    (tmp_path / "m.safetensors").write_bytes(GOOD)
    checkpoints = read_checkpoints(tmp_path, ["m.safetensors"])

    assert faults_of(sound, inventory_of("a==1", "b==2"), "1.6", checkpoints) == []
    assert faults_of(sound, inventory_of("a==1", "b==2"), "1.6") == [
        "the checkpoint m.safetensors is in it, and was not looked at"
    ]


@pytest.mark.parametrize("text", ["", "[]", "null", "{", "[" * 10**5, '{"specVersion": "1.6"}', '"\\ud800"', "NaN"])
def test_what_is_no_document_has_a_fault_and_no_traceback(text: str) -> None:
    assert len(faults_of(text, inventory_of("a==1"), "1.6")) == 1
