"""The SBOM as the gate and the command have it: in the policy's version, with a reproducible time and no secret in it."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime

from pytest_artisan.files import write_atomically
from pytest_artisan.gates.auditing.bill import sbom_of
from pytest_artisan.gates.auditing.review import Review
from pytest_artisan.gates.gate import Project
from pytest_artisan.gates.tables import Security
from pytest_artisan.release.secrets import Masker
from pytest_artisan.verdict.evidence import Measurement, NoEvidence, measured, no_evidence

_NAME, _EPOCH = "SBOM components", "SOURCE_DATE_EPOCH"


def bill_of(project: Project, review: Review, table: Security, now: datetime) -> str:
    """The SBOM of what was reviewed, of the time that SOURCE_DATE_EPOCH gives, else of `now`. Raises NoEvidence."""
    text = sbom_of(
        project,
        review.audited,
        review.inventory,
        version=table.sbom_version,
        models=table.models,
        now=_stamp(now),
    )
    return Masker(project.environment.secrets.values()).text(text)


def components(project: Project, review: Review, table: Security, now: datetime) -> Measurement:
    """How many components the SBOM has, of as many releases as were audited; it is written where the policy says."""
    try:
        text = bill_of(project, review, table, now)
        if table.sbom is not None:
            path = project.root / table.sbom
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(path, text)
    except NoEvidence as error:
        return no_evidence(_NAME, str(error))
    except OSError as error:
        return no_evidence(_NAME, f"{table.sbom}: can not be written: {error.strerror}")
    libraries = [one for one in json.loads(text).get("components", ()) if one["type"] == "library"]
    audited = {(one.pin.name, one.pin.version) for one in review.audited.dependencies}
    return measured(_NAME, len(libraries), unit="count", equal_to=len(audited), n=len(audited))


def _stamp(now: datetime) -> datetime:
    """https://reproducible-builds.org/specs/source-date-epoch/."""
    given = os.environ.get(_EPOCH)
    if given is None:
        return now
    try:
        return datetime.fromtimestamp(int(given), UTC)
    except (ValueError, OverflowError, OSError):
        raise NoEvidence(f"{_EPOCH}={given!r} is no time: it counts seconds since 1970") from None
