"""What the feature flags say for one request."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from pytest_artisan.ensemble.answers import Conduct
from pytest_artisan.fragrance.apprentice import GENETIC
from pytest_artisan.service.contract import Algorithm, Maker

# A flag and who asks, if that is known; see `release.flags`.
IsEnabled = Callable[[str, str | None], bool]


class Switches(NamedTuple):
    """The flags for one user; None is nobody in particular."""

    is_enabled: IsEnabled
    user: str | None

    @property
    def conduct(self) -> Conduct:
        """How a wish is answered."""
        is_enabled, user = self
        return Conduct(
            is_enabled("llm_ensemble_enabled", user),
            is_enabled("cache_enabled", user),
            is_enabled("circuit_breaker_enabled", user),
        )

    @property
    def evolves_anew(self) -> bool:
        """Whether DNA comes of the new optimizer."""
        return self.is_enabled("new_moga_optimizer", self.user)

    def maker(self, asked: Algorithm | None) -> Maker:
        """What makes options and learns from feedback; without the flags' say, what was `asked` for."""
        if not self.is_enabled("rl_pipeline_enabled", self.user):
            return GENETIC
        return asked or ("PPO" if self.is_enabled("ppo_algorithm", self.user) else "REINFORCE")

    @property
    def apart(self) -> bool:
        """Whether options are chosen for what a choice among them teaches."""
        return self.is_enabled("advanced_rlhf", self.user)
