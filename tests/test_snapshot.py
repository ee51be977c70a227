"""Advisories that are imported once, and refused where they are not what they were."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from osv_records import CRITICAL, GHSA, GROUND, MEDIUM, NOW, PYPA, needs_data, record, written

from pytest_artisan.audit.audit import audit
from pytest_artisan.audit.inventory import Inventory, NoAudit, Pin
from pytest_artisan.audit.snapshot import Snapshot, import_records

WEEK = timedelta(days=7)
OLD = "2026-01-01T00:00:00Z"


def snapshot(path: Path, floor: int = 1, max_age: timedelta = WEEK) -> Snapshot:
    return Snapshot(path, max_age=max_age, floor=floor, now=NOW)


@pytest.fixture
def imported(tmp_path: Path) -> Path:
    into = tmp_path / "advisories.sqlite"
    import_records([written(tmp_path / "ground.jsonl", *GROUND, record("BAD", "bad", aliases=5))], into, NOW)
    return into


def change(path: Path, statement: str) -> None:
    database = sqlite3.connect(path)
    with database:
        database.execute(statement)
    database.close()


def change_tree(path: Path, table: str, old: bytes, new: bytes) -> None:
    """As a bad block would, in the page where a table begins, whatever SQLite thinks of it."""
    database = sqlite3.connect(path)
    [(root,)] = database.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", [table])
    [(size,)] = database.execute("PRAGMA page_size")
    database.close()
    data = path.read_bytes()
    page = data[(root - 1) * size : root * size]
    assert old in page
    path.write_bytes(data[: (root - 1) * size] + page.replace(old, new) + data[root * size :])


NOT_WHOLE = "does not hold what was imported"
DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing": (Path.unlink, "there is no snapshot"),
    "empty": (lambda path: path.write_bytes(b""), "is damaged, or no snapshot"),
    "cut": (lambda path: path.write_bytes(path.read_bytes()[:5000]), "is damaged"),
    "no database": (lambda path: path.write_text("{}" * 9000), "is damaged, or no snapshot"),
    "another database": (lambda path: change(path, "DROP TABLE manifest"), "is damaged, or no snapshot"),
    "an advisory less": (lambda path: change(path, "DELETE FROM advisory WHERE cluster = 1"), NOT_WHOLE),
    "a package less": (lambda path: change(path, "DELETE FROM package WHERE name = 'trap'"), NOT_WHOLE),
    "a changed one": (lambda path: change(path, "UPDATE package SET name = 'x' WHERE name = 'trap'"), NOT_WHOLE),
    "a malformed one less": (lambda path: change(path, "DELETE FROM malformed"), NOT_WHOLE),
    "a bad block of names": (lambda path: change_tree(path, "package", b"ground", b"grounc"), NOT_WHOLE),
    "a bad block of records": (lambda path: change_tree(path, "advisory", b"1.1", b"0.1"), NOT_WHOLE),
    "a bad block of the manifest": (
        lambda path: change_tree(path, "manifest", b"2026-11-23", b"2026-11-24"),
        NOT_WHOLE,
    ),
    "a name of another type": (
        lambda path: change(path, "UPDATE package SET name = CAST(name AS BLOB) WHERE name = 'ground'"),
        "does not hold",
    ),
    "one of a later version": (
        lambda path: change(path, """UPDATE manifest SET data = replace(data, '"format":2', '"format":3')"""),
        "has format 3, and 2 can be read",
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_snapshot_that_is_not_what_it_was_is_refused(damage: str, imported: Path) -> None:
    do, cause = DAMAGES[damage]
    do(imported)

    with pytest.raises(NoAudit, match=cause):
        snapshot(imported)


def test_a_snapshot_that_is_too_old_too_small_or_untried_is_refused(imported: Path) -> None:
    with pytest.raises(NoAudit, match="holds 2 records, fewer than the policy's snapshot_floor 3"):
        snapshot(imported, floor=3)
    with pytest.raises(NoAudit, match=r"its newest record is 1\.5 days old"):
        snapshot(imported, max_age=timedelta(days=1))
    import_records([written(imported.with_name("b.jsonl"), GROUND[0])], imported, NOW)
    with pytest.raises(NoAudit, match="no malware"):
        snapshot(imported)


def test_a_clock_that_stands_before_the_import_makes_nothing_fresh(imported: Path) -> None:
    with pytest.raises(NoAudit, match=r"was imported at 2026-11-24, and the clock says 2001-01-01"):
        Snapshot(imported, max_age=WEEK, floor=1, now=datetime(2001, 1, 1, tzinfo=UTC))
    assert Snapshot(imported, max_age=WEEK, floor=1, now=NOW - timedelta(hours=23)).manifest.records == 2


@pytest.mark.parametrize(
    ("other", "severity", "is_malware"),
    [
        ({"id": "GHSA-1", "package": "other", "vectors": [CRITICAL], "aliases": ["cve-2026-1"]}, "critical", False),
        ({"id": "CVE-2026-1", "affected": [], "vectors": [CRITICAL]}, "critical", False),
        ({"id": "GHSA-1", "package": "other", "aliases": ["CVE-2026-1"], "label": "CRITICAL"}, "critical", False),
        ({"id": "MAL-2026-1", "affected": [], "vectors": [], "aliases": ["CVE-2026-1"]}, "medium", True),
        ({"id": "GHSA-1", "package": "other", "vectors": [CRITICAL], "related": ["CVE-2026-1"]}, "medium", False),
        (
            {"id": "GHSA-1", "package": "other", "vectors": [CRITICAL], "aliases": ["CVE-2026-1"], "withdrawn": OLD},
            "medium",
            False,
        ),
    ],
    ids=["of another package", "of none", "labelled there", "malware", "but related", "withdrawn"],
)
def test_who_shares_a_name_rates_whatever_package_it_is_about(
    other: dict[str, Any], severity: str, is_malware: bool, tmp_path: Path
) -> None:
    label = other.pop("label", None)
    one = record(other.pop("id"), other.pop("package", "other"), "introduced 0", **other)
    if label:
        one["affected"][0]["database_specific"] = {"severity": label}
    flawed = record("PYSEC-2", "flawed", "introduced 0", vectors=[MEDIUM], aliases=["CVE-2026-1"])
    import_records([written(tmp_path / "a.jsonl", *GROUND, flawed, one)], tmp_path / "a.sqlite", NOW)
    inventory = Inventory((Pin("flawed", "1.0", "r.txt", 1), Pin("other", "1.0", "r.txt", 2)))
    first, second = audit(inventory, [snapshot(tmp_path / "a.sqlite")]).dependencies

    assert [(v.id, v.rating.severity.value, v.is_malware) for v in first.vulnerabilities] == [
        ("PYSEC-2", severity, is_malware)
    ]
    # It is affected by what is about it alone.
    assert [v.id for v in second.vulnerabilities] == (["GHSA-1"] if one["affected"] and "withdrawn" not in one else [])


def test_imports_at_once_leave_one_whole_snapshot_at_all_times(imported: Path) -> None:
    more = written(imported.with_name("more.jsonl"), *GROUND, *(record(f"PYSEC-9{n}", f"p{n}") for n in range(200)))
    with ThreadPoolExecutor(4) as pool:
        imports = [pool.submit(import_records, [more], imported, NOW) for _ in range(8)]
        seen = {snapshot(imported).manifest.records for _ in range(40)}
        assert {done.result().manifest.records for done in imports} == {202}

    assert seen <= {2, 202}
    assert snapshot(imported).manifest.records == 202
    assert sorted(path.name for path in imported.parent.iterdir()) == [imported.name, "ground.jsonl", "more.jsonl"]


def test_where_nothing_can_be_written_the_import_says_so(imported: Path) -> None:
    with pytest.raises(NoAudit, match="can not be written: "):
        import_records([imported.with_name("ground.jsonl")], imported / "below" / "a", NOW)


def test_a_canary_is_rated_as_the_audit_rates_it(tmp_path: Path) -> None:
    """Here the newest affected version is listed by one record, and rated by another that does not know of it."""
    listing = record(
        "PYSEC-3", "ground", "introduced 2.0", "fixed 4.0", versions=["3.0"], vectors=[MEDIUM], aliases=["CVE-1"]
    )
    import_records([written(tmp_path / "a.jsonl", *GROUND, listing)], tmp_path / "a.sqlite", NOW)
    source = snapshot(tmp_path / "a.sqlite")

    assert source.canaries.critical == ("ground", "3.0")
    assert audit(Inventory((Pin("other", "1.0", "r.txt", 1),)), [source]).dependencies


@needs_data
def test_the_whole_database_with_its_odd_versions_is_imported(tmp_path: Path) -> None:
    done = import_records([PYPA, GHSA], tmp_path / "a.sqlite", NOW)
    source = snapshot(tmp_path / "a.sqlite", floor=7000, max_age=timedelta(days=365))

    assert (done.manifest.records, done.manifest.malformed) == (7094, 0)
    live = {id_: texts for id_, texts in done.unplaced.items() if id_.startswith("PYSEC")}
    assert sum(map(len, live.values())) == 29
    assert done.manifest.modified.year == 2026  # one record says 2027
    assert source.origin == "snapshot a.sqlite of 2026-07-23"
