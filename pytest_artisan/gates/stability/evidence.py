"""What an optimizer shows: in a run, in a repetition of it, and beside random search."""

from __future__ import annotations

import hashlib
import random
from dataclasses import replace

import numpy as np

from pytest_artisan.gates.gate import CheckEvidence, Project
from pytest_artisan.gates.stability.invariants import Watch
from pytest_artisan.gates.stability.optimizers import Factory, Optimizer
from pytest_artisan.gates.subjects import load_factory, place_of
from pytest_artisan.gates.tables import MogaStability
from pytest_artisan.moga.composition import Composition
from pytest_artisan.moga.indicators import sampled_hypervolume
from pytest_artisan.moga.ranking import Floats
from pytest_artisan.verdict.evidence import Finding, Measurement, NoEvidence, measured, measured_share
from pytest_artisan.verdict.judge import describe, judge

_REPEATED = 100  # iterations that run again, to be compared
_CONTESTS, _CONTEST_ITERATIONS = 20, 12
DRILLED = 30  # iterations of a planted optimizer


def of_seed(factory: Factory, seed: int, iterations: int, table: MogaStability, project: Project) -> CheckEvidence:
    """So many iterations for this seed, each checked; where something broke, how to see it again."""
    watch, raised = _watched(factory, seed, iterations, table)
    measurements = [
        measured("iterations", watch.iterations, unit="count", equal_to=iterations),
        *(
            measured(what, number, unit="count", at_most=getattr(table, what, 0))
            for what, number in watch.counts.items()
        ),
        measured("sum_deviation", watch.sum_deviation, unit="%", at_most=table.sum_deviation),
        measured("diversity", watch.diversity, unit="%", at_least=table.diversity),
        replace(measured("extent", watch.extent, unit="%", at_least=table.extent), points=watch.points),
        measured("renewals", 100 * watch.renewals / max(iterations - 1, 1), unit="%", at_least=table.renewals),
    ]
    path, line = place_of(factory, project)
    findings = []
    for what, text in [*_broken(measurements), *raised]:
        iteration = watch.first.get(what, watch.iterations)
        again = f"artisan moga-stability {table.subject or _name(factory)} --seed={seed} --iterations={iteration}"
        message = f"{text}, first in iteration {iteration} of seed {seed}: {again}"
        findings.append(Finding("moga_stability", what, message, path, line))
    return CheckEvidence(tuple(measurements), tuple(findings))


def _watched(factory: Factory, seed: int, iterations: int, table: MogaStability) -> tuple[Watch, list[tuple[str, str]]]:
    """The counts, and what the optimizer raised, which ends the run."""
    optimizer = _made(factory, seed)
    watch = Watch(optimizer.limits, table.smallest_share)
    try:
        for _ in range(iterations):
            watch.look(optimizer.step(), optimizer.front())
        watch.finish(optimizer)
    except Exception as error:  # noqa: BLE001 - whatever a stranger's optimizer raises is its answer
        watch.first["raised"] = watch.iterations + 1
        return watch, [("raised", f"{type(error).__name__}: {error}")]
    return watch, []


def _made(factory: Factory, seed: int) -> Optimizer:
    try:
        return factory(seed)
    except Exception as error:
        raise NoEvidence(f"the factory raised {type(error).__name__} for seed {seed}: {error}") from error


def _broken(measurements: list[Measurement]) -> list[tuple[str, str]]:
    return [(m.name, describe(m)) for m in measurements if any(judge(m))]


def _name(factory: Factory) -> str:
    return f"{getattr(factory, '__module__', '')}:{getattr(factory, '__qualname__', type(factory).__name__)}"


def of_repetition(factory: Factory, iterations: int = _REPEATED) -> CheckEvidence:
    """The same seed gives the same bytes, another one others, and nothing draws from a global generator."""
    kept = random.getstate(), np.random.get_state()
    try:
        first, touched = _trace(factory, 0, iterations, 1)
        second, _ = _trace(factory, 0, iterations, 2)
        other, _ = _trace(factory, 1, iterations, 1)
    finally:
        random.setstate(kept[0])
        np.random.set_state(kept[1])
    different = sum(a != b for a, b in zip(first, second, strict=True))
    alike = sum(a == b for a, b in zip(first, other, strict=True))
    return CheckEvidence(
        (
            measured("unrepeated iterations", different, unit="count", at_most=0, n=iterations),
            measured("iterations that ignore the seed", alike, unit="count", at_most=0, n=iterations),
            measured("global generators drawn from", touched, unit="count", at_most=0),
        )
    )


def _trace(factory: Factory, seed: int, iterations: int, disturbance: int) -> tuple[list[bytes], int]:
    """A digest of each iteration's population, and how many global generators it moved on."""
    random.seed(disturbance)
    np.random.seed(disturbance)
    before = _global_states()
    optimizer = _made(factory, seed)
    digests = []
    for _ in range(iterations):
        generation = optimizer.step()
        arrays = np.ascontiguousarray(generation.values), np.ascontiguousarray(generation.objectives)
        digests.append(hashlib.sha256(b"".join(array.tobytes() for array in arrays)).digest())
    return digests, sum(a != b for a, b in zip(before, _global_states(), strict=True))


def _global_states() -> tuple[object, object]:
    state = np.random.get_state(legacy=False)["state"]
    return random.getstate(), (state["key"].tobytes(), state["pos"])


def of_contests(factory: Factory, table: MogaStability) -> CheckEvidence:
    """Over many seeds, the share of runs whose formulas have more hypervolume than random search with as many formulas."""
    won = sum(_wins(factory, seed, table) for seed in range(_CONTESTS))
    return CheckEvidence((measured_share("runs that beat random search", won, _CONTESTS, at_least=table.beats_random),))


def _wins(factory: Factory, seed: int, table: MogaStability) -> bool:
    optimizer = _made(factory, seed)
    populations = [np.array(optimizer.step().values) for _ in range(_CONTEST_ITERATIONS)]
    found = optimizer.evaluate(populations[-1])
    limits = optimizer.limits
    mixtures = Composition(limits.upper, limits.weights, limits.bounds, lower_active=table.smallest_share)
    drawn = optimizer.evaluate(mixtures.sample(np.random.default_rng(seed), sum(map(len, populations))))
    return _volume(found, drawn) > _volume(drawn, found)


def _volume(front: Floats, other: Floats) -> float:
    """Hypervolume where the extent of both together is 1, below 1.1; sampled, for any number of objectives."""
    both = np.concatenate((front, other))
    low, extent = both.min(axis=0), np.maximum(np.ptp(both, axis=0), np.finfo(np.float64).tiny)
    return sampled_hypervolume((front - low) / extent, np.full(front.shape[1], 1.1))


def factory(project: Project, table: MogaStability) -> Factory:
    """The optimizer's, as the policy names it; raises NoEvidence where there is none."""
    return load_factory(table.subject, project.root)
