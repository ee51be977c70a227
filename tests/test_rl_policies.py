"""Special functions and distributions of actions against scipy: densities, integrals and draws."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from rl_by_hand import Floats, concentrations, law
from scipy import special, stats

from pytest_artisan.rl.networks import Array
from pytest_artisan.rl.policies import Categorical, Dirichlet, Gaussian, Policy
from pytest_artisan.rl.special import digamma, log_gamma, trigamma

POLICIES = [
    pytest.param(policy, id=f"{type(policy).__name__}{policy.outputs}")
    for policy in (Categorical(2), Categorical(5), Gaussian(1), Gaussian(3, 0.4), Dirichlet(2), Dirichlet(4))
]


def drawn(policy: Policy, rows: int, seed: int = 0) -> tuple[Floats, Floats, Array]:
    """Numbers, free numbers and actions."""
    rng = np.random.default_rng((seed, policy.outputs))
    numbers = rng.normal(scale=1.5, size=(rows, policy.outputs))
    free = policy.free + 0.3 * rng.normal(size=policy.free.shape)
    return numbers, free, policy.sample(numbers, free, rng)


@pytest.mark.parametrize(
    ("ours", "theirs", "zeros"),
    [
        (log_gamma, special.gammaln, [1, 2]),
        (digamma, special.psi, [1.4616321449683622]),
        (trigamma, lambda x: special.polygamma(1, x), []),
    ],
    ids=["log_gamma", "digamma", "trigamma"],
)
def test_functions_of_the_gamma_family(ours: Any, theirs: Any, zeros: list[float]) -> None:
    x = np.concatenate((np.geomspace(1e-6, 1e6, 4001), np.arange(1, 60) / 2, 1 + np.geomspace(1e-3, 1e3, 500)))
    # Next to a zero no relative error can be small.
    x = x[[all(abs(one - zero) > 0.01 for zero in zeros) for one in x]]
    assert_allclose(ours(x), theirs(x), rtol=1e-11)
    assert_allclose(ours(x[:6].reshape(2, 3)), theirs(x[:6].reshape(2, 3)), rtol=1e-11)
    for zero in zeros:
        assert abs(ours(zero)) < 1e-13


@pytest.mark.parametrize("policy", POLICIES)
def test_a_policy_judges_as_scipy_does(policy: Policy) -> None:
    numbers, free, actions = drawn(policy, 25)
    judged = policy.judge(numbers, free, actions)
    log_probs, entropies = law(policy, numbers, free, actions)
    assert_allclose(judged.log_prob, log_probs, rtol=1e-10, atol=1e-11)
    assert_allclose(judged.entropy, entropies, rtol=1e-10, atol=1e-11)
    single = policy.judge(numbers.astype(np.float32), free.astype(np.float32), actions)
    assert_allclose(single.log_prob, log_probs, rtol=1e-5, atol=1e-4)


def divergence_of_scipy(policy: Policy, old: Floats, free_old: Floats, new: Floats, free_new: Floats) -> float:
    """By the integral or the sum, for one row; Dirichlet: of two shares."""
    if isinstance(policy, Categorical):
        return float(stats.entropy(special.softmax(old), special.softmax(new)))
    if isinstance(policy, Dirichlet):
        return integral(stats.beta(*concentrations(old)), stats.beta(*concentrations(new)))
    before, now = (stats.norm(old, np.exp(free_old)), stats.norm(new, np.exp(free_new)))
    return integral(before, now)


def integral(p: Any, q: Any) -> float:
    """Of p (log p - log q), summed over independent actions."""
    low, high = p.ppf(1e-15), p.isf(1e-15)
    nodes, weights = special.roots_legendre(300)
    x = np.expand_dims((high + low) / 2, -1) + np.expand_dims((high - low) / 2, -1) * nodes
    x = np.moveaxis(x, -1, 0)
    summed = np.tensordot(weights, p.pdf(x) * (p.logpdf(x) - q.logpdf(x)), 1) * (high - low) / 2
    return float(np.sum(summed))


@pytest.mark.parametrize("policy", POLICIES[:-1])
def test_divergence_is_the_integral_of_its_definition(policy: Policy) -> None:
    old, free_old, _ = drawn(policy, 3, 1)
    new, free_new, _ = drawn(policy, 3, 2)
    found = policy.divergence(old, free_old, new, free_new)
    for row in range(3):
        expected = divergence_of_scipy(policy, old[row], free_old, new[row], free_new)
        assert found[row] == pytest.approx(expected, rel=1e-5)


def test_divergence_of_four_shares_is_the_mean_difference_of_log_probabilities() -> None:
    policy, none = Dirichlet(4), np.zeros(0)
    old, new = drawn(policy, 2)[0]
    actions = np.random.default_rng(5).dirichlet(concentrations(old), 40_000)
    rows = np.ones((len(actions), 1))
    off = policy.judge(rows * old, none, actions).log_prob - policy.judge(rows * new, none, actions).log_prob
    found = float(policy.divergence(old[None], none, new[None], none)[0])
    assert abs(found - off.mean()) < 4 * off.std() / 200
    assert off.std() / 200 < 0.02 * found


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("policy", POLICIES)
def test_divergence_is_never_negative_and_0_for_equals(policy: Policy, dtype: type[np.floating[Any]]) -> None:
    numbers, free, _ = drawn(policy, 2000)
    old, old_free = numbers.astype(dtype), free.astype(dtype)
    assert_array_equal(policy.divergence(old, old_free, old, old_free), 0)
    for size in (1e-6, 1e-3, 1.0, 30.0):
        move = np.random.default_rng(6).normal(scale=size, size=numbers.shape).astype(dtype)
        found = policy.divergence(old, old_free, old + move, old_free - dtype(size / 2))
        assert (found >= 0).all()
        assert np.isfinite(found).all()
        assert found.mean() > (0 if size < 1e-3 else 1e-9)


def test_divergence_of_nearly_equal_deviations_keeps_its_digits() -> None:
    place, free = np.zeros((1, 1), np.float32), np.zeros(1, np.float32)
    moved = np.float32(2e-4)
    assert Gaussian(1).divergence(place, free, place, free + moved)[0] == pytest.approx(4e-8, rel=1e-3)
    assert np.isfinite(Gaussian(1).divergence(place, free - 30, place, free + 30)).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("policy", POLICIES)
def test_samples_follow_the_distribution(policy: Policy, dtype: type[np.floating[Any]]) -> None:
    numbers, free, _ = drawn(policy, 1, 3)
    rows = np.repeat(numbers, 20_000, axis=0).astype(dtype)
    actions = policy.sample(rows, free.astype(dtype), np.random.Generator(np.random.SFC64(8)))
    if isinstance(policy, Categorical):
        expected = special.softmax(numbers[0]) * len(rows)
        assert stats.chisquare(np.bincount(actions, minlength=policy.outputs), expected).pvalue > 1e-3
    else:
        alpha = concentrations(numbers[0])
        for place, column in enumerate(actions.T):
            normal = stats.norm(numbers[0, place], np.exp(free[place])) if isinstance(policy, Gaussian) else None
            one = normal or stats.beta(alpha[place], alpha.sum() - alpha[place])
            assert stats.kstest(column, one.cdf).pvalue > 1e-3
    best = policy.judge(rows, free, policy.mode(rows, free)).log_prob
    assert (best >= policy.judge(rows, free, actions).log_prob - 1e-5).all()


@pytest.mark.parametrize("number", [-700.0, -100.0, -30.0, 0.0, 30.0])
def test_the_mode_of_equal_shares_is_equal_shares(number: float) -> None:
    numbers = np.full((2, 4), number, dtype=np.float32)
    assert_allclose(Dirichlet(4).mode(numbers, np.zeros(0)), 0.25)


def test_a_choice_is_drawn_where_an_exponential_draw_is_0() -> None:
    class Zeros(np.random.Generator):
        def standard_exponential(self, size: Any = None, *rest: Any, **more: Any) -> Any:
            return np.zeros(size, np.float32)

    numbers = np.array([[0.0, 1.0, -1.0]], np.float32)
    assert Categorical(3).sample(numbers, np.zeros(0), Zeros(np.random.SFC64(0))) in ([0], [1], [2])
