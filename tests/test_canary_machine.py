"""The canary's machine, explored to its last state, and the process that drives it, killed at every step."""

from __future__ import annotations

import errno
import itertools
import os
import re
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from pkgutil import resolve_name
from typing import Any, NamedTuple

import pytest
from canary_house import FLAG, NOW, UNDECIDED, WELL, WRONG, Clock, Keep, Place, Seen, Weights, in_memory
from haproxy_house import haproxy, installed
from msgspec import structs

from pytest_artisan.release import record
from pytest_artisan.release.canary.drills import drills
from pytest_artisan.release.canary.machine import (
    Admitted,
    Back,
    Event,
    Expired,
    Give,
    Look,
    Looked,
    Moved,
    Phase,
    Plan,
    Returned,
    Soak,
    State,
    TakeBack,
    after,
    due,
)
from pytest_artisan.release.canary.reach import Before, Reach
from pytest_artisan.release.canary.runs import Run
from pytest_artisan.release.canary.settings import Canary, Stage
from pytest_artisan.release.deployments import alone, load, save
from pytest_artisan.release.flags.states import State as Setting
from pytest_artisan.release.health import Block, Ruling
from pytest_artisan.release.traffic.haproxy import HAProxy
from pytest_artisan.settings import SettingsError

_BAD, _HOLD, _HEALTHY, _BLIND = _LOOKS = [Looked(ruling, ("told",)) for ruling in (*Ruling, None)]
# The last one that a task may have to end with.
_LAST: dict[type, Event] = {Give: Moved(), TakeBack: Returned(), Look: _BLIND}
_ANY_TIME: list[Event] = [Admitted(), Expired(), Back("by hand")]


class World(NamedTuple):
    """A canary, and what is really so: who has the change, by a verdict or not, and what has looked at them since."""

    state: State = State()
    share: float = 0.0
    licensed: bool = False
    looks: int = 0


def told(plan: Plan, world: World, event: Event) -> World:
    """The process takes note of an event; only here does a verdict count, and a look."""
    state = after(plan, world.state, event)
    licensed = world.licensed or (isinstance(event, Admitted) and state.phase is Phase.MOVING)
    saw = isinstance(event, Looked) and event.ruling is not None
    looks = 0 if isinstance(event, Moved) else world.looks + saw
    if isinstance(event, Returned):
        licensed = False
    return World(state, world.share, licensed, min(looks, 99))


def done(plan: Plan, world: World) -> World:
    """What is due has been done, and nobody has taken note of it: here a process may be killed."""
    match due(plan, world.state):
        case Give(percent):
            return world._replace(share=percent)
        case TakeBack():
            return world._replace(share=0.0)
    return world


def following(plan: Plan, world: World) -> Iterator[tuple[Event | None, World]]:
    """Everything that may happen; None is a process that is killed after what it did."""
    for event in _ANY_TIME:
        yield event, told(plan, world, event)
    match due(plan, world.state):
        case Give():
            yield None, done(plan, world)
            yield Moved(), told(plan, done(plan, world), Moved())
        case TakeBack():
            yield None, done(plan, world)
            yield Returned(), told(plan, done(plan, world), Returned())
        case Look():
            for look in _LOOKS:
                yield look, told(plan, world, look)


def check(plan: Plan, before: World, event: Event | None, world: World) -> None:
    """What no canary may do."""
    state, was = world.state, before.state
    assert world.share == 0 or world.licensed, "traffic without a verdict"
    if was.phase in (Phase.ASKED, Phase.BACK) and state != was:
        back = was.phase is Phase.ASKED and state.phase is Phase.RETURNING
        assert isinstance(event, Admitted) or back, "a rolled-back canary went on without a new verdict"
    if state.stage > was.stage or (state.phase is Phase.DONE and was.phase is not Phase.DONE):
        assert event is _HEALTHY, "promoted without proof of health"
        assert world.looks >= plan.stages[was.stage].looks, "promoted on time that nobody watched"
    if state.stage > was.stage:
        assert not was.expired, "promoted by a verdict that has expired"
        assert state.stage == was.stage + 1
    if event is _BAD:
        assert state.phase is Phase.RETURNING, "harm, and no way back"
    if event is None:
        assert state == was
        assert done(plan, world) == done(plan, before) == world, "once and twice are not the same"
    soak = plan.stages[state.stage].looks
    assert state.watched <= soak * (1 + plan.extensions), "a stage without end"
    assert state.blind <= soak, "blind without end"


def explored(plan: Plan) -> tuple[int, set[World]]:
    """How many transitions there are, all checked, and all that can be reached."""
    reached, fresh, transitions = {World()}, [World()], 0
    while fresh:
        world = fresh.pop()
        for event, found in following(plan, world):
            transitions += 1
            check(plan, world, event, found)
            if found not in reached:
                back = due(plan, after(plan, found.state, Back("now")))
                assert found.share == 0 or back == TakeBack(), "no way back in one step"
                reached.add(found)
                fresh.append(found)
    return transitions, reached


def test_no_state_of_any_plan_breaks_a_rule() -> None:
    total = 0
    for looks, extensions in itertools.product([(1,), (3,), (1, 1), (2, 3), (5, 6, 5, 4), (7, 6, 5)], (0, 1, 2)):
        plan = Plan(tuple(Soak(100 * (i + 1) / len(looks), n) for i, n in enumerate(looks)), extensions)
        transitions, reached = explored(plan)
        total += transitions
        phases = {world.state.phase for world in reached}
        assert phases == set(Phase)
        assert {world.state.stage for world in reached} == set(range(len(looks)))
        # Whatever happens, looks that see nothing bring it to an end.
        ending = set[State]()
        for world in reached:
            state, way = world.state, list[State]()
            while state not in ending and (task := due(plan, state)):
                way.append(state)
                assert len(way) <= sum(looks) * 4 + 4
                state = after(plan, state, _LAST[type(task)])
            ending.update(way)
    assert total > 100_000, total


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    monkeypatch.delenv("ARTISAN_ENV", raising=False)
    monkeypatch.setattr("pytest_artisan.release.record.who", lambda root: "kim")
    with in_memory() as root:
        yield project(root)


def project(root: Path) -> Place:
    (root / "pyproject.toml").write_text("[tool.artisan]\n", "utf-8")
    return Place(root)


def test_the_change_reaches_stage_after_stage_once_each_was_watched(place: Place) -> None:
    run = place.deploy()
    assert (run.state.phase, run.state.why) == (Phase.DONE, "")
    assert place.moves == [1, 5, 100]
    assert place.clock.now - NOW == timedelta(seconds=30 + 45 + 30)
    looked = [moment.what for moment in run.timeline]
    assert " ".join(looked) == "admitted moved looked looked moved looked looked looked moved looked looked"
    assert run.seen == Block(requests=800, timed=800, slow=16, ratings=200, rating_sum=900)
    assert "10:00:30     1 %  n=800, 0.00 % errors, 2.0 % slow, rated 4.5 by 200: healthy" in place.lines


_SLOW = Block(requests=400, timed=400, slow=400, ratings=100, rating_sum=450)
_DISLIKED = Block(requests=400, timed=400, slow=8, ratings=100, rating_sum=100)
_BROKEN = Block(requests=400, timed=400, slow=8, ratings=100, rating_sum=450, schema_failures=1)


@pytest.mark.parametrize(
    ("blocks", "moves", "told"),
    [
        ([WRONG], [1, 0], "errors 100 % > 2 %"),
        ([_SLOW], [1, 0], "requests slower than 1.2 x the baseline's p95 100 % > 5 %"),
        ([_DISLIKED], [1, 0], "mean rating 1.00 < 3"),
        ([WELL, _BROKEN], [1, 0], "schema failures: 1, none is allowed"),
        ([WELL] * 2 + [WRONG], [1, 5, 0], "errors 100 % > 2 %"),
        ([WELL] * 5 + [WRONG], [1, 5, 100, 0], "errors 100 % > 2 %"),
        # Two looks without an answer are as long as the soak; one is made up for.
        (["Prometheus is away"], [1, 0], "2 looks saw nothing; the last one: Prometheus is away"),
        ([Block()], [1, 0], "2 looks saw nothing; the last one: no request"),
        ([WELL, "away", WELL], [1, 5, 100], ""),
        # As where two looks come between two scrapes.
        ([Block(), WELL] * 9, [1, 5, 100], ""),
        # Never proven: the soak, and one extension of it.
        ([UNDECIDED], [1, 0], "not shown to be healthy: errors: 80 clean requests, 178 are needed"),
        # Proven only in the extension.
        ([UNDECIDED, UNDECIDED, WELL], [1, 5, 100], ""),
        # A look that sees impossible numbers saw nothing.
        ([Block(requests=10, errors=20, timed=10)], [1, 0], "2 looks saw nothing; the last one: Block("),
    ],
)  # fmt: skip
def test_harm_goes_back_and_so_does_what_is_never_shown_to_be_healthy(
    place: Place, blocks: list[Seen], moves: list[float], told: str
) -> None:
    place.blocks = blocks
    run = place.deploy()
    assert place.moves == moves
    assert run.state.phase is (Phase.BACK if told else Phase.DONE)
    assert run.state.why.startswith(told)


def test_one_schema_failure_goes_back_at_once(place: Place) -> None:
    place.blocks = [_BROKEN]
    place.deploy()
    assert place.clock.waits == 1


def test_counters_that_begin_anew_are_compared_with_what_they_begin_with(place: Place) -> None:
    # A restart takes what was counted away: of this look nothing is known.
    place.blocks = [WELL, Block(requests=-500, timed=-500, slow=-10, ratings=-120, rating_sum=-540), WELL]
    run = place.deploy()
    assert run.state.phase is Phase.DONE
    [blind] = [moment for moment in run.timeline if moment.what == "looked" and moment.ruling is None]
    assert "went down" in blind.text


@pytest.mark.parametrize(
    ("expires", "moves", "told"),
    [
        # At the end of the soak, as nobody else may get it.
        (timedelta(seconds=14), [1, 0], "the verdict has expired, so nobody else may get the change"),
        (timedelta(seconds=75), [1, 5, 0], "the verdict expired before this share got the change"),
        (timedelta(seconds=0), [], "the verdict expired before this share got the change"),
        # All have it already.
        (timedelta(seconds=76), [1, 5, 100], ""),
    ],
)
def test_nobody_gets_a_change_by_a_verdict_that_has_expired(
    place: Place, expires: timedelta, moves: list[float], told: str
) -> None:
    place.expires = NOW + expires
    run = place.deploy()
    assert place.moves == moves
    assert run.state.why == told
    assert run.state.phase is (Phase.BACK if told else Phase.DONE)


@pytest.mark.parametrize("jump", [timedelta(days=-3), timedelta(hours=5), timedelta(seconds=-40)], ids=str)
def test_a_clock_that_jumps_promotes_nobody(place: Place, jump: timedelta) -> None:
    place.clock = Clock({1: jump})
    run = place.deploy()
    looks = [moment for moment in run.timeline if moment.what == "looked" and moment.ruling]
    assert len(looks) == sum(soak.looks for soak in run.plan.stages)
    assert run.state.phase is Phase.DONE


def test_a_clock_set_back_makes_no_verdict_count_again(place: Place) -> None:
    place.expires = NOW + timedelta(minutes=1)
    place.clock = Clock({1: timedelta(hours=1), 2: timedelta(hours=-1)})
    assert "the verdict has expired" in place.deploy().state.why
    assert place.moves == [1, 0]


def test_what_somebody_else_sets_meanwhile_stays(place: Place) -> None:
    def alarmed(seconds: float) -> None:
        place.clock.wait(seconds)
        if place.clock.waits == 3:
            place.manager.enable_flag(FLAG, why="for all, at once", who="somebody")

    place.wait = alarmed
    run = place.deploy()
    assert run.state.phase is Phase.BACK
    assert f"somebody else has set {FLAG}: on for 100 %, and not on for 5 %" in run.state.why
    assert place.moves == [1, 5, 100]
    assert any(f"{FLAG} stays on for 100 %, as somebody else has set it" in line for line in place.lines)


def test_no_share_is_given_over_what_somebody_else_has_just_set(place: Place) -> None:
    runner = place.runner()
    place.manager.enable_flag(FLAG, why="for all, at once", who="somebody")
    run = runner.finish()
    assert (run.state.phase, place.moves) == (Phase.BACK, [100])
    assert run.state.why.startswith(f"somebody else has set {FLAG}: on for 100 %")


def test_a_flag_that_is_on_is_moved_to_off_share_by_share(place: Place) -> None:
    place.flag = "ppo_algorithm"
    place.blocks = [WELL] * 5 + [WRONG]
    assert place.deploy().state.phase is Phase.BACK
    assert place.moves == [99, 95, 0, 100]


def test_a_stage_goes_on_from_the_last_one_and_back_to_what_was_before_it(place: Place) -> None:
    place.percent = 1
    assert place.deploy().state.phase is Phase.DONE
    place.percent, place.blocks = 50, [WRONG]
    place.clock.waits = 0
    assert place.deploy().state.phase is Phase.BACK
    assert place.moves == [1, 50, 0]


def test_the_router_moves_with_the_flag_and_back(place: Place) -> None:
    place.router = router = Weights({"blue": 0.0, "green": 100.0})
    place.blocks = [WELL] * 3 + [WRONG]
    place.deploy()
    assert (router.shares, place.moves) == ({"blue": 0.0, "green": 100.0}, [1, 5, 0])
    place.blocks, place.clock.waits = [WELL], 0
    place.deploy()
    assert router.shares == {"blue": 100.0, "green": 0.0}


@installed
def test_a_real_router_moves_with_the_flag_and_back(place: Place) -> None:
    place.blocks = [WELL] * 2 + [WRONG]
    with haproxy("http://127.0.0.1:1", "http://127.0.0.1:2") as house:
        place.router = router = HAProxy.of(house.traffic)
        shares = []

        def wait(seconds: float) -> None:
            place.clock.wait(seconds)
            shares.append(router.weights()["green"])

        place.wait = wait
        assert place.deploy().state.why.startswith("errors 100 %")
        assert shares[0] == 1
        assert shares[-1] == 5
        assert router.weights() == {"blue": 100, "green": 0}


def test_a_router_that_forgets_its_weights_ends_a_canary(place: Place) -> None:
    place.router = router = Weights()

    def restarted(seconds: float) -> None:
        place.clock.wait(seconds)
        if place.clock.waits == 3:
            router.shares = {"blue": 100.0, "green": 0.0}

    place.wait = restarted
    assert "green gets 0 % of requests, and not 5 %" in place.deploy().state.why
    assert place.state == (False, 0)


def test_a_router_that_can_not_be_asked_stops_a_canary_and_is_asked_until_it_answers(place: Place) -> None:
    place.router = router = Weights(broken=4)
    run = place.deploy()
    assert run.state.why == "the router can not be asked"
    assert (place.moves, router.broken, run.state.phase) == ([1, 0], 0, Phase.BACK)
    assert sum("can not be taken back yet" in line for line in place.lines) == 3


_SHORT = Canary(stages=(Stage(percent=5, soak="15s"), Stage(percent=100, soak="15s")))
# Where a process may be killed: before and after each of these.
_POINTS = ["record.note", "canary.beginning.save", "canary.running.save"] + [
    f"canary.reach.Reach.{step}" for step in ("give", "_set", "take_back")
]


def admitted_once(place: Place) -> Callable[[Keep], None]:
    """As it is with a real verdict, which counts while it is not on the record."""

    def admit(keep: Keep) -> None:
        assert record.read(place.root) == (), "it was used before"
        place.admit(keep)
        entry = record.Entry(at=NOW, who="kim", action="deploy", subject="x", why="y", verdict="d" * 64)
        record.note(place.root, entry)

    return admit


def killed(place: Place, at: int, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Deploy in a process of its own that is killed at that point; False where it ends before."""
    passed = itertools.count()

    def fatal(function: Any) -> Callable[..., object]:
        def within(*arguments: object) -> object:
            for step in (lambda: None, lambda: function(*arguments)):
                found = step()
                if next(passed) == at:
                    os.kill(os.getpid(), signal.SIGKILL)
            return found

        return within

    child = os.fork()
    if child == 0:
        try:
            for name in _POINTS:
                path = f"pytest_artisan.release.{name}"
                monkeypatch.setattr(path, fatal(resolve_name(path.replace(".reach.Reach", ".reach:Reach"))))
            place.runner(admitted_once(place)).finish()
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL


# Up to the look that is bad both pass the same points.
@pytest.mark.parametrize(("blocks", "first"), [([WELL, WRONG], 0), ([WELL], 20)], ids=["wrong later", "well"])
def test_a_process_killed_at_any_point_is_taken_over_and_ends_the_same(
    place: Place, blocks: list[Seen], first: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.table, place.blocks = _SHORT, blocks
    whole = place.deploy()
    moves, ends = place.moves, set()
    for point in itertools.count(first):
        folder = place.root / str(point)
        folder.mkdir()
        again = replace(project(folder), blocks=blocks, table=_SHORT)
        with monkeypatch.context() as patch:
            if not killed(again, point, patch):
                break
        left = load(again.asked.path, Run)
        again.clock.waits = len([moment for moment in left.timeline if moment.what == "looked"]) if left else 0
        if left is None or left.state.phase is Phase.ASKED:
            run = again.runner(admitted_once(again)).finish()
        elif due(left.plan, left.state):
            # A verdict is asked for but once.
            run = again.runner(admit=unasked).finish()
        else:
            run = left
        ends.add((run.state.phase, run.state.stage, tuple(again.moves)))
    assert point >= 22
    assert ends == {(whole.state.phase, whole.state.stage, tuple(moves))}


def unasked(keep: Keep) -> None:
    raise AssertionError("a canary that goes on asks for no verdict")


def test_the_state_that_is_on_disk_is_the_state(tmp_path: Path) -> None:
    place = project(tmp_path)
    run = place.deploy()
    assert load(place.asked.path, Run) == run


@pytest.mark.parametrize("first", [0, 1, 4], ids=["at the first move", "in the first stage", "in the second one"])
def test_what_can_not_be_written_is_taken_back(tmp_path: Path, first: int, monkeypatch: pytest.MonkeyPatch) -> None:
    place = project(tmp_path)
    runner, full, sync = place.runner(), itertools.count(), os.fsync

    def fsync(handle: int) -> None:
        if next(full) >= first:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        sync(handle)

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(
        SettingsError, match="the state could not be written: No space left on device; so the canary goes back"
    ):
        runner.finish()
    assert place.state == (False, 0)
    monkeypatch.undo()
    # What was written last is not what is: whoever goes on from it sees that.
    run = place.deploy()
    assert run.state.phase is Phase.BACK
    assert place.state == (False, 0)


def test_a_full_disk_has_room_to_go_back(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    spare = place.asked.path.with_name("spare")

    def full(path: Path, run: Run) -> None:
        if spare.exists():
            raise SettingsError("a full disk")
        save(path, run)

    with alone(place.root, "dev", "a canary", "kim", NOW):
        runner = place.runner()
        assert spare.stat().st_blocks * 512 >= 2 << 20
        monkeypatch.setattr("pytest_artisan.release.canary.running.save", full)
        with pytest.raises(SettingsError, match="a full disk; so the canary goes back"):
            runner.finish()
    left = load(place.asked.path, Run)
    assert left is not None
    assert (left.state.phase, place.state) == (Phase.BACK, (False, 0))


def test_a_timeline_has_an_end_and_its_sums_stay(place: Place) -> None:
    run = place.deploy()
    look = [moment for moment in run.timeline if moment.what == "looked"][-1]
    for number in range(2_000):
        run = run.noted(structs.replace(look, seen=Block(requests=number)))
        assert len(run.timeline) <= 400
        assert run.timeline[-1].seen.requests == number
    kept = [moment.seen.requests for moment in run.timeline if moment.what == "looked"]
    assert sum(moment.what == "moved" for moment in run.timeline) == 3
    assert kept[8:] == sorted(kept[8:])


@pytest.mark.parametrize(
    ("set_to", "percent", "told"),
    [
        (Setting(True, 10_000), 5, "everybody has been moved already"),
        (Setting(False, 2_500), 5, "5 %: 25 % have the change already, and no stage takes it from them"),
        (Setting(False, 0), 0.001, "percent: 0.001 is finer than 0.01"),
        (Setting(False, 0), 0.1 + 0.2, "percent: 0.30000000000000004 is finer than 0.01"),
    ],
)
def test_a_canary_takes_a_change_from_nobody(place: Place, set_to: Setting, percent: float, told: str) -> None:
    place.manager.change(FLAG, lambda _: set_to, why="x", who="y")
    place.percent = percent
    with pytest.raises(SettingsError, match=re.escape(told)):
        place.runner(admit=unasked)
    assert place.state == set_to
    assert not place.asked.path.exists()


def test_all_stages_go_on_from_what_somebody_has_reached_already(place: Place) -> None:
    place.manager.set_rollout_percentage(FLAG, 5, why="x", who="y")
    run = place.deploy()
    assert [soak.percent for soak in run.plan.stages] == [5, 100]
    assert place.moves == [5, 100]


def test_slots_that_get_the_same_share_are_no_beginning(place: Place) -> None:
    place.router = Weights({"blue": 50.0, "green": 50.0})
    with pytest.raises(SettingsError, match="the same share"):
        place.runner(admit=unasked)


def test_one_canary_at_a_time_is_under_way(place: Place) -> None:
    place.runner()
    other = replace(place, flag="ppo_algorithm")
    told = f"canary {FLAG} in dev is about to reach 1 %; artisan deploy canary dev {FLAG} --auto goes on with it"
    with pytest.raises(SettingsError, match=told):
        other.runner(admit=unasked)
    with pytest.raises(SettingsError, match=told):
        replace(place, percent=5).runner(admit=unasked)


def test_the_weights_that_somebody_else_has_given_since_are_not_taken_back() -> None:
    router, here = Weights({"blue": 0.0, "green": 100.0}), Before(False, 0, "green", 0.0)
    reach = Reach(Path.cwd(), "dev", FLAG, router, Clock())
    assert reach.still_ours(here, 100) == here
    router.shares = {"blue": 100.0, "green": 0.0}
    assert reach.still_ours(here, 100) == structs.replace(here, slot=None)


def test_a_drill_gets_a_no_to_every_violation(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(place.root))
    answers = list(drills())
    assert len(answers) >= 8
    assert [violation for violation, _, said_no in answers if not said_no] == []
    assert all(answer for _, answer, _ in answers)
