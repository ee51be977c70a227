"""Projections against a convex solver, and against the conditions that only the nearest point meets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import clarabel
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy import sparse
from scipy.optimize import linprog

from pytest_artisan.moga.composition import Composition
from pytest_artisan.moga.ranking import Floats
from pytest_artisan.moga.simplex import Infeasible, project_to_capped_simplex, scale_to_capped_simplex

TOTAL = 100.0

quick = settings(max_examples=150, derandomize=True, deadline=None)


@dataclass(frozen=True)
class Limits:
    """0 <= x <= upper, the sum, and weights @ x <= bounds."""

    upper: Floats
    weights: Floats
    bounds: Floats

    def holds(self, shares: Floats, within: float = 1e-9) -> None:
        assert (shares >= 0).all()
        assert (shares <= self.upper).all()
        assert_allclose(shares.sum(axis=-1), TOTAL, rtol=0, atol=within)
        assert (shares @ self.weights.T <= self.bounds + within).all()

    def least(self, slope: Floats) -> float:
        """The least value of a linear function within the limits."""
        found = linprog(
            slope,
            A_ub=self.weights if len(self.bounds) else None,
            b_ub=self.bounds if len(self.bounds) else None,
            A_eq=np.ones((1, len(slope))),
            b_eq=[TOTAL],
            bounds=np.column_stack((np.zeros_like(self.upper), self.upper)),
            method="highs",
        )
        assert found.status == 0, found.message
        return float(found.fun)


def euclidean_by_solver(values: Floats, limits: Limits) -> Floats:
    n = len(values)
    rows = np.vstack((np.ones((1, n)), np.eye(n), -np.eye(n), limits.weights))
    right = np.concatenate(([TOTAL], limits.upper, np.zeros(n), limits.bounds))
    cones = [clarabel.ZeroConeT(1), clarabel.NonnegativeConeT(len(right) - 1)]
    return solved(np.eye(n), -values, rows, right, cones)


def relative_by_solver(values: Floats, limits: Limits) -> Floats:
    """Minimise the sum of t >= x log(x / values), which says that (-t, x, values) is in the exponential cone."""
    present = values > 0
    n = int(present.sum())
    plain = np.vstack((np.ones((1, n)), np.eye(n), limits.weights[:, present]))
    triples = np.zeros((n, 3, 2 * n))
    triples[range(n), 0, range(n, 2 * n)] = 1
    triples[range(n), 1, range(n)] = -1
    heights = np.column_stack((np.zeros((n, 2)), values[present]))
    rows = np.vstack((np.hstack((plain, np.zeros_like(plain))), triples.reshape(3 * n, -1)))
    right = np.concatenate(([TOTAL], limits.upper[present], limits.bounds, heights.ravel()))
    cones = [clarabel.ZeroConeT(1), clarabel.NonnegativeConeT(len(plain) - 1)]
    linear = np.repeat((0.0, 1.0), n)
    shares = np.zeros(len(values))
    shares[present] = solved(
        np.zeros((2 * n, 2 * n)), linear, rows, right, [*cones, *[clarabel.ExponentialConeT()] * n]
    )[:n]
    return shares


def solved(quadratic: Floats, linear: Floats, rows: Floats, right: Floats, cones: list[Any]) -> Floats:
    settings = clarabel.DefaultSettings()
    settings.verbose = False
    settings.tol_gap_abs = settings.tol_gap_rel = settings.tol_feas = 1e-12
    solver = clarabel.DefaultSolver(
        sparse.csc_matrix(quadratic), linear, sparse.csc_matrix(rows), right, cones, settings
    )
    return np.array(solver.solve().x)


def problem(seed: int, n: int, shared: int = 0) -> tuple[Floats, Limits]:
    """Five rows of values, of very different size, and limits that leave some room."""
    rng = np.random.default_rng((seed, n, shared))
    values = rng.normal(size=(5, n)) * 10 ** rng.uniform(-1, 1, n) * TOTAL / n
    upper = TOTAL * 10 ** rng.uniform(-1.5, 0.3, n)
    upper *= max(1.0, 1.5 * TOTAL / upper.sum())
    weights = rng.random((shared, n)) * (rng.random((shared, n)) < 0.5)
    # One mixture keeps all of them, and they are so near to it that they bind.
    inside = upper * (TOTAL / upper.sum())
    return values, Limits(upper, weights, weights @ inside * rng.uniform(1.0, 1.15, shared) + 1e-3)


CASES = [(seed, n) for n in (1, 2, 3, 8, 30, 60) for seed in range(4)]
SHARED = [(seed, n, shared) for n in (3, 10, 60) for shared in (1, 2, 6) for seed in range(4)]


@pytest.mark.parametrize(("seed", "n"), CASES)
def test_the_nearest_shares_are_those_of_a_solver(seed: int, n: int) -> None:
    values, limits = problem(seed, n)
    shares = project_to_capped_simplex(values, limits.upper, TOTAL)
    limits.holds(shares)
    for one, found in zip(values, shares, strict=True):
        assert_allclose(found, euclidean_by_solver(one, limits), rtol=1e-6, atol=1e-6)
        assert_nearest(one, found, limits)


@pytest.mark.parametrize("project", [project_to_capped_simplex, scale_to_capped_simplex])
@pytest.mark.parametrize(("seed", "n"), CASES)
def test_without_traces_the_rest_is_still_nearest(project: Callable[..., Floats], seed: int, n: int) -> None:
    values, limits = problem(seed, n)
    least, caps = TOTAL / n / 3, np.maximum(limits.upper, 0.6 * TOTAL)
    shares = project(np.abs(values), caps, TOTAL, lower_active=least)
    assert ((shares == 0) | (shares >= least)).all()
    for one, found in zip(np.abs(values), shares, strict=True):
        chosen = np.where(found > 0, caps, 0)
        assert_allclose(project(one, chosen, TOTAL), found, rtol=0, atol=1e-9)


@pytest.mark.parametrize(("seed", "n", "shared"), SHARED)
def test_the_nearest_mixtures_are_those_of_a_solver(seed: int, n: int, shared: int) -> None:
    values, limits = problem(seed, n, shared)
    shares = Composition(limits.upper, limits.weights, limits.bounds, total=TOTAL).project(values)
    limits.holds(np.minimum(shares, limits.upper), within=2e-8)
    for one, found in zip(values, shares, strict=True):
        assert_allclose(found, euclidean_by_solver(one, limits), rtol=1e-6, atol=2e-6)
        assert_nearest(one, found, limits)


def assert_nearest(value: Floats, shares: Floats, limits: Limits) -> None:
    """From the nearest point, no way within the limits leads towards the value (a variational inequality)."""
    slope = shares - value
    assert slope @ shares - limits.least(slope) <= 1e-8 * TOTAL * (1 + np.abs(value).max())


@pytest.mark.parametrize(("seed", "n", "shared"), [*((s, n, 0) for s, n in CASES), *SHARED])
def test_scaled_mixtures_are_those_of_a_solver(seed: int, n: int, shared: int) -> None:
    values, limits = problem(seed, n, shared)
    values = np.abs(values)
    shares = Composition(limits.upper, limits.weights, limits.bounds, total=TOTAL).scale(values)
    limits.holds(np.minimum(shares, limits.upper), within=2e-8)
    for one, found in zip(values, shares, strict=True):
        theirs = relative_by_solver(one, limits)
        assert divergence(found, one) <= divergence(theirs, one) + 1e-6
        assert_allclose(found, theirs, rtol=0, atol=5e-3)
        # The solver's cone is good to about that; the slope within the limits says more.
        slope = np.log(found / one)
        assert slope @ found - limits.least(slope) <= 1e-9 * TOTAL


def divergence(shares: Floats, values: Floats) -> float:
    return float((shares * np.log(shares / values)).sum())


numbers = st.floats(-1e3, 1e3, allow_subnormal=False) | st.integers(-2, 2).map(float)
powers = st.floats(-12, 12).map(lambda power: 10.0**power)


@st.composite
def capped(draw: st.DrawFn, values: st.SearchStrategy[float]) -> tuple[Floats, Floats]:
    """Values and caps (n,); sometimes the caps leave just one mixture."""
    n = draw(st.integers(1, 12))
    wanted = np.array(draw(st.lists(values, min_size=n, max_size=n)))
    caps = np.array(draw(st.lists(st.integers(1, 100), min_size=n, max_size=n)), dtype=np.float64)
    tight = draw(st.booleans())
    return wanted, caps * (TOTAL / caps.sum()) if tight or caps.sum() < TOTAL else caps


@quick
@given(capped(numbers))
def test_a_projection_meets_its_conditions(case: tuple[Floats, Floats]) -> None:
    values, upper = case
    shares = project_to_capped_simplex(values, upper, TOTAL)
    assert (shares >= 0).all()
    assert (shares <= upper).all()
    assert abs(shares.sum() - TOTAL) <= 1e-9
    subtracted = values - shares
    free = (shares > 0) & (shares < upper)
    # One constant is taken from every free share; it is at least what would empty one, at most what would fill one.
    low = subtracted[shares < upper].max(initial=-np.inf)
    high = subtracted[shares > 0].min(initial=np.inf)
    assert low <= high + 1e-9
    assert np.ptp(subtracted[free]) <= 1e-9 if free.any() else True


@quick
@given(capped(numbers), st.integers(-1000, 1000))
def test_a_projection_stays_and_ignores_what_all_shares_have(case: tuple[Floats, Floats], constant: int) -> None:
    values, upper = case
    shares = project_to_capped_simplex(values, upper, TOTAL)
    assert_allclose(project_to_capped_simplex(shares, upper, TOTAL), shares, rtol=0, atol=1e-9)
    assert_allclose(project_to_capped_simplex(values + constant, upper, TOTAL), shares, rtol=0, atol=1e-9)
    backwards = project_to_capped_simplex(values[::-1], upper[::-1], TOTAL)
    assert_allclose(backwards[::-1], shares, rtol=0, atol=1e-9)


@quick
@given(capped(numbers), st.floats(-50, 50), st.integers(0, 11))
def test_a_projection_brings_points_nearer(case: tuple[Floats, Floats], step: float, which: int) -> None:
    values, upper = case
    moved = values.copy()
    moved[which % len(values)] += step
    pair = project_to_capped_simplex(np.vstack((values, moved)), upper, TOTAL)
    assert np.linalg.norm(pair[0] - pair[1]) <= np.linalg.norm(values - moved) + 1e-9


@quick
@given(capped(powers | st.just(0.0)))
def test_scaling_meets_its_conditions(case: tuple[Floats, Floats]) -> None:
    values, upper = case
    assume(upper[values > 0].sum() >= TOTAL)
    shares = scale_to_capped_simplex(values, upper, TOTAL)
    assert (shares[values == 0] == 0).all()
    assert (shares[values > 0] > 0).all()
    assert (shares <= upper).all()
    assert abs(shares.sum() - TOTAL) <= 1e-9
    present = values > 0
    factors = shares[present] / values[present]
    free = shares[present] < upper[present] * (1 - 1e-9)
    if free.any():
        assert_allclose(factors[free], factors[free][0], rtol=1e-6)
        assert (factors[~free] <= factors[free][0] * (1 + 1e-6)).all()
    assert_allclose(scale_to_capped_simplex(shares, upper, TOTAL), shares, rtol=1e-9)
    assert_allclose(scale_to_capped_simplex(values * 8, upper, TOTAL), shares, rtol=1e-9)


@quick
@given(capped(powers | powers.map(lambda number: -number)))
def test_no_size_of_value_breaks_the_sum_or_a_limit(case: tuple[Floats, Floats]) -> None:
    values, upper = case
    shares = project_to_capped_simplex(values, upper, TOTAL)
    assert (shares >= 0).all()
    assert (shares <= upper).all()
    assert abs(shares.sum() - TOTAL) <= 1e-9


def test_caps_that_leave_one_mixture_give_it() -> None:
    upper = np.array([10.0, 20.0, 70.0])
    for shares in (project_to_capped_simplex([5.0, -3.0, 1.0], upper), scale_to_capped_simplex([5.0, 3.0, 1.0], upper)):
        assert_allclose(shares, upper, rtol=0, atol=1e-9)
    assert project_to_capped_simplex([-3.0], [TOTAL]) == TOTAL
    assert scale_to_capped_simplex([1e-12], [2 * TOTAL]) == pytest.approx(TOTAL)


def test_equal_values_give_equal_shares() -> None:
    assert_allclose(project_to_capped_simplex(np.full(7, -4.0), 30.0), TOTAL / 7)
    assert_allclose(scale_to_capped_simplex(np.full(7, 4.0), 30.0), TOTAL / 7)


@pytest.mark.parametrize("project", [project_to_capped_simplex, scale_to_capped_simplex])
def test_caps_that_can_not_make_up_the_total_are_refused(project: Any) -> None:
    with pytest.raises(Infeasible):
        project([1.0, 2.0], [49.0, 50.0])


@pytest.mark.parametrize("seed", range(6))
def test_least_shares_and_few_components_are_kept(seed: int) -> None:
    values, limits = problem(seed, 40, 3)
    composition = Composition(
        limits.upper, limits.weights, limits.bounds * 1.3, total=TOTAL, lower_active=0.5, most_active=20
    )
    for shares in (composition.project(values), composition.sample(np.random.default_rng(seed), 50)):
        assert_allclose(shares.sum(axis=1), TOTAL, rtol=0, atol=1e-8)
        assert ((shares == 0) | (shares >= 0.5)).all()
        assert (shares <= limits.upper + 1e-9).all()
        assert ((shares > 0).sum(axis=1) <= 20).all()
        assert (shares @ limits.weights.T <= limits.bounds * 1.3 + 1e-8).all()
