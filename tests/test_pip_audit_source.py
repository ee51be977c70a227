"""pip-audit as a source: what it finds counts, and what it skips, loses or dies of is no audit."""

from __future__ import annotations

import json
import logging
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import requests
from osv_records import CRITICAL, GROUND, MEDIUM, NOW, record, written
from osv_stub import served, serving
from requests.adapters import BaseAdapter

from pytest_artisan.audit import pip_audit_child
from pytest_artisan.audit.audit import Audit, audit
from pytest_artisan.audit.canaries import INDEX, faults_of
from pytest_artisan.audit.inputs import inventory_of
from pytest_artisan.audit.inventory import Inventory, NoAudit, Pin, Unaudited
from pytest_artisan.audit.pip_audit import PipAudit, Run
from pytest_artisan.audit.severity import Severity
from pytest_artisan.audit.snapshot import Snapshot, import_records
from pytest_artisan.audit.source import Canaries, Source
from pytest_artisan.tools import Answer, run
from pytest_artisan.verdict.evidence import NoEvidence

CANARIES = Canaries(critical=("ground", "1.0"), clean=("ground", "1.1"), malware=("trap", "0.1"))
RECORDS = (
    *GROUND,
    record("PYSEC-2", "p", "introduced 0", "fixed 0.9", "introduced 1.0", "fixed 1.1", aliases=["CVE-2"], summary="It breaks"),
    record("PYSEC-3", "p", "introduced 1.1", "fixed 1.2rc1", vectors=[CRITICAL]),
    record("PYSEC-4", "p", "introduced 1.1", "fixed 1.2", vectors=[CRITICAL]),
)  # fmt: skip


def audited(url: str, *texts: str, timeout_s: float = 20.0, beside: Sequence[Source] = ()) -> Audit:
    released = (text.split("==") for text in texts)
    pins = tuple(Pin(name, version, "r.txt", n) for n, (name, version) in enumerate(released, 1))
    return audit(Inventory(pins), [PipAudit(run, osv_url=url, timeout_s=timeout_s, canaries=CANARIES), *beside])


def test_what_it_finds_counts_and_nobody_rates_it() -> None:
    with served(RECORDS) as server:
        clean, p = audited(server.url, "clean==1.0", "p==1.0").dependencies
        asked = [(query["package"]["name"], query["version"]) for query in server.queries]

    [found] = p.vulnerabilities
    assert clean.vulnerabilities == ()
    assert (found.id, found.aliases, found.summary, found.fixed_in) == ("PYSEC-2", ("CVE-2",), "It breaks", "1.2")
    assert found.rating.severity is Severity.UNKNOWN
    assert sorted(asked) == [
        ("clean", "1.0"), ("ground", "1.0"), ("ground", "1.1"), ("p", "1.0"), ("p", "1.1"), ("p", "1.2"), ("trap", "0.1"),
    ]  # fmt: skip


def test_another_source_rates_what_it_finds(tmp_path: Path) -> None:
    rated = record("GHSA-2", "p", "introduced 3", aliases=["CVE-2"], vectors=[MEDIUM])
    import_records([written(tmp_path / "records.jsonl", *GROUND, rated)], tmp_path / "a.sqlite", NOW)
    snapshot = Snapshot(tmp_path / "a.sqlite", max_age=timedelta(days=7), floor=1, now=NOW)
    with serving(RECORDS) as url:
        [p] = audited(url, "p==1.0", beside=[snapshot]).dependencies

    assert [(v.id, v.rating.severity) for v in p.vulnerabilities] == [("PYSEC-2", Severity.MEDIUM)]


def test_a_build_is_affected_as_what_it_was_built_from() -> None:
    listed = record("PYSEC-5", "torch", versions=["2.0"])
    with serving([*RECORDS, listed]) as url:
        [torch] = audited(url, "torch==2.0+cu121").dependencies

    assert [v.id for v in torch.vulnerabilities] == ["PYSEC-5"]


@pytest.mark.parametrize(
    ("fault", "cause"),
    [
        ("refused", r"could not tell about clean==1\.0, ground==1\.0, ground==1\.1 and 2 more: ConnectionError: "),
        ("status 429", "ServiceError: 429"),
        ("status 503", "ServiceError: 503"),
        ("HTML", "JSONDecodeError"),
        ("empty", "JSONDecodeError"),
        ("truncated", "JSONDecodeError"),
        ("length too long", "IncompleteRead"),
        ("knows nothing", "can not be believed: it knows an advisory of ground==1.0, and told none"),
        ("list", "can not be believed: it knows an advisory of ground==1.0, and told none"),
        ("error", "KeyError: 'vulns'"),
        ("hang", "gave no answer: gives no whole answer within 1 s"),
        ("slow drip", "gave no answer: gives no whole answer within 1 s"),
        ("token-only page", "its answer comes in pages, of which pip-audit reads the first one alone"),
        ("redirect to another host", "TooManyRedirects"),
        ("malformed record", "TypeError"),
        ("another package", "it says of ground==1.1 what is true of ground==1.0 alone"),
        ("Latin-1", "is missing 'affected' list"),
        ("reset", "Connection reset by peer"),
    ],
)
def test_a_service_that_fails_is_no_audit_and_says_why_in_time(
    fault: str, cause: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    budget_s = 1.0 if "whole answer" in cause else 20.0
    with serving(RECORDS, fault) as url:
        started = time.monotonic()
        with pytest.raises(NoAudit, match=cause) as told:
            audited(url, "clean==1.0", "p==1.0", timeout_s=budget_s)
        taken = time.monotonic() - started

    assert str(told.value).startswith(f"pip-audit with osv {url.removeprefix('http://')} ")
    assert "hunter2" not in str(told.value)
    assert taken < budget_s + 1
    assert list(tmp_path.iterdir()) == []


def test_pages_that_it_would_lose_are_no_audit() -> None:
    with serving(RECORDS, page_size=1) as url, pytest.raises(NoAudit, match=r"about p==1\.1: .* comes in pages"):
        PipAudit(run, osv_url=url).known([("p", "1.1")])


@pytest.mark.parametrize(
    ("odd", "cause"),
    [
        (record("PYSEC-9", "p", "introduced 0", "fixed 4.6.0.stable11"), "InvalidVersion: .*4.6.0.stable11"),
        (record("PYSEC-9", "p", "introduced 0", schema_version="2.0.0"), "Unsupported OSV schema version: 2.0.0"),
    ],
)
def test_a_record_that_it_can_not_read_names_the_release(odd: dict[str, Any], cause: str) -> None:
    with serving([*RECORDS, odd]) as url, pytest.raises(NoAudit, match=rf"could not tell about p==1\.0: .*{cause}"):
        audited(url, "clean==1.0", "p==1.0")


def test_a_version_that_is_none_can_not_be_asked_about() -> None:
    with serving(RECORDS) as url, pytest.raises(NoAudit, match=r"about p==2004d-odd: InvalidVersion"):
        audited(url, "p==2004d-odd")


class Index(BaseAdapter):
    """PyPI as far as pip-audit asks it: the JSON of some releases."""

    def __init__(self, known: Mapping[str, Any]) -> None:
        super().__init__()
        self._known = known

    def send(self, request: requests.PreparedRequest, *_: Any, **__: Any) -> requests.Response:
        response = requests.Response()
        found = self._known.get(str(request.url).removeprefix("https://pypi.org/pypi/").removesuffix("/json"))
        response.status_code = 404 if found is None else 200
        response._content = json.dumps(found).encode()
        response.request, response.url = request, str(request.url)
        return response

    def close(self) -> None:
        """Nothing is open."""


@dataclass(frozen=True)
class Printed:
    stdout: str = ""
    stderr: str = ""


class Inside:
    """The child's work in this process, with an index of our own."""

    def __init__(self, known: Mapping[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        made = pip_audit_child._service

        def service(*given: Any) -> Any:
            one = made(*given)
            one.session.mount("https://", Index(known))
            return one

        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(pip_audit_child, "_service", service)
        # It is about a process, and is gone with it.
        monkeypatch.setattr(pip_audit_child, "_Unreadable", lambda level: logging.NullHandler(level))

    def __call__(self, tool: str, arguments: list[str], *, cwd: Path, timeout_s: float, stdin: str) -> Printed:
        request = json.loads(stdin)
        answers = pip_audit_child._ask(request["releases"], request["osv_url"], request["seconds"])
        return Printed(json.dumps({"answers": answers, "collected": []}))


FLAWED = {"id": "PYSEC-2", "aliases": ["CVE-2"], "fixed_in": ["1.1"], "summary": "It breaks", "details": ""}


def test_what_the_index_does_not_have_is_not_clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The usual command prints "No known vulnerabilities found" here, and exits 0."""
    inside = Inside({"p/1.0": {"vulnerabilities": [FLAWED]}}, monkeypatch, tmp_path)
    source = PipAudit(inside)

    assert [a.names for a in source.known([("p", "1.0")])["p", "1.0"].advisories] == [{"PYSEC-2", "CVE-2"}]
    assert source.known([("p", "1.0+cu121")])["p", "1.0+cu121"].advisories != ()
    with pytest.raises(NoAudit, match=r"PyPI could not tell about q==1\.0: ValueError: Dependency not found on PyPI"):
        source.known([("p", "1.0"), ("q", "1.0")])


def test_a_fix_that_the_index_does_not_have_is_no_advice(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (h11, flawed), (_, sound) = INDEX.critical, INDEX.clean
    known = {f"{h11}/{flawed}": {"vulnerabilities": [FLAWED]}, f"{h11}/{sound}": {"vulnerabilities": []}}
    source = PipAudit(Inside({**known, "p/1.0": {"vulnerabilities": [FLAWED]}}, monkeypatch, tmp_path))
    found = audit(Inventory((Pin("p", "1.0", "r.txt", 1),)), [source])

    assert [(v.id, v.fixed_in) for _, v in found.vulnerabilities()] == [("PYSEC-2", None)]


def test_the_names_that_it_tells_are_compared_as_all_are(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    odd = {**FLAWED, "id": " pysec-2", "aliases": ["cve-2", "ghsa-AAAA-2222-cccc"]}
    [known] = (
        PipAudit(Inside({"p/1.0": {"vulnerabilities": [odd]}}, monkeypatch, tmp_path)).known([("p", "1.0")]).values()
    )

    assert [a.names for a in known.advisories] == [{"PYSEC-2", "CVE-2", "GHSA-aaaa-2222-cccc"}]


def test_the_index_is_tried_with_what_it_still_has(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (h11, flawed), (_, sound) = INDEX.critical, INDEX.clean
    nothing: dict[str, Any] = {"vulnerabilities": []}
    known = {f"{h11}/{flawed}": {"vulnerabilities": [FLAWED]}, f"{h11}/{sound}": nothing}
    inside = Inside(known, monkeypatch, tmp_path)

    def faults() -> list[str]:
        source = PipAudit(inside)
        return faults_of(source.canaries, source.known(source.canaries.releases), source.rates)

    assert faults() == []
    known[f"{h11}/{flawed}"] = nothing
    assert faults() == ["it knows an advisory of h11==0.14.0, and told none"]


RIGHT = {"answers": [{"name": "p", "version": "1.0", "vulnerabilities": []}], "collected": []}
WRONG: Sequence[tuple[str, str, str]] = [
    ("", "Traceback\n  x\nImportError: no pip_audit\n\n", "gave no answer: ImportError: no pip_audit"),
    ("", "", "gave no answer: it printed nothing"),
    ("No known vulnerabilities found", "a\x1b[2Jb", r"gave no answer: a \[2Jb"),
    (json.dumps(RIGHT)[:-2], "", "gave no answer"),
    (json.dumps(RIGHT) * 2, "", "gave no answer"),
    ("[]", "", "gave no answer"),
    ('{"answers": null, "collected": []}', "", "gave no answer"),
    ('{"answers": [], "collected": []}', "", "did not answer about what it was asked"),
    (json.dumps({**RIGHT, "answers": RIGHT["answers"] * 2}), "", "did not answer about what it was asked"),
    (json.dumps(RIGHT).replace("1.0", "1.1"), "", "did not answer about what it was asked"),
    (json.dumps(RIGHT).replace("[]}]", "null}]"), "", r"could not tell about p==1\.0"),
    (json.dumps({**RIGHT, "collected": [{"file": "x"}]}), "", "did not look at the files"),
]


@pytest.mark.parametrize(("stdout", "stderr", "cause"), WRONG)
def test_an_answer_that_is_not_whole_is_none(stdout: str, stderr: str, cause: str) -> None:
    def printing(*_: Any, **__: Any) -> Printed:
        return Printed(stdout, stderr)

    with pytest.raises(NoAudit, match=f"pip-audit with PyPI {cause}"):
        PipAudit(printing).known([("p", "1.0")])


def test_the_budget_is_one_for_all_that_is_asked() -> None:
    given: list[float] = []

    def printing(*_: Any, timeout_s: float, **__: Any) -> Printed:
        given.append(timeout_s)
        return Printed(json.dumps(RIGHT))

    source = PipAudit(printing, timeout_s=0.05)
    source.known([("p", "1.0")])
    end = time.monotonic() + 0.05
    while time.monotonic() < end:
        source.known([("p", "1.0")])
    with pytest.raises(NoAudit, match=r"gives no whole answer within 0\.05 s"):
        source.known([("q", "1.0")])
    assert len(given) == 1


def test_the_environment_can_not_disarm_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("pip_audit", "json", "requests"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('disarmed')")
    monkeypatch.chdir(tmp_path)
    for variable in ("PYTHONPATH", "PYTHONSTARTUP", "PYTHONHOME"):
        monkeypatch.setenv(variable, str(tmp_path))
    for variable in (
        "PIP_AUDIT_OSV_URL",
        "PIP_AUDIT_VULNERABILITY_SERVICE",
        "HTTP_PROXY",
        "http_proxy",
        "PIP_CONFIG_FILE",
    ):
        monkeypatch.setenv(variable, "http://127.0.0.1:1")
    with serving(RECORDS) as url:
        [p] = audited(url, "p==1.0").dependencies

    assert [v.id for v in p.vulnerabilities] == ["PYSEC-2"]


def test_without_an_interpreter_there_is_no_evidence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "no-such-python"))
    with pytest.raises(NoEvidence, match="no-such-python is not installed"):
        PipAudit(run).known([("p", "1.0")])


# What it reads itself


def once() -> Run:
    """The child's one answer, for all who ask about the same files."""
    told: dict[tuple[str, ...], Answer] = {}

    def ask(tool: str, arguments: list[str], *, cwd: Path, timeout_s: float, stdin: str) -> Answer:
        files = tuple(json.loads(stdin)["files"])
        if files not in told:
            told[files] = run(tool, arguments, cwd=cwd, timeout_s=timeout_s, stdin=stdin)
        return told[files]

    return ask


def test_what_it_reads_in_a_file_and_we_do_not_was_not_audited(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "a.txt").write_text("P_q==v1.0\nx==2.0\n-r sub/b.in\n")
    (tmp_path / "sub" / "b.in").write_text('y==3\nz==4; python_version < "3"\n')
    ours = inventory_of(tmp_path, ["a.txt"])
    left = Inventory(tuple(pin for pin in ours.pins if pin.name not in ("x", "y")))
    other = Inventory((*ours.pins[:1], Pin("x", "2.1", "a.txt", 2), *ours.pins[2:]))

    asked = once()
    assert PipAudit(asked).disagreements(ours, tmp_path) == []
    assert PipAudit(asked).disagreements(left, tmp_path) == [
        Unaudited("x", "a.txt", 1, "2.0 is found by pip-audit, and was not audited")
    ]
    assert PipAudit(asked).disagreements(other, tmp_path) == [
        Unaudited("x", "a.txt", 1, "2.0 is found by pip-audit, and was not audited")
    ]


def test_what_it_takes_no_file_of_has_no_second_opinion(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("x>=1\n-c c.txt\n")
    (tmp_path / "c.txt").write_text("x==1.5\n")
    (tmp_path / "\udcff.txt").write_text("q==1\n")
    odd = Inventory((Pin("p", "1.0", "uv.lock", 3), Pin("q", "1", "pylock.toml", 1)))

    assert PipAudit(run).disagreements(inventory_of(tmp_path, ["a.txt"]), tmp_path) == []
    assert PipAudit(run).disagreements(odd, tmp_path) == []
    assert PipAudit(run).disagreements(Inventory((Pin("q", "1", "\udcff.txt", 1),)), tmp_path) == []


def test_what_it_finds_installed_is_what_we_find(request: pytest.FixtureRequest) -> None:
    root = request.config.rootpath
    ours = inventory_of(root, ["environment"])
    left = Inventory(tuple(pin for pin in ours.pins if pin.name != "pluggy"), ours.unaudited, root=ours.root)

    asked = once()
    assert PipAudit(asked).disagreements(ours, root) == []
    assert PipAudit(asked).disagreements(left, root) == [
        Unaudited("pluggy", "environment", 1, f"{version('pluggy')} is found by pip-audit, and was not audited")
    ]
