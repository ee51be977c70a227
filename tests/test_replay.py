"""`artisan replay`: recorded evidence comes to the very same verdict, or the part that does not is named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import attestation_house as house
import pytest
from release_house import git, repository

from pytest_artisan.cli import main
from pytest_artisan.ledger import Journal
from pytest_artisan.release.secrets import Masker
from pytest_artisan.reports.machine import as_json
from pytest_artisan.verdict.decide import Purpose, Requirements, Verdict, decide
from pytest_artisan.verdict.evidence import Bound, Evidence, ItemResult, Limit, Measurement, Outcome, Plan

PLAN = Plan({"unit": ("t.py::one", "t.py::two", "t.py::\ud800")})
RESULT = ItemResult(
    "t.py::two", Outcome.PASSED, measurements=(Measurement("p95", 1e21, "ms", Limit(Bound.AT_MOST, 3e21), 3),)
)


class Recorded:
    """What a session leaves: its journal, its JSON report, and its signed verdict."""

    def __init__(self, folder: Path, *, passed: bool = True) -> None:
        self.root, self.keys = folder / "shop", house.make_keys(folder)
        repository(self.root)
        house.trust(self.root, self.keys)
        digest, commit = house.verdict_of(self.root).policy_digest, git(self.root, "rev-parse", "HEAD")
        asked = Requirements(Purpose.RELEASE, ("unit",), digest, commit=commit)
        third = "t.py::\ud800"
        seen = Evidence(frozenset(["t.py::one", third] if passed else [third]), (RESULT,), seconds={"unit": 0.000006})
        self.verdict: Verdict = decide(asked, PLAN, seen)
        journal = Journal(self.root / "j.jsonl", Masker())
        journal.start(asked)
        journal.plan(asked, PLAN)
        for nodeid in sorted(seen.passed):
            journal.passed(nodeid, 2000)
        journal.result(RESULT, 2000 if passed else 4000)
        journal.end(seen)
        journal.close()
        (self.root / "verdict.json").write_text(as_json(self.verdict), encoding="utf-8")
        house.sign(self.root, self.keys, verdict=self.verdict, told=(asked, PLAN, seen))


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Recorded(tmp_path_factory.mktemp("shop")).root


@pytest.fixture
def recorded(shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(house.copy_of(shop, tmp_path / "shop"))
    return tmp_path / "shop"


def replay(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    capsys.readouterr()
    status = main(["replay", "j.jsonl", *(arguments or ("verdict.json", "verdict.intoto.json"))])
    said = capsys.readouterr()
    return status, said.out, said.err


def test_the_same_evidence_is_the_same_verdict(recorded: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert replay(capsys) == (0, "verdict.json: the same\nverdict.intoto.json: the same\nGO\n", "")


def test_a_no_go_replays_too_and_stays_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(Recorded(tmp_path, passed=False).root)
    assert replay(capsys) == (1, "verdict.json: the same\nverdict.intoto.json: the same\nNO-GO\n", "")


TAMPERED = {
    "a measurement": ('"value":1e+21', '"value":2e+21', "evidence, report, gates"),
    "a limit": ('"n":3', '"n":30', "evidence, report, gates"),
    "the time": ('"ns":2000', '"ns":9000', "evidence, report"),
    "the plan": ("t.py::one", "t.py::ONE", "plan, evidence, report, plan"),
    "the policy": ('"required":["unit"]', '"required":["unit","smoke"]', "requirements, report, verdict"),
    "the fault": ('"faults":[]', '"faults":[["clock","it went backwards"]]', "evidence, report, verdict"),
    "the end": ('{"end"', '{"END"', "evidence, report, verdict"),
}


@pytest.mark.parametrize(("old", "new", "parts"), TAMPERED.values(), ids=TAMPERED)
def test_a_tampered_journal_differs_and_the_part_is_named(
    recorded: Path, capsys: pytest.CaptureFixture[str], old: str, new: str, parts: str
) -> None:
    path = recorded / "j.jsonl"
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")
    status, out, err = replay(capsys, "verdict.intoto.json")
    assert (status, out) == (3, "NO-GO\n")
    assert f"verdict.intoto.json: what the journal comes to differs in: {parts}" in err
    assert err.count("\n") == 1


def test_another_report_differs(recorded: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = recorded / "verdict.json"
    document: Any = json.loads(path.read_bytes())
    for change, part in (
        (lambda verdict: verdict["counts"].update(passed=4), "counts"),
        (lambda verdict: None, "layout"),
    ):
        other = json.loads(json.dumps(document))
        change(other["verdict"])
        path.write_text(json.dumps(other), encoding="utf-8")
        assert replay(capsys, "verdict.json")[::2] == (
            3,
            f"verdict.json: what the journal comes to differs in: {part}\n",
        )


def test_a_statement_counts_only_with_its_signature(recorded: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = house.make_keys(recorded.parent, "other")
    status, out, err = replay(capsys, "verdict.intoto.json", f"--key={other.public}")
    assert (status, out) == (11, "")
    assert "whose signature does not count" in err
    (recorded / "verdict.intoto.json").write_text("{}", encoding="utf-8")
    assert replay(capsys, "verdict.intoto.json")[0] == 10


@pytest.mark.parametrize(("name", "text"), [("x.json", "x.json: No such file"), ("j.jsonl", "j.jsonl: no JSON report")])
def test_what_is_no_report_is_one_line(
    recorded: Path, capsys: pytest.CaptureFixture[str], name: str, text: str
) -> None:
    status, out, err = replay(capsys, name)
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert text in err


def test_a_report_from_a_journal_alone_is_not_signed(recorded: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", "j.jsonl", "--output=other.intoto.json"]) == 2
    assert "--output=other.intoto.json: unknown suffix; known: .json, " in capsys.readouterr().err
