"""The gate security, and the command that does the same."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import cyclonedx.validation.json  # noqa: F401 - takes seconds, and pytester forgets what a session imported
import pip_requirements_parser  # noqa: F401 - as above
import pytest
from osv_records import CRITICAL, GROUND, MEDIUM, record, written

import pytest_artisan.audit.sbom.document
import pytest_artisan.gates.auditing.command  # noqa: F401 - as above
from conftest import Project
from pytest_artisan.audit.inputs import inventory_of
from pytest_artisan.audit.inventory import NoAudit, Pin
from pytest_artisan.cli import main

TODAY = datetime.now(UTC)
RECORDS = (
    record("PYSEC-2", "flawed", "introduced 0", "fixed 2.0", vectors=[CRITICAL], aliases=["CVE-2026-0001"]),
    record("PYSEC-3", "mild", "introduced 0", "fixed 2.0", vectors=[MEDIUM], aliases=["CVE-2026-0003"]),
    record("PYSEC-4", "unrated", "introduced 0"),
    record("MAL-4", "stolen", versions=["1.0"], vectors=[MEDIUM]),
    record("PYSEC-5", "odd", "introduced 0", "last_affected 1.0-NA", vectors=[MEDIUM]),
)


def waiver(**changes: str) -> str:
    expires = f"{TODAY + timedelta(days=30):%Y-%m-%d}"
    fields = {
        "advisory": "CVE-2026-0001",
        "package": "flawed",
        "versions": "<2",
        "reason": "r",
        "owner": "ada",
        **changes,
    }
    lines = [f'{key} = "{value}"' for key, value in fields.items() if key != "expires"]
    return "\n".join(["[[waiver]]", *lines, f"expires = {changes.get('expires', expires)}"])


def allowance(name: str, days: int = 30) -> str:
    return f'unaudited = [{{ name = "{name}", reason = "r", expires = {TODAY + timedelta(days=days):%Y-%m-%d} }}]'


@pytest.fixture
def shop(project: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project with a fresh snapshot."""
    monkeypatch.chdir(project.path)
    fresh = [{**one, "modified": TODAY.isoformat()} for one in (*GROUND, *RECORDS)]
    written(project.path / "records.jsonl", *fresh)
    assert main(["audit", "import", "records.jsonl", "--into", "advisories"]) == 0
    project.policy("""
        required = ["security"]
        security = { files = ["requirements.txt"], snapshot = "advisories", snapshot_floor = 1 }
    """)
    return project


def test_an_import_says_what_nobody_can_read(shop: Project, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["audit", "import", "records.jsonl", "--into", "again"]) == 0
    out = capsys.readouterr().out.splitlines()

    assert out[0] == "PYSEC-5: names '1.0-NA', which is no version"
    assert out[1].startswith(f"again: 7 records, the newest of {TODAY:%Y-%m-%d}, sha256:")
    assert out[2:] == []
    shop.policy("")
    assert main(["audit", "import", "records.jsonl", "--into", "again"]) == 0
    told = "warning an audit refuses it: again: holds 7 records, fewer than the policy's snapshot_floor 1000"
    assert capsys.readouterr().out.splitlines()[2:] == [told]
    assert main(["audit", "import", "nowhere.json", "--into", "again"]) == 2
    assert "nowhere.json: can not be read" in capsys.readouterr().err


CASES: dict[str, tuple[str, str, str, str]] = {
    "clean": ("flawed==2.0\nclean==1\n", "", "GO", ""),
    "mild": ("mild==1.0\n", "", "GO", ""),
    "critical": ("clean==1\nFlawed==1.0\n", "", "NO_GO", "requirements.txt:2: PYSEC-2: flawed 1.0: CVE-2026-0001 critical 9.8, CVSS 3.1; go to 2.0"),
    "malware": ("stolen==1.0\n", "", "NO_GO", "malware 1 > 0"),
    "unrated": ("unrated==1.0\n", "", "NO_GO", "unrated 1 > 0"),
    "unrated may pass": ("unrated==1.0\n", 'unknown = "pass"', "GO", ""),
    "exploited": ("mild==1.0\n", 'kev = "kev.json"', "NO_GO", "known exploited 1 > 0"),
    "undecided": ("odd==2.0\n", "", "NO_EVIDENCE", "odd: PYSEC-5: its record names '1.0-NA', which is no version"),
    "no version": ("clean\n", "", "NO_EVIDENCE", "clean has no exact version"),
    "an address": ("clean @ https://u:hunter2@a.invalid/c.zip\n", "", "NO_EVIDENCE", "clean comes from an address"),
    "empty": ("", "", "NO_EVIDENCE", "requirements.txt: installs nothing"),
    "no snapshot": ("clean==1\n", 'snapshot = "nowhere"', "NO_EVIDENCE", "there is no snapshot"),
    "small": ("clean==1\n", "snapshot_floor = 8", "NO_EVIDENCE", "holds 7 records, fewer than"),
    "waived": ("flawed==1.0\n", waiver(), "GO", ""),
    "expired": ("flawed==1.0\n", waiver(expires='2026-01-01'), "NO_GO", "expired on 2026-01-01"),
    "no reason": ("flawed==1.0\n", waiver(reason=' '), "NO_GO", "has no reason"),
    "unused": ("clean==1\n", waiver(), "NO_GO", "waives nothing that is there"),
    "waived malware": ("stolen==1.0\n", waiver(advisory="MAL-4", package="stolen"), "NO_GO", "malware 1 > 0"),
    "waived undecided": ("odd==2.0\n", waiver(advisory="PYSEC-5", package="odd", versions="*"), "GO", ""),
    "allowed": ("mild==1.0\nclean\n", allowance("Clean"), "GO", ""),
    "allowed another": ("mild==1.0\nclean\nother\n", allowance("clean"), "NO_EVIDENCE", "other has no exact version"),
    "nothing else": ("clean\n", allowance("clean"), "NO_EVIDENCE", "no pin was found"),
    "no longer allowed": ("mild==1.0\nclean\n", allowance("clean", -1), "NO_GO", "the entry for clean expired on"),
    "allowed too long": ("mild==1.0\nclean\n", allowance("clean", 91), "NO_GO", "the entry for clean expires on"),
    "allowed in vain": ("mild==1.0\n", allowance("clean"), "NO_GO", "the entry for clean allows nothing that is there"),
    "one source of two fails": ("clean==1\n", 'osv_url = "http://127.0.0.1:1"', "NO_EVIDENCE", "http://127.0.0.1:1: can not be reached"),
    "and the other finds": ("flawed==1.0\n", 'osv_url = "http://127.0.0.1:1"', "NO_GO", "critical 1 > 0"),
}  # fmt: skip


def settle(shop: Project, pins: str, changes: str) -> None:
    """A project with these pins, and a policy or waivers that differ so."""
    shop.write("requirements.txt", pins)
    shop.write("kev.json", '[{"cveID": "CVE-2026-0003"}]')
    if changes.startswith("[["):
        shop.write("waivers.toml", changes)
        changes = 'waivers = "waivers.toml"'
    key = changes.partition(" =")[0]
    settings = {"files": '["requirements.txt"]', "snapshot": '"advisories"', "snapshot_floor": "1"}
    settings |= {key: changes.partition("= ")[2]} if key else {}
    table = ", ".join(f"{name} = {value}" for name, value in settings.items())
    shop.policy(f'required = ["security"]\nsecurity = {{ {table} }}')


@pytest.mark.parametrize("case", CASES)
def test_the_command_says_what_is_known_and_what_that_means(
    case: str, shop: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    pins, changes, state, told = CASES[case]
    settle(shop, pins, changes)
    capsys.readouterr()

    assert main(["audit", "--format", "json"]) == (0 if state == "GO" else 1)
    shown = json.loads(capsys.readouterr().out)
    assert shown["state"] == state
    assert told in " ".join(shown["reasons"])
    assert "hunter2" not in json.dumps(shown)


@pytest.mark.parametrize(
    "case",
    [
        "clean",
        "critical",
        "malware",
        "undecided",
        "an address",
        "empty",
        "waived",
        "expired",
        "allowed",
        "and the other finds",
    ],
)
def test_the_gate_says_the_same(case: str, shop: Project) -> None:
    pins, changes, state, told = CASES[case]
    settle(shop, pins, changes)
    run = shop.run()

    assert run.last_line == ("GO" if state == "GO" else "NO-GO"), run.out
    assert run.state("security") == state
    assert told.partition(": ")[2] in run.out
    assert "hunter2" not in run.out


def test_what_is_known_is_shown_in_each_form(shop: Project, capsys: pytest.CaptureFixture[str]) -> None:
    shop.write("other.txt", "flawed==1.0\nmild==1.0\n")
    options = ["audit", "other.txt", "--snapshot", "advisories"]
    capsys.readouterr()

    assert main([*options, "--format", "json"]) == 1
    shown: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert shown["dependencies"][0] == {
        "name": "flawed",
        "version": "1.0",
        "file": "other.txt",
        "line": 1,
        "undecided": [],
        "findings": [
            {
                "id": "PYSEC-2",
                "aliases": ["CVE-2026-0001"],
                "severity": "critical",
                "score": 9.8,
                "severity_source": "CVSS 3.1 of PYSEC-2",
                "known_exploited": False,
                "malware": False,
                "fixed_in": "2.0",
                "waiver": None,
            }
        ],
    }
    assert main([*options, "--format", "md"]) == 1
    table = capsys.readouterr().out
    assert table.startswith("**NO\\-GO**\n\n\\- critical 1 &gt; 0, n=2\n".replace("\n\\-", "\n-"))
    assert (
        "| no | mild | 1.0 | PYSEC\\-3, CVE\\-2026\\-0003 | medium 5.4 | CVSS 3.1 of PYSEC\\-3 | 2.0 | \\- |" in table
    )
    assert main(options) == 1
    assert capsys.readouterr().out.splitlines()[-2:] == [
        "NO-GO other.txt:1: PYSEC-2: flawed 1.0: CVE-2026-0001 critical 9.8, CVSS 3.1; go to 2.0",
        "NO-GO",
    ]


def test_a_waiver_that_ends_soon_is_shown_with_what_it_waives(
    shop: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    soon = f"{TODAY + timedelta(days=3):%Y-%m-%d}"
    shop.write("requirements.txt", "flawed==1.0\n")
    shop.write("waivers.toml", waiver(expires=soon))
    shop.policy("""
        security = { files = ["requirements.txt"], snapshot = "advisories", snapshot_floor = 1, waivers = "waivers.toml" }
    """)
    capsys.readouterr()

    assert main(["audit"]) == 0
    told = f"flawed 1.0: CVE-2026-0001 critical 9.8, CVSS 3.1; go to 2.0; waived by ada until {soon}: r"
    ending = f"waiver of CVE-2026-0001 for flawed expires on {soon}"
    assert capsys.readouterr().out.splitlines()[1:] == [
        f"warning requirements.txt:1: PYSEC-2: {told}",
        f"warning waivers.toml:1: waiver: {ending}",
        "GO",
    ]
    run = shop.run("--artisan-report=verdict.md", "--artisan-report=verdict.sarif")
    assert run.verdict is not None
    assert [reason.text for reason in run.verdict.warnings] == [f"audit PYSEC-2: {told}", f"audit waiver: {ending}"]
    assert f"warning security: requirements.txt:1: audit PYSEC-2: {told}" in run.out
    results = json.loads((shop.path / "verdict.sarif").read_text())["runs"][0]["results"]
    assert [(r["ruleId"], r["level"]) for r in results] == [("audit/PYSEC-2", "warning"), ("audit/waiver", "warning")]
    report = (shop.path / "verdict.md").read_text()
    head = "| blocks | package | installed | advisory | severity | from | fixed in | waiver |"
    row = (
        "no | flawed | 1.0 | PYSEC\\-2, CVE\\-2026\\-0001 | critical 9.8 | CVSS 3.1 of PYSEC\\-2 | 2.0 | waived by ada"
    )
    assert f"{head}\n|---|---|---|---|---|---|---|---|\n| {row} until" in report
    assert report.count("PYSEC") == 2


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ('waivers = "waivers.toml"', "waivers.toml: Expected "),
        ('vex = ["waivers.toml"]', "waivers.toml: no OpenVEX document: "),
        ('kev = "waivers.toml"', "waivers.toml: no catalogue of exploited vulnerabilities: "),
        ('waivers = "nowhere.toml"', "nowhere.toml: [Errno 2] No such file or directory"),
    ],
)
def test_decisions_that_can_not_be_read_are_no_lack_of_evidence(
    setting: str, told: str, shop: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    shop.write("waivers.toml", "[[nonsense")
    shop.write("requirements.txt", "mild==1.0\n")
    shop.policy(
        f'security = {{ files = ["requirements.txt"], snapshot = "advisories", snapshot_floor = 1, {setting} }}'
    )
    capsys.readouterr()

    assert main(["audit"]) == 2
    assert capsys.readouterr().err.startswith(f"artisan: {told}")
    run = shop.run("--artisan-gates=security", gates="")
    assert run.last_line == "NO-GO"
    assert f"NO-GO security: artisan::security::advisories: failed: {told}" in run.out


def test_a_part_of_what_the_policy_names_may_leave_a_decision_without_a_cause(
    shop: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    shop.write("waivers.toml", waiver())
    shop.write("other.txt", "mild==1.0\n")
    shop.write("requirements.txt", "mild==1.0\n")
    settings = f'snapshot = "advisories", snapshot_floor = 1, waivers = "waivers.toml", {allowance("loose")}'
    shop.policy(f'security = {{ files = ["requirements.txt"], {settings} }}')
    capsys.readouterr()

    assert main(["audit"]) == 1
    assert "NO-GO decisions out of order 2 > 0" in capsys.readouterr().out
    assert main(["audit", "other.txt"]) == 0
    assert (
        "warning waivers.toml:1: waiver: waiver of CVE-2026-0001 for flawed waives nothing" in capsys.readouterr().out
    )


def test_what_nobody_could_tell_is_in_every_form(shop: Project, capsys: pytest.CaptureFixture[str]) -> None:
    shop.write("requirements.txt", "mild==1.0\nclean\n")
    capsys.readouterr()

    assert main(["audit", "--format", "md"]) == 1
    assert (
        "**NO\\-EVIDENCE**\n\n- releases audited: no data: requirements.txt:2: clean has no exact version"
        in capsys.readouterr().out
    )
    assert main(["audit", "--format", "sarif"]) == 1
    results = json.loads(capsys.readouterr().out)["runs"][0]["results"]
    assert [(r["ruleId"], r["level"]) for r in results] == [
        ("audit/no-evidence", "error"),
        ("audit/PYSEC-3", "warning"),
    ]


def test_only_what_somebody_looked_for_is_said_not_to_be_there(
    shop: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    shop.write("requirements.txt", "mild==1.0\n")
    run = shop.run()

    assert run.verdict is not None
    names = [measurement.name for gate in run.verdict.gates for measurement in gate.measurements]
    assert names == ["releases audited", "critical", "malware", "unrated", "decisions out of order", "SBOM components"]


def test_no_check_of_the_policy_can_be_declared_away(shop: Project) -> None:
    shop.write("requirements.txt", "flawed==1.0\n")
    shop.tests("@pytest.mark.security\ndef test_one(): pass")
    shop.policy("""
        required = ["security"]
        expected = [{ outcome = "deselected", item = "artisan::security::advisories", why = "x" }]
        security = { files = ["requirements.txt"], snapshot = "advisories", snapshot_floor = 1 }
    """)
    run = shop.run("--deselect=artisan::security::advisories", "--artisan-purpose=merge")

    assert run.last_line == "NO-GO"
    assert "security|deselected|artisan::security::advisories" in run.told


def test_the_gate_can_say_no(shop: Project) -> None:
    run = shop.plain("--artisan-drill")

    assert re.search(r"security::advisories +a pin with a critical advisory +NO-GO: critical 1 > 0", run.out)


# What is installed


def pins_of(folder: Path, **files: str) -> list[tuple[str, str, str, int]]:
    for name, text in files.items():
        (folder / f"{name}.txt").write_text(text)
    return [(p.name, p.version, p.file, p.line) for p in inventory_of(folder, ["a.txt"]).pins]


@pytest.mark.parametrize(
    ("files", "pins"),
    [
        ({"a": "A.b_c==1.0\n"}, [("a-b-c", "1.0", "a.txt", 1)]),
        ({"a": "\ufeffx == v1.0 \\\r\n  --hash=sha256:" + "0" * 64 + "\r\n"}, [("x", "1.0", "a.txt", 1)]),
        ({"a": "# x\n-r b.txt\ny===2\n", "b": "z[q]==3"}, [("z", "3", "b.txt", 1), ("y", "2", "a.txt", 3)]),
        ({"a": "-c b.txt\nx>=1\n", "b": "x==1.5\nunused==1"}, [("x", "1.5", "a.txt", 2)]),
        ({"a": 'x==1; python_version < "3"\ny==1; python_version > "3"'}, [("y", "1", "a.txt", 2)]),
        ({"a": "--index-url https://u:hunter2@a.invalid/simple\nx==1\nx==2\n"}, [("x", "1", "a.txt", 2), ("x", "2", "a.txt", 3)]),
    ],
    ids=["a name", "Windows and hashes", "nested", "constraints", "markers", "twice"],
)  # fmt: skip
def test_requirements_are_read_with_their_places(
    files: dict[str, str], pins: list[tuple[str, str, str, int]], tmp_path: Path
) -> None:
    assert pins_of(tmp_path, **files) == pins


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("-r a.txt\nx==1", "a.txt: names itself"),
        ("-r nowhere.txt\nx==1", "nowhere.txt: does not exist"),
        ("x==1\nthis is garbage\n", "a.txt:2: is no requirement"),
        ("# nothing", "a.txt: installs nothing"),
        ('x==1; python_version < "3"', "a.txt: installs nothing"),
    ],
    ids=["a circle", "missing", "garbage", "empty", "of another Python"],
)
def test_requirements_that_are_not_whole_are_no_audit(text: str, cause: str, tmp_path: Path) -> None:
    with pytest.raises(NoAudit, match=cause):
        pins_of(tmp_path, a=text)
    with pytest.raises(NoAudit, match=r"a\.lock: is of an unknown kind"):
        inventory_of(tmp_path, ["a.lock"])


def test_the_environment_has_what_is_installed_and_not_the_project_itself() -> None:
    found = inventory_of(Path(__file__).parent.parent, ["environment"])

    assert found.root[0] == "pytest-artisan"
    assert Pin("pytest", pytest.__version__, "environment", 1) in found.pins
    assert "pytest-artisan" not in {pin.name for pin in found.pins}
    assert "pluggy" in found.requires["pytest"]
