"""Ten thousand iterations of an optimizer, every invariant checked in each, on whole populations."""

from __future__ import annotations

from functools import partial

from pytest_artisan.gates.gate import CheckEvidence, Gate, Project
from pytest_artisan.gates.subjects import Runs, checks_of_subject
from pytest_artisan.gates.tables import SEEDS, MogaStability


def _seed(seed: int, drill: bool, project: Project, table: MogaStability) -> CheckEvidence:
    """This seed's part of the iterations; the parts add up to all of them."""
    from pytest_artisan.gates.stability import evidence, saboteurs

    if drill:
        return evidence.of_seed(saboteurs.BY_SEED[seed], seed, evidence.DRILLED, table, project)
    share = table.iterations // SEEDS + (seed < table.iterations % SEEDS)
    return evidence.of_seed(evidence.factory(project, table), seed, share, table, project)


def _same_seed(drill: bool, project: Project, table: MogaStability) -> CheckEvidence:
    from pytest_artisan.gates.stability import evidence, saboteurs

    return evidence.of_repetition(saboteurs.sharing_a_generator if drill else evidence.factory(project, table))


def _random_search(drill: bool, project: Project, table: MogaStability) -> CheckEvidence:
    from pytest_artisan.gates.stability import evidence, saboteurs

    return evidence.of_contests(saboteurs.RandomSearch if drill else evidence.factory(project, table), table)


_RUNS: Runs = (
    *((f"seed {seed}", partial(_seed, seed)) for seed in range(SEEDS)),
    ("same seed", _same_seed),
    ("random search", _random_search),
)

GATE = Gate(
    "moga_stability",
    "the optimizer stays sound",
    MogaStability,
    checks=checks_of_subject(_RUNS),
)
