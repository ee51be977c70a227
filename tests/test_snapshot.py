"""Advisories that are imported once, and refused where they are not what they were."""

from __future__ import annotations

import gzip
import json
import sqlite3
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest
from osv_records import GHSA, GROUND, NOW, PYPA, needs_data, record, written

from pytest_artisan.audit.inventory import NoAudit
from pytest_artisan.audit.snapshot import Snapshot, import_records

WEEK = timedelta(days=7)


def snapshot(path: Path, floor: int = 1, max_age: timedelta = WEEK) -> Snapshot:
    return Snapshot(path, max_age=max_age, floor=floor, now=NOW)


@pytest.fixture
def imported(tmp_path: Path) -> Path:
    into = tmp_path / "advisories.sqlite"
    import_records([written(tmp_path / "ground.jsonl", *GROUND)], into, NOW)
    return into


def as_list(folder: Path) -> Path:
    path = folder / "all.json"
    path.write_text(json.dumps(GROUND, indent=1))
    return path


def as_folder(folder: Path) -> Path:
    below = folder / "vulns" / "p"
    below.mkdir(parents=True)
    for one in GROUND:
        (below / f"{one['id']}.json").write_text(json.dumps(one, indent=2))
    (below / "README.md").write_text("not a record")
    return folder / "vulns"


def as_gzip(folder: Path) -> Path:
    path = folder / "all.jsonl.gz"
    path.write_bytes(gzip.compress(written(folder / "plain.jsonl", *GROUND).read_bytes()))
    return path


def as_zip(folder: Path) -> Path:
    path = folder / "all.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for one in GROUND:
            archive.writestr(f"../{one['id']}.json", json.dumps(one))
    return path


@pytest.mark.parametrize("form", [as_list, as_folder, as_gzip, as_zip])
def test_records_are_read_in_whatever_form_they_come(form: Callable[[Path], Path], tmp_path: Path) -> None:
    done = import_records([form(tmp_path)], tmp_path / "out" / "a.sqlite", NOW)
    source = snapshot(tmp_path / "out" / "a.sqlite")
    known = source.known([("ground", "1.0"), ("nobody", "1")])

    assert (done.manifest.records, done.manifest.malformed) == (2, 0)
    assert [a.id for a in known["ground", "1.0"].advisories] == ["PYSEC-1"]
    assert known["nobody", "1"].advisories == ()
    assert source.canaries.critical == ("ground", "1.0")
    assert source.canaries.clean == ("ground", "1.1")
    assert source.canaries.malware == ("trap", "0.1")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["a.sqlite"]


def test_a_record_that_can_not_be_read_is_named_with_its_package(tmp_path: Path) -> None:
    path = written(tmp_path / "a.jsonl", *GROUND, {**record("BAD-1", "Of.Mine"), "affected": "x", "name": "Of.Mine"})
    path.write_text(path.read_text() + '{"id": "BAD-2", "package": {"name": "torn"\n')
    done = import_records([path], tmp_path / "a.sqlite", NOW)
    known = snapshot(tmp_path / "a.sqlite").known([("of-mine", "1"), ("torn", "1")])

    assert [bad.id for bad in done.malformed] == ["BAD-1", "BAD-2"]
    assert [bad.id for bad in known["of-mine", "1"].malformed] == ["BAD-1"]
    assert [bad.id for bad in known["torn", "1"].malformed] == ["BAD-2"]


def test_of_two_records_with_one_id_the_later_counts(tmp_path: Path) -> None:
    later = {**record("PYSEC-1", "ground", "introduced 0", "fixed 2.0"), "modified": "2026-11-24T00:00:00Z"}
    paths = [
        written(tmp_path / "later.jsonl", later),
        written(tmp_path / "first.jsonl", *GROUND, record("C", "ground")),
    ]
    import_records(paths, tmp_path / "a.sqlite", NOW)
    database = sqlite3.connect(tmp_path / "a.sqlite")
    rows = list(database.execute("SELECT id, record FROM advisory WHERE package = 'ground' ORDER BY id"))
    database.close()

    assert [(id_, b"2.0" in text) for id_, text in rows] == [("C", False), ("PYSEC-1", True)]


def test_a_date_in_the_future_makes_nothing_fresh(tmp_path: Path) -> None:
    """The real database has one such record."""
    old = [{**one, "modified": "2026-10-01T00:00:00Z"} for one in GROUND]
    import_records(
        [written(tmp_path / "a.jsonl", *old, {**record("X", "x"), "modified": "2027-07-09T15:54:00Z"})],
        tmp_path / "a.sqlite",
        NOW,
    )

    with pytest.raises(NoAudit, match=r"its newest record is 54\.5 days old, more than .* of 7 days"):
        snapshot(tmp_path / "a.sqlite")


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        (b"", "holds no record"),
        (b"[]", "holds no record"),
        (b"<html>Please log in</html>", "is cut off, or no JSON"),
        (b'{"id": "A"}\n{"id": "B", "affec', "is cut off, or no JSON"),
        (b'{"id": "A", "modified": "2026-01-01T00:00:00Z"}', "no advisory about a package of PyPI"),
        (json.dumps({**record("A", "p"), "modified": "soon"}).encode(), "no record says when it was changed"),
    ],
    ids=["empty", "empty list", "HTML", "cut off", "of nothing", "undated"],
)
def test_an_import_of_nothing_is_refused_and_leaves_the_old_one(text: bytes, cause: str, imported: Path) -> None:
    before = imported.read_bytes()
    path = imported.with_name("new.jsonl")
    path.write_bytes(text)

    with pytest.raises(NoAudit, match=cause):
        import_records([path], imported, NOW)
    assert imported.read_bytes() == before
    assert sorted(p.name for p in imported.parent.iterdir()) == ["advisories.sqlite", "ground.jsonl", "new.jsonl"]


def test_a_compressed_file_that_breaks_off_is_refused(tmp_path: Path) -> None:
    path = as_gzip(tmp_path)
    path.write_bytes(path.read_bytes()[:-12])

    with pytest.raises(NoAudit, match="can not be read"):
        import_records([path], tmp_path / "a.sqlite", NOW)


def change(path: Path, statement: str) -> None:
    database = sqlite3.connect(path)
    with database:
        database.execute(statement)
    database.close()


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing": (Path.unlink, "there is no snapshot"),
    "empty": (lambda path: path.write_bytes(b""), "is damaged, or no snapshot"),
    "cut": (lambda path: path.write_bytes(path.read_bytes()[:5000]), "is damaged"),
    "no database": (lambda path: path.write_text("{}" * 9000), "is damaged, or no snapshot"),
    "another database": (lambda path: change(path, "DROP TABLE manifest"), "is damaged, or no snapshot"),
    "an advisory less": (lambda path: change(path, "DELETE FROM advisory WHERE id = 'PYSEC-1'"), "does not hold what"),
    "a changed one": (
        lambda path: change(path, "UPDATE advisory SET package = 'x' WHERE id = 'MAL-1'"),
        "does not hold",
    ),
    "one of a later version": (
        lambda path: change(path, """UPDATE manifest SET data = replace(data, '"format":1', '"format":2')"""),
        "has format 2, and 1 can be read",
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


@needs_data
def test_the_whole_database_with_its_odd_versions_is_imported(tmp_path: Path) -> None:
    done = import_records([PYPA, GHSA], tmp_path / "a.sqlite", NOW)
    source = snapshot(tmp_path / "a.sqlite", floor=7000, max_age=timedelta(days=365))

    assert (done.manifest.records, done.manifest.malformed) == (7094, 0)
    live = {id_: texts for id_, texts in done.unplaced.items() if id_.startswith("PYSEC")}
    assert sum(map(len, live.values())) == 29
    assert done.manifest.modified.year == 2026  # one record says 2027
    assert source.origin == "snapshot a.sqlite of 2026-07-23"
