"""The page tells a person with a minute what the verdict says, and stays a page whatever it is told."""

from __future__ import annotations

import json
import re
import time
from dataclasses import dataclass, replace
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from threading import Thread
from typing import Any

import pytest
from chromium_house import Frame, body_of, doms_of, installed
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


_META_POLICY = re.compile(r"<meta http-equiv[^>]*>\n")
_LOOK = """
<script>
for (const closed of document.querySelectorAll("details")) closed.open = true;
const parts = [document.documentElement, ...document.querySelectorAll(".wide")];
const told = {
  dark: matchMedia("(prefers-color-scheme: dark)").matches,
  cut: parts.filter(e => e.scrollWidth > e.clientWidth).map(e => e.ariaLabel),
  rules: 0,
  violations: [],
};
const tell = () => { document.body.textContent = JSON.stringify(told) };
</script>
"""
_TELL = "<script>tell()</script>"
_AXE = """
<script>{axe}</script>
<script>
// What is as the one before it, which axe would take seconds for.
for (const alike of document.querySelectorAll("figcaption tr:nth-child(n+2), li:nth-child(n+4)")) alike.remove();
axe.run(document, {{resultTypes: ["violations"]{rules}}}).then(found => {{
  told.rules = found.passes.length;
  told.violations = found.violations.map(v => [v.id, v.nodes.map(n => n.html + " " + n.failureSummary)]);
  tell();
}});
</script>
"""
# What depends on the colours.
_CONTRAST = ', runOnly: ["color-contrast"]'


class Host:
    """A server that is asked by whatever is no text."""

    def __init__(self) -> None:
        asked = self.asked = set[str]()

        class Answer(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                asked.add(self.path)
                self.send_error(404)

            def log_message(self, *_: object) -> None:
                """Nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
        self.name = "{}:{}".format(*self.server.server_address[:2])


@dataclass(frozen=True)
class Seen:
    """What a browser made of the pages, what it asked of the host, and what axe says of the page in each look."""

    hostile: Parsed
    planted: Parsed
    asked: set[str]
    host: str
    looks: dict[str, Any]


def looked_at(*scripts: str) -> str:
    shown = _META_POLICY.sub("", everything("한글 and plain"), count=1)
    return shown.replace("</body>", f"{_LOOK}{''.join(scripts)}</body>")


def axe(rules: str = "") -> str:
    text = files("axe_core_python").joinpath("axe.min.js").read_text(encoding="utf-8")
    return _AXE.format(axe=text, rules=rules)


def pages_with(url: str) -> dict[str, str]:
    """Those that want something of a host; the last one may, which shows that the browser would ask."""
    host = url.removeprefix("http://")
    more = f"<script>document.title='owned'</script><img src={url}/owned><style>h1{{color:blue}}</style>"
    return {
        # Without the page's content-security policy, so that what is tested is that nothing needs it.
        "hostile": _META_POLICY.sub("", everything(" ".join(PAYLOADS).replace("HOST", host)), count=1),
        "planted": everything().replace("</main>", f"{more}<iframe src={url}/owned></iframe></main>"),
        "free": f"<img src={url}/free>",
    }


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Seen:
    folder, host = tmp_path_factory.mktemp("pages"), Host()
    looks = {"light": (axe(), 1100, "light"), "dark": (axe(_CONTRAST), 1100, "dark"), "narrow": (_TELL, 400, "light")}
    with host.server:
        thread = Thread(target=partial(host.server.serve_forever, 0.05))
        thread.start()
        texts = pages_with(f"http://{host.name}")
        frames = [Frame(written(folder / f"{name}.html", text)) for name, text in texts.items()]
        for name, (script, width, scheme) in looks.items():
            frames.append(Frame(written(folder / f"{name}.html", looked_at(script)), width, scheme))
        try:
            hostile, planted, _, *told = doms_of(frames)
        finally:
            host.server.shutdown()
            thread.join()
    found = dict(zip(looks, map(json.loads, map(body_of, told)), strict=True))
    return Seen(Parsed(hostile), Parsed(planted), host.asked, host.name, found)


@installed
def test_markup_of_others_stays_text_in_a_real_browser(seen: Seen) -> None:
    policy = ("meta", ("http-equiv", "content"))
    assert seen.hostile.skeleton == [element for element in Parsed(everything()).skeleton if element != policy]
    assert "owned" not in seen.hostile.elements[0][1]
    for payload in PAYLOADS[:-3]:
        shown = "".join(c if c.isprintable() else " " for c in payload.replace("HOST", seen.host))
        assert shown in seen.hostile.text, payload
    assert seen.asked == {"/free"}


@installed
def test_the_policy_stops_what_is_not_the_pages_own(seen: Seen) -> None:
    assert "script" in {tag for tag, _ in seen.planted.elements}
    assert "owned" not in seen.planted.text.partition("NO-GO")[0]
    assert seen.asked == {"/free"}


@installed
@pytest.mark.parametrize(("look", "rules"), [("light", 21), ("dark", 1), ("narrow", 0)])
def test_the_page_is_accessible_and_nothing_on_it_is_cut(look: str, rules: int, seen: Seen) -> None:
    told = seen.looks[look]

    assert told["dark"] is (look == "dark")
    assert told["rules"] >= rules
    assert told["violations"] == []
    assert told["cut"] == []


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
        ({}, "GO local run Its one gate is GO. A local run."),
        (
            {"partial": ("smoke",)},
            "GO partial run Its one gate is GO. A partial run, limited to smoke: it releases nothing.",
        ),
        ({"no_evidence": ("security",)}, "Without evidence, which a local run alone may be: security."),
        ({"purpose": Purpose.RELEASE}, "UTC GO Its one gate is GO."),
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
