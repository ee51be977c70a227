"""Blue to green and back under load: a real HAProxy, real services, real processes that are killed. No request is lost."""

from __future__ import annotations

import multiprocessing
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import blue_green_process
import haproxy_house
import pytest
from blue_green_process import RULES, Host, one_step
from slot_service import free_urls
from visitors import Visits, visiting

from pytest_artisan.release import deployments
from pytest_artisan.release.blue_green import running
from pytest_artisan.release.blue_green.machine import FINAL, Deployment, GoBack, Phase, after
from pytest_artisan.release.slots import host as slot_host
from pytest_artisan.release.slots.control import Build, SlotCommands
from pytest_artisan.release.slots.settings import Slots
from pytest_artisan.release.traffic.router import SLOTS, Slot

SERVICE = Path(__file__).with_name("slot_service.py")
STARTED = ("python", "-m", "pytest_artisan.release.slots.host")
ONE, TWO = Build("v1.0.0", "1" * 40), Build("v2.0.0", "2" * 40)
# So many are asked all the time, each for a fifth of a second: there is no moment without requests in flight.
SLOW = 8

pytestmark = haproxy_house.installed


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    """HAProxy in front of blue, where v1.0.0 runs, and of green, where nothing does."""
    serve = [sys.executable, "-IS", str(SERVICE), "{port}", "{version}"]
    blue, green = free_urls()
    slots = Slots(
        blue=blue,
        green=green,
        start=(*STARTED, "start", "{slot}", "{version}", "--", *serve),
        stop=(*STARTED, "stop", "{slot}"),
        start_s=20,
    )
    control = SlotCommands(slots, tmp_path)
    try:
        control.start("blue", ONE)
        with haproxy_house.haproxy(slots.blue, slots.green, server="check inter 50ms") as proxy:
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
    with visiting(host.url, connections=2) as quick, visiting(host.url, "/slow", SLOW) as visits:
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


def killed(host: Host, state: Deployment) -> list[Phase]:
    """Have a process killed before and after each state that is kept, until it is over; the phases that this was in."""
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload([blue_green_process.__name__])
    phases = []
    while state.phase not in FINAL:
        for when in ("before", "after"):
            process = processes.Process(target=one_step, args=(host, when))
            process.start()
            process.join(30)
            assert process.exitcode == -signal.SIGKILL
            assert host.kept == state or when == "after"
        phases.append(state.phase)
        state = host.kept
    return phases


def test_no_request_is_lost_where_each_step_is_killed_before_and_after_it_is_kept(host: Host) -> None:
    with visiting(host.url, "/slow", SLOW) as visits:
        phases = killed(host, deployment(host, TWO, "green", ONE))
        done = host.kept
        only(visits, TWO)
        turned = after(done, GoBack("-"), RULES.looks)
        deployments.save(host.path, turned)
        phases += killed(host, turned)
        only(visits, ONE)

    assert (done.phase, host.kept.phase) == (Phase.DONE, Phase.BACK)
    assert visits.failed == []
    assert {*phases} == {*Phase} - {*FINAL}
