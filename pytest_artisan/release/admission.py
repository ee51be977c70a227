"""Whether a deployment may begin: within a window of the train, and with a verdict that was not used before."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path

from pytest_artisan.release.attestation.attested import Attested, Check, DigestOf, Refused, Wanted
from pytest_artisan.release.attestation.verifying import verify
from pytest_artisan.release.environments import Name
from pytest_artisan.release.record import Entry, note, read, who
from pytest_artisan.release.train.branch import train_in_force
from pytest_artisan.release.train.times import shown
from pytest_artisan.release.train.windows import departure
from pytest_artisan.settings import SettingsError

_ACTION = "deploy"


class NotNow(SettingsError):
    """No window is open; its text says when the next one is."""


def admit(
    root: Path,
    wanted: Wanted,
    verdict: Path,
    now: datetime,
    digest_of: DigestOf,
    *,
    hotfix: str = "",
    override: str = "",
    keys: Sequence[Path] = (),
    keep: Callable[[Attested], None] = lambda attested: None,
) -> Attested:
    """The verdict with which this deployment begins; that it does is on the record when this returns.

    `keep` gets it before that, so that whoever is killed in between finds what was used up; where it raises, nothing is.
    `digest_of` and `keys` are as in `verify`. To be asked while `deployments.alone`. Raises Refused, NotNow,
    SettingsError, NoEvidence.
    """
    attested = verify(root, verdict, wanted, now, digest_of, keys)
    check_use(root, attested, wanted, verdict, hotfix)
    why = "; ".join(filter(None, [stage_of(wanted), window(root, wanted.environment, now, hotfix, override)]))
    subject = _release(wanted, attested)
    keep(attested)
    note(root, Entry(at=now, who=who(root), action=_ACTION, subject=subject, why=why, verdict=attested.digest))
    return attested


def check_use(root: Path, attested: Attested, wanted: Wanted, verdict: Path, hotfix: str = "") -> None:
    """Raises Refused for a verdict that no window would admit, and SettingsError; nothing goes on the record."""
    if attested.kind == "hotfix" and not hotfix:
        text = "it is a hotfix's, by a smaller policy than the train's; --hotfix VERSION deploys it"
        raise Refused(f"{verdict}: {text}", Check.PURPOSE)
    _check_new(root, attested, _release(wanted, attested), verdict)


def window(root: Path, environment: Name, now: datetime, hotfix: str = "", override: str = "") -> str:
    """Why a deployment may begin now; for another reason than a window, this is on the record. Raises NotNow, SettingsError."""
    train = train_in_force(root)
    found = departure(root, train, environment, now, hotfix, override)
    if not found.go:
        following = f"; the next window opens {shown(found.next, train.tz)}" if found.next else ""
        raise NotNow(f"{found.why}{following}")
    return found.why


def _release(wanted: Wanted, attested: Attested) -> str:
    return f"{wanted.version or attested.commit} to {wanted.environment}"


def _check_new(root: Path, attested: Attested, release: str, verdict: Path) -> None:
    """A deployment that was rolled back, or is over, does not begin again with what it began with.

    Each verdict of a release names the one before it, so that none can be left out. Raises Refused, SettingsError.
    """
    began = [entry for entry in read(root) if entry.verdict]
    for entry in began:
        if entry.verdict == attested.digest:
            told = f"it was used before, for {entry.subject} at {entry.at:%Y-%m-%d %H:%M %Z}"
            raise Refused(f"{verdict}: {told}", Check.USED)
    last = next((entry.verdict for entry in reversed(began) if entry.subject == release), None)
    if attested.previous != last:
        named, wanted = (f"sha256:{digest[:12]}" if digest else "none" for digest in (attested.previous, last))
        told = f"the verdict before it is {named}, and the last one of {release} is {wanted} (--artisan-previous)"
        raise Refused(f"{verdict}: {told}", Check.CHAIN)


def stage_of(wanted: Wanted) -> str:
    """The stage, for people; empty for all of them."""
    return "" if wanted.stage is None else f"stage {wanted.stage:g} %"
