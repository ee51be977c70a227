"""With which state a blue/green deployment begins, goes on, or goes back."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from msgspec.structs import replace

from pytest_artisan.release.attestation.attested import Attested
from pytest_artisan.release.blue_green.machine import Deployment, GoBack, Phase, after
from pytest_artisan.release.environments import Name
from pytest_artisan.release.health import Health, Limits
from pytest_artisan.release.observing import Yardstick
from pytest_artisan.release.slots.control import Build
from pytest_artisan.release.traffic.router import SLOTS, Slot
from pytest_artisan.settings import SettingsError
from pytest_artisan.verdict.evidence import NoEvidence


def live_slot(weights: Mapping[Slot, float]) -> Slot:
    """The slot that gets all requests; raises NoEvidence where none does."""
    for slot in SLOTS:
        if {name: weights.get(name) for name in SLOTS} == {name: 100 if name == slot else 0 for name in SLOTS}:
            return slot
    told = ", ".join(f"{slot} {weights.get(slot)} %" for slot in SLOTS)
    raise NoEvidence(f"the router gives {told} of the requests; blue/green begins where one slot gets all of them")


def begun(
    previous: Deployment | None, attested: Attested, version: str, live: Slot, yardstick: Yardstick, limits: Limits,
    now: datetime,
) -> Deployment:  # fmt: skip
    """A deployment of `version` to the slot that is not live; what runs in the live one, `previous` tells."""
    return Deployment(
        environment=attested.environment,
        build=Build(version, attested.commit),
        slot="green" if live == "blue" else "blue",
        old=previous.live[1] if previous and previous.live[0] == live else Build(),
        digest=attested.digest,
        begun=now,
        yardstick=yardstick,
        health=Health(limits),
    )


def resumed(previous: Deployment, attested: Attested) -> Deployment:
    """The same deployment, whose requests have not been moved yet, with the verdict that counts now. Raises SettingsError."""
    if attested.digest == previous.digest:
        return previous
    if attested.commit != previous.build.commit:
        told = f"{previous.build.version} was {previous.build.commit[:12]} when its deployment began, and is another commit"
        raise SettingsError(f"{told} now; go back first")
    phase = Phase.ADMIT if previous.phase == Phase.SWITCH else previous.phase
    return replace(previous, phase=phase, digest=attested.digest, asked=None)


def turned(previous: Deployment | None, version: str, environment: Name, looks: int) -> Deployment:
    """The deployment on its way back; raises SettingsError where there is none."""
    if previous is None:
        raise SettingsError(f"no blue/green deployment to {environment} is known here, so there is none to roll back")
    if previous.build.version != version:
        raise SettingsError(
            f"the last blue/green deployment to {environment} is {previous.build.version}, not {version}"
        )
    return after(previous, GoBack("somebody wants it back"), looks)
