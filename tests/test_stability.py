"""The gate moga_stability: what it catches, where it says so, and how it is pointed at somebody else's optimizer."""

from __future__ import annotations

import math
import random
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from conftest import Project as Sessions
from pytest_artisan import cli
from pytest_artisan.gates.gate import CheckEvidence, Project
from pytest_artisan.gates.moga_stability import GATE
from pytest_artisan.gates.stability import evidence, saboteurs
from pytest_artisan.gates.stability.invariants import Watch
from pytest_artisan.gates.subjects import load_factory
from pytest_artisan.gates.tables import MogaStability
from pytest_artisan.moga.evolution import MixtureEvolution
from pytest_artisan.moga.population import Population
from pytest_artisan.verdict.evidence import NoEvidence
from pytest_artisan.verdict.statistics import proportion_interval

TABLE = MogaStability(iterations=100)
HERE = Project(Path(__file__).parents[1])


def broken(shown: CheckEvidence) -> set[str]:
    """The names of the measurements that are over their limit or hold no data."""
    return {m.name for m in shown.measurements if m.limit is None or m.value is None or not m.limit.holds(m.value)}


def test_a_sound_optimizer_keeps_every_limit() -> None:
    assert not broken(evidence.of_seed(saboteurs.sound, 3, 60, TABLE, HERE))
    assert not broken(evidence.of_repetition(saboteurs.sound, 20))
    assert not broken(evidence.of_contests(saboteurs.sound, TABLE))


@pytest.mark.parametrize("fault", saboteurs.FAULTS)
def test_every_planted_fault_is_found_where_it_began(fault: str) -> None:
    shown = evidence.of_seed(saboteurs.planted(fault), 5, 30, TABLE, HERE)
    assert fault in broken(shown)
    [finding] = [found for found in shown.findings if found.rule == fault]
    since = saboteurs.FAULTS[fault][1]
    if fault in ("over_limit", "negatives", "empties", "traces", "orphans", "not_finite"):
        assert f"first in iteration {since} of seed 5: artisan moga-stability " in finding.message
    assert "--seed=5 --iterations=" in finding.message


def test_a_number_that_is_none_is_found_in_the_last_of_ten_thousand_iterations() -> None:
    class Poisoned:
        """Cheap, so that ten thousand iterations take a second: the same two populations in turn."""

        def __init__(self, seed: int) -> None:
            optimizer = saboteurs.sound(seed)
            self.populations = optimizer.step(), optimizer.step()
            self.limits, self.evaluate, self.front = optimizer.limits, optimizer.evaluate, optimizer.front
            self.iteration = 0

        def step(self) -> Population:
            self.iteration += 1
            population = self.populations[self.iteration % 2]
            if self.iteration == 9_999:
                objectives = population.objectives.copy()
                objectives[3, 1] = math.nan
                return replace(population, objectives=objectives)
            return population

    shown = evidence.of_seed(Poisoned, 9, 10_000, TABLE, HERE)
    [finding] = [found for found in shown.findings if found.rule == "not_finite"]
    assert "not_finite 1 > 0, first in iteration 9999 of seed 9" in finding.message
    assert finding.message.endswith("--seed=9 --iterations=9999")
    assert finding.path == "tests/test_stability.py"


def test_what_an_optimizer_raises_ends_its_run_and_is_a_finding() -> None:
    def factory(seed: int) -> MixtureEvolution:
        optimizer = saboteurs.sound(seed)
        evaluate = optimizer.evaluate
        counted = iter([evaluate] * 6)
        optimizer.evaluate = lambda values: next(counted)(values)  # type: ignore[method-assign]
        return optimizer

    shown = evidence.of_seed(factory, 1, 30, TABLE, HERE)
    assert "iterations" in broken(shown)
    [finding] = [found for found in shown.findings if found.rule == "raised"]
    assert "StopIteration" in finding.message
    assert "--iterations=7" in finding.message


def test_shared_generators_and_ignored_seeds_are_told_apart() -> None:
    assert broken(evidence.of_repetition(saboteurs.sharing_a_generator, 10)) == {
        "unrepeated iterations",
        "iterations that ignore the seed",
        "global generators drawn from",
    }
    ignored = evidence.of_repetition(lambda seed: saboteurs.sound(0), 10)
    assert broken(ignored) == {"iterations that ignore the seed"}

    def drawing(seed: int) -> MixtureEvolution:
        random.random()  # noqa: S311 - the fault that is looked for
        return saboteurs.sound(seed)

    state = random.getstate()
    assert broken(evidence.of_repetition(drawing, 10)) == {"global generators drawn from"}
    assert random.getstate() == state, "the check itself leaves no trace"


def test_random_search_does_not_beat_random_search() -> None:
    assert broken(evidence.of_contests(saboteurs.RandomSearch, TABLE)) == {"runs that beat random search"}


@pytest.mark.parametrize(
    ("values", "found"),
    [
        (np.zeros((0, 8)), {"empties"}),
        (np.zeros((4, 7)), {"empties"}),
        (np.full((4, 8), np.nan), {"not_finite"}),
        (np.full((4, 8), np.inf), {"not_finite"}),
    ],
)
def test_populations_that_are_none_are_counted(values: np.ndarray, found: set[str]) -> None:
    optimizer = saboteurs.sound(0)
    population = optimizer.step()
    watch = Watch(optimizer.limits, 0.1)
    rows = np.arange(len(values))
    spoilt = Population(
        values, population.objectives[rows], population.violations[rows], rows, population.parents[rows]
    )
    watch.look(spoilt, optimizer.front())
    assert {what for what, count in watch.counts.items() if count} == found


def test_an_optimizer_that_uses_its_arrays_again_is_seen_through() -> None:
    class Reusing(saboteurs.Saboteur):
        """Its front is one array, which shrinks in place."""

        def __init__(self, seed: int) -> None:
            super().__init__(lambda population, _: population, 1, seed)
            self.buffer = np.zeros((1, 2))

        def front(self) -> np.ndarray:
            self.buffer += 1
            return self.buffer

    assert "falls" in broken(evidence.of_seed(Reusing, 0, 5, TABLE, HERE))


@pytest.mark.parametrize("name", ["upper", "weights", "bounds"])
def test_limits_that_nothing_can_exceed_are_no_evidence(name: str) -> None:
    def factory(seed: int) -> MixtureEvolution:
        optimizer = saboteurs.sound(seed)
        limits = {key: np.array(getattr(optimizer.limits, key)) for key in ("upper", "weights", "bounds")}
        limits[name][0] = np.nan
        optimizer.limits = SimpleNamespace(**limits)  # type: ignore[assignment]
        return optimizer

    with pytest.raises(NoEvidence, match=f"in {name} that is not finite"):
        evidence.of_seed(factory, 0, 5, TABLE, HERE)


def test_a_factory_that_raises_is_no_evidence() -> None:
    with pytest.raises(NoEvidence, match="the factory raised ZeroDivisionError for seed 0"):
        evidence.of_seed(lambda seed: 1 // seed, 0, 5, TABLE, HERE)  # type: ignore[arg-type, return-value]


def test_equality_with_a_limit_passes_and_the_next_hundredth_does_not() -> None:
    optimizer = saboteurs.sound(0)
    population = optimizer.step()
    at_the_limit, over = np.zeros((2, 1, 8))
    at_the_limit[0, [0, 5, 6]] = 88, 6, 6
    over[0, [0, 5, 6]] = 87.99, 6.01, 6
    for values, count in ((at_the_limit, 0), (over, 1)):
        watch = Watch(optimizer.limits, 0.1)
        watch.look(replace(population.of(np.array([0])), values=values), optimizer.front())
        assert watch.counts["over_limit"] == count


def test_the_parts_of_the_seeds_add_up_to_the_iterations() -> None:
    table = MogaStability(iterations=25, subject="pytest_artisan.gates.stability.saboteurs:sound", renewals=0)
    told = [
        m.value
        for check in GATE.checks
        if check.name.startswith("seed ")
        for m in check.run(HERE, table).measurements
        if m.name == "iterations"
    ]
    assert len(told) == 10
    assert sum(value or 0 for value in told) == 25


@given(n=st.integers(1, 60), data=st.data())
def test_intervals_of_proportions_are_the_exact_ones(n: int, data: st.DataObject) -> None:
    successes = data.draw(st.integers(0, n))
    exact = stats.binomtest(successes, n).proportion_ci(0.95, method="exact")
    assert proportion_interval(successes, n) == pytest.approx((exact.low, exact.high), abs=1e-9)


@pytest.mark.parametrize(
    ("subject", "text"),
    [
        ("no_such_module:factory", "ModuleNotFoundError"),
        ("math:no_such_name", "AttributeError"),
        ("math:pi", "is not callable"),
    ],
)
def test_a_subject_that_can_not_be_had_is_no_evidence(subject: str, text: str) -> None:
    with pytest.raises(NoEvidence, match=text):
        load_factory(subject, HERE.root)


POLICY = 'required = ["moga_stability"]\n[tool.artisan.moga_stability]\niterations = 100\nsubject = "mine:factory"\n'
# Of three materials, so that a session of it is quick.
SOUND = """\
import numpy as np

from pytest_artisan.moga.composition import Composition
from pytest_artisan.moga.evolution import MixtureEvolution

LIMITS = Composition([100, 60, 50], lower_active=0.1)
WANTED = np.array([[50, 20, 30], [80, 10, 10]])


def distances(shares):
    return ((shares[:, None] - WANTED) ** 2).sum(axis=2)


def factory(seed):
    return MixtureEvolution(distances, LIMITS, np.random.default_rng(seed), size=10)
"""


@pytest.mark.parametrize("workers", ["0", "2"])
def test_anybodys_optimizer_is_judged_by_its_name_in_the_policy(project: Sessions, workers: str) -> None:
    project.policy(POLICY)
    project.write("mine.py", SOUND)
    run = project.run("-n", workers)
    assert run.verdict is not None
    assert run.verdict.go, run.told
    [gate] = [found for found in run.verdict.gates if found.name == "moga_stability"]
    assert gate.planned == len(GATE.checks)
    assert sum(m.value or 0 for m in gate.measurements if m.name == "iterations") == 100


def test_a_broken_optimizer_is_no_go_with_the_command_that_shows_it(
    project: Sessions, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    project.policy(POLICY)
    project.write(
        "mine.py",
        """\
        from pytest_artisan.gates.stability.saboteurs import FAULTS, Saboteur

        def factory(seed):
            return Saboteur(*FAULTS["traces"], seed)
        """,
    )
    run = project.run()
    assert run.state("moga_stability") == "NO_GO"
    command = "artisan moga-stability mine:factory --seed=0 --iterations=2"
    assert command in run.told
    assert "mine.py:3" in run.out
    monkeypatch.chdir(project.path)
    capsys.readouterr()
    assert cli.main(command.split()[1:]) == 1
    assert "traces 1 > 0, first in iteration 2 of seed 0" in capsys.readouterr().out


def test_the_command_says_what_is_wrong_with_a_subject(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["moga-stability", "nowhere", "--seed=1", "--iterations=5"]) == 2
    assert "subject 'nowhere' is not" in capsys.readouterr().err


def test_every_check_of_the_gate_is_drilled(project: Sessions) -> None:
    project.policy(POLICY)
    project.write("mine.py", SOUND)
    run = project.plain("--artisan-drill", "--artisan-gates=moga_stability")
    assert run.status == 0, run.out
    told = [line for line in run.out.splitlines() if line.startswith("moga_stability::")]
    assert len(told) == len(GATE.checks)
    assert all("  NO-GO: " in line for line in told)
    assert {line.split("NO-GO: ")[1].split()[0] for line in told[:5]} >= {"over_limit", "renewals", "not_finite"}


def test_a_gate_that_takes_longer_than_its_limit_is_no_go(project: Sessions) -> None:
    project.policy(POLICY + 'session_limit = "1ms"')
    project.write("mine.py", SOUND)
    run = project.run("-p", "no:timeout")
    assert run.state("moga_stability") == "NO_GO"
    assert "session_limit: its items took" in run.told
