"""An audit of a project against its policy: what counts, what is waived, and what nobody could tell."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from pathlib import Path

from packaging.utils import NormalizedName, canonicalize_name

from pytest_artisan.audit.audit import Audit, Dependency, Pardon, Vulnerability, audit
from pytest_artisan.audit.inputs import inventory_of
from pytest_artisan.audit.inputs.installed import ENVIRONMENT
from pytest_artisan.audit.inventory import Inventory, NoAudit, Pin
from pytest_artisan.audit.kev import read_kev
from pytest_artisan.audit.severity import Severity
from pytest_artisan.audit.source import Reader, Source
from pytest_artisan.audit.vex import read_vex
from pytest_artisan.audit.waivers import Waiver, ends_soon, read_waivers, term_faults
from pytest_artisan.gates.auditing.places import Places, places_of
from pytest_artisan.gates.auditing.sources import sources_of
from pytest_artisan.gates.gate import CheckEvidence, NoEvidence, Project
from pytest_artisan.gates.tables import Allowance, Security
from pytest_artisan.settings import SettingsError, one_line
from pytest_artisan.verdict.evidence import Finding, Measurement, measured

_TOOL = "audit"
_NAMED = 5  # in one line
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


def listed(project: Project, table: Security, now: datetime) -> Review:
    """What is installed, and nothing of what is known of it. Raises NoEvidence, also for what nobody can name exactly."""
    try:
        inventory = inventory_of(project.root, table.files)
    except NoAudit as error:
        raise NoEvidence(str(error)) from None
    audited = Audit((), tuple(map(Dependency, inventory.pins)), inventory.unaudited)
    whole = _complete(audited, _allowed(table, now.date()))
    if whole.value is None:
        raise NoEvidence(whole.no_data)
    return Review(audited, inventory)


def _reviewed(project: Project, places: Places, table: Security, now: datetime) -> Review:
    waivers = () if table.waivers is None else read_waivers(places.decision(table.waivers), table.waivers)
    pardons = [waiver for waiver in waivers if not any(waiver.faults(now.date()))]
    stated = read_vex((places.decision(name), name) for name in table.vex)
    exploited = frozenset[str]() if table.kev is None else read_kev(places.data(table.kev), table.kev)
    inventory = inventory_of(places.root, _files(project, table))
    try:
        sources = list(sources_of(places, table, now))
        audited = _compared(places, inventory, table, sources, exploited, [*pardons, *stated])
        readers = (source for source in sources if isinstance(source, Reader))
        more = [left for reader in readers for left in reader.disagreements(inventory, places.root)]
    except NoAudit as error:
        raise NoEvidence(f"{error}; {_HOW}" if inventory.pins else str(error)) from None
    return Review(
        replace(audited, unaudited=(*audited.unaudited, *more)),
        inventory,
        *_answered_for(project, waivers, table.unaudited),
        tells_malware=any(source.canaries.malware for source in sources),
    )


def _compared(
    places: Places,
    inventory: Inventory,
    table: Security,
    sources: Sequence[Source],
    exploited: frozenset[str],
    pardons: Sequence[Pardon],
) -> Audit:
    audited = audit(inventory, sources, exploited=exploited, pardons=pardons)
    # What was installed when the base was made, nobody knows any more.
    before = [file for file in table.files if file != ENVIRONMENT and places.base and (places.base / file).exists()]
    if places.base is None or not before:
        return audited
    known = inventory_of(places.base, before)
    return audited.without(audit(known, sources)) if known.pins else audited


def _files(project: Project, table: Security) -> tuple[str, ...]:
    """What is audited; a change may add a file, and leave one out that is gone."""
    if project.base is None:
        return table.files
    changed: tuple[str, ...] = getattr(project.base.changed, "files", ())
    there = (file for file in table.files if file == ENVIRONMENT or (project.root / file).exists())
    return tuple(dict.fromkeys((*changed, *there)))


def _answered_for(
    project: Project, waivers: tuple[Waiver, ...], allowances: tuple[Allowance, ...]
) -> tuple[tuple[Waiver, ...], tuple[Allowance, ...]]:
    """Of decisions those that a change leaves as they are: one that it takes away with its cause is no longer needed."""
    if project.base is None:
        return waivers, allowances
    name: str | None = getattr(project.base.changed, "waivers", None)
    kept = read_waivers(project.root / name, name) if name is not None and (project.root / name).exists() else ()
    names = {(waiver.advisory, waiver.package, waiver.versions) for waiver in kept}
    left: tuple[Allowance, ...] = getattr(project.base.changed, "unaudited", ())
    return (
        tuple(waiver for waiver in waivers if (waiver.advisory, waiver.package, waiver.versions) in names),
        tuple(allowance for allowance in allowances if allowance.name in {one.name for one in left}),
    )


def of_review(review: Review, table: Security, today: date, *, is_part: bool = False) -> CheckEvidence:
    """What a review shows against the table's limits; what is no reason to stop is a finding that does not block.

    Where it is of a part of what the policy names, a decision without a cause may be about the rest.
    """
    audited = review.audited
    allowed = _allowed(table, today)
    measurements = [_complete(audited, allowed)]
    blocking: set[tuple[Pin, str]] = set()
    for name, (limit, is_such) in _limits(table, review.tells_malware).items():
        found = [(pin, v.id) for pin, v in audited.vulnerabilities() if is_such(v)]
        measurements.append(measured(name, len(found), unit="count", at_most=limit, n=len(audited.dependencies)))
        if len(found) > limit:
            blocking |= set(found)
    faults = list(_faults(review, today, is_part))
    broken = sum(fault.blocks for fault in faults)
    measurements.append(measured("waivers out of order", broken, unit="count", at_most=0))
    told = (vulnerability_finding(pin, v, blocks=(pin, v.id) in blocking) for pin, v in audited.vulnerabilities())
    findings = sorted([*told, *faults, *_remarks(review, allowed, today)], key=lambda finding: not finding.blocks)
    return CheckEvidence(tuple(measurements), tuple(findings))


def _allowed(table: Security, today: date) -> dict[NormalizedName, Allowance]:
    return {canonicalize_name(a.name): a for a in table.unaudited if not any(term_faults(a.expires, today))}


def _limits(table: Security, tells_malware: bool) -> dict[str, tuple[int, Callable[[Vulnerability], bool]]]:
    """How many there may be of what somebody can tell.

    What is used in attacks, or was made for them, no waiver and no base excuses.
    """
    limits: dict[str, tuple[int, Callable[[Vulnerability], bool]]] = {
        "critical": (table.critical, lambda v: v.counts and v.rating.severity is Severity.CRITICAL)
    }
    if table.kev is not None:
        limits["known exploited"] = (table.known_exploited, lambda v: v.is_exploited)
    if tells_malware:
        limits["malware"] = (table.malware, lambda v: v.is_malware)
    if table.unknown == "block":
        limits["unrated"] = (0, lambda v: v.counts and v.rating.severity is Severity.UNKNOWN)
    return limits


def _complete(audited: Audit, allowed: Container[str]) -> Measurement:
    """How much was audited, where that is all; else no number, and what is missing."""
    n = len(audited.dependencies)
    left = [f"{u.name} {u.why}" for u in audited.unaudited if canonicalize_name(u.name) not in allowed]
    left += [f"{d.pin.name}: {u.id}: {u.why}" for d in audited.dependencies for u in d.undecided if not u.pardon]
    whole = measured("releases audited", n, unit="count", at_least=1, n=n)
    if not left:
        return whole
    more = f" and {len(left) - _NAMED} more" if len(left) > _NAMED else ""
    return replace(whole, value=None, no_data=one_line("; ".join(left[:_NAMED]) + more))


def vulnerability_finding(pin: Pin, found: Vulnerability, *, blocks: bool) -> Finding:
    """A vulnerability of a release, where it is pinned."""
    rating = found.rating
    score = "" if rating.score is None else f" {rating.score:g}"
    details = {
        "package": pin.name,
        "installed": pin.version,
        "advisory": found.id,
        "severity": f"{rating.severity.value}{score}",
        "from": rating.origin,
        "fixed in": found.fixed_in or "-",
        "waiver": found.pardon or ("known in the base" if found.is_known else "-"),
    }
    return _finding(found.id, told(pin, found), pin.file, pin.line, blocks=blocks, details=details)


def told(pin: Pin, found: Vulnerability) -> str:
    """A vulnerability in a line."""
    kinds = [word for word, is_so in (("malware", found.is_malware), ("exploited", found.is_exploited)) if is_so]
    score = "" if found.rating.score is None else f" {found.rating.score:g}"
    rated = f"{found.rating.severity.value}{score}, {found.rating.origin}"
    fix = f"go to {found.fixed_in}" if found.fixed_in else "no fix is known"
    excuse = [found.pardon] if found.pardon else ["known in the base"] if found.is_known else []
    return f"{pin.name} {pin.version}: {'; '.join([*kinds, rated, fix, *excuse])}"


def _faults(review: Review, today: date, is_part: bool) -> Iterator[Finding]:
    """Decisions that do not hold, and those without a cause."""
    for waiver in review.waivers:
        for fault in waiver.faults(today):
            yield _finding("waiver", f"{waiver.name} {fault}", waiver.file, waiver.line)
        if waiver not in review.audited.used and not any(waiver.faults(today)):
            told = f"{waiver.name} waives nothing that is there"
            yield _finding("waiver", told, waiver.file, waiver.line, blocks=not is_part)
    there = {canonicalize_name(one.name) for one in review.audited.unaudited}
    for allowance in review.allowances:
        entry = f"the entry for {allowance.name}"
        for fault in term_faults(allowance.expires, today):
            yield _finding("unaudited", f"{entry} {fault}", "pyproject.toml", 1)
        if canonicalize_name(allowance.name) not in there:
            told = f"{entry} allows nothing that is there"
            yield _finding("unaudited", told, "pyproject.toml", 1, blocks=not is_part)


def _remarks(review: Review, allowed: Mapping[NormalizedName, Allowance], today: date) -> Iterator[Finding]:
    """What somebody answers for, and what ends soon."""
    for dependency in review.audited.dependencies:
        pin = dependency.pin
        for one in (one for one in dependency.undecided if one.pardon):
            yield _finding(one.id, f"{pin.name}: {one.why}; {one.pardon}", pin.file, pin.line, blocks=False)
    for left in review.audited.unaudited:
        allowance = allowed.get(canonicalize_name(left.name))
        if allowance is not None:
            message = f"{left.name} {left.why}; allowed until {allowance.expires}: {allowance.reason}"
            yield _finding("unaudited", message, left.file, left.line, blocks=False)
    terms = [(w.name, w.expires, w.file, w.line) for w in review.waivers]
    terms += [(f"the entry for {a.name}", a.expires, "pyproject.toml", 1) for a in allowed.values()]
    for name, expires, file, line in terms:
        if ends_soon(expires, today):
            yield _finding("waiver", f"{name} expires on {expires}", file, line, blocks=False)


def _finding(
    rule: str, message: str, file: str, line: int, *, blocks: bool = True, details: Mapping[str, str] | None = None
) -> Finding:
    path, line = ("pyproject.toml", 1) if file == ENVIRONMENT else (Path(file).as_posix(), line)
    cells = {head: one_line(cell) for head, cell in (details or {}).items()}
    return Finding(_TOOL, rule, one_line(message), path, line, blocks=blocks, details=cells)
