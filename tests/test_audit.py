"""An audit of pins: what is told of each, what is waived, and what nobody believes."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from osv_records import CRITICAL, DATA, GHSA, GROUND, MEDIUM, NOW, PYPA, needs_data, record, written
from packaging.utils import canonicalize_name

from pytest_artisan.audit.audit import Audit, Pardon, audit
from pytest_artisan.audit.inventory import Inventory, NoAudit, Pin, Unaudited
from pytest_artisan.audit.matching import Concern, concern
from pytest_artisan.audit.severity import Severity
from pytest_artisan.audit.snapshot import Snapshot, import_records
from pytest_artisan.audit.source import Known, Release, Source


def pins(*texts: str) -> Inventory:
    released = (text.split("==") for text in texts)
    return Inventory(tuple(Pin(name, version, "requirements.txt", n) for n, (name, version) in enumerate(released, 1)))


def source_of(folder: Path, *records: dict[str, Any]) -> Snapshot:
    import_records([written(folder / "records.jsonl", *GROUND, *records)], folder / "a.sqlite", NOW)
    return Snapshot(folder / "a.sqlite", max_age=timedelta(days=7), floor=1, now=NOW)


def audited(folder: Path, text: str, *records: dict[str, Any], pardons: Sequence[Pardon] = ()) -> Audit:
    return audit(pins(text), [source_of(folder, *records)], exploited={"CVE-9"}, pardons=pardons)


def test_a_vulnerability_is_told_once_with_the_worst_of_all_its_records(tmp_path: Path) -> None:
    found = audited(
        tmp_path,
        "p==1.0",
        record("PYSEC-2", "p", "introduced 0", "fixed 1.2", aliases=["CVE-9"], summary="It breaks"),
        record("GHSA-2", "p", "introduced 0", "fixed 0.9", aliases=["CVE-9"], vectors=[CRITICAL]),
        record("PYSEC-3", "p", "introduced 0", "fixed 1.3", vectors=[MEDIUM]),
        record("PYSEC-4", "p", "introduced 1.3", "fixed 1.4"),
    )
    [dependency] = found.dependencies
    first, second = dependency.vulnerabilities

    assert (first.id, first.aliases, first.summary) == ("PYSEC-2", ("CVE-9", "GHSA-2"), "It breaks")
    assert (first.rating.severity, first.rating.origin) == (Severity.CRITICAL, "CVSS 3.1 of GHSA-2")
    assert (first.is_exploited, first.is_malware, first.fixed_in) == (True, False, "1.4")
    assert (second.id, second.rating.severity, second.fixed_in) == ("PYSEC-3", Severity.MEDIUM, "1.4")
    assert found.origins == ("snapshot a.sqlite of 2026-11-23",)


def test_malware_is_told_by_its_kind_of_name(tmp_path: Path) -> None:
    found = audited(tmp_path, "p==1.0", record("PYSEC-2", "p", versions=["1.0"], aliases=["MAL-2026-1"]))

    assert [v.is_malware for _, v in found.vulnerabilities()] == [True]


@pytest.mark.parametrize(
    ("records", "undecided"),
    [
        ([record("BAD", "p", "introduced 0", "last_affected 2.6.0-NA")], ["'2.6.0-NA', which is no version"]),
        (
            [
                record("BAD", "p", "introduced 0", "last_affected 2.6.0-NA", aliases=["CVE-2"]),
                record("GHSA-2", "p", "introduced 0", "fixed 0.5", aliases=["CVE-2"]),
            ],
            [],
        ),
        (
            [
                record("BAD", "p", "introduced 0", "last_affected 2.6.0-NA", aliases=["CVE-2"]),
                record("ALSO", "p", vectors=[CRITICAL], aliases=["CVE-2"]),
                record("GHSA-2", "p", "introduced 2", aliases=["CVE-2"], withdrawn="2026-01-01T00:00:00Z"),
                record("GHSA-3", "q", "introduced 2", aliases=["CVE-2"]),
            ],
            ["'2.6.0-NA', which is no version"],
        ),
        (
            [
                record("BAD", "p", "introduced 0", "last_affected 2.6.0-NA", aliases=["CVE-2"]),
                record("ALSO", "p", versions=["foo"], aliases=["CVE-2"]),
                record("GHSA-2", "p", "introduced foo", aliases=["CVE-2"]),
            ],
            ["'2.6.0-NA', which is no version"],
        ),
        ([record("BAD", "p", "fixed 2.0")], ["a range without a beginning"]),
        ([{"id": "BAD", "affected": [{"package": {"name": "P", "ecosystem": "PyPI"}}]}], ["can not be read: "]),
    ],
    ids=[
        "no version",
        "another record decides",
        "no other record says anything",
        "no other has a version",
        "no beginning",
        "no record",
    ],
)
def test_a_package_that_only_a_bad_record_touches_is_undecided(
    records: list[dict[str, Any]], undecided: list[str], tmp_path: Path
) -> None:
    [dependency] = audited(tmp_path, "p==1.0", *records).dependencies

    assert dependency.vulnerabilities == ()
    assert [one.id for one in dependency.undecided] == ["BAD"] * len(undecided)
    assert all(text in one.why for text, one in zip(undecided, dependency.undecided, strict=True))


class Failing:
    """A source that does not know, or will not tell, what it is asked later on."""

    def __init__(self, honest: Source, *unknown: Release) -> None:
        self.origin, self.rates, self.canaries = honest.origin, honest.rates, honest.canaries
        self._honest, self._unknown = honest, unknown

    def known(self, releases: Sequence[Release]) -> Mapping[Release, Known]:
        if any(release in self._unknown for release in releases):
            raise NoAudit("it answers with status 404")
        return self._honest.known(releases)


def test_an_advice_that_nobody_could_look_at_is_none_and_what_was_found_stays(tmp_path: Path) -> None:
    honest = source_of(
        tmp_path,
        record("A", "p", "introduced 0", "fixed 2.0", vectors=[CRITICAL]),
        record("B", "q", "introduced 0", "fixed 2.0", vectors=[CRITICAL]),
    )
    found = audit(pins("p==1.0", "q==1.0"), [Failing(honest, ("p", "2.0"))])

    assert [(v.id, v.fixed_in, v.rating.severity) for _, v in found.vulnerabilities()] == [
        ("A", None, Severity.CRITICAL),
        ("B", None, Severity.CRITICAL),
    ]
    with pytest.raises(NoAudit, match="status 404"):
        audit(pins("p==1.0"), [Failing(honest, ("p", "1.0"))])


class ByVersion:
    """A source that tells of a version only what concerns that one, as a service does."""

    def __init__(self, honest: Source) -> None:
        self.origin, self.rates, self.canaries = honest.origin, honest.rates, honest.canaries
        self._honest = honest

    def known(self, releases: Sequence[Release]) -> Mapping[Release, Known]:
        known = self._honest.known(releases)
        return {
            release: Known(tuple(a for a in one.advisories if concern(a, *release) is Concern.AFFECTED))
            for release, one in known.items()
        }


def test_what_was_learned_of_one_advice_counts_for_all(tmp_path: Path) -> None:
    """That 2.0 is no way out is learned for 1.0, before 1.5 is advised to go there as well."""
    honest = source_of(
        tmp_path,
        record("A", "p", "introduced 1.9", "fixed 2.0", versions=["1.0"]),
        record("B", "p", "introduced 1.5", "fixed 1.6"),
        record("C", "p", "introduced 1.6", "fixed 2.0"),
        record("D", "p", "introduced 2.0", "fixed 3.0"),
    )
    found = audit(pins("p==1.0", "p==1.5"), [ByVersion(honest)])

    assert {(pin.version, v.fixed_in) for pin, v in found.vulnerabilities()} == {("1.0", "3.0"), ("1.5", "3.0")}


class Waived:
    def covers(self, names: object, package: str, version: str) -> bool:
        return isinstance(names, frozenset | list) and "CVE-2" in names and (package, version) == ("p", "1.0")

    def told(self) -> str:
        return "waived by me"


def test_a_pardon_is_shown_and_the_rest_counts(tmp_path: Path) -> None:
    waived = Waived()
    records = [record("A", "p", "introduced 0", aliases=["CVE-2"]), record("B", "p", "introduced 0")]
    found = audited(tmp_path, "p==1.0", *records, pardons=[waived])

    assert [(v.id, v.pardon, v.counts) for _, v in found.vulnerabilities()] == [
        ("A", "waived by me", False),
        ("B", "", True),
    ]
    assert found.used == (waived,)
    twice = audited(tmp_path, "p==1.0", *records, pardons=[waived, Waived()])
    assert len(twice.used) == 2


def test_what_the_base_of_a_change_has_as_well_is_not_counted(tmp_path: Path) -> None:
    source = source_of(
        tmp_path,
        record("A", "p", "introduced 0", "fixed 1.1"),
        record("B", "p", "introduced 1.0"),
        record("C", "q", "introduced 0"),
    )
    base, change = audit(pins("p==0.9"), [source]), audit(pins("p==1.0", "q==1"), [source])
    told = {v.id: v.counts for _, v in change.without(base).vulnerabilities()}

    assert told == {"A": False, "B": True, "C": True}


def test_nothing_to_ask_about_and_nobody_to_ask_is_no_audit(tmp_path: Path) -> None:
    with pytest.raises(NoAudit, match="no pin was found"):
        audit(Inventory((), (Unaudited("p", "requirements.txt", 1, "has no version"),)), [source_of(tmp_path)])
    with pytest.raises(NoAudit, match="no source of advisories"):
        audit(pins("p==1"), [])


class Lying:
    """A source between us and another that changes its answers."""

    origin, rates = "somebody", True

    def __init__(self, honest: Source, lie: str) -> None:
        self.canaries, self._honest, self._lie = honest.canaries, honest, lie

    def known(self, releases: Sequence[Release]) -> Mapping[Release, Known]:
        known = dict(self._honest.known(releases))
        everything = tuple(a for one in known.values() for a in one.advisories)
        match self._lie:
            case "knows nothing":
                return dict.fromkeys(known, Known())
            case "rates nothing":
                return {r: Known(tuple(_unrated(a) for a in k.advisories)) for r, k in known.items()}
            case "knows no malware":
                return {r: Known(tuple(a for a in k.advisories if a.id != "MAL-1")) for r, k in known.items()}
            case "sees all everywhere":
                return {(n, v): Known(tuple(_of(a, n) for a in everything)) for n, v in known}
        raise AssertionError(self._lie)


def _unrated(advisory: Any) -> Any:
    import msgspec

    return msgspec.structs.replace(advisory, severity=())


def _of(advisory: Any, name: str) -> Any:
    """The same of any version of any package."""
    import msgspec

    part = advisory.affected[0]
    package = msgspec.structs.replace(part.package, name=name)
    event = msgspec.structs.replace(part.ranges[0].events[0], introduced="0") if part.ranges else None
    ranges = () if event is None else (msgspec.structs.replace(part.ranges[0], events=(event,)),)
    return msgspec.structs.replace(advisory, affected=(msgspec.structs.replace(part, package=package, ranges=ranges),))


@pytest.mark.parametrize(
    ("lie", "cause"),
    [
        ("knows nothing", "it knows a critical advisory of ground==1.0, and told none"),
        ("rates nothing", "it knows a critical advisory of ground==1.0, and told none"),
        ("knows no malware", "it knows that trap==0.1 is malware, and did not tell"),
        ("sees all everywhere", "it says of ground==1.1 what is true of ground==1.0 alone"),
    ],
)
def test_a_source_that_errs_where_the_answer_is_known_is_not_believed(lie: str, cause: str, tmp_path: Path) -> None:
    source = source_of(tmp_path)

    assert audit(pins("p==1"), [source]).dependencies
    with pytest.raises(NoAudit, match="somebody can not be believed: " + cause):
        audit(pins("p==1"), [Lying(source, lie)])
    both = audit(pins("p==1"), [Lying(source, lie), source])
    assert both.origins == (source.origin,)
    assert [re.match("somebody can not be believed: " + cause, why) is not None for why in both.silent] == [True]


@needs_data
def test_real_pins_are_audited_completely_and_the_advice_is_clean(tmp_path: Path) -> None:
    import_records([PYPA, GHSA], tmp_path / "a.sqlite", NOW)
    source = Snapshot(tmp_path / "a.sqlite", max_age=timedelta(days=365), floor=7000, now=NOW)
    lines = (DATA / "pins-200.txt").read_text().split()
    given = [(canonicalize_name(name), version) for name, version in (line.split("==") for line in lines)]
    inventory = Inventory(tuple(Pin(*release, "pins-200.txt", n) for n, release in enumerate(given, 1)))
    found = audit(inventory, [source])
    fixes = {(pin.name, v.fixed_in) for pin, v in found.vulnerabilities() if v.fixed_in is not None}
    known = source.known(sorted(fixes))

    assert len(found.dependencies) == len(given) == 200
    assert Counter(v.rating.severity.value for _, v in found.vulnerabilities()).total() == 458
    assert all(dependency.vulnerabilities for dependency in found.dependencies)
    assert len(fixes) > 100
    assert all(concern(a, *fix) is Concern.NOT_AFFECTED for fix in fixes for a in known[fix].advisories)
