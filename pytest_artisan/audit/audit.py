"""What is known of everything that a project installs."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from pytest_artisan.audit.advisories import Advisory
from pytest_artisan.audit.canaries import faults_of, is_malware
from pytest_artisan.audit.clusters import clusters_of, names_of
from pytest_artisan.audit.fixes import fix_of
from pytest_artisan.audit.inventory import Inventory, NoAudit, Pin, Unaudited
from pytest_artisan.audit.matching import Concern, concern, decides, doubt
from pytest_artisan.audit.severity import Rating, rating_of
from pytest_artisan.audit.source import Known, Malformed, Release, Source

_NAMED = 5  # in one line
_ROUNDS = 20  # of asking what is known of a fix, and of the fix of that


class Pardon(Protocol):
    """A waiver, or a statement that something does not concern this project."""

    def covers(self, names: Collection[str], package: str, version: str) -> bool: ...

    def told(self) -> str:
        """Who pardons, why and until when, in a line."""
        ...


@dataclass(frozen=True, slots=True)
class Vulnerability:
    """All that is known of one vulnerability of one release.

    `id` is its first advisory's, `aliases` are all its other names. `pardon` says why it is not counted, where it is not,
    and `is_known` that the base of a change has it as well.
    """

    id: str
    aliases: tuple[str, ...]
    summary: str
    rating: Rating
    fixed_in: str | None
    is_exploited: bool
    is_malware: bool
    pardon: str = ""
    is_known: bool = False

    @property
    def names(self) -> frozenset[str]:
        return frozenset((self.id, *self.aliases))

    @property
    def counts(self) -> bool:
        """Whether it is held against the project."""
        return not self.pardon and not self.is_known


@dataclass(frozen=True, slots=True)
class Undecided:
    """An advisory that may concern a release, or not: its record can not be read as far as that."""

    id: str
    why: str
    pardon: str = ""


@dataclass(frozen=True, slots=True)
class Dependency:
    """A pin, and what is known of it; the worst comes first."""

    pin: Pin
    vulnerabilities: tuple[Vulnerability, ...] = ()
    undecided: tuple[Undecided, ...] = ()


@dataclass(frozen=True, slots=True)
class Audit:
    """Every pin of an inventory, and what could not be audited; `used` are the pardons that pardoned something.

    `silent` says of sources why they did not answer, where others did.
    """

    origins: tuple[str, ...]
    dependencies: tuple[Dependency, ...]
    unaudited: tuple[Unaudited, ...]
    used: tuple[Pardon, ...] = ()
    silent: tuple[str, ...] = ()

    def vulnerabilities(self) -> Iterator[tuple[Pin, Vulnerability]]:
        return ((d.pin, v) for d in self.dependencies for v in d.vulnerabilities)

    def without(self, base: Audit) -> Audit:
        """The same, where what the audit of a change's base has as well is known, and not counted."""
        known = {(pin.name, name) for pin, v in base.vulnerabilities() for name in v.names}

        def told(dependency: Dependency) -> Dependency:
            name = dependency.pin.name
            marked = (replace(v, is_known=any((name, n) in known for n in v.names)) for v in dependency.vulnerabilities)
            return replace(dependency, vulnerabilities=tuple(marked))

        return replace(self, dependencies=tuple(map(told, self.dependencies)))


def audit(
    inventory: Inventory,
    sources: Sequence[Source],
    *,
    exploited: Collection[str] = (),
    pardons: Sequence[Pardon] = (),
) -> Audit:
    """Ask all sources about all pins; `exploited` are names of what is used in attacks.

    Raises NoAudit where there is nothing to ask about, or nobody who answers and knows what it must know.
    """
    releases = sorted({(pin.name, pin.version) for pin in inventory.pins})
    if not releases:
        left = "".join(f"; {one.name} {one.why}" for one in inventory.unaudited[:_NAMED])
        raise NoAudit(f"no pin was found, so there is nothing to audit{left}")
    answers, silent = _asked(sources, releases)
    if not answers:
        raise NoAudit("; ".join(silent) or "no source of advisories is configured")
    known = {release: _together(answer[release] for _, answer in answers) for release in releases}
    judge = _Judge(exploited, pardons)
    found = {release: judge.of(release, known[release]) for release in releases}
    fixed = _with_fixes(found, known, [source for source, _ in answers])
    return Audit(
        origins=tuple(source.origin for source, _ in answers),
        dependencies=tuple(replace(fixed[pin.name, pin.version], pin=pin) for pin in inventory.pins),
        unaudited=inventory.unaudited,
        used=tuple(judge.used.values()),
        silent=tuple(silent),
    )


def _asked(
    sources: Sequence[Source], releases: Sequence[Release]
) -> tuple[list[tuple[Source, Mapping[Release, Known]]], list[str]]:
    """What each source knows, and why others did not answer, or do not know what they must."""
    answers, silent = [], []
    for source in sources:
        try:
            answer = source.known(list(dict.fromkeys([*source.canaries.releases, *releases])))
        except NoAudit as error:
            silent.append(str(error))
            continue
        faults = faults_of(source.canaries, answer, source.rates)
        silent += [f"{source.origin} can not be believed: {fault}" for fault in faults[:1]]
        if not faults:
            answers.append((source, answer))
    return answers, silent


def _together(parts: Iterable[Known]) -> Known:
    """All that sources know; of one advisory each may say something else, and all of it counts."""
    advisories: dict[str, list[Advisory]] = {}
    malformed: dict[Malformed, None] = {}
    for part in parts:
        malformed |= dict.fromkeys(part.malformed)
        for advisory in part.advisories:
            told = advisories.setdefault(advisory.id, [])
            if advisory.withdrawn is None and advisory not in told:
                told.append(advisory)
    return Known(tuple(advisory for told in advisories.values() for advisory in told), tuple(malformed))


class _Judge:
    """What is known of one release, as a dependency without its place; `used` are the pardons so far, by their place."""

    def __init__(self, exploited: Collection[str], pardons: Sequence[Pardon]) -> None:
        self._exploited, self._pardons = frozenset(exploited), pardons
        self.used: dict[int, Pardon] = {}

    def of(self, release: Release, known: Known) -> Dependency:
        vulnerabilities, undecided = [], [self._malformed(bad, release) for bad in known.malformed]
        for cluster in clusters_of(known.advisories):
            answers = [concern(advisory, *release) for advisory in cluster]
            if Concern.AFFECTED in answers:
                first = cluster[answers.index(Concern.AFFECTED)]
                vulnerabilities.append(self._vulnerability(first, cluster, release))
            elif Concern.UNDECIDED in answers and not _is_cleared(cluster, answers, release[0]):
                first = cluster[answers.index(Concern.UNDECIDED)]
                pardon = self._pardon(names_of(cluster), release)
                undecided.append(Undecided(first.id, doubt(first, release[1]), pardon))
        vulnerabilities.sort(key=lambda v: (-v.rating.severity.badness, v.id))
        return Dependency(Pin(*release, "", 0), tuple(vulnerabilities), tuple(undecided))

    def _vulnerability(self, first: Advisory, cluster: tuple[Advisory, ...], release: Release) -> Vulnerability:
        names = names_of(cluster)
        return Vulnerability(
            id=first.id,
            aliases=tuple(sorted(names - {first.id})),
            summary=next((advisory.summary for advisory in (first, *cluster) if advisory.summary), ""),
            rating=rating_of(cluster),
            fixed_in=None,
            is_exploited=bool(names & self._exploited),
            is_malware=any(map(is_malware, cluster)),
            pardon=self._pardon(names, release),
        )

    def _malformed(self, bad: Malformed, release: Release) -> Undecided:
        return Undecided(bad.id, f"its record can not be read: {bad.why}", self._pardon([bad.id], release))

    def _pardon(self, names: Collection[str], release: Release) -> str:
        covering = {n: pardon for n, pardon in enumerate(self._pardons) if pardon.covers(names, *release)}
        self.used |= covering
        return "; ".join(pardon.told() for pardon in covering.values())


def _is_cleared(cluster: Sequence[Advisory], answers: Sequence[Concern], name: str) -> bool:
    """Whether another record of the same vulnerability can be read, and says which versions it is about."""
    told = zip(cluster, answers, strict=True)
    return any(answer is Concern.NOT_AFFECTED and decides(advisory, name) for advisory, answer in told)


def _with_fixes(
    found: Mapping[Release, Dependency], known: Mapping[Release, Known], sources: Sequence[Source]
) -> dict[Release, Dependency]:
    """The same with what to go to; what is known of that is asked as well, and of what is advised instead of it."""
    told = {release: known[release] for release, dependency in found.items() if dependency.vulnerabilities}
    fixes: dict[Release, str | None] = {}
    tried: dict[Release, Known] = {}
    open_ = set(told)
    for _ in range(_ROUNDS):
        fixes |= {release: fix_of(*release, told[release].advisories) for release in open_}
        advised = {release: (release[0], fix) for release in open_ if (fix := fixes[release]) is not None}
        new = sorted(set(advised.values()) - tried.keys())
        try:
            answers = [source.known(new) for source in sources] if new else []
        except NoAudit:
            break
        tried |= {release: _together(answer[release] for answer in answers) for release in new}
        together = {release: _together([told[release], tried[fix]]) for release, fix in advised.items()}
        # What nobody says anything new about stays as it is.
        open_ = {release for release, known_now in together.items() if known_now != told[release]}
        told |= together
        if not open_:
            break
    # What nobody could look at is no advice; what was found stays, whatever became of that.
    fixes |= dict.fromkeys(open_)
    return {
        release: replace(
            dependency, vulnerabilities=tuple(replace(v, fixed_in=fixes[release]) for v in dependency.vulnerabilities)
        )
        for release, dependency in found.items()
    }
