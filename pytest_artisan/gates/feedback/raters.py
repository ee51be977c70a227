"""Simulated people with a known taste."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pytest_artisan.gates.feedback.flows import Flow, Offer
from pytest_artisan.moga.ranking import Floats

_WORST, _MIDDLE, _BEST = 1, 3, 5


@dataclass(frozen=True, slots=True)
class Manner:
    """How somebody rates: `leaning` and `stray` (a standard deviation) in rating points; `guesses` whatever it is."""

    leaning: float = 0.0
    stray: float = 0.25
    guesses: bool = False


MANNERS = {
    "consistent": Manner(),
    "critical": Manner(leaning=-1.0),
    "generous": Manner(leaning=1.0),
    "noisy": Manner(stray=1.0),
    "random": Manner(guesses=True),
}


class Rater:
    """Somebody who likes a random direction of what people notice.

    The options of `first` offers are middling on average, and differ by one rating point (their standard deviation).
    The rater of an odd `seed` likes what that of the even one before it dislikes, so that what a flow changes whatever
    is said pleases as many as it displeases.
    """

    def __init__(self, flow: Flow, first: list[Offer], manner: Manner, seed: int) -> None:
        self._flow, self._manner = flow, manner
        self._rng = np.random.default_rng([seed, 1])
        noticed = self._noticed(first)
        self._taste = np.random.default_rng(seed // 2).standard_normal(noticed.shape[1]) * (-1) ** seed
        liked = noticed @ self._taste
        self._middle, self._scale = float(liked.mean()), float(liked.std()) or 1.0

    def pleasure(self, offers: list[Offer]) -> float:
        """The mean rating of all options of these offers, without what strays, and by the taste of one who guesses."""
        return float(np.mean([np.clip(self.ratings(offer), _WORST, _BEST).mean() for offer in offers]))

    def judge(self, offer: Offer) -> tuple[str, int]:
        """The option that is chosen, and its rating, 1 to 5."""
        if self._manner.guesses:
            chosen, rating = int(self._rng.integers(len(offer.options))), int(self._rng.integers(_WORST, _BEST + 1))
        else:
            felt = self.ratings(offer)
            felt = felt + self._rng.normal(0, self._manner.stray, len(felt))
            chosen = int(felt.argmax())
            rating = int(np.clip(np.rint(felt[chosen]), _WORST, _BEST))
        return offer.options[chosen].id, rating

    def ratings(self, offer: Offer) -> Floats:
        """What is felt about each option, in rating points, which no scale ends."""
        liked = (self._noticed([offer]) @ self._taste - self._middle) / self._scale
        return np.asarray(_MIDDLE + self._manner.leaning + liked)

    def _noticed(self, offers: list[Offer]) -> Floats:
        return self._flow.perceived([option.composition for offer in offers for option in offer.options])
