"""Questions with a known answer: whoever answers one of them wrongly is not believed in the others."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from packaging.version import Version

from pytest_artisan.audit.advisories import Advisory
from pytest_artisan.audit.clusters import clusters_of, names_of
from pytest_artisan.audit.fixes import fix_of
from pytest_artisan.audit.matching import Concern, concern, version_of
from pytest_artisan.audit.severity import Severity, rating_of
from pytest_artisan.audit.source import Canaries, Known, Release

_MALWARE = "MAL-"
# For a public service of OSV: CVE-2025-43859, which h11 0.16.0 has fixed, and MAL-2026-4174.
PUBLIC = Canaries(critical=("h11", "0.14.0"), clean=("h11", "0.16.0"), malware=("durabletask", "1.4.1"))
# For the index itself, which takes malware away.
INDEX = Canaries(PUBLIC.critical, PUBLIC.clean, None)


def is_malware(advisory: Advisory) -> bool:
    """Whether it says that somebody meant harm; such an advisory has an id of its own kind."""
    return any(name.startswith(_MALWARE) for name in advisory.names)


def canaries_in(advisories: Iterable[Advisory]) -> Canaries | None:
    """Canaries for a source that knows these advisories: releases that they name; None where they name no such ones."""
    packages: dict[str, list[Advisory]] = {}
    for advisory in advisories:
        if advisory.withdrawn is None:
            for package in advisory.packages:
                packages.setdefault(package, []).append(advisory)
    pair = next((p for name in sorted(packages) for p in _critical_and_clean(name, packages[name])), None)
    malware = next((m for name in sorted(packages) for m in _malware(name, packages[name])), None)
    return None if pair is None or malware is None else Canaries(*pair, malware)


def faults_of(canaries: Canaries, known: Mapping[Release, Known], rates: bool) -> list[str]:
    """What a source answered wrongly, a line each; `rates` says whether it tells how bad something is."""
    # As the audit does it: whoever shares a name rates, whichever of them names the version.
    critical = [
        cluster
        for cluster in clusters_of(known[canaries.critical].advisories)
        if any(_is_affected(advisory, canaries.critical) for advisory in cluster)
        and (not rates or rating_of(cluster).severity is Severity.CRITICAL)
    ]
    wanted = "a critical advisory" if rates else "an advisory"
    faults = [] if critical else [f"it knows {wanted} of {_text(canaries.critical)}, and told none"]
    names = {name for cluster in critical for name in names_of(cluster)}
    if any(advisory.names & names for advisory in _concerning(canaries.clean, known)):
        faults.append(f"it says of {_text(canaries.clean)} what is true of {_text(canaries.critical)} alone")
    if canaries.malware is not None and not any(map(is_malware, _concerning(canaries.malware, known))):
        faults.append(f"it knows that {_text(canaries.malware)} is malware, and did not tell")
    return faults


def _critical_and_clean(name: str, advisories: list[Advisory]) -> Iterator[tuple[Release, Release]]:
    for cluster in clusters_of(advisories):
        if rating_of(cluster).severity is not Severity.CRITICAL:
            continue
        for version in _listed(name, cluster):
            fixed = fix_of(name, str(version), advisories)
            if fixed is not None:
                yield (name, str(version)), (name, fixed)


def _malware(name: str, advisories: list[Advisory]) -> Iterator[Release]:
    for advisory in filter(is_malware, advisories):
        for version in _listed(name, [advisory]):
            yield name, str(version)


def _listed(name: str, advisories: Iterable[Advisory]) -> list[Version]:
    """The versions that advisories list and concern, the newest first: the fewest others concern it as well."""
    texts = {text for a in advisories for part in a.affecting(name) for text in part.versions}
    versions = {version for text in texts if (version := version_of(text)) is not None and not version.is_prerelease}
    return [v for v in sorted(versions, reverse=True) if any(_is_affected(a, (name, str(v))) for a in advisories)]


def _concerning(release: Release, known: Mapping[Release, Known]) -> list[Advisory]:
    return [advisory for advisory in known[release].advisories if _is_affected(advisory, release)]


def _is_affected(advisory: Advisory, release: Release) -> bool:
    return concern(advisory, *release) is Concern.AFFECTED


def _text(release: Release) -> str:
    return "==".join(release)
