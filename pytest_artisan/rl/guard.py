"""Back to the last known good policy when an update did harm."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import asdict, dataclass, replace
from statistics import fmean, median

import numpy as np

from pytest_artisan.rl.checkpoints import CheckpointError, State
from pytest_artisan.rl.rollouts import Rollout
from pytest_artisan.rl.trainers import Metrics, Trainer

_LOSSES, _RETURNS = "recent losses", "recent returns"


@dataclass(frozen=True, slots=True)
class Bounds:
    """What an update may do. `kl` in nats; `loss`: as a multiple of its recent level; `deviations`: by how many standard
    errors of the difference a return may fall below the recent ones, which noise alone does once in 3,000 updates at 3.4;
    `recent`: updates that are looked back at; `enough`: of them before a level is one.
    """

    kl: float = 0.03
    loss: float = 3.0
    deviations: float = 3.4
    recent: int = 10
    enough: int = 5


class Guard:
    """A trainer whose harmful updates are undone.

    A policy counts as good once a rollout of it has shown its return: a rollout that falls short proves the update
    *before* it wrong, so that the state to go back to is that before the one which has just been seen to fail. Returns
    are compared by their difference and losses with the size of recent ones, so that signs do not matter. Raises ValueError, as does the trainer.
    """

    def __init__(self, trainer: Trainer, bounds: Bounds | None = None) -> None:
        self.trainer, self._bounds = trainer, bounds or Bounds()
        self.good = trainer.state()
        self._losses: deque[float] = deque(maxlen=self._bounds.recent)
        self._returns: deque[tuple[float, float]] = deque(maxlen=self._bounds.recent)
        # Whether the policy that acts is one that its successor's fall has brought back.
        self._went_back = False

    def train(self) -> Metrics:
        """A rollout and an update; where that did harm, `rolled_back` of the metrics says what it was."""
        return self.update(self.trainer.collect())

    def update(self, rollout: Rollout) -> Metrics:
        before = self.trainer.state()
        metrics = self.trainer.update(rollout)
        fallen = self._fallen(metrics)
        if fallen and self._went_back:
            # So does the policy that was good: it is the environment that has changed, and old returns say nothing.
            self._returns.clear()
            fallen = ""
        self._went_back = bool(fallen)
        if not fallen:
            self.good = before
        cause = fallen or self._harm(metrics)
        if cause:
            # The generator goes on, so that the same rollout does not come again.
            self.trainer.restore(self.good | {"generator": self.trainer.state()["generator"]})
            return replace(metrics, rolled_back=cause)
        self._losses.append(metrics.loss)
        if metrics.episodes > 1:
            self._returns.append((metrics.episode_return, metrics.return_error))
        return metrics

    def state(self) -> State:
        """The trainer's, and the levels that it is compared with."""
        recent = {_LOSSES: np.array(self._losses), _RETURNS: np.array(self._returns).reshape(-1, 2)}
        return self.trainer.state() | recent

    def restore(self, state: State) -> None:
        """Go on from `state`; raises CheckpointError, and changes nothing, where it does not fit."""
        own = dict(state)
        try:
            losses, returns = own.pop(_LOSSES), own.pop(_RETURNS)
        except KeyError as error:
            raise CheckpointError(f"the checkpoint holds no {error}") from None
        for name, levels, axes in ((_LOSSES, losses, ()), (_RETURNS, returns, (2,))):
            fits = levels.dtype == np.float64 and levels.ndim > 0 and levels.shape[1:] == axes
            if not fits or not np.isfinite(levels).all():
                raise CheckpointError(f"{name} of the checkpoint are not finite numbers, one row for each update")
        self.trainer.restore(own)
        self.good, self._went_back = own, False
        self._losses.clear()
        self._returns.clear()
        self._losses.extend(losses.tolist())
        self._returns.extend((level, error) for level, error in returns.tolist())

    def _fallen(self, metrics: Metrics) -> str:
        """Whether the policy that acted is worse than those before it, by more than noise explains."""
        if metrics.episodes < 2 or len(self._returns) < self._bounds.enough:
            return ""
        level = fmean(level for level, _ in self._returns)
        usual = fmean(error**2 for _, error in self._returns)
        # Few episodes that happen to be alike say little about the noise.
        error = math.sqrt(max(metrics.return_error**2, usual) + usual / len(self._returns))
        if level - metrics.episode_return <= self._bounds.deviations * error:
            return ""
        return f"return {metrics.episode_return:.4g} fell from {level:.4g}, by more than {self._bounds.deviations:g} x {error:.4g}"

    def _harm(self, metrics: Metrics) -> str:
        """Whether the update itself went too far."""
        for name, number in asdict(metrics).items():
            if isinstance(number, float) and not math.isfinite(number):
                return f"{name} is {number}"
        if metrics.kl > self._bounds.kl:
            return f"KL {metrics.kl:.4g} > {self._bounds.kl:g}"
        if len(self._losses) < self._bounds.enough:
            return ""
        level = median(map(abs, self._losses))
        return (
            ""
            if metrics.loss <= self._bounds.loss * level
            else f"loss {metrics.loss:.4g} > {self._bounds.loss:g} x {level:.4g}"
        )
