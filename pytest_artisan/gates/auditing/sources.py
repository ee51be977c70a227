"""The sources of advisories that a policy names."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

from packaging.utils import canonicalize_name

from pytest_artisan import tools
from pytest_artisan.audit.canaries import PUBLIC
from pytest_artisan.audit.inventory import NoAudit
from pytest_artisan.audit.snapshot import Snapshot
from pytest_artisan.audit.source import Canaries, Release, Source
from pytest_artisan.gates.auditing.places import Places
from pytest_artisan.gates.tables import CanaryTable, Security
from pytest_artisan.verdict.evidence import NoEvidence

# Where nothing else is named: it knows all of the public databases.
OSV_DEV = "https://api.osv.dev"
# Where the world outside is reached by a proxy, or through certificates of one's own; what answers there is tried anyway.
_NETWORK = ("HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy", "REQUESTS_CA_BUNDLE")


def sources_of(places: Places, table: Security, now: datetime) -> tuple[list[Source], list[str]]:
    """All that the table names, else the public service; and why the snapshot can not be believed, where that is so."""
    services = list(_services(table))
    if table.snapshot is None:
        return services, []
    try:
        return [snapshot_of(places.data(table.snapshot), table, now), *services], []
    except NoAudit as error:
        return services, [str(error)]


def snapshot_of(path: Path, table: Security, now: datetime) -> Snapshot:
    """A snapshot as the table wants it. Raises NoAudit."""
    return Snapshot(path, max_age=timedelta(days=table.snapshot_days), floor=table.snapshot_floor, now=now)


def _services(table: Security) -> Iterator[Source]:
    canaries = None if table.canaries is None else _canaries(table.canaries)
    if table.pip_audit:
        from pytest_artisan.audit.pip_audit import PipAudit

        own = canaries if table.osv_url else None
        yield PipAudit(_run, osv_url=table.osv_url, timeout_s=table.timeout_s, canaries=own)
    if table.osv_url is not None or not (table.snapshot or table.pip_audit):
        from pytest_artisan.audit.osv import OsvService

        yield OsvService(table.osv_url or OSV_DEV, canaries=canaries or PUBLIC, timeout_s=table.timeout_s)


def _run(tool: str, arguments: list[str], *, cwd: Path, timeout_s: float, stdin: str) -> tools.Answer:
    network = {name: os.environ[name] for name in _NETWORK if name in os.environ}
    try:
        return tools.run(tool, arguments, cwd=cwd, timeout_s=timeout_s, stdin=stdin, extra=network)
    except NoEvidence as error:
        raise NoAudit(str(error)) from None


def _canaries(table: CanaryTable) -> Canaries:
    return Canaries(_release(table.critical), _release(table.clean), _release(table.malware))


def _release(text: str) -> Release:
    name, _, version = text.partition("==")
    return canonicalize_name(name), version
