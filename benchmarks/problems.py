"""The ZDT and DTLZ problems, their fronts in closed form, and the hypervolume that no finite set reaches.

Sources: Zitzler, Deb and Thiele 2000, Evolutionary Computation 8(2); Deb, Thiele, Laumanns and Zitzler 2005.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Evaluate = Callable[[Floats], Floats]

# Where the first variable of a front with gaps lies: (first, last) of each piece.
ZDT3_PIECES = (
    (0.0, 0.08300153492691163),
    (0.18222872802939977, 0.2577623633878302),
    (0.4093136748086569, 0.45388210408883023),
    (0.6183967944392659, 0.6525117038046625),
    (0.8233317983266325, 0.851832865436414),
)
DTLZ7_PIECES = ((0.0, 0.25141183608891715), (0.6316265307000613, 0.8594008566447239))
ZDT6_FIRST = 0.28077531881536977


@dataclass(frozen=True)
class Problem:
    """A box-constrained problem, everything minimised, whose front is known.

    `evaluate` maps (N, n) to (N, M); `front(count)` samples about `count` points of the front (K, M), evenly;
    `hypervolume` is that of the whole front below `reference` (M,).
    """

    name: str
    evaluate: Evaluate
    lower: Floats
    upper: Floats
    reference: Floats
    front: Callable[[int], Floats]
    hypervolume: float

    @property
    def variables(self) -> int:
        return len(self.lower)

    @property
    def objectives(self) -> int:
        return len(self.reference)


def zdt1(values: Floats) -> Floats:
    first, g = values[:, 0], _linear_g(values)
    return np.column_stack((first, g * (1 - np.sqrt(first / g))))


def zdt2(values: Floats) -> Floats:
    first, g = values[:, 0], _linear_g(values)
    return np.column_stack((first, g * (1 - (first / g) ** 2)))


def zdt3(values: Floats) -> Floats:
    first, g = values[:, 0], _linear_g(values)
    return np.column_stack((first, g * (1 - np.sqrt(first / g)) - first * np.sin(10 * np.pi * first)))


def zdt4(values: Floats) -> Floats:
    first, rest = values[:, 0], values[:, 1:]
    g = 1 + 10 * rest.shape[1] + (rest**2 - 10 * np.cos(4 * np.pi * rest)).sum(axis=1)
    return np.column_stack((first, g * (1 - np.sqrt(first / g))))


def zdt6(values: Floats) -> Floats:
    first = 1 - np.exp(-4 * values[:, 0]) * np.sin(6 * np.pi * values[:, 0]) ** 6
    g = 1 + 9 * values[:, 1:].mean(axis=1) ** 0.25
    return np.column_stack((first, g * (1 - (first / g) ** 2)))


def dtlz1(values: Floats) -> Floats:
    place, rest = values[:, :2], values[:, 2:] - 0.5
    g = 100 * (rest.shape[1] + (rest**2 - np.cos(20 * np.pi * rest)).sum(axis=1))
    objectives: Floats = _products(place, 1 - place) * (0.5 * (1 + g))[:, None]
    return objectives


def dtlz2(values: Floats, bias: float = 1) -> Floats:
    angle, rest = values[:, :2] ** bias * (np.pi / 2), values[:, 2:] - 0.5
    objectives: Floats = _products(np.cos(angle), np.sin(angle)) * (1 + (rest**2).sum(axis=1))[:, None]
    return objectives


def dtlz4(values: Floats) -> Floats:
    """DTLZ2 with a density that gathers nearly all points at an edge."""
    return dtlz2(values, bias=100)


def dtlz7(values: Floats) -> Floats:
    place, g = values[:, :2], 1 + 9 * values[:, 2:].mean(axis=1)
    last = 3 * (1 + g) - (place * (1 + np.sin(3 * np.pi * place))).sum(axis=1)
    return np.column_stack((place, last))


def _linear_g(values: Floats) -> Floats:
    g: Floats = 1 + 9 * values[:, 1:].mean(axis=1)
    return g


def _products(heads: Floats, tails: Floats) -> Floats:
    """Objective m is the product of the first M - m heads and of the tail after them."""
    one = np.ones((len(heads), 1))
    products: Floats = np.hstack((one, heads.cumprod(axis=1)))[:, ::-1] * np.hstack((one, tails[:, ::-1]))
    return products


def simplex_lattice(divisions: int) -> Floats:
    """All points (K, 3) with coordinates k / divisions that add up to 1, borders included."""
    first, second = np.meshgrid(np.arange(divisions + 1), np.arange(divisions + 1))
    inside = first + second <= divisions
    first, second = first[inside], second[inside]
    return np.column_stack((first, second, divisions - first - second)) / divisions


def _lattice(count: int) -> Floats:
    return simplex_lattice(round(np.sqrt(2 * count)))


def _sphere(count: int) -> Floats:
    lattice = _lattice(count)
    sphere: Floats = lattice / np.linalg.norm(lattice, axis=1, keepdims=True)
    return sphere


def _curve(second: Evaluate, *pieces: tuple[float, float]) -> Callable[[int], Floats]:
    """Points on a curve of two objectives, evenly along the first one."""

    def front(count: int) -> Floats:
        first = _along(pieces, count)
        return np.column_stack((first, second(first)))

    return front


def _along(pieces: tuple[tuple[float, float], ...], count: int) -> Floats:
    lengths = np.array([last - first for first, last in pieces])
    counts = np.maximum(2, np.round(count * lengths / lengths.sum()).astype(int))
    return np.concatenate([np.linspace(*piece, number) for piece, number in zip(pieces, counts, strict=True)])


def _zdt3_second(first: Floats) -> Floats:
    second: Floats = 1 - np.sqrt(first) - first * np.sin(10 * np.pi * first)
    return second


def _dtlz7_front(count: int) -> Floats:
    side = _along(DTLZ7_PIECES, round(np.sqrt(count)))
    place = np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2)
    return np.column_stack((place, 6 - (place * (1 + np.sin(3 * np.pi * place))).sum(axis=1)))


def _zdt3_volume(reference: float = 1.1) -> float:
    """Below the curve by its antiderivative; a gap is a step as high as the end of the piece before it."""

    def integral(x: float) -> float:
        turn = 10 * np.pi
        return float(x - 2 / 3 * x**1.5 + x * np.cos(turn * x) / turn - np.sin(turn * x) / turn**2)

    volume = 0.0
    starts = [first for first, _ in ZDT3_PIECES[1:]] + [reference]
    for (first, last), start in zip(ZDT3_PIECES, starts, strict=True):
        step = float(_zdt3_second(np.array([last]))[0])
        volume += reference * (start - first) - (integral(last) - integral(first)) - step * (start - last)
    return volume


def _dtlz7_volume(side: float = 1.1, depth: float = 6.6) -> float:
    """The last objective is 6 less the best that each of the other two allows on its own."""

    def integral(x: float) -> float:
        turn = 3 * np.pi
        return float(x**2 / 2 - x * np.cos(turn * x) / turn + np.sin(turn * x) / turn**2)

    best = 0.0
    starts = [first for first, _ in DTLZ7_PIECES[1:]] + [side]
    for (first, last), start in zip(DTLZ7_PIECES, starts, strict=True):
        best += integral(last) - integral(first) + last * (1 + np.sin(3 * np.pi * last)) * (start - last)
    return float(side**2 * (depth - 6) + 2 * side * best)


def _problem(
    evaluate: Evaluate,
    variables: int,
    reference: tuple[float, ...],
    front: Callable[[int], Floats],
    volume: float,
    rest: tuple[float, float] = (0.0, 1.0),
) -> Problem:
    lower, upper = np.full(variables, rest[0]), np.full(variables, rest[1])
    lower[0], upper[0] = 0, 1
    name = evaluate.__name__.upper()
    return Problem(name, evaluate, lower, upper, np.array(reference), front, volume)


def _all() -> tuple[Problem, ...]:
    flat, deep = (1.1, 1.1), (1.1, 1.1, 1.1)
    root = _curve(lambda first: 1 - np.sqrt(first), (0, 1))
    square = _curve(lambda first: 1 - first**2, (0, 1))
    zdt6_volume = 1.1 * 0.1 + 0.1 * (1 - ZDT6_FIRST) + (1 - ZDT6_FIRST**3) / 3
    return (
        _problem(zdt1, 30, flat, root, 0.21 + 2 / 3),
        _problem(zdt2, 30, flat, square, 0.21 + 1 / 3),
        _problem(zdt3, 30, flat, _curve(_zdt3_second, *ZDT3_PIECES), _zdt3_volume()),
        _problem(zdt4, 10, flat, root, 0.21 + 2 / 3, (-5, 5)),
        _problem(zdt6, 10, flat, _curve(lambda first: 1 - first**2, (ZDT6_FIRST, 1)), zdt6_volume),
        _problem(dtlz1, 7, (0.55,) * 3, lambda count: _lattice(count) / 2, 0.55**3 - 1 / 48),
        _problem(dtlz2, 12, deep, _sphere, 1.1**3 - np.pi / 6),
        _problem(dtlz4, 12, deep, _sphere, 1.1**3 - np.pi / 6),
        _problem(dtlz7, 22, (1.1, 1.1, 6.6), _dtlz7_front, _dtlz7_volume()),
    )


PROBLEMS = {problem.name: problem for problem in _all()}
