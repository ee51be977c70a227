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

# In the order of `saboteurs.FAULTS`, one for each seed.
_PLANTED = {
    "seed 0": "a share over its limit",
    "seed 1": "formulas that do not sum to 100 %",
    "seed 2": "a population that never changes",
    "seed 3": "a population that collapses to one formula",
    "seed 4": "an objective that is no number",
    "seed 5": "a negative share",
    "seed 6": "an empty formula",
    "seed 7": "a share below the smallest one",
    "seed 8": "a front that loses members",
    "seed 9": "formulas without a parent",
    "same seed": "randomness from a global generator",
    "random search": "random search in the optimizer's place",
}

GATE = Gate(
    "moga_stability",
    "the optimizer stays sound",
    MogaStability,
    checks=checks_of_subject(_RUNS, _PLANTED),
)
