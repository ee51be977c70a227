"""What a histogram of Prometheus tells exactly, and what it can not tell: counts up to its bounds, and a p95 between two."""

from __future__ import annotations

import math
from collections.abc import Sequence

from pytest_artisan.release.prometheus import Sample
from pytest_artisan.verdict.evidence import NoEvidence

# From here on a float holds no count exactly.
_EXACT = 2.0**53


class Buckets:
    """How many lasted at most how many seconds, from the vector of a histogram `by (le)`. All raise NoEvidence."""

    def __init__(self, samples: Sequence[Sample]) -> None:
        self._counts = dict(sorted((_bound(sample), sound(sample)) for sample in samples))
        if math.inf not in self._counts or len(self._counts) < max(2, len(samples)):
            raise NoEvidence(f"{len(samples)} series are no histogram with its bounds, each once, and +Inf")
        self.total = self._counts[math.inf]

    def longer_than(self, seconds: float) -> float:
        """How many lasted longer than the first bound that is not below `seconds`: where it is above, they are fewer."""
        bound = next(bound for bound in self._counts if bound >= seconds)
        if bound == math.inf:
            raise NoEvidence(f"the histogram has no bound from {seconds:.3g} s on, so it can not tell what is slower")
        longer = self.total - self._counts[bound]
        if longer < 0:
            raise NoEvidence(f"the histogram counts more up to {bound:g} s than in all")
        return longer

    def quantile(self, share: float) -> float:
        """In seconds, as Prometheus' histogram_quantile says it; but from the largest bound on it is not known."""
        rank, start, below = share * self.total, 0.0, 0.0
        for bound, count in list(self._counts.items())[:-2]:
            # Of increases, one may be smaller than the one before it, as each is extrapolated.
            up_to = max(below, count)
            if up_to >= rank and up_to > below:
                return start + (bound - start) * (rank - below) / (up_to - below)
            start, below = bound, up_to
        raise NoEvidence(f"the {100 * share:g}th percentile is beyond {start:g} s, where the histogram can not tell it")


def sound(sample: Sample) -> float:
    """The sample's value where something can have been counted so often; raises NoEvidence."""
    if not 0 <= sample.value < _EXACT:
        raise NoEvidence(f"{sample.value} was never counted")
    return sample.value


def _bound(sample: Sample) -> float:
    text = sample.labels.get("le", "")
    try:
        bound = float(text)
    except ValueError:
        bound = math.nan
    if math.isnan(bound):
        raise NoEvidence(f"{text!r} is no bound of a histogram")
    return bound
