"""Every picture holds what was measured, stays on its sheet, and has its numbers beside it."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from page_house import NOW, Parsed, verdict_of
from strategies import finite_numbers, measurements, wild_numbers

from pytest_artisan.gates.feedback import evidence as feedback
from pytest_artisan.gates.feedback.raters import MANNERS
from pytest_artisan.gates.gate import Project as Judged
from pytest_artisan.gates.stability import evidence as stability
from pytest_artisan.gates.tables import E2eEvolution, MogaStability
from pytest_artisan.reports.html.pictures import bar, pictures
from pytest_artisan.reports.html.rollouts import Rollout, Step
from pytest_artisan.verdict.evidence import (
    Finding,
    ItemResult,
    Measurement,
    Outcome,
    Points,
    Samples,
    measured,
)

quick = settings(max_examples=40, derandomize=True, deadline=None)
SVG_NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:e-?\d+)?")


def check_drawing(svg: str) -> None:
    [(_, root)] = [element for element in Parsed(svg).elements if element[0] == "svg"]
    _, _, width, height = map(float, root["viewbox"].split())
    assert root["role"] == "img"
    for tag, attributes in Parsed(svg).elements:
        if tag != "svg":
            assert 0 <= float(attributes.get("x", 0)) <= width
            assert 0 <= float(attributes.get("y", 0)) <= height
            assert 0 <= float(attributes.get("width", 0)) <= width
            for number in SVG_NUMBER.findall(attributes.get("d", "")):
                assert abs(float(number)) <= max(width, height)
            assert "nan" not in attributes.get("d", "")
            assert "inf" not in attributes.get("d", "")


rows = st.lists(st.tuples(finite_numbers, finite_numbers, finite_numbers, finite_numbers), min_size=1, max_size=5)


@quick
@given(measurements(wild_numbers, st.text(max_size=5)), rows, st.integers(1, 4), st.booleans())
def test_every_measurement_has_pictures_that_stay_on_their_sheets(
    m: Measurement, told: list[tuple[float, ...]], width: int, joined: bool
) -> None:
    width = max(width, 2) if joined else width
    points = Points.of([f"axis {k}" for k in range(width)], (row[:width] for row in told), joined=joined)
    samples = Samples.of([row[0] for row in told], [row[1] for row in told], [row[2] for row in told])
    [gate] = verdict_of(
        ItemResult("t", Outcome.PASSED, measurements=(replace(m, points=points, samples=samples),))
    ).gates

    drawn = pictures(gate)

    assert len(drawn) == 2 + (1 if joined else max(min(width - 1, 3), 1))
    for picture in drawn:
        check_drawing(picture.svg)
        assert picture.rows
        assert all(len(row) == len(picture.head) for row in picture.rows)
    if beside := bar(m):
        check_drawing(beside)


def test_the_distribution_holds_its_sample_limit_and_interval() -> None:
    values = [*[10.0] * 94, *[1000.0] * 4, None, None]
    samples = Samples.of(range(100), values, [0] * 100)
    m = replace(measured("p95", 1000, unit="ms", at_most=100, n=100, interval=(10, 1000)), samples=samples)
    [gate] = verdict_of(ItemResult("t", Outcome.FAILED, measurements=(m,), by_limit=True)).gates

    distribution, moments = pictures(gate)

    assert {row[0]: row[1] for row in distribution.rows} == {
        "50%": "10", "75%": "10", "90%": "10", "95%": "1000", "99%": "failed", "100%": "failed", "failed": "2 of 100"
    }  # fmt: skip
    assert "limit 100 ms" in distribution.svg
    assert 'class="band"' in distribution.svg
    assert sum(int(row[1]) for row in moments.rows) == 100
    assert sum(int(row[2]) for row in moments.rows) == 2
    assert "2 failed" in moments.svg


def test_labels_keep_apart() -> None:
    values = [800.0 + 57 * k for k in range(100)]
    m = replace(measured("p95", 6000, unit="ms", at_most=7000), samples=Samples.of(range(100), values, [0] * 100))
    [gate] = verdict_of(ItemResult("t", Outcome.PASSED, measurements=(m,))).gates

    across, up = pictures(gate)

    places = sorted(float(x) for x in re.findall(r'x="([\d.]+)" y="222[.\d]*" text-anchor="middle">\d000<', across.svg))
    assert len(places) > 2
    assert all(b - a > 40 for a, b in pairwise(places))
    heights = sorted(float(y) for y in re.findall(r'y="([\d.]+)" text-anchor="end">\d000 ms', up.svg))
    assert len(heights) > 2
    assert all(b - a > 16 for a, b in pairwise(heights))


def test_vulnerabilities_are_counted_by_severity() -> None:
    cells = ("exploited, critical 9.8", "high 7.5", "high 8", "malware, unknown", "")
    found = [Finding("audit", "CVE", "m", "f", 1, blocks=k == 0, details={"severity": c}) for k, c in enumerate(cells)]
    [gate] = verdict_of(ItemResult("t", Outcome.FAILED, findings=tuple(found), by_limit=True)).gates

    [picture] = pictures(gate)

    assert picture.rows == (("critical", "1", "0"), ("high", "0", "2"), ("unknown", "0", "2"))
    assert picture.title == "5 known vulnerabilities by severity"


def test_a_canary_is_a_staircase_that_may_lead_down() -> None:
    steps = [
        Step(NOW + timedelta(minutes=k), "moved", percent, "plain", 0, 0, "") for k, percent in enumerate((1, 5, 0))
    ]

    picture = Rollout("taken back", True, tuple(steps)).picture()

    check_drawing(picture.svg)
    [line] = re.findall(r'class="learnt" d="([^"]*)"', picture.svg)
    heights = [float(y) for y in re.findall(r"(?:V|^M[\d.]+ )([\d.]+)", line)]
    assert heights[1] < heights[0] < heights[2]
    assert [row[2] for row in picture.rows] == ["1 %", "5 %", "0 %"]


@pytest.mark.parametrize("row", [(1.0,), (1.0, float("nan")), (float("inf"), 1.0)])
def test_points_are_finite_and_whole(row: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="a point has not 2 finite numbers"):
        Points.of(("x", "y"), [row])


def test_of_many_points_some_are_kept_evenly() -> None:
    kept = Points.of(("x",), ([k] for k in range(1000))).rows

    assert [row[0] for row in kept] == [10.0 * k for k in range(100)]


def test_an_optimizer_shows_its_front(tmp_path: Path) -> None:
    table = MogaStability(subject="pytest_artisan.fragrance.evolution:optimizer")
    judged = Judged(tmp_path)

    shown = stability.of_seed(stability.factory(judged, table), 0, 5, table, judged)

    [points] = [m.points for m in shown.measurements if m.points]
    assert points.axes == ("misfit", "sameness", "fading", "cost")
    for a in points.rows:
        assert not any(b != a and all(x <= y for x, y in zip(b, a, strict=True)) for b in points.rows)


def test_a_flow_shows_its_learning_curve(tmp_path: Path) -> None:
    table = E2eEvolution(subject="pytest_artisan.service.flow:HouseFlow")
    made = feedback.factory(Judged(tmp_path), table)

    shown = feedback.of_rater(made, MANNERS["consistent"], "PPO", table, followed=True, runs=2)

    [rise] = [m for m in shown.measurements if m.points]
    assert rise.points is not None
    assert [row[0] for row in rise.points.rows] == list(range(9))
    assert rise.points.rows[-1][1] - rise.points.rows[0][1] == pytest.approx(rise.value, abs=1e-4)
    assert all(row[2] <= row[1] <= row[3] for row in rise.points.rows)
