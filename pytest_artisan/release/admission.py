"""Whether a deployment may begin: within a window of the train, and with a verdict that was not used before."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from pytest_artisan.release.attestation.attested import Attested, Refused, Wanted
from pytest_artisan.release.attestation.verifying import verify
from pytest_artisan.release.record import Entry, note, read, who
from pytest_artisan.release.train.branch import train_in_force
from pytest_artisan.release.train.windows import departure
from pytest_artisan.settings import SettingsError

_ACTION = "deploy"
USED = 23


class NotNow(SettingsError):
    """No window is open; its text says when the next one is."""


def admit(
    root: Path, wanted: Wanted, verdict: Path, now: datetime, *, hotfix: str = "", override: str = ""
) -> Attested:
    """The verdict with which this deployment begins; that it does is on the record when this returns.

    To be asked while `deployments.alone`. Raises Refused, NotNow, SettingsError, NoEvidence.
    """
    attested = verify(root, verdict, wanted, now)
    # A deployment that was rolled back, or is over, does not begin again with what it began with.
    for entry in read(root):
        if entry.action == _ACTION and attested.digest in entry.why:
            raise Refused(f"{verdict}: it was used before, for {entry.subject} at {entry.at:%Y-%m-%d %H:%M %Z}", USED)
    found = departure(root, train_in_force(root), wanted.environment, now, hotfix, override)
    if not found.go:
        following = f"; the next window opens {found.next:%Y-%m-%d %H:%M %Z}" if found.next else ""
        raise NotNow(f"{found.why}{following}")
    subject = " ".join(filter(None, [wanted.version, f"to {wanted.environment}", stage_of(wanted)]))
    why = f"{found.why}; verdict sha256:{attested.digest}"
    note(root, Entry(at=now, who=who(root), action=_ACTION, subject=subject, why=why))
    return attested


def stage_of(wanted: Wanted) -> str:
    return "" if wanted.stage is None else f"stage {wanted.stage:g} %"
