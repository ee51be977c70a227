"""The page tells a person with a minute what the verdict says, and stays a page whatever it is told."""

from __future__ import annotations

import html
import json
import re
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from chromium_house import dom_of, installed
from hypothesis import given, settings
from hypothesis import strategies as st
from page_house import NOW, PAYLOADS, Parsed, check_it_stands_alone, everything, page, verdict_of, written
from strategies import results, wild_numbers, wild_sessions

from pytest_artisan.reports.html.advice import ADVICE
from pytest_artisan.reports.html.page import as_html
from pytest_artisan.verdict.decide import Purpose, Requirements, decide
from pytest_artisan.verdict.evidence import (
    Evidence,
    ItemResult,
    Outcome,
    Plan,
    measured,
)
from pytest_artisan.verdict.judge import Code

quick = settings(max_examples=40, derandomize=True, deadline=None)


def asked_of(listener: socket.socket) -> bytes:
    """All that was sent to it; that it was connected to is the browser's haste."""
    told = b""
    with suppress(BlockingIOError):
        while True:
            connection, _ = listener.accept()
            with connection:
                connection.settimeout(5)
                told += connection.recv(1000)
    return told


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        yield server


@installed
def test_markup_of_others_stays_text_in_a_real_browser(tmp_path: Path, listener: socket.socket) -> None:
    """Without the page's content-security policy, so that what is tested is that nothing needs it."""
    host = "{}:{}".format(*listener.getsockname())
    text = " ".join(PAYLOADS).replace("HOST", host)
    expected = Parsed(everything())
    hostile = re.sub(r"<meta http-equiv[^>]*>\n", "", everything(text), count=1)
    assert 'http-equiv="Content' not in hostile

    found = Parsed(dom_of(written(tmp_path / "page.html", hostile)))

    policy = ("meta", ("http-equiv", "content"))
    assert found.skeleton == [element for element in expected.skeleton if element != policy]
    assert "owned" not in found.elements[0][1]
    for payload in PAYLOADS[:-3]:
        shown = "".join(c if c.isprintable() else " " for c in payload.replace("HOST", host))
        assert shown in found.text, payload
    assert asked_of(listener) == b""


@installed
def test_the_policy_stops_what_is_not_the_pages_own(tmp_path: Path, listener: socket.socket) -> None:
    url = "http://{}:{}/owned".format(*listener.getsockname())
    more = f"<script>document.title='owned'</script><img src={url}><style>h1{{color:blue}}</style><iframe src={url}>"
    planted = everything().replace("</main>", f"{more}</main>")

    found = Parsed(dom_of(written(tmp_path / "page.html", planted)))

    assert "script" in {tag for tag, _ in found.elements}
    assert "owned" not in found.text.partition("NO-GO")[0]
    assert asked_of(listener) == b""


_AXE = """
<script>{axe}</script>
<script>
for (const closed of document.querySelectorAll("details")) closed.open = true;
const drawn = getComputedStyle(document.querySelector("h1"));
axe.run(document, {{resultTypes: ["violations"]}}).then(found => {{
  const told = {{
    dark: matchMedia("(prefers-color-scheme: dark)").matches,
    rules: found.passes.length,
    violations: found.violations.map(v => [v.id, v.nodes.map(n => n.html + " " + n.failureSummary)]),
    incomplete: found.incomplete.map(v => v.id),
    wide: document.documentElement.scrollWidth > innerWidth,
  }};
  document.body.textContent = JSON.stringify(told);
}});
</script>
"""


@installed
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_the_page_is_accessible(dark: bool, tmp_path: Path) -> None:
    axe = files("axe_core_python").joinpath("axe.min.js").read_text(encoding="utf-8")
    shown = re.sub(r"<meta http-equiv[^>]*>", "", everything("한글 and plain"), count=1)

    found = dom_of(
        written(tmp_path / "page.html", shown.replace("</body>", _AXE.format(axe=axe) + "</body>")), dark=dark
    )

    body = found.rpartition("<body>")[2].partition("</body>")[0]
    told = json.loads(html.unescape(body))
    assert told["dark"] is dark
    assert told["rules"] > 20
    assert told["violations"] == []
    assert not told["wide"]


@pytest.mark.parametrize("text", [*PAYLOADS, "", "한글 이름", "x" * 5000])
def test_a_page_with_any_text_has_the_elements_of_one_with_a_plain_text(text: str) -> None:
    made = everything(text)
    found = check_it_stands_alone(made)

    assert len(made.encode(errors="backslashreplace")) < 300_000
    names = {name for _, attributes in found.elements for name in attributes}
    assert names == {name for _, attributes in Parsed(everything()).elements for name in attributes}
    shown = "".join(c if c.isprintable() else " " for c in text)[:500]
    assert shown in found.text


@quick
@given(wild_sessions())
def test_any_verdict_has_a_page(session: tuple[Requirements, Plan, Evidence]) -> None:
    verdict = decide(*session)
    found = check_it_stands_alone(as_html(verdict, NOW))

    [title] = re.findall(r"^\s*(GO|NO-GO)$", found.text, re.MULTILINE)
    assert title == ("GO" if verdict.go else "NO-GO")
    for gate in verdict.gates:
        assert gate.name in found.text


@quick
@given(st.lists(results(st.sampled_from(("a", "b")), wild_numbers, st.text(max_size=20)), max_size=4))
def test_every_reason_stands_on_the_page(told: list[ItemResult]) -> None:
    verdict = verdict_of(*told)
    found = page(verdict)

    for reason in verdict.reasons[:10]:
        assert "".join(c if c.isprintable() else " " for c in reason.text) in found.text
        assert ADVICE[reason.code] in found.text


def test_there_is_advice_for_every_reason() -> None:
    assert ADVICE.keys() == set(Code)


def failed(k: int) -> ItemResult:
    return ItemResult(f"tests/test_it.py::test_{k}", Outcome.FAILED, f"assert {k} == {k + 1}: {'x' * 300}", path="t.py")


def test_ten_thousand_failures_are_a_page_for_a_minute() -> None:
    verdict = verdict_of(*map(failed, range(10_000)))
    page(verdict_of())  # what is made once
    start = time.process_time()

    made = as_html(verdict, NOW)

    assert time.process_time() - start < 1
    assert len(made.encode()) < 1_000_000
    found = Parsed(made)
    assert found.text.count("assert 1 == 2") == 1
    assert "assert 99 == 100" in found.text
    assert "assert 100 == 101" not in found.text
    assert "9990 more reasons" in found.text
    assert "and 9900 more reasons, in the JSON report" in found.text


def test_what_is_alike_is_told_once() -> None:
    told = [ItemResult(f"test_{k}", Outcome.SKIPPED, "no network") for k in range(30)]

    found = page(verdict_of(*told))

    assert found.text.count("skipped: no network") == 1
    assert "and 29 more alike" in found.text
    assert '{ outcome = "skip", reason = "no network", why = "..." }' in found.text


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({}, "Its one gate is GO. A local run."),
        ({"partial": ("smoke",)}, "Its one gate is GO. A partial run, limited to smoke: it releases nothing."),
        ({"no_evidence": ("security",)}, "Without evidence, which a local run alone may be: security."),
        ({"purpose": Purpose.RELEASE}, "Its one gate is GO."),
    ],
)
def test_it_says_for_what_a_go_counts(changes: dict[str, Any], sentence: str) -> None:
    verdict = replace(verdict_of(ItemResult("t", Outcome.PASSED)), **changes)

    assert sentence in " ".join(page(verdict).text.partition("Gates")[0].split())


def test_numbers_keep_their_side_of_the_limit() -> None:
    told = (measured("p95", 2500.4, unit="ms", at_most=2500), measured("n", 18_213, unit="count", at_least=3))
    found = page(verdict_of(ItemResult("t", Outcome.FAILED, measurements=told, by_limit=True)))

    assert "2500.4 ms" in found.text
    assert "18213" in found.text
