"""Where children come from: pure functions of parents (N, n), best first, and a random generator."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from pytest_artisan.moga.composition import Composition
from pytest_artisan.moga.ranking import Floats, Ranks

_TINY = np.finfo(np.float64).tiny
_ATTEMPTS = 10

# The values (N, n) of a population, best first, to children (N, n) and the positions (N, P) of their parents.
Variation = Callable[[np.random.Generator, Floats], tuple[Floats, Ranks]]


def in_box(lower: Floats, upper: Floats) -> Variation:
    """Tournament, crossover and mutation within bounds (n,), as in NSGA-II."""

    def vary(rng: np.random.Generator, values: Floats) -> tuple[Floats, Ranks]:
        mothers, fathers = tournament(rng, len(values), 2 * -(-len(values) // 2)).reshape(2, -1)
        pairs = simulated_binary_crossover(rng, values[mothers], values[fathers], lower, upper)
        children = np.concatenate(pairs)[: len(values)]
        couples = np.array((mothers, fathers)).T
        parents = np.concatenate((couples, couples))[: len(values)]
        return polynomial_mutation(rng, children, lower, upper, probability=1 / len(lower)), parents

    return vary


def of_mixtures(composition: Composition) -> Variation:
    """Differential moves for one half, crossover for the other, small changes for some; then the way into the limits."""
    lower, upper = np.zeros(len(composition)), np.maximum(composition.upper, _TINY)

    def vary(rng: np.random.Generator, values: Floats) -> tuple[Floats, Ranks]:
        count = len(values)
        half = count // 2
        bases = tournament(rng, count, count)
        ones, others = rng.integers(count, size=(2, count))
        moved = differential(rng, values[bases[half:]], values[ones[half:]], values[others[half:]])
        crossed, _ = simulated_binary_crossover(rng, values[bases[:half]], values[ones[:half]], lower, upper)
        children = np.concatenate((crossed, moved))
        children = lognormal_mutation(rng, children, probability=1 / len(composition))
        children = drop(rng, transfer(rng, children, probability=0.8), probability=0.1)
        children = composition.project(children)
        others[:half] = ones[:half]
        parents = np.column_stack((bases, ones, others))
        for _ in range(_ATTEMPTS):
            copies = (children[:, None] == values[parents]).all(axis=2).any(axis=1)
            if not copies.any():
                break
            # A child like a parent teaches nothing: it gets something that its parent has less of.
            children[copies] = composition.project(transfer(rng, values[bases[copies]], probability=1.0))
        return children, parents

    return vary


def tournament(rng: np.random.Generator, size: int, count: int) -> Ranks:
    """Positions (count,) of the winners between two random ones of `size`, which stand best first.

    Everybody enters as often as everybody else, and meets somebody else (Deb et al. 2002).
    """
    rounds = -(-2 * count // size)
    entrants = np.concatenate([rng.permutation(size) for _ in range(rounds)])[: 2 * count]
    winners: Ranks = np.minimum(entrants[::2], entrants[1::2])
    return winners


def simulated_binary_crossover(
    rng: np.random.Generator,
    mothers: Floats,
    fathers: Floats,
    lower: Floats,
    upper: Floats,
    *,
    probability: float = 0.9,
    index: float = 15.0,
) -> tuple[Floats, Floats]:
    """Two children (N, n) of each pair of parents (N, n) within `lower` and `upper` (n,).

    A pair crosses with `probability`, then each variable with one half; the larger the distribution `index`, the nearer
    to the parents. Source: Deb and Agrawal 1995, with bounds as in Deb and Kumar 1995.
    """
    draws = rng.random(mothers.shape)
    crossing = (draws < 0.5) & (rng.random((len(mothers), 1)) < probability) & (np.abs(mothers - fathers) > 1e-14)
    places = np.flatnonzero(crossing)
    columns = places % mothers.shape[1]
    parents = np.stack((mothers.ravel()[places], fathers.ravel()[places]))
    low, high = parents.min(axis=0), parents.max(axis=0)
    least, most = lower[columns], upper[columns]
    half = (high - low) / 2
    # The draw below one half that chose a variable is a fresh one twice: it says who gets which, and how far.
    doubled = 2 * draws.ravel()[places]
    exchange = doubled < 0.5
    draw = 2 * np.where(exchange, doubled, doubled - 0.5)
    below, above = _spread(draw, 1 + np.stack((low - least, most - high)) / half, index) * half
    middle = low + half
    pair = np.clip(np.stack((middle - below, middle + above)), least, most)
    first, second = mothers.copy(), fathers.copy()
    first.ravel()[places] = np.where(exchange, pair[1], pair[0])
    second.ravel()[places] = np.where(exchange, pair[0], pair[1])
    return first, second


def _spread(draw: Floats, room: Floats, index: float) -> Floats:
    """The spread factor whose distribution ends at the bound, `room` half widths away."""
    share = draw * (2 - _power(room, -(index + 1)))
    # Below 1 it contracts, above it expands; the two halves of the distribution are each other's inverse.
    return _power(np.where(share <= 1, share, 1 / np.maximum(2 - share, _TINY)), 1 / (index + 1))


def _power(base: Floats, exponent: float) -> Floats:
    """`base ** exponent` for bases > 0; by logarithms, which numpy takes of several numbers at once."""
    power: Floats = np.exp(exponent * np.log(np.maximum(base, _TINY)))
    return power


def polynomial_mutation(
    rng: np.random.Generator, values: Floats, lower: Floats, upper: Floats, *, probability: float, index: float = 20.0
) -> Floats:
    """`values` (N, n) of which each changes with `probability`, by a polynomial distribution within its bounds (n,).

    Source: Deb and Goyal 1996, in the bounded form of the NSGA-II code.
    """
    mutants = values.copy()
    places = _places(rng, values.size, probability)
    columns = places % values.shape[1]
    x, low, width = mutants.ravel()[places], lower[columns], (upper - lower)[columns]
    draw = rng.random(len(places))
    down = draw < 0.5
    room = 1 - np.where(down, x - low, low + width - x) / width
    folded = np.where(down, draw, 1 - draw)
    step = 1 - _power(2 * folded + (1 - 2 * folded) * _power(room, index + 1), 1 / (index + 1))
    mutants.ravel()[places] = np.clip(x + np.where(down, -step, step) * width, low, low + width)
    return mutants


def lognormal_mutation(rng: np.random.Generator, values: Floats, *, probability: float, sigma: float = 0.5) -> Floats:
    """`values` (N, n) of which each is multiplied, with `probability`, by exp(N(0, sigma)); zeros stay zero."""
    mutants = values.copy()
    places = _places(rng, values.size, probability)
    mutants.ravel()[places] *= np.exp(sigma * rng.standard_normal(len(places)))
    return mutants


def differential(
    rng: np.random.Generator, bases: Floats, ones: Floats, others: Floats, *, least: float = 0.2, most: float = 1.0
) -> Floats:
    """`bases` (N, n), each moved by a random part of the difference between its `ones` and `others` (N, n).

    Where these have the same sum, the bases keep theirs. Source: DE/rand/1 of Storn and Price 1997.
    """
    return bases + rng.uniform(least, most, size=(len(bases), 1)) * (ones - others)


def transfer(rng: np.random.Generator, values: Floats, *, probability: float) -> Floats:
    """`values` (N, n) of which a row, with `probability`, gives a random part of one share to another one."""
    moved = values.copy()
    rows = np.flatnonzero(rng.random(len(values)) < probability)
    givers = _present(rng, values[rows])
    takers = rng.integers(values.shape[1], size=len(rows))
    amount = moved[rows, givers] * rng.random(len(rows))
    moved[rows, givers] -= amount
    moved[rows, takers] += amount
    return moved


def drop(rng: np.random.Generator, values: Floats, *, probability: float) -> Floats:
    """`values` (N, n) of which a row, with `probability`, loses one of its shares."""
    dropped = values.copy()
    rows = np.flatnonzero(rng.random(len(values)) < probability)
    dropped[rows, _present(rng, values[rows])] = 0
    return dropped


def _present(rng: np.random.Generator, values: Floats) -> Ranks:
    """For each row the position of a random share that is not zero."""
    chosen: Ranks = np.where(values > 0, rng.random(values.shape), -1).argmax(axis=1)
    return chosen


def _places(rng: np.random.Generator, size: int, probability: float) -> Ranks:
    """Which of `size` places an event of this probability strikes: by the gaps between them, which are geometric."""
    if probability >= 1:
        return np.arange(size)
    expected = int(size * probability + 6 * np.sqrt(size * probability) + 8)
    places = np.cumsum(rng.geometric(probability, expected)) - 1
    while places[-1] < size:
        places = np.append(places, places[-1] + np.cumsum(rng.geometric(probability, expected)))
    return places[: np.searchsorted(places, size)]
