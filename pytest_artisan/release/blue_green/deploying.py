"""A blue/green deployment from its order to its end, while no other deployment to the environment runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pytest_artisan.release.admission import admit, check_use, window
from pytest_artisan.release.attestation.attested import Attested, DigestOf, Wanted
from pytest_artisan.release.attestation.verifying import verify
from pytest_artisan.release.blue_green.beginning import begun, live_slot, resumed, turned
from pytest_artisan.release.blue_green.machine import FINAL, RETIRED, UNSWITCHED, Deployment, Phase
from pytest_artisan.release.blue_green.running import World, given_back, run
from pytest_artisan.release.blue_green.settings import BlueGreen
from pytest_artisan.release.deployments import Busy, alone, folder_of, load, save
from pytest_artisan.release.environments import Environment, Name
from pytest_artisan.release.observing import Source
from pytest_artisan.release.record import Entry, note, read, who
from pytest_artisan.release.slots.control import Control
from pytest_artisan.release.traffic.router import Router, Slot
from pytest_artisan.settings import SettingsError
from pytest_artisan.verdict.evidence import NoEvidence


@dataclass(frozen=True, slots=True)
class Order:
    """The release that somebody wants in an environment, and what lets it begin."""

    version: str
    verdict: Path | None = None
    hotfix: str = ""
    override: str = ""
    keys: Sequence[Path] = ()


@dataclass(frozen=True, slots=True)
class Site:
    """Where it is deployed; `source_of` a slot shows what the slot does. `wait` takes seconds, `say` a line."""

    root: Path
    environment: Environment
    rules: BlueGreen
    router: Router
    slots: Control
    source_of: Callable[[Slot], Source]
    digest_of: DigestOf
    now: Callable[[], datetime]
    wait: Callable[[float], None]
    say: Callable[[str], None]

    @property
    def path(self) -> Path:
        """Where the environment's last deployment is kept."""
        return path_of(self.root, self.environment.env)


def path_of(root: Path, environment: Name) -> Path:
    """Where the last blue/green deployment of an environment is kept."""
    return folder_of(root, environment) / "blue-green.json"


def deploy(site: Site, order: Order) -> Deployment:
    """Begin it, or go on with it, to its end. Raises Busy, Refused, NotNow, SettingsError, NoEvidence."""
    name = site.environment.env
    with alone(site.root, name, f"blue/green {order.version}", who(site.root), site.now()):
        state = _beginning(site, order, load(site.path, Deployment))
        return state if state.phase in FINAL else _finished(site, order, state)


def roll_back(site: Site, version: str) -> Deployment:
    """All requests to what ran before `version`, in whatever phase that deployment is.

    Where another process watches it, the requests go back at once, and that process ends it. Raises as `deploy` does.
    """
    name = site.environment.env
    try:
        with alone(site.root, name, f"rollback of {version}", who(site.root), site.now()):
            state = turned(load(site.path, Deployment), version, name, site.rules.looks)
            if not state.old.version and state.phase == Phase.PROVE:
                site.say(
                    f"artisan did not deploy what ran in {state.other} before; start it there, where it does not run"
                )
            return state if state.phase in FINAL else _finished(site, Order(version), state)
    except Busy:
        watched = load(site.path, Deployment)
        if watched is None or watched.phase != Phase.WATCH:
            raise
        state = turned(watched, version, name, site.rules.looks)
        site.router.shift(state.other, 100)
        now = load(site.path, Deployment)
        if now is not None and now.phase in RETIRED:
            # That process went on in the meantime, and may have stopped the old slot before it could see this.
            site.router.shift(state.slot, 100)
            raise
        site.say(
            f"{state.other} gets all requests; whoever watches {state.slot} sees that at the next look, and ends it"
        )
        return state


def _finished(site: Site, order: Order, state: Deployment) -> Deployment:
    try:
        save(site.path, state)
    except SettingsError as error:
        if state.phase != Phase.RETURN:
            raise
        raise SettingsError(f"{error}; {given_back(state, site.router)}") from None
    world = World(
        site.router,
        site.slots,
        lambda: site.source_of(state.slot),
        lambda at: _admit(site, order, at),
        lambda at: _admitted(site, state, at),
        lambda kept: _keep(site, kept),
        site.now,
        site.wait,
        site.say,
    )
    try:
        return run(state, site.rules, world)
    except NoEvidence as error:
        raise NoEvidence(f"{error}; the same command goes on") from None


def _beginning(site: Site, order: Order, previous: Deployment | None) -> Deployment:
    if order.hotfix not in ("", order.version):
        raise SettingsError(f"--hotfix {order.hotfix} opens no window for {order.version}")
    if previous is not None and previous.phase not in FINAL:
        if previous.build.version != order.version:
            typed = f"artisan deploy blue-green {previous.environment} {previous.build.version}"
            raise SettingsError(
                f"{previous.build.version} is at {previous.phase}; {typed} goes on, and with --rollback goes back"
            )
        return _resumed(site, order, previous) if previous.phase in UNSWITCHED else previous
    attested = _verified(site, order)
    live = live_slot(site.router.weights())
    if previous is not None and (previous.phase, previous.slot, previous.digest) == (Phase.DONE, live, attested.digest):
        return previous
    # What `admit` is going to say, too: nothing is started in vain.
    check_use(site.root, attested, _wanted(site, order), _verdict(order), order.hotfix)
    if not (order.hotfix or order.override):
        window(site.root, site.environment.env, site.now())
    yardstick = site.source_of("green" if live == "blue" else "blue").yardstick(site.now())
    site.say(f"{live} gets all requests; slow is from {yardstick.slow_s:.3f} s on, by {yardstick.origin}")
    return begun(previous, attested, order.version, live, yardstick, site.rules.limits, site.now())


def _resumed(site: Site, order: Order, previous: Deployment) -> Deployment:
    state = resumed(previous, _verified(site, order))
    if state.asked and _admitted(site, state, state.asked):
        # It may have been long ago, and is not asked for again.
        window(site.root, site.environment.env, site.now(), order.hotfix, order.override)
    return state


def _admitted(site: Site, state: Deployment, at: datetime) -> bool:
    return any((entry.at, entry.verdict) == (at, state.digest) for entry in read(site.root))


def _verified(site: Site, order: Order) -> Attested:
    return verify(site.root, _verdict(order), _wanted(site, order), site.now(), site.digest_of, order.keys)


def _admit(site: Site, order: Order, at: datetime) -> None:
    admit(
        site.root,
        _wanted(site, order),
        _verdict(order),
        at,
        site.digest_of,
        hotfix=order.hotfix,
        override=order.override,
        keys=order.keys,
    )


def _wanted(site: Site, order: Order) -> Wanted:
    return Wanted(environment=site.environment.env, version=order.version)


def _verdict(order: Order) -> Path:
    if order.verdict is None:
        raise SettingsError("--verdict FILE is missing: the signed GO for this version and environment")
    return order.verdict


def _keep(site: Site, state: Deployment) -> None:
    if state.phase in FINAL:
        subject, why = f"{state.build.version} to {state.environment}", "; ".join(state.reasons)
        action = f"blue/green {state.phase}"
        note(site.root, Entry(at=site.now(), who=who(site.root), action=action, subject=subject, why=why))
    save(site.path, state)
