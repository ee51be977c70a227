"""What a flow shows: that it keeps its limits, learns from whom it should, agrees with itself, and forgets nothing."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from functools import wraps
from itertools import combinations, product
from pathlib import Path
from typing import Any

import numpy as np

from pytest_artisan.gates.feedback.flows import ALGORITHMS, Factory, Flow, Offer, Update
from pytest_artisan.gates.feedback.raters import MANNERS, Manner, Rater
from pytest_artisan.gates.gate import CheckEvidence, Project
from pytest_artisan.gates.subjects import load_factory
from pytest_artisan.gates.tables import E2eEvolution
from pytest_artisan.moga.ranking import Floats
from pytest_artisan.settings import one_line
from pytest_artisan.verdict.evidence import Finding, Measurement, NoEvidence, Points, measured, measured_share

# Offers that are compared, before and after; feedback in between; and runs, each with a taste of its own.
_COMPARED, _ROUNDS, _RUNS = 3, 8, 10
# The fewest runs that can show what the gate asks: signs of 7 differences are alike by chance once in 128 times.
DRILLED = 7
_STEPS = 6  # of the flow whose every step is looked at
_RESAMPLED = 10_000
# Rating points from which two options are clearly different.
_CLEAR = 1.0


def factory(project: Project, table: E2eEvolution) -> Factory:
    """The flow's, as the policy names it; raises NoEvidence where there is none."""
    return load_factory(table.subject, project.root)


def _answering(show: Callable[..., CheckEvidence]) -> Callable[..., CheckEvidence]:
    """Whatever a flow raises is its answer, and a bad one."""

    @wraps(show)
    def shown(*arguments: Any, **options: Any) -> CheckEvidence:
        try:
            return show(*arguments, **options)
        except NoEvidence:
            raise
        except Exception as error:  # noqa: BLE001
            finding = Finding(
                "e2e_evolution", "raised", one_line(f"{type(error).__name__}: {error}"), "pyproject.toml", 1
            )
            return CheckEvidence((measured("exceptions", 1, unit="count", at_most=0),), (finding,))

    return shown


@contextmanager
def _opened(factory: Factory, folder: Path, seed: int) -> Iterator[Flow]:
    try:
        flow = factory(folder, seed)
    except Exception as error:
        raise NoEvidence(f"the factory raised {type(error).__name__}: {error}") from error
    with closing(flow):
        yield flow


@contextmanager
def _fresh(factory: Factory, seed: int) -> Iterator[Flow]:
    with tempfile.TemporaryDirectory() as folder, _opened(factory, Path(folder), seed) as flow:
        yield flow


@_answering
def of_steps(factory: Factory, table: E2eEvolution) -> CheckEvidence:
    """The flow step by step: REINFORCE's options, feedback, an update of PPO, new options; and so on in turn."""
    offers: list[Offer] = []
    updates: list[Update] = []
    findings: list[Finding] = []
    with _fresh(factory, 0) as flow:
        for step in range(_STEPS):
            offer = flow.options(ALGORITHMS[(step + 1) % 2])
            offers.append(offer)
            rater = Rater(flow, offers[:1], MANNERS["consistent"], 0)
            updates.append(flow.feedback(offer.id, *rater.judge(offer), ALGORITHMS[step % 2]))
            for option in offer.options:
                for text in flow.broken(option.composition):
                    findings.append(Finding("e2e_evolution", "over_limit", f"{option.id}: {text}", "pyproject.toml", 1))
        dna = dict(flow.dna)
    sums = [math.fsum(option.composition.values()) for offer in offers for option in offer.options]
    alike = sum(_nearest(offer, dna) < table.distance for offer in offers)
    repeated = len(offers) - len({_content(offer) for offer in offers})
    numbers = [(u.loss, u.episode_return, u.entropy, u.clip_fraction, u.kl) for u in updates]
    applied = [update for update in updates if not update.rolled_back]
    return CheckEvidence(
        (
            measured("options", min(len(offer.options) for offer in offers), unit="count", at_least=table.options),
            measured("over_limit", len(findings), unit="count", at_most=0, n=len(sums)),
            measured("sum_deviation", max(abs(s - 100) for s in sums), unit="%", at_most=0.01, n=len(sums)),
            measured("offers with options alike", alike, unit="count", at_most=0, n=len(offers)),
            measured("offers made twice", repeated, unit="count", at_most=0, n=len(offers)),
            measured("metrics not finite", int((~np.isfinite(numbers)).sum()), unit="count", at_most=0),
            measured("updates applied", len(applied), unit="count", at_least=math.ceil(_STEPS / 2), n=_STEPS),
            measured("updates without effect", sum(u.kl == 0 for u in applied), unit="count", at_most=0),
            measured("kl", max((update.kl for update in applied), default=None), unit="nat", at_most=table.kl),
        ),
        tuple(findings),
    )


def _content(offer: Offer) -> tuple[object, ...]:
    return tuple(tuple(sorted(option.composition.items())) for option in offer.options)


def _nearest(offer: Offer, dna: Mapping[str, float]) -> float:
    """How much the two of the options and the DNA that are most alike differ: per cent of the whole, exchanged."""
    compositions = [dna, *(option.composition for option in offer.options)]
    return min(
        sum(abs(a.get(name, 0) - b.get(name, 0)) for name in a.keys() | b.keys()) / 2
        for a, b in combinations(compositions, 2)
    )


@_answering
def of_rater(
    factory: Factory, manner: Manner, algorithm: str, table: E2eEvolution, *, followed: bool, runs: int = _RUNS
) -> CheckEvidence:
    """How much better somebody likes the options after feedback than before, all of them made of the same DNA.

    Over `runs` with a taste each: the mean rise, its bootstrap interval, its size in its own standard deviations
    (Cohen's d), and the one-sided p of an exact test that turns signs (Fisher 1935). Who is not to be `followed`,
    because such a person guesses, must not seem to be: there the p may not be below the limit.
    """
    rises, curves, worst_kl = [], [], 0.0
    for seed in range(runs):
        with _fresh(factory, seed // 2) as flow:
            before = [flow.options(algorithm) for _ in range(_COMPARED)]
            rater = Rater(flow, before, manner, seed)
            curve = [rater.pleasure(before)]
            for _ in range(_ROUNDS):
                offer = flow.options(algorithm)
                curve.append(rater.pleasure([offer]))
                update = flow.feedback(offer.id, *rater.judge(offer), algorithm)
                worst_kl = max(worst_kl, 0.0 if update.rolled_back else update.kl)
            after = [flow.options(algorithm) for _ in range(_COMPARED)]
            # The offer that comes first was made before any feedback, as were those compared.
            curves.append([curve[0], *curve[2:], rater.pleasure(after)])
            rises.append(curves[-1][-1] - curve[0])
    return CheckEvidence(
        (
            *_risen(np.array(rises), np.array(curves), followed, table),
            measured("kl", worst_kl, unit="nat", at_most=table.kl),
        )
    )


def _risen(rises: Floats, curves: Floats, followed: bool, table: E2eEvolution) -> Iterator[Measurement]:
    chance, n = sign_flip_p(rises), len(rises)
    if not followed:
        yield measured("p of a rise", chance, unit="1", at_least=table.p, n=n)
        return
    yield measured("p of a rise", chance, unit="1", below=table.p, n=n)
    drawn = np.random.default_rng(0).choice(rises, (_RESAMPLED, n)).mean(axis=1)
    low, high = np.quantile(drawn, (0.025, 0.975))
    rise = measured("rise", rises.mean(), unit="rating points", at_least=table.rise, n=n, interval=(low, high))
    yield replace(rise, points=_learning(curves))
    yield measured("effect size d", rises.mean() / max(rises.std(ddof=1), 1e-12), unit="1", at_least=table.effect, n=n)


def _learning(curves: Floats) -> Points | None:
    """The mean rating after each feedback, and the quarters of the (runs, feedback + 1) that lie around it."""
    if not np.isfinite(curves).all():
        return None
    columns = range(curves.shape[1]), curves.mean(axis=0), *np.quantile(curves, (0.25, 0.75), axis=0)
    axes = ("feedback given", "mean rating", "lower quarter of runs", "upper quarter of runs")
    return Points.of(axes, zip(*columns, strict=True), joined=True)


def sign_flip_p(differences: Floats) -> float:
    """How often the mean of (n,) differences is at least as large when their signs are turned in all 2^n ways."""
    signs = np.array(list(product((1, -1), repeat=len(differences))))
    sums = signs @ differences
    return float((sums >= differences.sum() - 1e-12).mean())


@_answering
def of_agreement(factory: Factory, table: E2eEvolution) -> CheckEvidence:
    """How often both algorithms, taught by the same feedback, put two clearly different options in the rater's order."""
    agreed = pairs = 0
    for seed in range(DRILLED):
        with _fresh(factory, seed) as flow:
            first = [flow.options(ALGORITHMS[0]) for _ in range(_COMPARED)]
            rater = Rater(flow, first, MANNERS["consistent"], seed)
            for _ in range(_ROUNDS):
                offer = flow.options(ALGORITHMS[0])
                flow.feedback(offer.id, *rater.judge(offer), ALGORITHMS[0])
            last = [flow.options(algorithm) for algorithm in ALGORITHMS]
            for offer in (*first, *last):
                ratings = rater.ratings(offer)
                told = [flow.points(offer.id, algorithm) for algorithm in ALGORITHMS]
                for (a, liked_a), (b, liked_b) in combinations(zip(offer.options, ratings, strict=True), 2):
                    if abs(liked_a - liked_b) >= _CLEAR:
                        pairs += 1
                        agreed += len({points[a.id] > points[b.id] for points in told}) == 1
    return CheckEvidence((measured_share("pairs in the same order", agreed, pairs, at_least=table.agreement),))


@_answering
def of_restarts(factory: Factory) -> CheckEvidence:
    """A flow that is closed and opened after each feedback, and one that ends before it learns, beside one that goes on.

    All three are told the same, so all three have to offer the same, and can still be asked about the first experiment.
    """
    going, _ = _told(factory, again=False, early=False)
    again, unread = _told(factory, again=True, early=False)
    early, unread_early = _told(factory, again=True, early=True)
    changed, lost = (sum(a != b for a, b in zip(going, other, strict=True)) for other in (again, early))
    n = len(going)
    return CheckEvidence(
        (
            measured("offers that a restart changes", changed, unit="count", at_most=0, n=n),
            measured("offers that miss feedback given before a crash", lost, unit="count", at_most=0, n=n),
            measured("old experiments that can not be read", unread + unread_early, unit="count", at_most=0, n=2),
        )
    )


def _told(factory: Factory, *, again: bool, early: bool) -> tuple[list[tuple[object, ...]], int]:
    """What is offered while somebody says fixed things, and whether the first experiment can not be read at the end."""
    with tempfile.TemporaryDirectory() as name, ExitStack() as opened:
        flow, offers = opened.enter_context(_opened(factory, Path(name), 1)), []
        for step in range(_COMPARED + 1):
            offer = flow.options(ALGORITHMS[0])
            offers.append(offer)
            said = offer.id, offer.options[step % 2].id, 1 + step
            if early:
                flow.keep(*said)
            else:
                flow.feedback(*said, ALGORITHMS[0])
            if again:
                opened.close()
                flow = opened.enter_context(_opened(factory, Path(name), 1))
        try:
            unread = len(flow.points(offers[0].id, ALGORITHMS[0])) != len(offers[0].options)
        except Exception:  # noqa: BLE001 - whatever a stranger's flow raises, it does not answer
            unread = True
        return [_content(offer) for offer in offers], unread
