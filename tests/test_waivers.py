"""What somebody answers for in waivers, and what is known to be exploited."""

from __future__ import annotations

import json
from datetime import date, timedelta
from pathlib import Path

import pytest
from osv_records import DATA, needs_data

from pytest_artisan.audit.kev import read_kev
from pytest_artisan.audit.waivers import Waiver, ends_soon, read_waivers
from pytest_artisan.settings import SettingsError

TODAY = date(2026, 11, 24)
WAIVER = """
[[waiver]]
advisory = "CVE-1"
package = "Some.Package"
versions = "<2.0"
reason = "we do not parse files"
owner = "ada"
expires = 2026-12-24
"""


def read(folder: Path, text: str) -> tuple[Waiver, ...]:
    (folder / "waivers.toml").write_text(text)
    return read_waivers(folder / "waivers.toml", "waivers.toml")


def test_a_waiver_covers_what_it_names_and_says_who_answers(tmp_path: Path) -> None:
    first, second = read(tmp_path, f"# ours\n{WAIVER}{WAIVER.replace('<2.0', '*')}")

    assert (first.file, first.line, second.line) == ("waivers.toml", 3, 11)
    assert first.told() == "waived by ada until 2026-12-24: we do not parse files"
    assert list(first.faults(TODAY)) == []
    assert first.covers({"PYSEC-1", "CVE-1"}, "some-package", "1.9rc1")
    assert not first.covers({"PYSEC-1", "CVE-1"}, "some-package", "2.0rc1")  # PEP 440: below 2.0 is below its first one
    assert second.covers({"CVE-1"}, "some-package", "2004d")
    assert not first.covers({"CVE-1"}, "some-package", "2004d")
    assert not first.covers({"CVE-1"}, "some-package", "2.0")
    assert not first.covers({"CVE-1"}, "another", "1.0")
    assert not first.covers({"CVE-2"}, "some-package", "1.0")


@pytest.mark.parametrize("name", ["cve-1", " CVE-1 ", "Cve-1"])
def test_a_waiver_may_write_a_name_in_any_case(name: str, tmp_path: Path) -> None:
    [waiver] = read(tmp_path, WAIVER.replace("CVE-1", name))

    assert waiver.covers({"PYSEC-1", "CVE-1"}, "some-package", "1.9")


@pytest.mark.parametrize(
    ("old", "new", "faults"),
    [
        ("2026-12-24", "2026-11-24", []),
        ("2026-12-24", "2026-11-23", ["expired on 2026-11-23"]),
        ("2026-12-24", "2027-02-22", []),
        ("2026-12-24", "2027-02-23", ["expires on 2027-02-23, in 91 days, more than 90"]),
        ("we do not parse files", " ", ["has no reason"]),
        ('owner = "ada"', "", ["has no owner"]),
    ],
    ids=["last day", "expired", "90 days", "91 days", "no reason", "no owner"],
)
def test_a_waiver_out_of_order_waives_nothing(old: str, new: str, faults: list[str], tmp_path: Path) -> None:
    [waiver] = read(tmp_path, WAIVER.replace(old, new))

    assert list(waiver.faults(TODAY)) == faults


@pytest.mark.parametrize(("days", "soon"), [(0, True), (7, True), (8, False), (-1, False)])
def test_what_ends_within_a_week_ends_soon(days: int, soon: bool) -> None:
    assert ends_soon(TODAY, TODAY - timedelta(days=days)) is soon


@pytest.mark.parametrize(
    ("old", "new", "error"),
    [
        ("versions", "version", "waivers.toml waiver has no key 'version'; the nearest is 'versions'"),
        ("2026-12-24", '"soon"', r"waivers.toml waiver\[0\]\.expires: Invalid RFC3339"),
        ("2026-12-24", "7", r"waivers.toml waiver\[0\]\.expires: expected date, got int"),
        ("<2.0", " ", r"waivers.toml waiver\[0\] versions: . . is no range"),
        ("<2.0", ",", r"waivers.toml waiver\[0\] versions: .,. is no range"),
        ("<2.0", "2.0", r'waivers.toml waiver\[0\] versions: .2\.0. is no range such as "<2\.0", nor "\*"'),
        ("<2.0", "<" + "9" * 6000, r"waivers.toml waiver\[0\] versions: '<9+' is no range"),
        ("<2.0", "==1.0,<" + "9" * 6000, r"waivers.toml waiver\[0\] versions: '==1.0,<9+' is no range"),
        ('advisory = "CVE-1"', "", "waivers.toml waiver.*: Object missing required field advisory"),
        ("[[waiver]]", "[waiver", "waivers.toml: "),
    ],
    ids=[
        *("a key", "a date", "a number", "blank", "a comma", "a range", "digits", "digits in the end", "no advisory"),
        "no TOML",
    ],
)
def test_what_is_no_waiver_is_told_in_one_line(old: str, new: str, error: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=error) as caught:
        read(tmp_path, WAIVER.replace(old, new))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("{}", "no catalogue"),
        ("[]", "the catalogue is empty"),
        ('{"vulnerabilities": []}', "the catalogue is empty"),
        ('{"count": 2, "vulnerabilities": [{"cveID": "CVE-2025-3248"}]}', "has 1 entries, and says that it has 2"),
        ('[{"cveID": "2025-1"}]', "'2025-1' is no CVE id"),
        ("<html>", "no catalogue"),
        ('[{"cveID": "\udcff"}]', "no catalogue"),
    ],
    ids=["no list", "empty list", "empty", "cut", "an odd id", "HTML", "no UTF-8"],
)
def test_what_is_no_catalogue_is_refused(text: str, error: str, tmp_path: Path) -> None:
    path = tmp_path / "kev.json"
    path.write_text(text, errors="surrogateescape")
    with pytest.raises(SettingsError, match=error):
        read_kev(path, "kev.json")


def test_both_forms_of_the_catalogue_are_read(tmp_path: Path) -> None:
    path, entries = tmp_path / "kev.json", [{"cveID": "CVE-2025-3248", "vendorProject": "x"}]
    for text in (entries, {"title": "KEV", "vulnerabilities": entries}):
        path.write_text(json.dumps(text))
        assert read_kev(path, "kev.json") == {"CVE-2025-3248"}


@needs_data
def test_the_real_catalogue_is_read() -> None:
    assert "CVE-2025-3248" in read_kev(DATA / "kev-pypi.json", "kev")
