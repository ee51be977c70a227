"""The SBOM as the gate checks and writes it, and the command that does the same."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import cyclonedx.validation.json  # noqa: F401 - takes seconds, and pytester forgets what a session imported
import pytest
from osv_records import CRITICAL, GROUND, record, written

from conftest import Project
from pytest_artisan.cli import main
from pytest_artisan.gates.auditing import components

NOW = datetime.now(UTC)
SETTINGS = 'files = ["requirements.txt"], snapshot = "advisories", snapshot_floor = 1'


@pytest.fixture
def shop(project: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.chdir(project.path)
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    flaw = record("PYSEC-2", "flawed", "introduced 0", vectors=[CRITICAL])
    written(project.path / "records.jsonl", *({**one, "modified": NOW.isoformat()} for one in (*GROUND, flaw)))
    assert main(["audit", "import", "records.jsonl", "--into", "advisories"]) == 0
    project.write("requirements.txt", "clean==1\nother==2.0\n")
    return project


def security(*more: str) -> str:
    return f"required = ['security']\nsecurity = {{ {', '.join((SETTINGS, *more))} }}"


def test_the_gate_writes_what_it_audited_the_same_each_time(shop: Project) -> None:
    shop.policy(security('sbom = "out/sbom.json"', 'sbom_version = "1.7"'))
    first = shop.run()
    text = (shop.path / "out/sbom.json").read_text()
    second = shop.run()
    bill = json.loads(text)

    assert first.last_line == second.last_line == "GO"
    assert (shop.path / "out/sbom.json").read_text() == text
    assert (bill["specVersion"], bill["metadata"]["timestamp"]) == ("1.7", "2023-11-14T22:13:20+00:00")
    assert [one["purl"] for one in bill["components"]] == ["pkg:pypi/clean@1", "pkg:pypi/other@2.0"]
    assert first.verdict is not None
    [counted] = [m for gate in first.verdict.gates for m in gate.measurements if m.name == "SBOM components"]
    assert (counted.value, counted.limit and counted.limit.value) == (2.0, 2.0)


@pytest.mark.parametrize(
    ("epoch", "sbom", "told"),
    [
        ("soon", "sbom.json", "SOURCE_DATE_EPOCH='soon' is no time: it counts seconds since 1970"),
        ("1", "requirements.txt/sbom.json", "requirements.txt/sbom.json: can not be written: "),
    ],
)
def test_a_bill_that_can_not_be_made_is_no_evidence(
    epoch: str, sbom: str, told: str, shop: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", epoch)
    shop.policy(security(f'sbom = "{sbom}"'))
    run = shop.run("--artisan-purpose=merge")

    assert run.state("security") == "NO_EVIDENCE"
    assert f"SBOM components: no data: {told}" in run.told


def test_a_bill_of_fewer_components_is_no_go(shop: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    def shorter(*_: object, **__: object) -> str:
        return json.dumps({"components": [{"type": "library"}, {"type": "machine-learning-model"}]})

    monkeypatch.setattr(components, "sbom_of", shorter)
    shop.policy(security())

    assert "SBOM components 1 != 2, n=2" in shop.run().told


def test_a_secret_stands_in_no_bill(shop: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DB_PASSWORD_DEV", "other")
    shop.policy(security('sbom = "sbom.json"'))
    shop.run()

    assert "other" not in (shop.path / "sbom.json").read_text()
    assert "pkg:pypi/***@2.0" in (shop.path / "sbom.json").read_text()


def bill_of(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    capsys.readouterr()
    assert main(["sbom", *arguments]) == 0
    bill: dict[str, Any] = json.loads(capsys.readouterr().out)
    return bill


def test_the_command_tells_of_vulnerabilities_where_a_source_is_named(
    shop: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    shop.write("requirements.txt", "clean==1\nflawed==1\n")
    shop.policy("security = { snapshot_floor = 1 }")

    assert "vulnerabilities" not in bill_of(capsys, "requirements.txt")
    known = bill_of(capsys, "requirements.txt", "--snapshot", "advisories", "--spec-version", "1.7")
    assert [(one["id"], one["affects"][0]["ref"]) for one in known["vulnerabilities"]] == [
        ("PYSEC-2", "pkg:pypi/flawed@1")
    ]
    assert known["specVersion"] == "1.7"


def test_the_command_writes_a_whole_file_or_none(shop: Project, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sbom", "requirements.txt", "--output", "sbom.json"]) == 0
    assert json.loads((shop.path / "sbom.json").read_text())["bomFormat"] == "CycloneDX"
    shop.write("requirements.txt", "clean==1\nloose\n")
    capsys.readouterr()

    assert main(["sbom", "requirements.txt", "--output", "other.json"]) == 1
    assert capsys.readouterr().err == "NO-EVIDENCE requirements.txt:2: loose has no exact version\n"
    assert not (shop.path / "other.json").exists()
    assert main(["sbom", "requirements.txt", "--output", "nowhere/sbom.json"]) == 1
    shop.write("requirements.txt", "clean==1\n")
    assert main(["sbom", "requirements.txt", "--output", "nowhere/sbom.json"]) == 2
    assert "--output=nowhere/sbom.json: No such file or directory" in capsys.readouterr().err


def test_what_nobody_audited_is_named_in_the_bill(shop: Project, capsys: pytest.CaptureFixture[str]) -> None:
    shop.write("requirements.txt", "clean==1\nour-fork @ https://a.invalid/x.zip\n")
    allowed = f'{{ name = "our-fork", reason = "r", expires = {NOW:%Y-%m-%d} }}'
    shop.policy(f"security = {{ unaudited = [{allowed}] }}")
    bill = bill_of(capsys, "requirements.txt")

    assert bill["metadata"]["properties"] == [{"name": "pytest-artisan:unaudited", "value": "our-fork"}]
    [told] = [one["aggregate"] for one in bill["compositions"] if any("generic" in ref for ref in one["dependencies"])]
    assert told == "incomplete"
