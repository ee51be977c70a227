"""How often a 95 % interval holds what is true, and how often a decision is wrong: simulated, no server needed.

    python benchmarks/load_intervals.py [--runs 1000]

Latencies are independent (lognormal, sigma 0.5), or those of a server that is frozen for a second: at random moments, once
in ten seconds on average, or in every tenth second with a random phase. The truth is that of 60,000 s.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable

import numpy as np

from pytest_artisan.load.arrivals import Floats, arrivals
from pytest_artisan.verdict.series import decided, series_quantile, share_interval, shows_at_most
from pytest_artisan.verdict.statistics import quantile_interval

Latencies = Callable[[float, float, np.random.Generator], Floats]


def independent(rate: float, seconds: float, rng: np.random.Generator) -> Floats:
    return rng.lognormal(0, 0.5, round(rate * seconds))


def random_stalls(rate: float, seconds: float, rng: np.random.Generator) -> Floats:
    return _frozen(rate, seconds, np.sort(rng.random(rng.poisson((seconds + 5) / 10)) * (seconds + 5) - 5), rng)


def periodic_stalls(rate: float, seconds: float, rng: np.random.Generator) -> Floats:
    return _frozen(rate, seconds, np.arange(-20, seconds + 10, 10) + 10 * rng.random(), rng)


def _frozen(rate: float, seconds: float, starts: Floats, rng: np.random.Generator) -> Floats:
    due = arrivals("jitter", rate, round(rate * seconds), rng)
    last = np.searchsorted(starts, due, side="right") - 1
    ends = np.where(last >= 0, starts[np.maximum(last, 0)] + 1, -1) if len(starts) else np.full(len(due), -1.0)
    return np.maximum(ends - due, 0) + rng.lognormal(math.log(0.005), 0.3, len(due))


def cover_quantile(name: str, latencies: Latencies, rate: float, runs: int, rng: np.random.Generator) -> None:
    true = float(np.quantile(np.concatenate([latencies(100, 3000, rng) for _ in range(20)]), 0.95))
    held, plain, open_ends, widths = 0, 0, 0, []
    for _ in range(runs):
        sample = latencies(rate, 30, rng).tolist()
        _, low, high = series_quantile(sample, 0.95)
        held += low <= true <= (math.inf if high is None else high)
        open_ends += high is None
        widths += [] if high is None else [(high - low) / true]
        _, low, high = quantile_interval(sorted(sample), 0.95)
        plain += low <= true <= (math.inf if high is None else high)
    width = f"{np.median(widths):.2f}" if widths else "-"
    print(
        f"p95 {name:<16} n={rate * 30:<6.0f} {held / runs:6.1%}  plain {plain / runs:6.1%}"
        f"  width {width} of the p95, no upper end {open_ends / runs:.0%}"
    )


def cover_share(share: float, burst: int, runs: int, rng: np.random.Generator) -> None:
    """Errors alone, or in bursts of some length on average."""
    held = wrong = 0
    for _ in range(runs):
        if burst == 1:
            hits = rng.random(300) < share
        else:
            starts = rng.random(300 + burst) < share / burst
            hits = np.convolve(starts, np.ones(burst))[burst : burst + 300] > 0
        low, high = share_interval(hits.tolist())
        held += low <= share <= high
        wrong += shows_at_most(hits.tolist(), share)
    kind = "independent" if burst == 1 else f"in bursts of {burst}"
    print(f"errors {share:.1%} {kind:<16} n=300   {held / runs:6.1%}  wrongly shown {wrong / runs:.1%}")


def decide(true: float, runs: int, rng: np.random.Generator) -> None:
    """A look after each of 3,000 requests, the limit 5 %."""
    answers, sizes = [], []
    for _ in range(runs):
        hits = (rng.random(3000) < true).cumsum()
        found = next(
            ((decided(int(k), n, 0.05), n) for n, k in enumerate(hits, 1) if decided(int(k), n, 0.05) is not None), None
        )
        answers.append(found and found[0])
        sizes += [found[1]] if found else []
    size = f"after {np.median(sizes):.0f}" if sizes else ""
    print(
        f"decided, {true:.1%} where 5 % is the limit: above {answers.count(True) / runs:.1%}, below {answers.count(False) / runs:.1%} {size}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=1000)
    runs = parser.parse_args().runs
    rng = np.random.default_rng(0)
    for rate in (10.0, 100 / 3, 100.0):
        cover_quantile("independent", independent, rate, runs, rng)
    for rate in (10.0, 100.0):
        cover_quantile("random stalls", random_stalls, rate, runs, rng)
        cover_quantile("periodic stalls", periodic_stalls, rate, runs, rng)
    for share in (0.005, 0.05):
        for burst in (1, 10):
            cover_share(share, burst, runs, rng)
    for true in (0.0, 0.01, 0.05, 0.1, 0.5, 1.0):
        decide(true, max(runs // 5, 1), rng)


if __name__ == "__main__":
    main()
