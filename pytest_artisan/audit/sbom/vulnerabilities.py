"""What an audit found, as CycloneDX writes it: each vulnerability once, with all releases that have it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING

from pytest_artisan.audit.audit import Audit, Vulnerability
from pytest_artisan.audit.inventory import Pin
from pytest_artisan.audit.severity import Rating
from pytest_artisan.audit.source import Release
from pytest_artisan.audit.vex import Statement

if TYPE_CHECKING:
    from cyclonedx.model import vulnerability as cdx

Found = tuple[Pin, Vulnerability]

# Who gave a name, as Dependency-Track calls them; OSV has all the others.
_SOURCES = {"CVE": "NVD", "GHSA": "GITHUB"}
_OSV = "OSV"
# https://github.com/openvex/spec, justifications; that nobody can control what is vulnerable has no word in CycloneDX.
_JUSTIFICATIONS = {
    "component_not_present": "code_not_present",
    "vulnerable_code_not_present": "code_not_present",
    "vulnerable_code_not_in_execute_path": "code_not_reachable",
    "inline_mitigations_already_exist": "protected_by_mitigating_control",
}


def vulnerabilities_of(audited: Audit, refs: Mapping[Release, str]) -> list[cdx.Vulnerability]:
    """All vulnerabilities; `refs` are the components. What is pardoned for one release and not for another is told twice."""
    statements = [pardon for pardon in audited.used if isinstance(pardon, Statement)]
    return [_told(group, refs, statements) for group in _groups(audited.vulnerabilities())]


def _groups(found: Iterable[Found]) -> Iterator[Sequence[Found]]:
    """Together what shares a name and its pardon; the names of two may be linked by a third alone."""
    groups: dict[tuple[str, str], list[Found]] = {}
    for one in sorted(found, key=lambda one: (one[0], one[1].id)):
        linked = {id(group): group for key in _keys(one) if (group := groups.get(key)) is not None}
        merged = [*(other for group in linked.values() for other in group), one]
        groups |= {key: merged for other in merged for key in _keys(other)}
    yield from {id(group): group for group in groups.values()}.values()


def _keys(one: Found) -> list[tuple[str, str]]:
    return [(one[1].pardon, name) for name in sorted(one[1].names)]


def _told(group: Sequence[Found], refs: Mapping[Release, str], statements: Sequence[Statement]) -> cdx.Vulnerability:
    from cyclonedx.model import vulnerability as cdx

    first = group[0][1]
    affected = sorted({refs[pin.name, pin.version] for pin, _ in group})
    names = {name for _, found in group for name in found.names}
    return cdx.Vulnerability(
        # Told twice, it has one id, and affects others each time.
        bom_ref=f"{first.id} {affected[0]}",
        id=first.id,
        source=_source(first.id),
        references=[cdx.VulnerabilityReference(id=name, source=_source(name)) for name in names - {first.id}],
        ratings=[_rating(rating) for rating in dict.fromkeys(found.rating for _, found in group)],
        description=next((found.summary for _, found in group if found.summary), None),
        recommendation=_recommendation(group),
        affects=[cdx.BomTarget(ref=ref) for ref in affected],
        analysis=_analysis(group[0], statements),
    )


def _source(name: str) -> cdx.VulnerabilitySource:
    from cyclonedx.model import vulnerability as cdx

    return cdx.VulnerabilitySource(name=_SOURCES.get(name.partition("-")[0], _OSV))


def _rating(rating: Rating) -> cdx.VulnerabilityRating:
    from cyclonedx.model import vulnerability as cdx

    method = None
    if rating.vector:
        method = cdx.VulnerabilityScoreSource.get_from_vector(rating.vector)
        if not rating.vector.startswith("CVSS:"):
            # Vectors of CVSS 2 have no prefix that names them.
            method = cdx.VulnerabilityScoreSource.CVSS_V2
    return cdx.VulnerabilityRating(
        source=_source(rating.origin.rpartition(" of ")[2]) if rating.origin.count(" of ") == 1 else None,
        score=None if rating.score is None else Decimal(str(rating.score)),
        severity=cdx.VulnerabilitySeverity(rating.severity.value),
        method=method,
        vector=rating.vector or None,
        justification=rating.origin,
    )


def _recommendation(group: Sequence[Found]) -> str | None:
    fixes = {f"{pin.name} {pin.version}: go to {found.fixed_in}": None for pin, found in group if found.fixed_in}
    return "; ".join(fixes) or None


def _analysis(one: Found, statements: Sequence[Statement]) -> cdx.VulnerabilityAnalysis | None:
    """A statement clears; a waiver only bears with what may be exploited all the same."""
    from cyclonedx.model import impact_analysis as impact
    from cyclonedx.model import vulnerability as cdx

    pin, found = one
    if not found.pardon:
        return None
    clearing = [s for s in statements if s.covers(found.names, pin.name, pin.version)]
    state = impact.ImpactAnalysisState.NOT_AFFECTED if clearing else impact.ImpactAnalysisState.EXPLOITABLE
    reason = next((_JUSTIFICATIONS[s.claim.why] for s in clearing if s.claim.why in _JUSTIFICATIONS), None)
    return cdx.VulnerabilityAnalysis(
        state=state,
        justification=None if reason is None else impact.ImpactAnalysisJustification(reason),
        detail=found.pardon,
    )
