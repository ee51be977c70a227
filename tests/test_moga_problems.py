"""The references themselves: problems against other libraries, closed forms against samples, the oracle against a solver."""

from __future__ import annotations

import importlib
from typing import Any

import moocore
import numpy as np
import pytest
from formulation import formulation, minimise, oracle
from numpy.testing import assert_allclose
from peers import installed
from problems import PROBLEMS, Floats, Problem
from scipy.optimize import linprog, minimize

ALL = pytest.mark.parametrize("problem", PROBLEMS.values(), ids=PROBLEMS)


@ALL
def test_problems_are_those_of_other_libraries(problem: Problem) -> None:
    values = np.random.default_rng(0).uniform(problem.lower, problem.upper, (30, problem.variables))
    for library in ("pymoo", "pygmo"):
        if installed(library):
            assert_allclose(problem.evaluate(values), answers(library, problem, values), rtol=1e-9, atol=1e-9)


def answers(library: str, problem: Problem, values: Floats) -> Any:
    many = problem.objectives == 3
    if library == "pymoo":
        same = importlib.import_module("pymoo.problems").get_problem(
            problem.name.lower(), n_var=problem.variables, **({"n_obj": 3} if many else {})
        )
        return same.evaluate(values)
    pygmo = importlib.import_module("pygmo")
    number = int(problem.name[-1])
    same = pygmo.dtlz(number, problem.variables, 3) if many else pygmo.zdt(number, problem.variables)
    return [pygmo.problem(same).fitness(one) for one in values]


@ALL
def test_the_closed_forms_are_limits_of_samples(problem: Problem) -> None:
    sizes = (1_000, 4_000, 16_000)
    volumes = [moocore.hypervolume(problem.front(size), ref=problem.reference) for size in sizes]
    gaps = problem.hypervolume - np.array(volumes)
    assert (gaps > 0).all()
    # Four times as many points leave a quarter of the gap on a curve, half of it on a surface.
    assert_allclose(gaps[1:] / gaps[:-1], 1 / 2 if problem.objectives == 3 else 1 / 4, rtol=0.12)


@ALL
def test_the_front_is_reached_and_not_passed(problem: Problem) -> None:
    rng = np.random.default_rng(0)
    places = problem.objectives - 1
    values = rng.uniform(problem.lower, problem.upper, (6000, problem.variables))
    # The best values of all other variables; half of the places where DTLZ4 spreads its points.
    values[:4000, places:] = 0.5 if problem.name in ("DTLZ1", "DTLZ2", "DTLZ4") else 0
    values[:2000, :places] **= 0.01
    objectives = problem.evaluate(values)
    front = problem.front(400)
    apart = np.abs(front[:, None] - objectives).max(axis=2)
    assert apart.min(axis=1).max() < 0.1
    assert not (objectives[:, None] < front - 1e-9).all(axis=2).any()


@pytest.mark.parametrize("components", [12, 60])
def test_the_oracle_minimises_the_weighted_sums(components: int) -> None:
    problem = formulation(components, seed=3)
    exact = oracle(problem)
    assert_allclose(exact.shares.sum(axis=1), 1, rtol=0, atol=1e-10)
    assert (exact.shares >= 0).all()
    assert (exact.shares <= problem.caps).all()
    assert exact.gap.max() <= 1e-8
    for which in (0, 17, 200, 333, 560):
        weight = exact.weights[which]
        found = solved(problem, weight, exact.shares[which])
        ours = float(exact.objectives[which] @ weight)
        assert ours <= found + 1e-7
        assert found - exact.gap[which] <= ours + 1e-6


def solved(problem: Any, weight: Floats, near: Floats) -> float:
    """By sequential quadratic programming, from a point that is not the answer."""

    def value(shares: Floats) -> float:
        return float(problem.evaluate(shares[None])[0] @ weight)

    def slope(shares: Floats) -> Floats:
        missed, unrest = shares @ problem.notes - problem.brief, shares @ problem.unrest
        terms = (2 * problem.notes @ missed, problem.prices, 2 * problem.unrest @ unrest)
        return np.tensordot(weight, np.array(terms), axes=1)

    start = problem.caps / problem.caps.sum()
    limits = {"type": "eq", "fun": lambda shares: shares.sum() - 1, "jac": lambda shares: np.ones_like(shares)}
    found = minimize(
        value,
        start,
        jac=slope,
        bounds=np.column_stack((np.zeros_like(start), problem.caps)),
        constraints=[limits],
        method="SLSQP",
        options={"ftol": 1e-13, "maxiter": 1000},
    )
    assert np.abs(start - near).max() > 1e-3
    return float(found.fun)


def test_the_bound_on_the_error_is_one() -> None:
    problem = formulation(15, seed=4)
    weight = np.array([[0.3, 0.2, 0.5]])
    rough, gap = minimise(problem, weight, tolerance=1.0)
    exact, _ = minimise(problem, weight, tolerance=1e-12)
    error = float((problem.evaluate(rough) - problem.evaluate(exact))[0] @ weight[0])
    assert 0 <= error <= gap[0]


def test_the_cheapest_formula_is_the_one_of_a_linear_program() -> None:
    problem = formulation(40, seed=5)
    found = minimise(problem, np.array([[0.0, 1.0, 1e-9]]), tolerance=1e-12)[0]
    least = linprog(
        problem.prices, A_eq=np.ones((1, 40)), b_eq=[1], bounds=np.column_stack((np.zeros(40), problem.caps))
    )
    assert problem.prices @ found[0] == pytest.approx(least.fun, abs=1e-6)


def test_no_point_of_the_oracle_dominates_another() -> None:
    exact = oracle(formulation(60, seed=0))
    extent = exact.nadir - exact.ideal
    better = (exact.objectives[:, None] + 1e-6 * extent < exact.objectives).all(axis=2)
    assert not better.any()
    assert exact.ratio(exact.objectives) == 1
    assert 0.9 < exact.ratio(exact.objectives[::4]) < 1
    assert exact.ratio(exact.objectives + extent) < 0.1


def test_the_same_seed_gives_the_same_problem() -> None:
    one, other, third = formulation(9, seed=1), formulation(9, seed=1), formulation(9, seed=2)
    assert (one.notes == other.notes).all()
    assert (one.caps != third.caps).any()
    assert one.caps.sum() >= 1.1
    assert one.prices.max() == 1
