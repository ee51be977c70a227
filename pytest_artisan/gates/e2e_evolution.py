"""DNA to options to feedback to better options, as one flow: whether it keeps its limits, learns, and forgets nothing."""

from __future__ import annotations

from functools import partial

from pytest_artisan.gates.gate import CheckEvidence, Gate, Project
from pytest_artisan.gates.subjects import Runs, checks_of_subject
from pytest_artisan.gates.tables import E2eEvolution


def _steps(drill: bool, project: Project, table: E2eEvolution) -> CheckEvidence:
    from pytest_artisan.gates.feedback import evidence, saboteurs

    return evidence.of_steps(saboteurs.Alike if drill else evidence.factory(project, table), table)


def _rater(manner: str, algorithm: str, drill: bool, project: Project, table: E2eEvolution) -> CheckEvidence:
    from pytest_artisan.gates.feedback import evidence, saboteurs
    from pytest_artisan.gates.feedback.raters import MANNERS

    followed = not MANNERS[manner].guesses
    if drill:
        rater, fault = MANNERS[manner if followed else "consistent"], saboteurs.BY_RATER[manner, algorithm]
        return evidence.of_rater(fault, rater, algorithm, table, followed=followed, runs=evidence.DRILLED)
    return evidence.of_rater(evidence.factory(project, table), MANNERS[manner], algorithm, table, followed=followed)


def _agreement(drill: bool, project: Project, table: E2eEvolution) -> CheckEvidence:
    from pytest_artisan.gates.feedback import evidence, saboteurs

    return evidence.of_agreement(saboteurs.AtOdds if drill else evidence.factory(project, table), table)


def _restarts(drill: bool, project: Project, table: E2eEvolution) -> CheckEvidence:
    from pytest_artisan.gates.feedback import evidence, saboteurs

    return evidence.of_restarts(saboteurs.Damaged if drill else evidence.factory(project, table))


_RUNS: Runs = (
    ("steps", _steps),
    *(
        (f"{manner} rater, {algorithm}", partial(_rater, manner, algorithm))
        for manner, algorithm in (
            ("consistent", "PPO"),
            ("critical", "PPO"),
            ("generous", "PPO"),
            ("noisy", "PPO"),
            ("random", "PPO"),
            ("consistent", "REINFORCE"),
        )
    ),
    ("agreement", _agreement),
    ("restarts", _restarts),
)

_PLANTED = {
    "steps": "options that are all one",
    "consistent rater, PPO": "a learning rate of 0",
    "critical rater, PPO": "rewards with the sign turned",
    "generous rater, PPO": "feedback that is dropped",
    "noisy rater, PPO": "updates that went too far",
    "random rater, PPO": "a rater who does not guess",
    "consistent rater, REINFORCE": "a learning rate of 0",
    "agreement": "algorithms that expect the opposite of each other",
    "restarts": "checkpoints that are damaged on the way",
}

GATE = Gate(
    "e2e_evolution",
    "DNA, evolution and feedback as one flow",
    E2eEvolution,
    checks=checks_of_subject(_RUNS, _PLANTED),
)
