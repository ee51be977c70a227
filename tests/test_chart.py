"""The picture of a sample shows all of it where it belongs, stands alone, and lies beside its report, or neither does."""

from __future__ import annotations

import math
import os
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from strategies import measurements, wild_numbers

from conftest import Project
from pytest_artisan.reports import github
from pytest_artisan.reports.chart import as_svg
from pytest_artisan.reports.publish import pictures_beside, publish
from pytest_artisan.verdict.decide import Purpose, Requirements, Verdict, decide
from pytest_artisan.verdict.evidence import Evidence, ItemResult, Measurement, Outcome, Plan, Samples, measured

HOSTILE = (
    "</svg><script>alert(1)</script>",
    "](x) ![y](http://e.com/z)",
    "one\ntwo\r\n| three |\n\n# four",
    "a\x00\x1b[2J\ud800\ufffe\u202e&amp;<!--]]>\"'",
    "../../" * 40,
    "",
)
quick = settings(max_examples=100, derandomize=True, deadline=None)
NUMBER = re.compile(r"-?\d+(?:\.\d+)?")


def sampled(values: Iterable[float | None], name: str = "p95", limit: float = 500.0, late: float = 0.1) -> Measurement:
    told = list(values)
    samples = Samples.of([k / 10 for k in range(len(told))], told, [late] * len(told))
    m = measured(name, max((v for v in told if v is not None), default=None), unit="ms", at_most=limit, n=len(told))
    return replace(m, samples=samples)


def parsed(m: Measurement) -> ET.Element:
    return ET.fromstring(as_svg(m).replace(' xmlns="http://www.w3.org/2000/svg"', ""))  # noqa: S314 - our own


def drawn(m: Measurement, kind: str) -> str:
    return "".join(path.get("d", "") for path in parsed(m).iterfind("path") if path.get("class") == kind)


def texts(m: Measurement) -> str:
    return "\n".join("".join(element.itertext()) for element in parsed(m).iter("text"))


def check_it_stands_alone_and_stays_on_its_card(svg: str) -> None:
    root = ET.fromstring(svg.encode())  # noqa: S314 - our own
    _, _, width, height = map(float, root.attrib["viewBox"].split())
    assert {element.tag.rpartition("}")[2] for element in root.iter()} <= {
        *("svg", "title", "style", "rect", "path", "text", "tspan")
    }
    assert {name for element in root.iter() for name in element.attrib} <= {
        *("class", "d", "x", "y", "width", "height", "rx", "viewBox", "role", "text-anchor")
    }
    assert "url(" not in svg.partition("</style>")[0]
    assert "@import" not in svg.partition("</style>")[0]
    for element in root.iter():
        x, y = float(element.get("x", 0)), float(element.get("y", 0))
        assert 0 <= x <= width
        assert 0 <= y <= height
        assert 0 <= float(element.get("width", 0)) <= width
        for letter, numbers in re.findall(r"([A-Za-z])([^A-Za-z]*)", element.get("d", "")):
            found = [float(number) for number in NUMBER.findall(numbers)]
            assert "".join(NUMBER.split(numbers)).strip() == ""
            assert all(abs(number) <= max(width, height) for number in found), (letter, numbers)


DEGENERATE: dict[str, list[float | None]] = {
    "no sample": [],
    "one": [12.5],
    "one failed": [None],
    "all failed": [None] * 40,
    "all equal": [20.0] * 40,
    "zeros": [0.0] * 40,
    "the smallest and the largest": [5e-324, 1.7e308],
    "below zero": [-1.0, -1e308],
    "many failed": [None] * 2000,
    "many": [0.0, 1e-9, None, 3.0] * 1000,
}


@pytest.mark.parametrize("late", [0.0, -5.0, 5e-324, 1e308])
@pytest.mark.parametrize("limit", [500.0, 0.0, -3.0, 1e308])
@pytest.mark.parametrize("values", DEGENERATE.values(), ids=DEGENERATE)
def test_samples_at_the_edge_have_a_picture(values: list[float | None], limit: float, late: float) -> None:
    check_it_stands_alone_and_stays_on_its_card(as_svg(sampled(values, limit=limit, late=late)))


numbers = wild_numbers.filter(math.isfinite) | st.floats(allow_nan=False, allow_infinity=False) | st.floats(0, 1e4)
rows = st.lists(st.tuples(numbers, st.none() | numbers, numbers), max_size=30)
names = st.sampled_from(HOSTILE) | st.text(max_size=20)


@quick
@given(measurements(wild_numbers, names), rows)
def test_any_measurement_has_a_picture_that_stands_alone(
    m: Measurement, given_rows: list[tuple[float, float | None, float]]
) -> None:
    at, values, late = ([row[k] for row in given_rows] for k in range(3))
    samples = Samples.of([moment or 0 for moment in at], values, [delay or 0 for delay in late])
    svg = as_svg(replace(m, samples=samples))

    check_it_stands_alone_and_stays_on_its_card(svg)
    assert svg.encode()
    assert svg.count("\n") == 1


@pytest.mark.parametrize("text", HOSTILE)
def test_a_hostile_name_stays_text(text: str) -> None:
    m = replace(sampled([10.0, None], name=text), unit=text, doubt=text)
    plain = "".join(c if c.isprintable() else " " for c in text)

    assert plain[:40] in texts(m)
    check_it_stands_alone_and_stays_on_its_card(as_svg(m))


def test_every_request_is_one_dot_and_every_failure_one_cross() -> None:
    m = sampled([100.0, None, 600.0, 499.0, None] * 60)

    assert drawn(m, "dots").count("h0") == 120
    assert drawn(m, "over").count("h0") == 60
    assert drawn(m, "failed").count("l6 6") == 120
    assert "120 of 300 failed" in texts(m)


def test_of_too_many_requests_each_moment_shows_its_least_its_most_and_its_p95() -> None:
    m = sampled([*range(1, 10_001)], limit=20_000)
    columns = [tuple(map(float, found)) for found in re.findall(r"M([\d.]+) ([\d.]+)V([\d.]+)", drawn(m, "range"))]
    dots = [tuple(map(float, found)) for found in re.findall(r"M([\d.]+) ([\d.]+)h0", drawn(m, "dots"))]

    assert [x for x, _, _ in columns] == [x for x, _ in dots] == list(range(76, 853))
    assert all(most <= p95 <= least for (_, least, most), (_, p95) in zip(columns, dots, strict=True))
    assert columns[0][1] > columns[-1][2]


def test_a_slower_request_is_further_right_and_higher_and_a_later_one_further_right() -> None:
    m = replace(sampled([100.0, 200.0, 400.0]), interval=(200.0, 450.0))
    dots = [(float(x), float(y)) for x, y in re.findall(r"M([\d.]+) ([\d.]+)h0", drawn(m, "dots"))]
    value, limit = (float(re.findall(r"M([\d.]+)", drawn(m, kind))[0]) for kind in ("value", "limit"))
    [band] = [rect for rect in parsed(m).iterfind("rect") if rect.get("class") == "band"]
    low, width = float(band.get("x", 0)), float(band.get("width", 0))

    assert dots == sorted(dots)
    assert [y for _, y in dots] == sorted((y for _, y in dots), reverse=True)
    assert dots[0][1] - dots[1][1] == pytest.approx(dots[1][1] - dots[2][1], abs=0.2)  # each is twice the one before
    assert low < value < low + width < limit


def test_the_curve_of_a_sample_with_failures_ends_below_the_top() -> None:
    ends = [
        float(re.findall(r"V([\d.]+)", drawn(sampled(values), "curve"))[-1]) for values in ([1.0, 2.0], [1.0, None])
    ]

    assert ends[0] == 108
    assert ends[1] == (108 + 304) / 2


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"proven": True, "interval": (90.0, 120.0)}, "p95 100 ms <= 500 ms, n=1\nproven: excludes above 120 ms"),
        ({"proven": False}, "point estimate · 0 of 1 failed"),
        ({"doubt": "its clock was late"}, "in doubt: its clock was late"),
    ],
)
def test_the_head_says_what_the_sample_shows(change: dict[str, object], told: str) -> None:
    assert told in texts(replace(sampled([100.0]), **change))  # type: ignore[arg-type]


def verdict(**gates: list[Measurement]) -> Verdict:
    results = tuple(ItemResult(name, Outcome.PASSED, measurements=tuple(found)) for name, found in gates.items())
    asked = Requirements(Purpose.LOCAL, tuple(gates), "policy")
    return decide(asked, Plan({name: (name,) for name in gates}), Evidence(results=results))


def links(text: str) -> list[str]:
    tokens = MarkdownIt("commonmark").enable("table").parse(text)
    inlines = [child for token in tokens for child in token.children or ()]
    assert not [child for child in inlines if child.type.startswith(("link", "html"))]
    return [str(child.attrs["src"]) for child in inlines if child.type == "image"]


def files(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


LOADED = sampled([10.0, 20.0])


def test_each_sample_is_a_picture_beside_the_markdown_report_and_linked_from_it(tmp_path: Path) -> None:
    report = tmp_path / "my report (1).md"
    found = verdict(unit=[], load=[LOADED, sampled([5.0], name="p99"), measured("e", 0, unit="%", at_most=1)])

    assert publish(found, [report, tmp_path / "v.json"]) == {}
    assert files(tmp_path) == {"my report (1).md", "v.json", "my report (1)-load.svg", "my report (1)-load-2.svg"}
    assert [unquote(link) for link in links(report.read_text())] == [
        "my report (1)-load.svg",
        "my report (1)-load-2.svg",
    ]
    assert (tmp_path / "my report (1)-load.svg").read_text() == as_svg(replace(LOADED, item="load"))
    assert "p99" in (tmp_path / "my report (1)-load-2.svg").read_text()


@pytest.mark.parametrize("name", HOSTILE)
def test_a_gate_of_any_name_has_its_picture_in_the_same_folder(name: str, tmp_path: Path) -> None:
    folder = tmp_path / "reports"
    folder.mkdir()
    assert publish(verdict(**{name: [replace(LOADED, name=name)]}), [folder / "r.md"]) == {}
    [link] = links((folder / "r.md").read_text())

    assert files(folder) == {"r.md", unquote(link)}
    assert files(tmp_path) == {"reports"}
    assert link.isascii()


def test_two_samples_never_share_a_file(tmp_path: Path) -> None:
    found = verdict(**{"load": [LOADED, LOADED], "load-2": [LOADED], "a": [LOADED], "a/": [LOADED], "a?": [LOADED]})
    reports = [tmp_path / "r.md", tmp_path / "r-a.md"]

    assert publish(found, reports) == {}
    linked = [link for report in reports for link in links(report.read_text())]
    assert len(set(linked)) == 12
    assert files(tmp_path) == {"r.md", "r-a.md", *linked}


@pytest.mark.parametrize("obstacle", ["r-load.svg", "r.md", "v.json"])
def test_where_one_file_can_not_be_written_no_report_and_no_picture_is(obstacle: str, tmp_path: Path) -> None:
    (tmp_path / obstacle).mkdir()
    failures = publish(verdict(load=[LOADED, LOADED]), [tmp_path / "v.json", tmp_path / "r.md"])

    assert list(failures) == [tmp_path / ("v.json" if obstacle == "v.json" else "r.md")]
    assert obstacle in "".join(failures.values())
    assert files(tmp_path) == {obstacle}


def test_a_full_disk_leaves_neither_report_nor_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = os.replace

    def full(source: Path, target: Path) -> None:
        if target.suffix == ".svg":
            raise OSError(28, "No space left on device")
        before(source, target)

    monkeypatch.setattr(os, "replace", full)

    assert "No space left" in publish(verdict(load=[LOADED]), [tmp_path / "r.md"])[tmp_path / "r.md"]
    assert files(tmp_path) == set()


def test_the_summary_on_github_has_no_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary"))
    github.announce(verdict(load=[LOADED]), print)

    assert links((tmp_path / "summary").read_text()) == []


def test_only_pictures_of_an_earlier_run_are_known_as_such(tmp_path: Path) -> None:
    publish(verdict(load=[LOADED]), [tmp_path / "r.md"])
    (tmp_path / "r-logo.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg'/>")
    (tmp_path / "r-folder.svg").mkdir()
    os.mkfifo(tmp_path / "r-pipe.svg")

    assert pictures_beside(tmp_path / "r.md") == [tmp_path / "r-load.svg"]
    assert pictures_beside(tmp_path / "r.json") == []
    assert pictures_beside(tmp_path / "q.md") == []


SUITE = """
    from dataclasses import replace
    from pytest_artisan.verdict.evidence import Samples, measured

    def test_load(gate):
        samples = Samples.of([0, 0.1, 0.2], [12.5, None, 0.1], [0, 0.25, 0])
        gate.record([replace(measured("p95", 12.5, unit="ms", at_most=20, n=3), samples=samples)])
    """


def test_a_session_draws_its_samples_and_removes_those_of_an_earlier_one(project: Project) -> None:
    project.tests(SUITE)
    assert project.run("--artisan-report=r.md").last_line == "GO"
    assert (project.path / "r-unit.svg").is_file()
    project.tests("def test_one(): pass")
    assert project.run("--artisan-report=r.md").last_line == "GO"
    assert not (project.path / "r-unit.svg").exists()


def test_a_picture_that_can_not_be_written_is_no_go_and_told_in_the_other_reports(project: Project) -> None:
    project.tests(SUITE)
    (project.path / "r-unit.svg").mkdir()
    run = project.run("--artisan-report=r.md")

    assert run.status == 1
    assert run.err.rstrip().endswith("\nNO-GO")
    assert "r-unit.svg could not be written" in run.told
    assert not (project.path / "r.md").exists()
