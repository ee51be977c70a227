"""How often the statistics of a load gate are right: `python benchmarks/load_intervals.py` (`--runs` a line)."""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable, Iterable
from functools import partial
from itertools import accumulate
from statistics import NormalDist, median

import numpy as np
from moga import table
from numpy.typing import NDArray
from problems import Floats

from pytest_artisan.verdict.series import decided, series_quantile, share_interval, shows_at_most
from pytest_artisan.verdict.statistics import quantile_interval

Draw = Callable[[np.random.Generator], Floats]
SIGMA = 0.5
# What a request takes where the server is not frozen: seconds, the middle and the spread of its logarithm.
BASE = math.log(0.005), 0.3
SECONDS, FROZEN = 30, 1.0
# Draws for a true quantile that has no short formula.
MANY = 10_000_000
HORIZON = 20_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=2000, help="simulated load tests for each line")
    runs = parser.parse_args().runs
    quantiles(runs)
    shares(runs)
    early(runs)
    speed()


def quantiles(runs: int) -> None:
    """The 95 % interval of the p95, beside that of independent order statistics."""
    rows = []
    for name, true, draw in quantile_cases():
        rng = np.random.default_rng(20261124)
        found = [
            (series_quantile(values, 0.95), sorted(values)) for values in (draw(rng).tolist() for _ in range(runs))
        ]
        plain = [quantile_interval(ordered, 0.95) for _, ordered in found]
        widths = [((ordered[-1] if high is None else high) - low) / true for (_, low, high), ordered in found]
        # Of so many samples the ranks always bound it.
        usual = [(high - low) / true for _, low, high in plain if high is not None]
        rows.append(
            (
                name,
                percent(low <= true and (high is None or true <= high) for (_, low, high), _ in found),
                f"{median(widths):.2f}",
                percent(high is None for (_, _, high), _ in found),
                percent(low <= true and (high is None or true <= high) for _, low, high in plain),
                f"{median(usual):.2f}",
            )
        )
    header = ("the p95 of", "holds it", "width / p95", "no upper end", "independent ranks hold it", "width / p95")
    table(f"The 95 % interval of the p95, {runs} runs; goals 94 % independent, 85 % in stalls", header, rows)


def quantile_cases() -> list[tuple[str, float, Draw]]:
    z95 = NormalDist().inv_cdf(0.95)
    cases: list[tuple[str, float, Draw]] = [
        (f"independent, n = {n:,}", math.exp(SIGMA * z95), partial(independent, n)) for n in (300, 1000, 3000)
    ]
    rng = np.random.default_rng(1)
    base = rng.lognormal(*BASE, MANY)
    at_random = float(np.quantile(np.maximum(FROZEN - rng.exponential(10, MANY), 0) + base, 0.95))
    periodic = float(np.quantile(np.maximum(FROZEN - 10 * rng.random(MANY), 0) + base, 0.95))
    for rate in (10, 100):
        cases.append((f"stalls at random, {rate}/s", at_random, partial(stalled, rate, SECONDS, random_moments)))
        cases.append((f"stalls each 10 s, {rate}/s", periodic, partial(stalled, rate, SECONDS, periodic_moments)))
    cases.append(("stalls at random, 10/s, 60 s", at_random, partial(stalled, 10, 60, random_moments)))
    drifting = math.exp(math.hypot(SIGMA, 0.3) * z95)
    cases.extend((f"drift, memory 5 s, {rate}/s", drifting, partial(drift, rate)) for rate in (10, 100))
    return cases


def independent(n: int, rng: np.random.Generator) -> Floats:
    return rng.lognormal(0, SIGMA, n)


def stalled(
    rate: int,
    seconds: int,
    moments: Callable[[int, np.random.Generator], Floats],
    rng: np.random.Generator,
) -> Floats:
    """The latencies of jittered arrivals, of which each that meets a frozen server waits for its end."""
    n = rate * seconds
    arrivals = (np.arange(n) + rng.random(n)) / rate
    return frozen_for(arrivals, moments(seconds, rng)) + rng.lognormal(*BASE, n)


def frozen_for(arrivals: Floats, moments: Floats) -> Floats:
    """How long the server is still frozen at each arrival."""
    since = np.concatenate(([-math.inf], moments))[np.searchsorted(moments, arrivals, side="right")]
    return np.maximum(since + FROZEN - arrivals, 0)


def random_moments(seconds: int, rng: np.random.Generator, apart: float = 10) -> Floats:
    """A Poisson process, so that a freeze may begin within another, and one in twenty runs of 30 s has none."""
    span = seconds + FROZEN
    return np.sort(rng.random(rng.poisson(span / apart)) * span - FROZEN)


def periodic_moments(seconds: int, rng: np.random.Generator) -> Floats:
    return np.arange(-10.0, seconds, 10.0) + 10 * rng.random()


def drift(rate: int, rng: np.random.Generator) -> Floats:
    """Independent latencies times a level that wanders by 30 % and forgets within some 5 s."""
    n, kept = rate * SECONDS, math.exp(-1 / (5 * rate))
    steps, level, levels = rng.standard_normal(n), rng.standard_normal(), []
    for step in steps:
        level = kept * level + math.sqrt(1 - kept**2) * step
        levels.append(0.3 * level)
    wandering: Floats = np.exp(levels + SIGMA * rng.standard_normal(n))
    return wandering


def shares(runs: int) -> None:
    """Intervals of a share of hits, and how often one at the limit is said to be at most the limit."""
    rows = []
    for share in (0.005, 0.05):
        for n in (300, 3000):
            for name, draw in (("independent", scattered), ("bursts of 1 s", bursts)):
                rng = np.random.default_rng(20261124)
                samples = [draw(share, n, rng).tolist() for _ in range(runs)]
                held = [low <= share <= high for low, high in map(share_interval, samples)]
                shown = percent(shows_at_most(hits, share) for hits in samples)
                half = percent(shows_at_most(hits, 2 * share) for hits in samples)
                none = percent(not any(hits) for hits in samples)
                rows.append((f"{share:.1%}, n = {n:,}, {name}", percent(held), shown, half, none))
    header = ("true share", "interval holds it", "shown at most the share", "shown at most twice it", "not one hit")
    table(f"Shares, {runs} runs of {SECONDS} s; goals 95 %, and 5 % where independent", header, rows)


def scattered(share: float, n: int, rng: np.random.Generator) -> NDArray[np.bool_]:
    return rng.random(n) < share


def bursts(share: float, n: int, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Every request hits that meets a frozen server, which is as often as gives the share."""
    arrivals = (np.arange(n) + rng.random(n)) * SECONDS / n
    moments = random_moments(SECONDS, rng, apart=-FROZEN / math.log1p(-share))
    return frozen_for(arrivals, moments) > 0


def early(runs: int) -> None:
    """The sequential test, not simulated but computed: the chance of each count of hits that is still undecided.

    Only in bursts, of which it knows nothing, it is simulated.
    """
    rows = []
    for limit in (0.05, 0.01, 0.001):
        borders = undecided(limit)
        for name, share in (("the limit", limit), ("0", 0.0), ("2x", 2 * limit), ("10x", 10 * limit), ("1", 1.0)):
            below, above, middle = outcome(borders, share)
            wrong = below + above if share == limit else above if share < limit else below
            rows.append(
                (
                    f"{limit:.1%}",
                    name,
                    f"{wrong:.2%}",
                    f"{below + above:.1%}",
                    f"{middle:,}" if middle else f"over {HORIZON:,}",
                )
            )
    rng = np.random.default_rng(20261124)
    said = [first_decision(bursts(0.05, 300, rng).tolist(), 0.05) for _ in range(runs)]
    ever = [n for n, answer in said if answer is not None]
    at = f"{median(n for n, _ in said):,.0f}" if 2 * len(ever) > runs else "over 300"
    rows.append(("5.0%", "the limit, in bursts, up to 300", *2 * (f"{len(ever) / runs:.1%}",), at))
    rows.append(("", "- as above it", percent(answer is True for _, answer in said), "", ""))
    header = ("limit", "true share", "decided wrongly", "decided", "requests, median")
    table(f"The sequential test, error 1 %, up to {HORIZON:,} requests", header, rows)


def first_decision(hits: list[bool], limit: float) -> tuple[int, bool | None]:
    """After how many requests the test decides, and what."""
    for n, count in enumerate(accumulate(hits), 1):
        answer = decided(count, n, limit)
        if answer is not None:
            return n, answer
    return len(hits), None


def undecided(limit: float, horizon: int = HORIZON) -> list[tuple[int, int]]:
    """For each number of requests, the most hits that show at most the limit, and the fewest that show more."""
    few, many, borders = -1, 1, []
    for n in range(1, horizon + 1):
        while many <= n and not decided(many, n, limit):
            many += 1
        while few < n and decided(few + 1, n, limit) is False:
            few += 1
        borders.append((few, many))
    return borders


def outcome(borders: list[tuple[int, int]], share: float) -> tuple[float, float, int | None]:
    """The chance to be decided as at most the limit, and as above it, and the requests of the median run."""
    chances, first, below, above, middle = np.ones(1), 0, 0.0, 0.0, None
    for n, (few, many) in enumerate(borders, 1):
        chances = np.convolve(chances, (1 - share, share))
        start = max(few + 1 - first, 0)
        end = max(min(many - first, len(chances)), start)
        below += float(chances[:start].sum())
        above += float(chances[end:].sum())
        chances, first = chances[start:end], first + start
        if middle is None and below + above >= 0.5:
            middle = n
        if not len(chances):
            break
    return below, above, middle


def speed() -> None:
    rng = np.random.default_rng(20261124)
    values, hits = independent(70_000, rng).tolist(), scattered(0.04, 70_000, rng).tolist()
    ways: list[tuple[str, Callable[[], object], int]] = [
        ("series_quantile", lambda: series_quantile(values, 0.95), 5),
        ("share_interval", lambda: share_interval(hits), 5),
        ("shows_at_most", lambda: shows_at_most(hits, 0.05), 5),
        ("decided", lambda: decided(2_900, 70_000, 0.04), 10_000),
    ]
    rows = []
    for name, run, times in ways:
        started = time.perf_counter()
        for _ in range(times):
            run()
        rows.append((name, f"{1e3 * (time.perf_counter() - started) / times:.3g} ms"))
    table("A call with 70,000 samples", ("function", "mean"), rows)


def percent(whether: Iterable[bool]) -> str:
    held = list(whether)
    return f"{sum(held) / len(held):.1%}"


if __name__ == "__main__":
    main()
