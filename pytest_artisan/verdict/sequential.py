"""Whether the mean of what comes in is above a limit, or below it, however often one looks.

All are bets against the limit (Ramdas et al., 2023, Statistical Science 38:576): while it holds, what each 1 laid has
become is at most 1 in the mean, and ever reaches 1 / error with a chance of at most `error` (Ville, 1939). A bet is laid on
an alternative, a share whose odds are a multiple of the limit's; a hit multiplies it by alternative / limit.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from dataclasses import dataclass
from functools import lru_cache

# Multiples of the limit's odds, and what is laid on each, 1 together; what meets the goals of `benchmarks/canary.py`. More
# on the second finds many hits sooner and a few later.
SINGLE = ((2.3, 0.3), (7.0, 0.55))
POOLED = ((51.0, 0.15),)
# The same for what shows that a limit is kept: 178 trials without a hit for 2 % at 95 %.
BELOW = ((0.1, 0.7), (0.4, 0.3))

# As many trials as the longest burst that must not decide by itself.
POOL = 20
# Fewer hits show nothing: of half the limit, four and five in a short time are what is oftenest taken for too much.
LEAST = 6
# So many hits are a burst where they come in a row, and so many where they come within as many trials as this / limit.
ROW, CROWD, CROWD_SPAN = 2, 3, 0.18
# What of a bet is laid at once, and how soon the rest follows: money laid later finds what begins later.
_AT_ONCE, _PACE = 0.95, 10.0
# JSON has no infinity, and what has become so much has said all.
_MOST = 1e300
_LOG_MOST = math.log(_MOST)

Laid = tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class Bets:
    """What has become, after so many `looks`, of what is laid on each alternative, of 1 that is there for each."""

    money: tuple[float, ...]
    looks: int = 0

    def after(self, gains: tuple[float, ...]) -> Bets:
        """After one more look, which multiplies each by its gain."""
        laid = kept(self.looks) - kept(self.looks + 1)
        money = [min((had + laid) * gain, _MOST) for had, gain in zip(self.money, gains, strict=True)]
        return Bets(tuple(money), self.looks + 1)

    def worth(self, on: Laid) -> float:
        """All of it, what is not laid yet included."""
        rest = kept(self.looks)
        return sum([share * (had + rest) for (_, share), had in zip(on, self.money, strict=True)])


@dataclass(frozen=True, slots=True)
class Lately:
    """The newest `n` trials, of which `hits`; and the share of hits `before` them, in as many as `after` was told of."""

    n: int = 0
    hits: float = 0.0
    before: float | None = None

    def after(self, n: int, hits: float, least: int) -> Lately:
        """After `n` more trials, at least one; the newest are counted anew once they are at least so many."""
        if self.n >= least:
            return Lately(n, hits, self.hits / self.n)
        return Lately(self.n + n, self.hits + hits, self.before)

    def share(self, least: int) -> float:
        """Of hits among the last trials, of which at least one is there: at least so many where there were so many.

        What the newest lack is filled up with the share before them: it is not known how that is spread.
        """
        if self.n >= least or self.before is None:
            return self.hits / self.n
        return (self.hits + (least - self.n) * self.before) / least


@dataclass(frozen=True, slots=True)
class Excess:
    """What speaks for a mean above a limit, 0 < limit < 1: `hits` of `n` trials.

    Of independent trials that keep the limit, the chance that `strongest` ever reaches 1 / error is at most `error`,
    however often one looks, if how many there are between two looks does not depend on their hits. Two kinds of bets:
    on single trials, which are quick, and for which a burst is two or three hits; and on the mean of each
    20 trials in a row, or of a larger block, which find what no burst explains. `recent` are the numbers of the last
    hits, counted from 1; `pool_n` and `pool_hits` the 20 that are not full yet; `lately` what came last, as many trials as
    show that the limit is kept where none of them is a hit.
    """

    n: int = 0
    hits: float = 0.0
    single: Bets = Bets((0.0, 0.0))
    pooled: Bets = Bets((0.0,))
    pool_n: int = 0
    pool_hits: float = 0.0
    recent: tuple[int, ...] = ()
    strongest: float = 1.0
    lately: Lately = Lately()

    def after(self, n: int, hits: float, limit: float, bursts: bool = True) -> Excess:
        """After `n` more trials, at least one, with `hits`, in an order that is not known; the limit is always the same.

        Where hits may come in `bursts`, they are whole; of several trials at most two count singly, and of
        forty or more each twenty are one trial. Else a hit may be
        partial, a number from 0 to 1 a trial; of the sum of several, the least is taken that it can say: that each is 0
        or 1.
        """
        single = self.single
        if bursts and n >= 2 * POOL:
            # Twenty as one trial, so that no burst is more than one hit; whatever the order, it can say no less.
            single = single.after(_gains(n / POOL, hits / POOL, hits / POOL, limit))
        elif not (bursts and self._in_burst(limit)):
            single = single.after(_gains(n, hits, min(hits, ROW) if bursts else hits, limit))
        room = min(n, POOL - self.pool_n)
        pool_n, pool_hits = self.pool_n + room, self.pool_hits + room * hits / n
        # What is still to come into the pool is worth what the limit lets expect.
        pooled = self.pooled.after(_gains_of_mean((pool_hits + (POOL - pool_n) * limit) / POOL, limit, POOLED))
        worth = single.worth(SINGLE) + pooled.worth(POOLED)
        return Excess(
            n=self.n + n,
            hits=self.hits + hits,
            single=single,
            pooled=pooled if pool_n == POOL else self.pooled,
            pool_n=pool_n % POOL,
            pool_hits=0.0 if pool_n == POOL else pool_hits,
            recent=self._recent(n, int(hits)) if bursts and hits else self.recent,
            strongest=max(self.strongest, worth) if self.hits + hits >= LEAST else self.strongest,
            lately=self.lately.after(n, hits, trials_to_show_below(limit)),
        )

    def share_of_late(self, limit: float) -> float:
        """The share of hits among the last trials, of which at least one is there; the limit is that of `after`."""
        return self.lately.share(trials_to_show_below(limit))

    def _in_burst(self, limit: float) -> bool:
        """Whether the next trial belongs to a burst, by those before it alone: so the others stay as likely hits as ever."""
        recent = self.recent
        if len(recent) >= ROW and recent[-ROW] == self.n - ROW + 1:
            return True
        return len(recent) == CROWD and recent[0] > self.n - round(CROWD_SPAN / limit)

    def _recent(self, n: int, hits: int) -> tuple[int, ...]:
        """The last hits, those of several trials evenly spread."""
        new = range(max(hits - CROWD, 0) + 1, hits + 1)
        return (*self.recent, *[self.n + place * n // hits for place in new])[-CROWD:]


def evidence_below(hits: int, n: int, limit: float) -> float:
    """What speaks for a share below the limit, 0 < limit < 1, of independent trials, however often one looks."""
    return sum(share * _product(hits, n - hits, gain(limit, odds)) for odds, share in BELOW)


def shows_below(hits: int, n: int, limit: float, confidence: float = 0.95) -> bool:
    """Whether `hits` of `n` independent trials, looked at after each, show a share below the limit."""
    return evidence_below(hits, n, limit) * (1 - confidence) >= 1


@lru_cache(maxsize=64)
def trials_to_show_below(limit: float, confidence: float = 0.95) -> int:
    """The fewest trials without a hit that show a share below the limit."""
    return bisect_left(range(10**12), True, key=lambda n: shows_below(0, n, limit, confidence))


def kept(looks: int) -> float:
    """How much is not laid yet after so many looks."""
    return (1 - _AT_ONCE) * _PACE / (_PACE + looks - 1) if looks else 1.0


def _gains(n: float, hits: float, counted: float, limit: float) -> tuple[float, ...]:
    """What single trials multiply the bets by, where of their hits so many count."""
    if n == 1:
        return _gains_of_mean(hits, limit, SINGLE)
    return tuple([_product(counted, n - hits, gain(limit, odds)) for odds, _ in SINGLE])


def _gains_of_mean(mean: float, limit: float, laid: Laid) -> tuple[float, ...]:
    return tuple([(1 - mean) * miss + mean * hit for hit, miss in [gain(limit, odds) for odds, _ in laid]])


def _product(hits: float, misses: float, each: tuple[float, float]) -> float:
    return math.exp(min(hits * math.log(each[0]) + misses * math.log(each[1]), _LOG_MOST))


@lru_cache(maxsize=64)
def gain(limit: float, odds: float) -> tuple[float, float]:
    """What a hit and what a miss multiplies by, where the alternative's odds are so many times the limit's."""
    rest = 1 - limit + odds * limit
    return odds / rest, 1 / rest
