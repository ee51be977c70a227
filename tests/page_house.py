"""A page with all that a page can hold, texts that would be more than text, and a reader that is no browser."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import msgspec

from pytest_artisan.reports.html.history import Run, run_of
from pytest_artisan.reports.html.page import as_html
from pytest_artisan.reports.html.rollouts import Rollout, Step
from pytest_artisan.verdict.decide import Purpose, Requirements, Verdict, decide
from pytest_artisan.verdict.evidence import (
    Evidence,
    Finding,
    ItemResult,
    Outcome,
    Plan,
    Points,
    Samples,
    measured,
)

NOW = datetime(2026, 7, 24, 9, 30, tzinfo=UTC)

# What each would do where it is taken for more than text: the mark is looked for.
PAYLOADS = (
    "<script>document.documentElement.dataset.owned=1</script>",
    "</script><script>document.title='owned'</script>",
    "<img src=x onerror=\"document.title='owned'\">",
    "<svg onload=document.title='owned'>",
    "</style><style>body{display:none}</style>",
    "</title><base href=http://HOST/><script src=/owned.js></script>",
    '" onmouseover="document.title=\'owned\'" x="',
    "' onfocus=document.title='owned' autofocus tabindex=1 x='",
    "javascript:document.title='owned'",
    '<a href="javascript:alert(1)">go</a>',
    "<iframe src=http://HOST/owned></iframe>",
    "<link rel=stylesheet href=http://HOST/owned.css>",
    "<meta http-equiv=refresh content='0;url=http://HOST/owned'>",
    "<form action=http://HOST/owned><button autofocus>",
    "{{7*7}}{% raw %}{{ config }}",
    "{{ ''.__class__.__mro__ }}${7*7}<%= 7*7 %>",
    "x;}body{background:url(http://HOST/owned)}/*",
    "&lt;script&gt;&#60;b&#62;&amp;",
    "<!--><plaintext>]]>",
    "a\x00b\x1b[2J\u202egnp.exe\u2066\ud800\ufffe\x85\u2028z",
    "</svg></details></table><h1>GO</h1>",
    "<template><math><mtext><option><style><img title='--&gt;</style>'",
)


class Parsed(HTMLParser):
    """A page's elements with their attributes, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_data(self, data: str) -> None:
        self.text += data

    @property
    def skeleton(self) -> list[tuple[str, tuple[str, ...]]]:
        return [(tag, tuple(attributes)) for tag, attributes in self.elements]

    def all(self, name: str) -> list[str]:
        return [attributes[name] for _, attributes in self.elements if name in attributes]


def verdict_of(*told: ItemResult, gate: str = "unit", purpose: Purpose = Purpose.LOCAL) -> Verdict:
    plan = Plan({gate: tuple(result.nodeid for result in told)})
    asked = Requirements(purpose, (gate,), "digest", commit="c01cff76b773" * 3)
    status = int(any(result.outcome is not Outcome.PASSED for result in told))
    return decide(asked, plan, Evidence(frozenset(), told, exit_status=status))


def page(verdict: Verdict, **more: Any) -> Parsed:
    return Parsed(as_html(verdict, NOW, **more))


def everything(text: str = "plain") -> str:
    """A page that has all of its parts, with this text wherever a text of others can stand."""
    samples = Samples.of(
        [k / 10 for k in range(60)], [None if k % 20 == 0 else 40.0 + k for k in range(60)], [0.1] * 60
    )
    latency = replace(
        measured(f"p95 {text}", 3000, unit=text.strip() or "ms", at_most=2500, n=60, interval=(2600, 3300)),
        samples=samples,
        doubt="",
    )
    front = Points.of([f"misfit {text}", f"cost {text}", "sameness"], [(k, 9 - k, k * k) for k in range(9)])
    curve = Points.of([text, text, text, text], [(k, k / 2, k / 2 - 1, k / 2 + 1) for k in range(9)], joined=True)
    told = [
        latency,
        replace(measured("extent", 5, unit="%", at_least=1), points=front, doubt=text),
        replace(measured("rise", 1, unit="points", at_least=0.1), points=curve),
        replace(measured(f"absent {text}", None, unit="s", at_most=1), no_data=text),
    ]
    details = {**dict.fromkeys(("package", "advisory", text), text), "severity": f"exploited, {text}"}
    found = [
        Finding(text, text, text, text, 3, blocks=True, details=details),
        Finding("audit", "CVE-1", text, "a.txt", 3, blocks=False, details={**details, "severity": "low 2.1"}),
        Finding("ruff", text, text, text, 1, blocks=False),
    ]
    name = f"test_it.py::test[{text}]"
    worst = ItemResult(name, Outcome.FAILED, text, 1, tuple(told), tuple(found), False, text, 3)
    skipped = [ItemResult(f"{name}{k}", Outcome.SKIPPED, f"{text}{k}") for k in range(14)]
    gates = {f"load {text}": (name,), text: tuple(result.nodeid for result in skipped), "empty": ()}
    asked = Requirements(
        Purpose.RELEASE, tuple(gates), text, text, left_out={text: text}, policy=text, commit=f"{text}+changed"
    )
    verdict = decide(asked, Plan(gates, withheld=(text,)), Evidence(frozenset(), (worst, *skipped), exit_status=1))
    before = [
        replace_run(run_of(verdict, NOW - timedelta(hours=k)), answer=text[:100], commit="abc") for k in (3, 2, 1)
    ]
    steps = [
        Step(NOW + timedelta(minutes=k), text, k, kind, 100, 3, text) for k, kind in enumerate(("plain", "good", "bad"))
    ]
    rollouts = [Rollout(text, True, tuple(steps))]
    return as_html(verdict, NOW, project=text, earlier=before, rollouts=rollouts, remarks=[text])


def replace_run(run: Run, **changes: Any) -> Run:
    changes = {key: value.encode(errors="replace").decode() for key, value in changes.items()}
    return msgspec.structs.replace(run, **changes)


def written(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8", errors="backslashreplace")
    return path


def check_it_stands_alone(text: str) -> Parsed:
    found = Parsed(text)
    tags = {tag for tag, _ in found.elements}
    assert tags.isdisjoint({"script", "img", "iframe", "link", "object", "base", "form", "template"})
    assert all(address.startswith("#gate-") for address in found.all("href"))
    assert not [name for _, attributes in found.elements for name in attributes if name.startswith("on")]
    assert not found.all("style")
    assert not found.all("src")
    ids = found.all("id")
    assert len(ids) == len(set(ids))
    assert {address[1:] for address in found.all("href")} | set(found.all("aria-labelledby")) <= set(ids)
    style = text.partition("<style>")[2].partition("</style>")[0]
    assert "url(" not in style
    assert "@import" not in style
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    [policy] = [attributes["content"] for tag, attributes in found.elements if "http-equiv" in attributes]
    assert policy.startswith(f"default-src 'none'; style-src 'sha256-{digest}'; ")
    return found
