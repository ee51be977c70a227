"""What has to hold in every iteration of an optimizer, counted; the first place where it does not is kept."""

from __future__ import annotations

import numpy as np

from pytest_artisan.gates.stability.optimizers import Generation, Limits, Optimizer
from pytest_artisan.moga.indicators import hypervolume
from pytest_artisan.moga.population import Ids
from pytest_artisan.moga.ranking import Floats, nowhere_worse
from pytest_artisan.verdict.evidence import NoEvidence, Points

# Rounding, in per cent: far below what can be weighed.
ROUNDING = 1e-9

COUNTS = {
    "not_finite": "formulas with a share or an objective that is not finite",
    "negatives": "shares below zero",
    "empties": "formulas without any share, or iterations without a formula",
    "over_limit": "limits exceeded",
    "traces": "shares between nothing and the smallest share",
    "orphans": "new formulas without a parent in the generation before",
    "copies": "new formulas equal to a parent",
    "stale": "formulas whose objectives are not their own, in the last iteration",
    "falls": "iterations in which the front lost hypervolume",
}


class Watch:
    """Counts over a run of one optimizer; `look` at every iteration."""

    def __init__(self, limits: Limits, smallest_share: float) -> None:
        self._limits, self._smallest = limits, smallest_share
        for name in ("upper", "weights", "bounds"):
            if not np.isfinite(getattr(limits, name)).all():
                # Nothing is above what is no number.
                raise NoEvidence(f"the optimizer's limits hold a number in {name} that is not finite")
        self.iterations = self.renewals = 0
        self.counts = dict.fromkeys(COUNTS, 0)
        self.first: dict[str, int] = {}
        self.sum_deviation = 0.0
        self.diversity = self.extent = np.inf
        self._extents: Floats | None = None
        self._last: tuple[Floats, Floats, Ids] | None = None  # values, objectives and ids
        self._front: Floats | None = None
        self.points: Points | None = None

    def look(self, generation: Generation, front: Floats) -> None:
        """Check one iteration's population (N formulas) and the best found so far (A, M)."""
        self.iterations += 1
        # Copies: an optimizer may use its arrays again, and what was before would change with what is.
        values, objectives = np.array(generation.values, float), np.array(generation.objectives, float)
        ids, parents = np.array(generation.ids), np.array(generation.parents)
        if values.ndim != 2 or not len(values) or values.shape[1] != len(self._limits.upper):
            self._count("empties", 1)
            return
        finite = np.isfinite(values).all(axis=1) & np.isfinite(objectives).all(axis=1)
        self._count("not_finite", int((~finite).sum()))
        self._check_shares(values[finite])
        if finite.all():
            self._check_variety(values, objectives)
            self._check_descent(values, ids, parents)
        self._check_front(np.array(front, float))
        self._last = values, objectives, ids

    def finish(self, optimizer: Optimizer) -> None:
        """The last population's objectives are those of its formulas; its front becomes `points`."""
        if self._last is not None:
            values, told, _ = self._last
            made = np.asarray(optimizer.evaluate(values))
            self._count("stale", len(told) if told.shape != made.shape else int((told != made).any(axis=1).sum()))
        if self._front is not None:
            numbered = [f"objective {k + 1}" for k in range(self._front.shape[1])]
            names = list(map(str, getattr(optimizer, "objective_names", ())))
            self.points = Points.of(names if len(names) == len(numbered) else numbered, self._front)

    def _count(self, what: str, number: int) -> None:
        if number:
            self.counts[what] += number
            self.first.setdefault(what, self.iterations)

    def _check_shares(self, values: Floats) -> None:
        limits = self._limits
        self._count("negatives", int((values < 0).sum()))
        self._count("empties", int((values < self._smallest).all(axis=1).sum()))
        self._count("traces", int(((values > 0) & (values < self._smallest - ROUNDING)).sum()))
        over = (values > limits.upper + ROUNDING).sum() + (values @ limits.weights.T > limits.bounds + ROUNDING).sum()
        self._count("over_limit", int(over))
        deviation = float(np.abs(values.sum(axis=1) - 100).max(initial=0))
        if deviation > self.sum_deviation:
            self.sum_deviation = deviation
            self.first["sum_deviation"] = self.iterations

    def _check_variety(self, values: Floats, objectives: Floats) -> None:
        """How far formulas are from their mean, in per cent moved, and objectives' extents, in per cent of the first."""
        self._least("diversity", float(np.abs(values - values.mean(axis=0)).sum(axis=1).mean() / 2))
        extents = np.ptp(objectives, axis=0)
        if self._extents is None:
            self._extents = extents
        parts = np.divide(extents, self._extents, out=np.zeros_like(extents), where=self._extents > 0)
        self._least("extent", 100 * float(parts.min()))

    def _least(self, what: str, value: float) -> None:
        if value < getattr(self, what):
            setattr(self, what, value)
            self.first[what] = self.iterations

    def _check_descent(self, values: Floats, ids: Ids, parents: Ids) -> None:
        """New formulas name parents of the generation before, and differ from them."""
        if self._last is None:
            return
        old, _, before = self._last
        order = np.argsort(before)
        new = np.flatnonzero(~np.isin(ids, before))
        self.renewals += bool(len(new))
        parents = parents[new]
        places = order[np.searchsorted(before, parents, sorter=order).clip(max=len(before) - 1)]
        known = before[places] == parents
        self._count("orphans", int((~known.any(axis=1)).sum()))
        same = (values[new][:, None] == old[places]).all(axis=2)
        self._count("copies", int((same & known).any(axis=1).sum()))

    def _check_front(self, front: Floats) -> None:
        """A front that covers every point of the one before has its hypervolume at least, below any reference."""
        before, self._front = self._front, front
        if front.ndim != 2 or not len(front) or not np.isfinite(front).all():
            self._count("falls", 1)
            self._front = before
        elif before is not None and not _covers(front, before):
            corner = np.maximum(before.max(axis=0), front.max(axis=0)) + 1e-6
            fallen = hypervolume(front, corner) < hypervolume(before, corner) * (1 - 1e-9)
            self._count("falls", int(fallen))


def _covers(front: Floats, before: Floats) -> bool:
    # Most of it is still there; only for the rest it is asked what came in its place.
    present = {row.tobytes() for row in front}
    before = before[[row.tobytes() not in present for row in before]]
    return bool(nowhere_worse(front, before).any(axis=0).all())
