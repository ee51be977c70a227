"""The bill of a project's materials: what stands in it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from osv_records import CRITICAL, MEDIUM, NOW, PYPA, needs_data, record
from sbom_bills import HASHES, PYPROJECT, VERSIONS, bill_of, install, inventory_of, of_name, source_of

from pytest_artisan.audit.audit import Pardon, audit
from pytest_artisan.audit.inventory import Inventory, Unaudited
from pytest_artisan.audit.sbom.checks import Version
from pytest_artisan.audit.sbom.declared import NOASSERTION
from pytest_artisan.audit.sbom.relations import Extent, relations_of
from pytest_artisan.audit.sbom.root import root_of
from pytest_artisan.audit.snapshot import Snapshot, import_records
from pytest_artisan.audit.vex import read_vex
from pytest_artisan.audit.waivers import Waiver
from pytest_artisan.verdict.evidence import NoEvidence


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

    assert [rating.pop("source", {}).get("name") for rating in told] == [*["OSV"] * (len(RATINGS) - 1), None]
    assert all(rating.pop("justification") for rating in told)
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
    assert {one["severity"] for one in found[0]["ratings"]} == {"critical"}
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
    stated = read_vex([(tmp_path / "vex.json", "vex.json")], now=NOW)
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
