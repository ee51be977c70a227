"""What the feature flags say for one request."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import NamedTuple

from pytest_artisan.ensemble.answers import Conduct
from pytest_artisan.fragrance.apprentice import GENETIC
from pytest_artisan.service.cohorts import Asked
from pytest_artisan.service.contract import Algorithm, Maker

# A flag and who asks, if that is known; see `release.flags`.
IsEnabled = Callable[[str, str | None], bool]


class Switches(NamedTuple):
    """The flags for one user; None is nobody in particular.

    Of the flags whose `trials` the user is in, `asked` gets what was asked and what it was told.
    """

    is_enabled: IsEnabled
    user: str | None
    trials: Collection[str]
    asked: Asked

    def _on(self, flag: str) -> bool:
        on = self.is_enabled(flag, self.user)
        if flag in self.trials:
            self.asked[flag] = on
        return on

    @property
    def cohorts(self) -> Asked:
        """On which side of each trial the user is, whether or not this request asks."""
        return {flag: self.is_enabled(flag, self.user) for flag in self.trials}

    @property
    def conduct(self) -> Conduct:
        """How a wish is answered."""
        return Conduct(
            self._on("llm_ensemble_enabled"),
            self._on("cache_enabled"),
            self._on("circuit_breaker_enabled"),
        )

    @property
    def evolves_anew(self) -> bool:
        """Whether DNA comes of the new optimizer."""
        return self._on("new_moga_optimizer")

    def maker(self, asked: Algorithm | None) -> Maker:
        """What makes options and learns from feedback; without the flags' say, what was `asked` for."""
        if not self._on("rl_pipeline_enabled"):
            return GENETIC
        return asked or ("PPO" if self._on("ppo_algorithm") else "REINFORCE")

    @property
    def apart(self) -> bool:
        """Whether options are chosen for what a choice among them teaches."""
        return self._on("advanced_rlhf")
