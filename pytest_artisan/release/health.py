"""Whether what was deployed is well: what was seen, block of time by block of time, against the limits of a canary."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

import msgspec
from msgspec import Meta

from pytest_artisan.settings import Table
from pytest_artisan.verdict.evidence import NoEvidence
from pytest_artisan.verdict.sequential import Excess, shows_below, trials_to_show_below

_Percent = Annotated[float, Meta(gt=0, lt=100)]
# A p95 is over its limit where more than 5 % take longer than that. Health is a share measured under it and shown under
# twice that, which a p95 of 1.5 times the baseline's has (lognormal, sigma 0.6): it would have been seen.
_SLOW, _SLOW_SHOWN = 0.05, 0.10
_CONFIDENCE = 0.95
# What a sum of ratings may be off by: it is a difference of floats.
_ROUNDING = 1e-6


class Limits(Table, frozen=True):
    """When to go back, and what has to be shown to go on: errors in per cent, ratings from 1 to 5.

    `error_rate` is the chance of each of the three rules to send back, in the whole of a stage, what keeps its limit.
    No fewer than ten ratings, all of 1, can show a mean under 3; `min_ratings` of 0 asks for none.
    """

    errors_pct: _Percent = 2
    healthy_errors_pct: _Percent = 1
    p95_ratio: Annotated[float, Meta(gt=1)] = 1.2
    rating: Annotated[float, Meta(gt=1, lt=5)] = 3
    min_ratings: Annotated[int, Meta(ge=0)] = 10
    error_rate: Annotated[float, Meta(gt=0, lt=0.5)] = 0.01

    def lint(self) -> Iterator[str]:
        if self.healthy_errors_pct > self.errors_pct:
            yield f"healthy_errors_pct: {self.healthy_errors_pct:g} is more than errors_pct, {self.errors_pct:g}"


class Block(msgspec.Struct, frozen=True, kw_only=True):
    """What happened between two looks.

    Of `timed` requests, `slow` took longer than the limit, which is a multiple of the baseline's p95.
    """

    requests: int = 0
    errors: int = 0
    timed: int = 0
    slow: int = 0
    ratings: int = 0
    rating_sum: float = 0.0
    schema_failures: int = 0


class Ruling(StrEnum):
    """What follows: back, on waiting, or on to the next stage."""

    ROLL_BACK = "roll_back"
    HOLD = "hold"
    HEALTHY = "healthy"


@dataclass(frozen=True, slots=True)
class Opinion:
    """A ruling with a line for all that led to it; none of them is empty."""

    ruling: Ruling
    reasons: tuple[str, ...]


class Health(msgspec.Struct, frozen=True):
    """All that was seen of a stage, against its limits; it does not grow, and JSON holds it exactly.

    Healthy is what is shown by the whole of the stage, and is not bad in its last part either: harm that begins as the
    stage ends is not promoted. That part is as many requests, or ratings, as show a limit where none of them is bad.
    Proof of health takes errors for independent: of a burst that did not come it knows nothing.
    """

    limits: Limits = Limits()
    errors: Excess = Excess()
    slow: Excess = Excess()
    # How far a rating is from 5, in parts of 4: the worse, the more.
    discontent: Excess = Excess()
    schema_failures: int = 0

    def after(self, block: Block) -> Health:
        """With one more block. Raises NoEvidence for one that can not be."""
        _check(block)
        errors, slow, discontent = self.errors, self.slow, self.discontent
        if block.requests:
            errors = errors.after(block.requests, block.errors, self.limits.errors_pct / 100)
        if block.timed:
            slow = slow.after(block.timed, block.slow, _SLOW)
        if block.ratings:
            worse = min(max((5 * block.ratings - block.rating_sum) / 4, 0.0), block.ratings)
            discontent = discontent.after(block.ratings, worse, (5 - self.limits.rating) / 4, bursts=False)
        return Health(self.limits, errors, slow, discontent, self.schema_failures + block.schema_failures)

    def opinion(self) -> Opinion:
        """Back where a limit is shown not to be kept, on where health is shown, else waiting for what is missing."""
        if bad := tuple(self._bad()):
            return Opinion(Ruling.ROLL_BACK, bad)
        judged = (self._errors(), self._slow(), self._ratings())
        missing = tuple(line for well, line in judged if not well)
        return Opinion(Ruling.HOLD if missing else Ruling.HEALTHY, missing or tuple(line for _, line in judged))

    def _bad(self) -> Iterator[str]:
        limits = self.limits
        if self.schema_failures:
            yield f"schema failures: {self.schema_failures}, none is allowed"
        if self._shown(self.errors):
            yield self._over("errors", self.errors, limits.errors_pct)
        if self._shown(self.slow):
            yield self._over(self._slower(), self.slow, 100 * _SLOW)
        if self._shown(self.discontent):
            mean, n = _rating(self.discontent), self.discontent.n
            than = f"< {limits.rating:g}" if mean < limits.rating else f"fell below {limits.rating:g} of late"
            yield f"mean rating {mean:.2f} {than}, n={n}; shown at {100 * limits.error_rate:g} %"

    def _shown(self, excess: Excess) -> bool:
        return excess.strongest * self.limits.error_rate >= 1

    def _over(self, what: str, excess: Excess, limit_pct: float) -> str:
        percent = _percent(excess)
        # Bets that were laid later find what began later, before it is much of the whole.
        than = f"> {limit_pct:g} %" if percent > limit_pct else f"in all, over {limit_pct:g} % of late"
        return f"{what} {percent:.3g} % {than}, n={excess.n}; shown at {100 * self.limits.error_rate:g} %"

    def _slower(self) -> str:
        return f"requests slower than {self.limits.p95_ratio:g} x the baseline's p95"

    def _errors(self) -> tuple[bool, str]:
        limits = self.limits
        limit = limits.errors_pct / 100
        return _kept("errors", self.errors, limit, limits.healthy_errors_pct, limits.errors_pct)

    def _slow(self) -> tuple[bool, str]:
        return _kept(self._slower(), self.slow, _SLOW, 100 * _SLOW, 100 * _SLOW_SHOWN)

    def _ratings(self) -> tuple[bool, str]:
        n, least, needed = self.discontent.n, self.limits.rating, self.limits.min_ratings
        if n < needed:
            return False, f"ratings: {n}, {needed} are needed"
        if not n:
            return True, "ratings: none, none are needed"
        mean, late = _rating(self.discontent), 5 - 4 * self.discontent.share_of_late((5 - least) / 4)
        if mean >= least > late:
            return False, f"mean rating {mean:.2f}, but {late:.2f} of late, not {least:g}, n={n}"
        return mean >= least, f"mean rating {mean:.2f} {'>=' if mean >= least else '<'} {least:g}, n={n}"


def _kept(what: str, excess: Excess, limit: float, below_pct: float, shown_pct: float) -> tuple[bool, str]:
    """Whether a share, that goes back over `limit`, is measured below the one, of late too, and shown below the other."""
    n, hits = excess.n, int(excess.hits)
    shown = shows_below(hits, n, shown_pct / 100, _CONFIDENCE)
    if not hits and not shown:
        needed = trials_to_show_below(shown_pct / 100, _CONFIDENCE)
        return False, f"{what}: {n} clean requests, {needed} are needed"
    percent, late = _percent(excess), 100 * excess.share_of_late(limit)
    proof = f"shown under {shown_pct:g} % at {100 * _CONFIDENCE:g} %, n={n}"
    if percent >= below_pct:
        return False, f"{what} {percent:.3g} %, not under {below_pct:g} %, n={n}"
    if late >= below_pct:
        return False, f"{what} {percent:.3g} % in all, but {late:.3g} % of late, not under {below_pct:g} %, n={n}"
    return shown, f"{what} {percent:.3g} % < {below_pct:g} %, {'' if shown else 'not yet '}{proof}"


def _percent(excess: Excess) -> float:
    return 100 * excess.hits / excess.n


def _rating(discontent: Excess) -> float:
    return 5 - 4 * discontent.hits / discontent.n


def _check(block: Block) -> None:
    """Raises NoEvidence for counts that are no counts, and for parts that are more than their whole."""
    counts = (block.requests, block.errors, block.timed, block.slow, block.ratings, block.schema_failures)
    if not all(math.isfinite(count) and count >= 0 and count == int(count) for count in counts):
        raise NoEvidence(f"{block}: no such counts")
    if block.errors > block.requests or block.slow > block.timed:
        raise NoEvidence(f"{block}: more errors than requests, or more slow ones than timed ones")
    slack = _ROUNDING * max(block.ratings, 1)
    if not block.ratings - slack <= block.rating_sum <= 5 * block.ratings + slack:
        raise NoEvidence(f"{block}: {block.ratings} ratings from 1 to 5 have no such sum")
