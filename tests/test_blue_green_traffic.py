"""Blue to green and back under load: a real HAProxy, real services, real processes that are killed. No request is lost."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import haproxy_house
import pytest
from blue_green_process import RULES, Host, HostSlots, When, killing
from msgspec.structs import replace
from reaping import reaped  # noqa: F401  # a fixture
from slot_service import free_urls
from visitors import Visits, visiting

from pytest_artisan.release import deployments
from pytest_artisan.release.blue_green import running
from pytest_artisan.release.blue_green.machine import FINAL, Deployment, GoBack, Phase, after
from pytest_artisan.release.slots import host as slot_host
from pytest_artisan.release.slots.control import Build
from pytest_artisan.release.slots.settings import Slots
from pytest_artisan.release.traffic.haproxy import HAProxy
from pytest_artisan.release.traffic.patience import NotYet, patiently
from pytest_artisan.release.traffic.router import SLOTS, Router, Slot

ONE, TWO = Build("v1.0.0", "1" * 40), Build("v2.0.0", "2" * 40)
# So many are asked all the time, each for a tenth of a second: there is no moment without requests in flight.
SLOW = 8

pytestmark = haproxy_house.installed


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    """HAProxy in front of blue, where v1.0.0 runs, and of green, where nothing does."""
    blue, green = free_urls()
    slots = Slots(blue=blue, green=green, start=("-",), stop=("-",), start_s=20)
    try:
        HostSlots(slots, tmp_path).start("blue", ONE)
        with haproxy_house.haproxy(slots.blue, slots.green, server="check inter 50ms") as proxy:
            patiently(HAProxy.of(proxy.traffic).weights, 10)
            yield Host(tmp_path, proxy.traffic, slots, proxy.url)
    finally:
        for slot in SLOTS:
            slot_host.stop(tmp_path, slot)


def deployment(host: Host, build: Build, slot: Slot, old: Build) -> Deployment:
    return host.begin(
        lambda yardstick, health, now: Deployment(
            environment="prod", build=build, slot=slot, old=old, digest="d", begun=now, yardstick=yardstick, health=health
        )
    )  # fmt: skip


def finished(host: Host, state: Deployment) -> Deployment:
    return running.run(state, RULES, host.world())


def only(visits: Visits, build: Build) -> None:
    """Who asks from here on is answered by this version."""
    visits.wait(SLOW)
    before = visits.answered.copy()
    visits.wait(2 * SLOW)
    assert [*(visits.answered - before)] == [build.version]


def test_no_request_is_lost_from_blue_to_green_and_back(host: Host) -> None:
    with visiting(host.url, connections=1) as quick, visiting(host.url, "/slow", SLOW) as visits:
        done = finished(host, deployment(host, TWO, "green", ONE))
        assert done.phase == Phase.DONE
        only(visits, TWO)
        back = finished(host, after(done, GoBack("-"), RULES.looks))
        assert back.phase == Phase.BACK
        only(visits, ONE)
        # While it still runs, the way back is but a switch.
        watched = deployment(host, TWO, "green", ONE)
        while watched.phase != Phase.DRAIN:
            watched = running.step(watched, RULES, host.world())
        only(visits, TWO)
        assert finished(host, after(watched, GoBack("-"), RULES.looks)).phase == Phase.BACK
        only(visits, ONE)

    assert (visits.failed, quick.failed) == ([], [])
    assert {*visits.answered} == {*quick.answered} == {ONE.version, TWO.version}
    assert quick.sent > 1000


def test_a_crash_is_seen_at_the_next_look_and_a_rollback_needs_no_shares_of_what_is_down(host: Host) -> None:
    state = deployment(host, TWO, "green", ONE)
    world = host.world()
    world.slots.start("green", TWO)
    world.router.shift("green", 100)
    world.slots.stop("green", TWO)
    with pytest.raises(NotYet, match="server green is DOWN"):
        watch(world.router)
    assert running.step(replace(state, phase=Phase.WATCH), RULES, world).phase == Phase.RETURN
    back = finished(host, after(replace(state, phase=Phase.DONE), GoBack("-"), RULES.looks))
    assert (back.phase, world.router.weights()) == (Phase.BACK, {"blue": 100, "green": 0})


def watch(router: Router) -> None:
    for _ in range(500):
        router.weights()
        time.sleep(0.02)


def killed(host: Host, step: Callable[[When], int], state: Deployment) -> list[Phase]:
    """Have a process killed before and after each state that is kept, until it is over; the phases that this was in."""
    phases = []
    while state.phase not in FINAL:
        assert step("before") == signal.SIGKILL
        assert host.kept == state
        assert step("after") == signal.SIGKILL
        phases.append(state.phase)
        state = host.kept
    return phases


def test_no_request_is_lost_where_each_step_is_killed_before_and_after_it_is_kept(host: Host) -> None:
    with killing(host) as step, visiting(host.url, "/slow", SLOW) as visits:
        phases = killed(host, step, deployment(host, TWO, "green", ONE))
        done = host.kept
        only(visits, TWO)
        turned = after(done, GoBack("-"), RULES.looks)
        deployments.save(host.path, turned)
        phases += killed(host, step, turned)
        only(visits, ONE)

    assert (done.phase, host.kept.phase) == (Phase.DONE, Phase.BACK)
    assert visits.failed == []
    assert {*phases} == {*Phase} - {*FINAL}
