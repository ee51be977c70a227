"""Whether a signed verdict lets something be deployed."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from pytest_artisan.release.attestation.attested import Attested, Refused, Wanted


def verify(root: Path, path: Path, wanted: Wanted, now: datetime) -> Attested:
    """Check the envelope at `path` for the project at `root`; raises Refused, SettingsError, NoEvidence."""
    raise Refused(f"{path}: can not be verified yet", 10)
