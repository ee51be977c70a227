"""What is known of what a project installs, or of what a change adds to that, and what somebody answers for."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from pytest_artisan.audit.audit import Audit, Dependency, Pardon, audit
from pytest_artisan.audit.inputs import inventory_of
from pytest_artisan.audit.inputs.installed import ENVIRONMENT
from pytest_artisan.audit.inventory import Inventory, NoAudit
from pytest_artisan.audit.kev import read_kev
from pytest_artisan.audit.source import Reader, Source
from pytest_artisan.audit.vex import read_vex
from pytest_artisan.audit.waivers import Waiver, read_waivers
from pytest_artisan.gates.auditing.places import Places, places_of
from pytest_artisan.gates.auditing.sources import sources_of
from pytest_artisan.gates.gate import Project
from pytest_artisan.gates.tables import Allowance, Security
from pytest_artisan.verdict.evidence import NoEvidence

_HOW = (
    "to have evidence, name a snapshot (artisan audit import makes one; --snapshot) or a service (osv_url; --osv-url)"
)


@dataclass(frozen=True, slots=True)
class Review:
    """An audit of an inventory, and what somebody has to answer for, in force or not.

    `tells_malware`: whether a source was asked that can know any.
    """

    audited: Audit
    inventory: Inventory
    waivers: tuple[Waiver, ...] = ()
    allowances: tuple[Allowance, ...] = ()
    tells_malware: bool = True


def review_of(project: Project, table: Security, now: datetime) -> Review:
    """What is known of a project, or of what a change adds to its base.

    Raises NoEvidence, and SettingsError for a file of decisions that can not be read.
    """
    try:
        with places_of(project) as places:
            return _reviewed(project, places, table, now)
    except NoAudit as error:
        raise NoEvidence(str(error)) from None


def listed(project: Project, table: Security) -> Review:
    """What is installed, and nothing of what is known of it. Raises NoEvidence."""
    try:
        inventory = inventory_of(project.root, table.files)
    except NoAudit as error:
        raise NoEvidence(str(error)) from None
    return Review(Audit((), tuple(map(Dependency, inventory.pins)), inventory.unaudited), inventory)


def _reviewed(project: Project, places: Places, table: Security, now: datetime) -> Review:
    waivers = () if table.waivers is None else read_waivers(places.decision(table.waivers), table.waivers)
    pardons: list[Pardon] = [waiver for waiver in waivers if not any(waiver.faults(now.date()))]
    pardons += read_vex(((places.decision(name), name) for name in table.vex), now=now)
    exploited = frozenset[str]() if table.kev is None else read_kev(places.data(table.kev), table.kev)
    inventory = inventory_of(places.root, _files(project, table))
    sources, silent = sources_of(places, table, now)
    if silent and not sources:
        raise NoAudit("; ".join(silent))
    try:
        audited = audit(inventory, sources, exploited=exploited, pardons=pardons)
    except NoAudit as error:
        raise NoAudit(f"{error}; {_HOW}" if inventory.pins and table.snapshot is None else str(error)) from None
    if places.base is not None:
        audited = audited.without(_before(places, table, sources))
    readers = (source for source in sources if isinstance(source, Reader))
    more = [left for reader in readers for left in reader.disagreements(inventory, places.root)]
    return Review(
        replace(audited, unaudited=(*audited.unaudited, *more), silent=(*silent, *audited.silent)),
        inventory,
        *_answered_for(project, waivers, table.unaudited),
        tells_malware=any(source.canaries.malware for source in sources),
    )


def _before(places: Places, table: Security, sources: Sequence[Source]) -> Audit:
    """The audit of the base, as far as it can be read: what nobody knows of it is new.

    What was installed when it was made, nobody knows any more.
    """
    assert places.base is not None
    there = [places.before(file) for file in table.files if file != ENVIRONMENT and places.before(file).exists()]
    try:
        known = inventory_of(places.base, [os.path.relpath(path, places.base) for path in there])
    except NoAudit:
        return Audit((), (), ())
    return audit(known, sources) if known.pins else Audit((), (), ())


def _files(project: Project, table: Security) -> tuple[str, ...]:
    """What is audited; a change may add a file, and leave one out that is gone."""
    if project.base is None:
        return table.files
    there = (file for file in table.files if file == ENVIRONMENT or (project.root / file).exists())
    return tuple(dict.fromkeys((*project.base.changed.files, *there)))


def _answered_for(
    project: Project, waivers: tuple[Waiver, ...], allowances: tuple[Allowance, ...]
) -> tuple[tuple[Waiver, ...], tuple[Allowance, ...]]:
    """Of decisions those that a change leaves as they are: whoever changes one, or takes it away, has answered for it."""
    if project.base is None:
        return waivers, allowances
    name = project.base.changed.waivers
    kept = read_waivers(project.root / name, name) if name is not None and (project.root / name).exists() else ()
    same = {replace(waiver, file="", line=0) for waiver in kept}
    return (
        tuple(waiver for waiver in waivers if replace(waiver, file="", line=0) in same),
        tuple(allowance for allowance in allowances if allowance in project.base.changed.unaudited),
    )
