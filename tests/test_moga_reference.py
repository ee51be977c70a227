"""Ranks, crowding and indicators against other libraries, and against what must hold of any answer.

A library that is not installed is a case less and not a skip: here an undeclared skip is a NO-GO.
"""

from __future__ import annotations

from collections.abc import Callable

import moocore
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from peers import RANKS, Rank, installed

from pytest_artisan.moga.indicators import hypervolume, hypervolume_contributions, inverted_generational_distance
from pytest_artisan.moga.ranking import Floats, crowding_distance, nondominated_rank

quick = settings(max_examples=150, derandomize=True, deadline=None)

RANKED_BY = [pytest.param(rank, id=name) for name, rank in RANKS.items() if installed(name)]

# Small integers meet; fractions of two have exact products, so that no difference is a matter of rounding.
coordinates = st.integers(-3, 3).map(float) | st.integers(-8000, 8000).map(lambda k: k / 8)


@st.composite
def clouds(draw: st.DrawFn, least: int = 1, most: int = 5, size: int = 40) -> Floats:
    """Points (N, M), some of them twice."""
    objectives = draw(st.integers(least, most))
    # Two kinds, as one coordinate that is no integer leaves a whole point without ties.
    kind = draw(st.sampled_from((coordinates, st.integers(0, 3).map(float))))
    points = draw(st.lists(st.tuples(*[kind] * objectives), min_size=1, max_size=size))
    copies = draw(st.lists(st.sampled_from(points), max_size=5))
    return np.array(points + copies, dtype=np.float64)


def drawn(count: int, objectives: int, digits: int, seed: int = 0) -> Floats:
    """Points near a sphere, as a population in the middle of a run."""
    rng = np.random.default_rng(seed)
    points = np.abs(rng.normal(size=(count, objectives)))
    points *= (1 + 0.3 * rng.random((count, 1))) / np.linalg.norm(points, axis=1, keepdims=True)
    return np.asarray(np.round(points, digits), dtype=np.float64)


def large(*objectives: int) -> pytest.MarkDecorator:
    """As many points as there are algorithms for, and one more; with one digit most are equal."""
    cases = [(n, m, digits) for n in (100, 256, 257, 900) for m in objectives for digits in (1, 2, 9)]
    return pytest.mark.parametrize("points", [pytest.param(drawn(*case), id=str(case)) for case in cases])


@pytest.mark.parametrize("theirs", RANKED_BY)
@quick
@given(points=clouds(least=2))
def test_ranks_are_those_of_others(theirs: Rank, points: Floats) -> None:
    if len(points) > 1:  # pygmo wants two.
        assert_array_equal(nondominated_rank(points), theirs(points))


@large(2, 3, 4, 6)
def test_ranks_of_many_points_are_those_of_moocore(points: Floats) -> None:
    assert_array_equal(nondominated_rank(points), moocore.pareto_rank(points))


@quick
@given(clouds(), st.integers(0, 99))
def test_ranks_move_with_their_points(points: Floats, seed: int) -> None:
    order = np.random.default_rng(seed).permutation(len(points))
    assert_array_equal(nondominated_rank(points[order]), nondominated_rank(points)[order])


@quick
@given(clouds())
def test_ranks_know_the_order_alone(points: Floats) -> None:
    places = np.column_stack([np.unique(column, return_inverse=True)[1] for column in points.T])
    assert_array_equal(nondominated_rank(np.exp2(places)), nondominated_rank(points))
    assert_array_equal(nondominated_rank(points * 4), nondominated_rank(points))


@quick
@given(clouds())
def test_what_everything_dominates_comes_last(points: Floats) -> None:
    ranks = nondominated_rank(points)
    more = nondominated_rank(np.vstack((points, points.max(axis=0) + 1)))
    assert_array_equal(more[:-1], ranks)
    assert more[-1] == ranks.max() + 1


@quick
@given(clouds(), st.integers(1, 40))
def test_with_enough_ranked_the_others_share_the_next_rank(points: Floats, enough: int) -> None:
    whole, some = nondominated_rank(points), nondominated_rank(points, enough=enough)
    last = int(np.searchsorted(np.cumsum(np.bincount(whole)), min(enough, len(points))))
    assert_array_equal(np.minimum(some, last + 1), np.minimum(whole, last + 1))


def crowding_of_the_paper(front: Floats) -> Floats:
    """Line by line: Deb et al. 2002, section III B."""
    distances = [0.0] * len(front)
    for column in front.T.tolist():
        order = sorted(range(len(column)), key=column.__getitem__)
        extent = column[order[-1]] - column[order[0]]
        if extent == 0:
            continue
        distances[order[0]] = distances[order[-1]] = np.inf
        for before, i, after in zip(order, order[1:], order[2:], strict=False):
            distances[i] += (column[after] - column[before]) / extent
    return np.array(distances)


def crowding_of_pymoo(front: Floats) -> Floats:
    from pymoo.operators.survival.rank_and_crowding.metrics import get_crowding_function

    # It divides the sum by the number of objectives.
    return np.asarray(get_crowding_function("cd").do(front) * front.shape[1])


CROWDING_BY = [pytest.param(crowding_of_the_paper, id="paper")]
if installed("pymoo"):
    CROWDING_BY.append(pytest.param(crowding_of_pymoo, id="pymoo"))


@pytest.mark.parametrize("theirs", CROWDING_BY)
@quick
@given(points=clouds())
def test_crowding_is_that_of_others(theirs: Callable[[Floats], Floats], points: Floats) -> None:
    ranks = nondominated_rank(points)
    distances = crowding_distance(points, ranks)
    for front in range(ranks.max() + 1):
        members = ranks == front
        expected = theirs(points[members]) if members.sum() > 2 else np.inf
        assert_allclose(distances[members], expected, rtol=1e-9, atol=1e-12)


@quick
@given(clouds(least=2), st.integers(0, 4), st.integers(-4, 4))
def test_crowding_knows_no_units(points: Floats, shift: int, power: int) -> None:
    ranks = nondominated_rank(points)
    same = crowding_distance(np.round(points * 8) * 2.0**power + shift * 2.0**power, ranks)
    assert_allclose(same, crowding_distance(np.round(points * 8), ranks), rtol=1e-9, atol=1e-9)


@quick
@given(clouds(least=2), st.sampled_from((0.0, 2.5, 1e4)))
def test_hypervolume_is_that_of_moocore(points: Floats, corner: float) -> None:
    reference = np.full(points.shape[1], corner)
    expected = moocore.hypervolume(points, ref=reference)
    assert_allclose(hypervolume(points, reference), expected, rtol=1e-9, atol=1e-12)


@large(2, 3, 4, 5)
def test_hypervolume_of_many_points_is_that_of_moocore(points: Floats) -> None:
    some = points[:50] if points.shape[1] > 3 else points
    reference = np.full(points.shape[1], 1.2)
    assert_allclose(hypervolume(some, reference), moocore.hypervolume(some, ref=reference), rtol=1e-10)


@quick
@given(clouds(least=1, most=1))
def test_hypervolume_of_one_objective_is_a_length(points: Floats) -> None:
    assert hypervolume(points, [1.5]) == max(0.0, 1.5 - points.min())


@quick
@given(clouds(least=2, most=4, size=15), st.integers(0, 50), st.integers(-3, 3))
def test_hypervolume_grows_with_points_and_scales(points: Floats, which: int, power: int) -> None:
    reference = np.full(points.shape[1], 2.5)
    volume = hypervolume(points, reference)
    dominated = points[which % len(points)] + 0.5
    assert_allclose(hypervolume(np.vstack((points, dominated)), reference), volume, rtol=1e-12)
    assert hypervolume(points[1:], reference) <= volume * (1 + 1e-12)
    assert_allclose(hypervolume(points[::-1], reference), volume, rtol=1e-12)
    factors = 2.0 ** (power * np.arange(points.shape[1]))
    assert_allclose(hypervolume(points * factors, reference * factors), volume * factors.prod(), rtol=1e-12)


@quick
@given(clouds(least=2, most=3, size=25), st.sampled_from((0.0, 2.5, 1e4)))
def test_contributions_are_those_of_moocore(points: Floats, corner: float) -> None:
    reference = np.full(points.shape[1], corner)
    expected = moocore.hv_contributions(points, ref=reference, ignore_dominated=False)
    scale = hypervolume(points, reference)
    assert_allclose(hypervolume_contributions(points, reference), expected, rtol=1e-9, atol=1e-12 * scale)


@large(2, 3)
def test_contributions_of_many_points_are_those_of_moocore(points: Floats) -> None:
    front = points[nondominated_rank(points) == 0]
    reference = np.full(points.shape[1], 1.2)
    expected = moocore.hv_contributions(front, ref=reference)
    assert_allclose(hypervolume_contributions(front, reference), expected, rtol=1e-9, atol=1e-12)


@quick
@given(clouds(least=2, most=3, size=12), st.integers(0, 50))
def test_a_contribution_is_what_is_lost_without_the_point(points: Floats, which: int) -> None:
    reference = np.full(points.shape[1], 2.5)
    point = which % len(points)
    volume = hypervolume(points, reference)
    lost = volume - hypervolume(np.delete(points, point, axis=0), reference)
    assert_allclose(hypervolume_contributions(points, reference)[point], lost, rtol=1e-9, atol=1e-10 * volume)


@quick
@given(clouds(least=3, most=3), clouds(least=3, most=3))
def test_igd_is_that_of_moocore(points: Floats, front: Floats) -> None:
    expected = moocore.igd(points, ref=front)
    assert_allclose(inverted_generational_distance(points, front), expected, rtol=1e-9, atol=1e-12)


def test_equal_points_contribute_nothing_and_keep_their_rank() -> None:
    points = np.array([[0.0, 1.0, 0.5], [0.0, 1.0, 0.5], [1.0, 0.0, 0.5], [1.0, 1.0, 0.5]])
    assert_array_equal(nondominated_rank(points), [0, 0, 0, 1])
    contributions = hypervolume_contributions(points, [2.0, 2.0, 1.0])
    assert_array_equal(contributions[:2], 0)
    assert contributions[2] == pytest.approx(0.5)
