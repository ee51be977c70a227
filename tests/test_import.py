"""What lies in files of records, and what of it is imported."""

from __future__ import annotations

import codecs
import gzip
import json
import struct
import zipfile
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from osv_records import CRITICAL, GROUND, MEDIUM, NOW, record, written

from pytest_artisan.audit.audit import audit
from pytest_artisan.audit.inventory import Inventory, NoAudit, Pin
from pytest_artisan.audit.snapshot import Snapshot, import_records

WEEK = timedelta(days=7)


def snapshot(path: Path, floor: int = 1, max_age: timedelta = WEEK) -> Snapshot:
    return Snapshot(path, max_age=max_age, floor=floor, now=NOW)


def imported(folder: Path, *records: dict[str, Any], raw: str = "") -> Path:
    """A snapshot of records, a line each, with text of no form at their end."""
    path = written(folder / "a.jsonl", *records)
    path.write_text(path.read_text() + raw)
    import_records([path], folder / "a.sqlite", NOW)
    return folder / "a.sqlite"


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
    (below / "LICENSE").write_text("not a record")
    (folder / "vulns" / ".git").mkdir()
    (folder / "vulns" / ".git" / "config").write_text("not a record")
    return folder / "vulns"


def as_folder_of_zip(folder: Path) -> Path:
    """Of two kinds, and in upper case."""
    below = folder / "export"
    below.mkdir()
    (below / "MAL-1.JSON").write_text(json.dumps(GROUND[1]))
    with zipfile.ZipFile(below / "all.ZIP", "w") as archive:
        archive.mkdir("p")
        archive.writestr("p/PYSEC-1.json", json.dumps(GROUND[0]))
        archive.writestr("__MACOSX/p/._PYSEC-1.json", b"\0\5\26\7")
    return below


def as_bytes_with_a_mark(folder: Path) -> Path:
    path = folder / "all.json"
    path.write_bytes(codecs.BOM_UTF8 + json.dumps(GROUND).encode())
    return path


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


@pytest.mark.parametrize("form", [as_list, as_folder, as_gzip, as_zip, as_folder_of_zip, as_bytes_with_a_mark])
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


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        (b"", "is empty, and holds no record"),
        (b"[]", "holds no record"),
        (b"\n", "is empty, and holds no record"),
        (b"<html>Please log in</html>", "is cut off, or no JSON"),
        (b'{"id": "A"}\n{"id": "B", "affec', "is cut off, or no JSON"),
        (json.dumps(GROUND, indent=1).encode()[:-20].rpartition(b"\n")[0] + b"\n", "is cut off, or no JSON"),
        (json.dumps(GROUND[0], indent=1).encode()[:-9].rpartition(b"\n")[0] + b"\n", "is cut off, or no JSON"),
        (b"[" * 200_000 + b"]" * 200_000, "is cut off, or no JSON"),
        (b'{"a":' * 200_000 + b"1" + b"}" * 200_000, "is cut off, or no JSON"),
        (b'{"id": "A", "modified": "2026-01-01T00:00:00Z"}', "no advisory about a package of PyPI"),
        (json.dumps({**record("A", "p"), "modified": "soon"}).encode(), "no record says when it was changed"),
    ],
    ids=[
        "empty",
        "empty list",
        "blank",
        "HTML",
        "cut off",
        "a cut list",
        "a cut record",
        "deep",
        "deep record",
        "of nothing",
        "undated",
    ],
)
def test_an_import_of_nothing_is_refused_and_leaves_the_old_one(text: bytes, cause: str, tmp_path: Path) -> None:
    into = imported(tmp_path, *GROUND)
    before = into.read_bytes()
    path = tmp_path / "new.jsonl"
    path.write_bytes(text)

    with pytest.raises(NoAudit, match=cause):
        import_records([path], into, NOW)
    assert into.read_bytes() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.jsonl", "a.sqlite", "new.jsonl"]


def test_a_compressed_file_that_breaks_off_is_refused(tmp_path: Path) -> None:
    path = as_gzip(tmp_path)
    path.write_bytes(path.read_bytes()[:-12])

    with pytest.raises(NoAudit, match="can not be read"):
        import_records([path], tmp_path / "a.sqlite", NOW)


@pytest.mark.parametrize("name", ["a.yaml", "a.csv", "a.jsonl.xz", "b/Makefile", "a.json.bak"])
@pytest.mark.parametrize("is_zip", [False, True], ids=["folder", "zip"])
def test_a_file_of_an_unknown_kind_is_not_passed_over(name: str, is_zip: bool, tmp_path: Path) -> None:
    source = as_zip(tmp_path) if is_zip else as_folder(tmp_path)
    if is_zip:
        with zipfile.ZipFile(source, "a") as archive:
            archive.writestr(name, "x")
    else:
        (source / name).parent.mkdir(exist_ok=True)
        (source / name).write_text("x")

    with pytest.raises(NoAudit, match=f"^{name}: is of no kind that holds records .*; take it out"):
        import_records([source], tmp_path / "a.sqlite", NOW)


def test_a_link_to_a_folder_is_not_passed_over(tmp_path: Path) -> None:
    source, other = as_folder(tmp_path), tmp_path / "other"
    other.mkdir()
    (source / "more").symlink_to(other)

    with pytest.raises(NoAudit, match="more: is a link to a folder"):
        import_records([source], tmp_path / "a.sqlite", NOW)


@pytest.mark.parametrize(("at", "bits"), [(0, 1), (2, 99)], ids=["a password", "an odd compression"])
def test_a_zip_that_can_not_be_unpacked_is_refused(at: int, bits: int, tmp_path: Path) -> None:
    path = as_zip(tmp_path)
    data = bytearray(path.read_bytes())
    for begin in (data.index(b"PK\3\4") + 6, data.index(b"PK\1\2") + 8):
        struct.pack_into("<H", data, begin + at, bits)
    path.write_bytes(data)

    with pytest.raises(NoAudit, match=r"^all.zip: can not be read: "):
        import_records([path], tmp_path / "a.sqlite", NOW)


# Records that can not be read

PYPI = {"ecosystem": "PyPI", "name": "of-mine"}
BAD = {"id": "BAD-1", "modified": "2026-11-23T00:00:00Z", "aliases": 5}


@pytest.mark.parametrize(
    ("text", "names"),
    [
        (json.dumps({**BAD, "affected": [{"package": {**PYPI, "name": "Of.Mine"}}]}), "of-mine"),
        (json.dumps(BAD)[:-1] + ', "affected": [{"package": {"ecosystem": "PyPI", "name": "o\\u0066-mine"}}]}', "of-mine"),
        (json.dumps({**BAD, "affected": [{"package": {"ecosystem": "PyPI", "purl": "pkg:PyPI/of_mine@1"}}]}), "of-mine"),
        (json.dumps({**BAD, "affected": [{"package": PYPI}, {"package": {**PYPI, "name": "torn"}}]}), "of-mine torn"),
        (json.dumps({**BAD, "affected": [{"package": PYPI}, {"package": {**PYPI, "name": 5}}]}), "of-mine torn any"),
        (json.dumps({**BAD, "affected": [{"package": {"ecosystem": "npm", "name": "of-mine"}}]}), ""),
        (json.dumps({**BAD, "affected": "x", "name": "Of.Mine"}), "of-mine torn any"),
        ('{"id": "BAD-1", "credits": [{"name": "torn"}], "affected": [{"package": {"ecosystem": "PyPI", "na', "of-mine torn any"),
        ('{"id": "BAD-1", "credits": [{"name": "any"}], "affected": [{"package": {"name": "torn", "x": 1,}}]}', "torn"),
        (json.dumps({**BAD, "affected": [{"package": {**PYPI, "name": " "}}]}), "of-mine torn any"),
        (json.dumps({**BAD, "affected": ["of-mine"]}), "of-mine torn any"),
        (json.dumps({**BAD, "affected": [{"package": {"ecosystem": "PyPI", "purl": "of-mine"}}]}), "of-mine torn any"),
        (json.dumps(BAD), "of-mine torn any"),
        ('{"id": "BAD-1", "package": {"name": "torn"', "torn"),
        ('{"id": "BAD-1", "affected": ' + "[" * 100_000 + "]" * 100_000 + "}", "of-mine torn any"),
        (json.dumps(record("BAD-1", "torn", withdrawn="")), "torn"),
        (json.dumps(record("BAD-1", "torn", withdrawn="no")), "torn"),
        (json.dumps(record("BAD-1", "")), "of-mine torn any"),
    ],
)  # fmt: skip
def test_a_record_that_can_not_be_read_leaves_open_whom_it_may_be_about(text: str, names: str, tmp_path: Path) -> None:
    source = snapshot(imported(tmp_path, *GROUND, raw=text + "\n"))
    inventory = Inventory(tuple(Pin(name, "1", "r.txt", 1) for name in ("of-mine", "torn", "any")))
    told = {d.pin.name: [u.id for u in d.undecided] for d in audit(inventory, [source]).dependencies}

    assert source.manifest.malformed == bool(names)
    assert told == {name: ["BAD-1"] * (name in names.split()) for name in told}


# Records that are told twice

TWICE = ("PYSEC-2", "flawed", "introduced 0")
EARLY, LATE = "2026-07-01T00:00:00Z", "2026-07-01T00:00:00.5Z"


def flawed(modified: str, **changes: Any) -> dict[str, Any]:
    return {**record(*TWICE, vectors=[CRITICAL], **changes), "modified": modified}


@pytest.mark.parametrize(
    ("one", "other", "severities"),
    [
        (flawed(LATE), flawed(EARLY, withdrawn=EARLY), ["critical"]),
        (flawed(EARLY), flawed(LATE, withdrawn=EARLY), []),
        (flawed(EARLY), flawed("zzz", withdrawn=EARLY), ["critical"]),
        (flawed(EARLY), flawed("2099-01-01T00:00:00Z", withdrawn=EARLY), ["critical"]),
        (flawed(EARLY), flawed(EARLY, withdrawn=EARLY), ["critical"]),
        (flawed(EARLY), {**record(*TWICE, vectors=[MEDIUM]), "modified": EARLY}, ["critical"]),
        (flawed(EARLY), {**record(*TWICE, vectors=[MEDIUM]), "modified": LATE}, ["medium"]),
        (flawed(EARLY), {**record("PYSEC-2", "other", "introduced 0"), "modified": LATE}, ["critical"]),
        (flawed(EARLY), flawed(EARLY), ["critical"]),
        (flawed(EARLY, withdrawn="2099-01-01T00:00:00Z"), flawed(EARLY), ["critical"]),
        (flawed("2099-01-01T00:00:00Z"), flawed(EARLY, withdrawn=EARLY), ["critical"]),
    ],
    ids=[
        "by time, not by text", "withdrawn later", "at no time", "of the future", "at once", "worse at once", "milder later",
        "of another package", "the same", "not withdrawn yet", "withdrawn once",
    ],
)  # fmt: skip
@pytest.mark.parametrize("is_first", [True, False])
def test_of_what_is_told_twice_the_later_counts(
    one: dict[str, Any], other: dict[str, Any], severities: list[str], is_first: bool, tmp_path: Path
) -> None:
    path = imported(tmp_path, *GROUND, *([one, other] if is_first else [other, one]))
    audited = audit(Inventory((Pin("flawed", "1.0", "r.txt", 1),)), [snapshot(path)])

    assert [v.rating.severity.value for _, v in audited.vulnerabilities()] == severities


# How many there are, and how old


def test_a_date_in_the_future_makes_nothing_fresh(tmp_path: Path) -> None:
    """The real database has one such record."""
    old = [{**one, "modified": "2026-10-01T00:00:00Z"} for one in GROUND]
    import_records(
        [written(tmp_path / "a.jsonl", *old, {**record("X", "x"), "modified": "2027-07-09T15:54:00Z"})],
        tmp_path / "a.sqlite",
        NOW,
    )

    with pytest.raises(NoAudit, match=r"its newest record is 54\.5 days old, more than .* snapshot_days 7 days"):
        snapshot(tmp_path / "a.sqlite")


def test_only_records_about_packages_of_pypi_make_a_snapshot_whole_and_fresh(tmp_path: Path) -> None:
    npm = {"package": {"ecosystem": "npm", "name": "x"}, "versions": ["1"]}
    others = [{**record(f"NPM-{n}", "x"), "affected": [npm]} for n in range(50)]
    path = imported(tmp_path, *({**one, "modified": "2019-01-01T00:00:00Z"} for one in GROUND), *others)

    with pytest.raises(NoAudit, match="holds 2 records, fewer than the policy's snapshot_floor 3"):
        snapshot(path, floor=3)
    with pytest.raises(NoAudit, match=r"its newest record is \d+\.\d days old"):
        snapshot(path)


@pytest.mark.parametrize(
    ("sizes", "is_fresh"),
    [
        ({"fresh": 30, "stale": 2}, True),
        ({"fresh": 2, "stale": 30}, False),
        ({"fresh": 20, "stale": 20}, False),
        ({"fresh": 20, "soon": 1}, True),
    ],
    ids=["old ones of one's own", "new ones of one's own", "two exports", "undated ones of one's own"],
)
def test_a_snapshot_is_as_old_as_the_oldest_export_in_it(sizes: dict[str, int], is_fresh: bool, tmp_path: Path) -> None:
    times = {"fresh": "2026-11-23T00:00:00Z", "stale": "2020-01-01T00:00:00Z", "soon": "soon"}
    paths = []
    for name, size in sizes.items():
        ground = GROUND if size > 2 else ()
        records = [*ground, *(record(f"{name}-{n}", f"{name}-{n}") for n in range(size))]
        paths.append(written(tmp_path / name, *({**one, "modified": times[name]} for one in records)))
    import_records(paths, tmp_path / "a.sqlite", NOW)

    if is_fresh:
        assert snapshot(tmp_path / "a.sqlite").manifest.modified.year == 2026
    else:
        with pytest.raises(NoAudit, match="its newest record is"):
            snapshot(tmp_path / "a.sqlite")


def test_a_file_of_ones_own_in_the_folder_of_an_old_export_does_not_make_it_fresh(tmp_path: Path) -> None:
    folder = tmp_path / "all"
    folder.mkdir()
    old = [{**record(f"old-{n}", f"old-{n}"), "modified": "2020-01-01T00:00:00Z"} for n in range(30)]
    written(folder / "export.jsonl", *({**one, "modified": "2020-01-01T00:00:00Z"} for one in GROUND), *old)
    written(folder / "own.json", record("OWN-1", "own"))
    import_records([folder], tmp_path / "a.sqlite", NOW)

    with pytest.raises(NoAudit, match="its newest record is"):
        snapshot(tmp_path / "a.sqlite")


@pytest.mark.parametrize("text", ["", "{", '{"id": "A-1", "affected": [', "no JSON"])
def test_one_bad_record_in_a_zip_is_named_and_the_rest_is_imported(text: str, tmp_path: Path) -> None:
    path = as_zip(tmp_path)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("BAD-1.json", text)
    done = import_records([path], tmp_path / "a.sqlite", NOW)

    assert (done.manifest.records, done.manifest.malformed) == (2, 1)
    assert [bad.why.rpartition("; ")[2] for bad in done.malformed] == ["it may be about any package"]


def test_nothing_in_the_place_of_a_list_is_an_empty_one(tmp_path: Path) -> None:
    told = {**record("PYSEC-2", "p", "introduced 0"), "aliases": None, "severity": None, "withdrawn": None}
    told["affected"][0] |= {"severity": None, "versions": None}
    source = snapshot(imported(tmp_path, *GROUND, told))

    assert [advisory.id for advisory in source.known([("p", "1")])["p", "1"].advisories] == ["PYSEC-2"]
    assert source.manifest.malformed == 0


def test_of_many_records_that_name_nobody_one_stands_for_all(tmp_path: Path) -> None:
    raw = "".join(f'{{"id": "BAD-{n}"}}\n' for n in range(50))
    source = snapshot(imported(tmp_path, *GROUND, raw=raw))
    [told] = source.known([("p", "1")])["p", "1"].malformed

    assert told.id == "50 records"
    assert told.why.endswith("; and 49 more like it")
