"""How often and how soon a canary is sent back: `python benchmarks/canary.py` (`--canaries` a line, `--requests` at most)."""

from __future__ import annotations

import argparse
import math
import time
from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from statistics import NormalDist, median

import numpy as np
from moga import table
from numpy.typing import NDArray
from problems import Floats

from pytest_artisan.release.health import Block, Health, Limits, Ruling
from pytest_artisan.verdict.sequential import (
    BELOW,
    CROWD,
    CROWD_SPAN,
    LEAST,
    POOL,
    POOLED,
    ROW,
    SINGLE,
    Excess,
    Laid,
    gain,
    kept,
    trials_to_show_below,
)
from pytest_artisan.verdict.statistics import log_binomial

Flags = NDArray[np.bool_]
Counts = NDArray[np.int64]
# Whether the next request of each canary is a hit, without end.
Stream = Iterator[Flags]
SEED = 20261127
ERRORS, SLOW = 0.02, 0.05
# Of the logarithm of a latency.
SIGMA = 0.6
WINDOW = 100
NEVER = np.iinfo(np.int64).max


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--canaries", type=int, default=10_000)
    parser.add_argument("--requests", type=int, default=6000, help="of a canary that nothing sends back")
    options = parser.parse_args()
    false_alarms(options.canaries, options.requests)
    detections(options.canaries)
    polled(options.canaries // 10)
    proofs(options.canaries, options.requests)
    speed()


def false_alarms(canaries: int, requests: int) -> None:
    """Canaries that keep the limit, with a look at every request."""
    rows = []
    for name, goal, make, limit in innocents():
        ours = breaches(make(np.random.default_rng(SEED), canaries), canaries, limit, requests)
        naive = crossings(make(np.random.default_rng(SEED), canaries), canaries, limit, requests)
        rows.append(
            (name, f"{np.sum(ours < NEVER):,}", f"{np.mean(ours < NEVER):.2%}", goal, f"{np.mean(naive < NEVER):.1%}")
        )
    for name, chance in (
        ("errors at half the limit, computed", rare(canaries)),
        ("the same, of any rule that finds 10 % in 60", least_rare(60)),
    ):
        rows.append((name, f"{canaries * chance:.2g}", f"{chance:.4%}", "", ""))
    table(
        f"Sent back although the limit is kept, {canaries:,} canaries of {requests:,} requests",
        ("what", "canaries", "share", "goal", "over the limit in any 100"),
        rows,
    )


def innocents() -> Iterator[tuple[str, str, Callable[[np.random.Generator, int], Stream], float]]:
    yield "errors at the limit", "1 %", partial(independent, ERRORS), ERRORS
    yield "errors at half the limit", "0", partial(independent, ERRORS / 2), ERRORS
    for lengths in ((2, 2), (5, 5), (10, 10), (20, 20), (1, 20)):
        yield f"half the limit, bursts of {long(lengths)}", "1 %", partial(bursts, ERRORS / 2, lengths, 1.0), ERRORS
    for lengths, part in (((10, 10), 0.5), ((20, 20), 0.75), ((20, 20), 0.5), ((20, 20), 0.25)):
        name = f"half the limit, {part:.0%} errors in bursts of {long(lengths)}"
        yield name, "", partial(bursts, ERRORS / 2, lengths, part), ERRORS
    yield "p95 at the limit", "1 %", partial(slowed, 1.2), SLOW
    yield "p95 at 1.1 x", "1 %", partial(slowed, 1.1), SLOW


def long(lengths: tuple[int, int]) -> str:
    shortest, longest = lengths
    return f"{longest}" if shortest == longest else f"{shortest} to {longest}"


def detections(canaries: int) -> None:
    """How many requests it takes, in the middle, and for nine of ten."""
    cases: list[tuple[str, int | None, Callable[[np.random.Generator, int], Stream], float]] = [
        ("errors 10 %", 60, partial(independent, 0.1), ERRORS),
        ("errors 5 %", 330, partial(independent, 0.05), ERRORS),
        ("errors 20 %", None, partial(independent, 0.2), ERRORS),
        ("errors 50 %", None, partial(independent, 0.5), ERRORS),
        ("errors 100 %", 60, partial(independent, 1.0), ERRORS),
        ("errors 100 % after 1,000 of 0.5 %", None, partial(broken, 0.005, 1000, 1.0), ERRORS),
        ("errors 10 % after 1,000 of 0.5 %", None, partial(broken, 0.005, 1000, 0.1), ERRORS),
        ("p95 at 2.0 x", 35, partial(slowed, 2.0), SLOW),
        ("p95 at 1.5 x", 250, partial(slowed, 1.5), SLOW),
    ]
    rows = []
    for name, goal, make, limit in cases:
        start = 1000 if "after" in name else 0
        ours = breaches(make(np.random.default_rng(SEED), canaries), canaries, limit, 6000) - start
        naive = crossings(make(np.random.default_rng(SEED), canaries), canaries, limit, 6000) - start
        ends = (f"{np.median(ours):,.0f}", f"{np.quantile(ours, 0.9):,.0f}")
        already = f", {np.mean(naive <= 0):.0%} before it began" if start else ""
        rows.append((name, *ends, f"{goal or ''}", f"{np.median(naive):,.0f}{already}"))
    table("Requests until it is sent back", ("what", "median", "90 %", "goal", "over the limit in any 100"), rows)


def polled(canaries: int) -> None:
    """Counters read now and then: the order between two looks is not known."""
    rows = []
    for n in (5, 15, 100, 400):
        for name, make in (
            ("the limit", partial(independent, ERRORS)),
            ("half, bursts of 20", partial(bursts, ERRORS / 2, (20, 20), 1.0)),
            ("10 %", partial(independent, 0.1)),
            ("100 %", partial(independent, 1.0)),
        ):
            stream = make(np.random.default_rng(SEED), canaries)
            found = [first_of_blocks(counts, n) for counts in blocks(stream, n, 6000 // n)]
            ever = [looks for looks in found if looks is not None]
            middle = f"{median(ever) * n:,.0f}" if 2 * len(ever) > canaries else "-"
            rows.append((f"{n}", name, f"{len(ever) / canaries:.2%}", middle))
    head = ("requests a look", "errors", "sent back", "requests, median")
    table(f"Counters read now and then, {canaries:,} canaries of 6,000 requests", head, rows)


def blocks(stream: Stream, n: int, looks: int) -> list[list[int]]:
    """For each canary its errors between two looks."""
    counts = [np.sum([next(stream) for _ in range(n)], axis=0) for _ in range(looks)]
    columns: list[list[int]] = np.stack(counts, axis=1).tolist()
    return columns


def first_of_blocks(counts: list[int], n: int) -> int | None:
    excess = Excess()
    for look, errors in enumerate(counts, 1):
        excess = excess.after(n, errors, ERRORS)
        if excess.strongest >= 100:
            return look
    return None


def proofs(canaries: int, requests: int) -> None:
    """When health is shown, of errors alone, looked at after each request."""
    rows = []
    for share in (0.0, 0.003, 0.005, 0.008, 0.01, 0.02, 0.03):
        shown = proven(independent(share, np.random.default_rng(SEED), canaries), canaries, requests)
        ever = shown < NEVER
        middle = f"{np.median(shown):,.0f}" if ever.mean() > 0.5 else "-"
        rows.append((f"{share:.1%}", f"{ever.mean():.2%}", f"{shown.min():,}" if ever.any() else "-", middle))
    head = ("true errors", "shown to be healthy", "earliest", "requests, median")
    needed = trials_to_show_below(ERRORS)
    table(f"Under 1 %, of late too, and shown under 2 % at 95 %; goals never before {needed}, 5 % at 2 %", head, rows)


def independent(share: float, rng: np.random.Generator, canaries: int) -> Stream:
    while True:
        yield rng.random(canaries) < share


def slowed(ratio: float, rng: np.random.Generator, canaries: int) -> Stream:
    """Whether a request is slower than 1.2 times the baseline's p95, where all take `ratio` times as long."""
    limit = 1.2 * math.exp(SIGMA * NormalDist().inv_cdf(0.95))
    while True:
        yield ratio * rng.lognormal(0, SIGMA, canaries) > limit


def bursts(share: float, lengths: tuple[int, int], part: float, rng: np.random.Generator, canaries: int) -> Stream:
    """Bursts at random moments, of which a `part` are errors, `share` of all in the mean."""
    shortest, longest = lengths
    usual = (shortest + longest) / 2
    begins = 1 / (usual * part / share - usual + 1)
    left = np.zeros(canaries, dtype=np.int64)
    while True:
        new = (left == 0) & (rng.random(canaries) < begins)
        left = np.where(new, rng.integers(shortest, longest + 1, canaries), left)
        yield (left > 0) & (rng.random(canaries) < part)
        left = np.maximum(left - 1, 0)


def broken(before: float, at: int, share: float, rng: np.random.Generator, canaries: int) -> Stream:
    well, ill = independent(before, rng, canaries), independent(share, rng, canaries)
    for _ in range(at):
        yield next(well)
    yield from ill


def breaches(stream: Stream, canaries: int, limit: float, requests: int, hits: Counts | None = None) -> Counts:
    """After how many requests each canary is over its limit at 1 %, else NEVER; `hits` takes the hits until then.

    What `Excess` does for a look at every request, for all canaries at once; `tests/test_sequential.py` compares the two.
    """
    judges, found = Judges(canaries, limit), np.full(canaries, NEVER)
    for look in range(1, requests + 1):
        now, running = next(stream), found == NEVER
        if hits is not None:
            hits += now & running
        found[running & (judges.after(now) >= 100)] = look
        if look % 20 == 0 and not running.any():
            break
    return found


class Judges:
    """`Excess` of many canaries, each after the same number of single trials."""

    def __init__(self, canaries: int, limit: float) -> None:
        self.limit, self.n = limit, 0
        self.looks, self.pools = np.zeros(canaries, dtype=np.int64), 0
        self.single, self.pooled = np.zeros((len(SINGLE), canaries)), np.zeros((len(POOLED), canaries))
        self.hits, self.pool, self.strongest = np.zeros(canaries), np.zeros(canaries), np.ones(canaries)
        # The numbers of the last hits, the last one first; long ago where there was none.
        self.recent = np.full((CROWD, canaries), -(10**9))

    def after(self, hits: Flags) -> Floats:
        """What speaks most against each canary, one more request included."""
        crowded = self.recent[CROWD - 1] > self.n - round(CROWD_SPAN / self.limit)
        free = ~(crowded | (self.recent[ROW - 1] == self.n - ROW + 1))
        laid = kept_of(self.looks) - kept_of(self.looks + 1)
        self.single = np.where(free, (self.single + laid) * self._gains(hits, SINGLE), self.single)
        self.looks += free
        self.n, self.hits, self.pool = self.n + 1, self.hits + hits, self.pool + hits
        laid_on_pools = kept(self.pools) - kept(self.pools + 1)
        means = (self.pool + -self.n % POOL * self.limit) / POOL
        pooled = (self.pooled + laid_on_pools) * self._gains(means, POOLED)
        worth = shares(SINGLE) @ (self.single + kept_of(self.looks)) + shares(POOLED) @ (pooled + kept(self.pools + 1))
        if self.n % POOL == 0:
            self.pooled, self.pool, self.pools = pooled, np.zeros_like(self.pool), self.pools + 1
        moved = np.concatenate((np.full((1, len(hits)), self.n), self.recent[:-1]))
        self.recent = np.where(hits, moved, self.recent)
        self.strongest = np.where(self.hits >= LEAST, np.maximum(self.strongest, worth), self.strongest)
        return self.strongest

    def _gains(self, means: Flags | Floats, laid: Laid) -> Floats:
        gains = [gain(self.limit, odds) for odds, _ in laid]
        return np.stack([(1 - means.astype(float)) * miss + means * hit for hit, miss in gains])


def shares(laid: Laid) -> Floats:
    return np.array([share for _, share in laid])


KEPT = np.array([kept(looks) for looks in range(10_000)])


def kept_of(looks: Counts) -> Floats:
    of_each: Floats = KEPT[looks]
    return of_each


def crossings(stream: Stream, canaries: int, limit: float, requests: int) -> Counts:
    """The naive rule: after how many requests more than the limit's share of any 100 in a row are hits, else NEVER."""
    last, count = np.zeros((WINDOW, canaries), dtype=np.bool_), np.zeros(canaries, dtype=np.int64)
    found = np.full(canaries, NEVER)
    for look in range(1, requests + 1):
        now, oldest = next(stream), last[look % WINDOW]
        count += now.astype(np.int64) - oldest
        last[look % WINDOW] = now
        found[(found == NEVER) & (count > limit * WINDOW)] = look
        if look % 20 == 0 and (found < NEVER).all():
            break
    return found


def proven(stream: Stream, canaries: int, requests: int) -> Counts:
    """After how many requests errors are under 1 %, of late too, and shown under 2 % at 95 %, else NEVER.

    What `Health` asks of errors, of a look at every request, for all canaries at once.
    """
    gains, least = np.log([gain(ERRORS, odds) for odds, _ in BELOW]), trials_to_show_below(ERRORS)
    hits, found = np.zeros(canaries, dtype=np.int64), np.full(canaries, NEVER)
    newest, before = np.zeros(canaries, dtype=np.int64), np.zeros(canaries, dtype=np.int64)
    for n in range(1, requests + 1):
        now, counted = next(stream), (n - 1) % least
        hits += now
        before, newest = (before, newest + now) if counted else (newest, now.astype(np.int64))
        late = (newest + (least - counted - 1) * before / least) / min(n, least)
        worth = shares(BELOW) @ np.exp(np.outer(gains[:, 0], hits) + np.outer(gains[:, 1], n - hits))
        found[(found == NEVER) & (worth * (1 - 0.95) >= 1) & (np.maximum(hits / n, late) < 0.01)] = n
    return found


def rare(canaries: int, share: float = ERRORS / 2, drawn: float = 0.05) -> float:
    """The chance of a canary at half the limit to be sent back, too small to count: of others, by their likelihood."""
    hits = np.zeros(canaries, dtype=np.int64)
    found = breaches(independent(drawn, np.random.default_rng(SEED), canaries), canaries, ERRORS, 2000, hits)
    ever = found < NEVER
    misses = found[ever] - hits[ever]
    weights = np.exp(hits[ever] * math.log(share / drawn) + misses * math.log((1 - share) / (1 - drawn)))
    return float(weights.sum()) / canaries


def least_rare(requests: int, share: float = ERRORS / 2, found: float = 0.1) -> float:
    """The least chance that half the limit has with a rule that sends `found` back within so many requests, half the time.

    That of Neyman and Pearson: from some count of errors on, and for one less in a part of the cases.
    """
    power = chance = 0.0
    for errors in range(requests, 0, -1):
        step = math.exp(log_binomial(errors, requests, found))
        part = min((0.5 - power) / step, 1.0)
        power, chance = power + part * step, chance + part * math.exp(log_binomial(errors, requests, share))
        if part < 1:
            break
    return chance


def speed() -> None:
    rng = np.random.default_rng(SEED)
    errors, slow = (rng.random((2, 20_000)) < np.array([[0.01], [0.025]])).tolist()
    health, window = Health(Limits(min_ratings=0)), deque([False] * WINDOW)
    looks, naive, over = [], [], 0
    for error, late in zip(errors, slow, strict=True):
        started = time.perf_counter()
        health = health.after(Block(requests=1, errors=error, timed=1, slow=late))
        rolled_back = health.opinion().ruling is Ruling.ROLL_BACK
        looks.append(time.perf_counter() - started)
        started = time.perf_counter()
        over += error - window.popleft()
        window.append(error)
        rolled_back |= over > ERRORS * WINDOW
        naive.append(time.perf_counter() - started)
    ours, theirs = 1e6 * median(looks), 1e6 * median(naive)
    row = (f"{ours:.3g} us", "50 us", f"{theirs:.2g} us", f"{ours / theirs:.0f} x")
    table(
        "A look at a block of one request, errors and p95, with its opinion",
        ("median", "goal", "any 100", "ratio"),
        [row],
    )


if __name__ == "__main__":
    main()
