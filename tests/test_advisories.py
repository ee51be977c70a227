"""Which advisories concern a version, how bad they are, and to what one may go."""

from __future__ import annotations

import json
from collections import Counter
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from osv_records import CRITICAL, DATA, GHSA, MEDIUM, NOW, PYPA, advisory, needs_data, record
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from pytest_artisan.audit.advisories import Advisory, MalformedError, advisory_of
from pytest_artisan.audit.clusters import clusters_of
from pytest_artisan.audit.fixes import fix_of
from pytest_artisan.audit.kev import read_kev
from pytest_artisan.audit.matching import Concern, concern, unplaced
from pytest_artisan.audit.records import records_of
from pytest_artisan.audit.severity import Severity, rating_of

AFFECTED, CLEAN, UNDECIDED = Concern.AFFECTED, Concern.NOT_AFFECTED, Concern.UNDECIDED


@pytest.mark.parametrize(
    ("events", "versions", "version", "answer"),
    [
        (["introduced 0", "fixed 2.0"], [], "1.9", AFFECTED),
        (["introduced 0", "fixed 2.0"], [], "2.0", CLEAN),
        (["introduced 0", "fixed 2.0"], [], "2.0rc1", AFFECTED),
        (["introduced 1.0", "last_affected 2.0"], [], "2.0", AFFECTED),
        (["introduced 1.0", "last_affected 2.0"], [], "2.0.1", CLEAN),
        (["introduced 1.0"], [], "99", AFFECTED),
        (["introduced 1.0"], [], "0.9", CLEAN),
        (["fixed 2.0", "introduced 3.0", "introduced 0", "fixed 3.1"], [], "2.5", CLEAN),
        (["fixed 2.0", "introduced 3.0", "introduced 0", "fixed 3.1"], [], "3.0", AFFECTED),
        (["introduced 0", "fixed 2.0", "introduced 2.0", "fixed 3.0"], [], "2.0", AFFECTED),
        (["introduced 0", "limit 2.0"], [], "2.0", CLEAN),
        (["introduced 0", "limit 2.0"], [], "1.0", AFFECTED),
        (["introduced 0", "limit *"], [], "2.0", AFFECTED),
        (["introduced 5"], ["1.0"], "1.0", AFFECTED),
        ([], ["1.0"], "1.0.0", AFFECTED),
        ([], ["v1.0"], "1.0", AFFECTED),
        ([], ["1.0"], "1.0+cu121", AFFECTED),
        ([], ["1.0+cu121"], "1.0", CLEAN),
        ([], ["2004d"], "2004d", AFFECTED),
        ([], [], "1.0", CLEAN),
        (["introduced 0", "last_affected 2.6.0"], [], "2.6.0+cu121", AFFECTED),
        (["introduced 0", "fixed 2.6.0+cu124"], [], "2.6.0+cu121", AFFECTED),
        (["introduced 0", "fixed 2.6.0"], [], "2.6.0+cu121", CLEAN),
        (["introduced 0", "last_affected 2.6.0-NA"], [], "2.7", UNDECIDED),
        (["introduced 3.0", "last_affected 2.6.0-NA"], [], "2.7", CLEAN),
        (["introduced odd", "fixed 2.0"], [], "1.0", UNDECIDED),
        (["introduced odd", "introduced 0"], [], "1.0", AFFECTED),
        (["introduced 0", "fixed 4.6.0.stable11", "fixed 5.0"], [], "5.1", CLEAN),
        (["introduced 0", "fixed 2.0"], [], "2004d", UNDECIDED),
    ],
)
def test_a_version_is_affected_where_it_is_listed_or_in_a_range(
    events: list[str], versions: list[str], version: str, answer: Concern
) -> None:
    one = advisory("A-1", "Some.Package", *events, versions=versions)

    assert concern(one, "some-package", version) is answer


@pytest.mark.parametrize(
    "changes",
    [
        {"withdrawn": "2026-01-01T00:00:00Z"},
        {"withdrawn": "2026-01-01T00:00:00"},
        {"affected": []},
        {
            "affected": [
                {
                    "package": {"ecosystem": "npm", "name": "p"},
                    "ranges": [{"type": "SEMVER", "events": [{"introduced": "0"}]}],
                }
            ]
        },
        {
            "affected": [
                {
                    "package": {"ecosystem": "PyPI", "name": "p"},
                    "ranges": [{"type": "GIT", "events": [{"introduced": "0"}]}],
                }
            ]
        },
    ],
    ids=["withdrawn", "withdrawn by a local clock", "of nothing", "of another ecosystem", "of commits"],
)
def test_an_advisory_that_says_nothing_of_a_release_concerns_none(changes: dict[str, object]) -> None:
    assert concern(advisory("A-1", "p", "introduced 0", **changes), "p", "1.0") is CLEAN


@pytest.mark.parametrize("ecosystem", ["PyPI", "pypi", "PYPI ", "PyPI:simple"])
@pytest.mark.parametrize("name", ["Some.Package", " some_package"])
def test_the_ecosystem_and_the_name_are_read_in_any_spelling(ecosystem: str, name: str) -> None:
    part = {"package": {"ecosystem": ecosystem, "name": name}, "versions": ["1.0"]}

    assert concern(advisory("A-1", "x", affected=[part]), "some-package", "1.0") is AFFECTED


def test_what_is_withdrawn_in_the_future_counts_until_then() -> None:
    text = json.dumps(record("A-1", "p", "introduced 0", withdrawn="2026-11-26T00:00:00Z")).encode()

    assert concern(advisory_of(text, NOW), "p", "1.0") is AFFECTED
    assert concern(advisory_of(text, NOW + timedelta(days=1)), "p", "1.0") is CLEAN


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("cve-2026-0005", "CVE-2026-0005"),
        (" CVE-2026-0005 ", "CVE-2026-0005"),
        ("ghsa-2C4V-8fxq-9wmh", "GHSA-2c4v-8fxq-9wmh"),
        ("Pysec-2026-1", "PYSEC-2026-1"),
        ("mal-2026-1", "MAL-2026-1"),
        ("SNYK-PYTHON-x", "SNYK-PYTHON-x"),
        ("ours-Cve-1", "ours-Cve-1"),
    ],
)
def test_a_name_has_one_spelling(name: str, key: str, tmp_path: Path) -> None:
    one = advisory(name, "p", aliases=[name, "", " "])

    assert (one.id, one.aliases, one.names) == (key, (key,), frozenset([key]))
    if key.startswith("CVE"):
        (tmp_path / "kev.json").write_text(json.dumps([{"cveID": name}]))
        assert read_kev(tmp_path / "kev.json", "kev.json") == {key}


versions_drawn = st.tuples(st.integers(0, 9), st.integers(0, 9)).map("{0[0]}.{0[1]}".format)


@given(bounds=st.lists(versions_drawn, min_size=2, max_size=8, unique=True), version=versions_drawn, order=st.randoms())
def test_ranges_are_those_of_packaging_in_whatever_order(bounds: list[str], version: str, order: object) -> None:
    bounds.sort(key=lambda text: tuple(map(int, text.split("."))))
    pairs = list(pairwise(bounds))[::2]
    events = [f"{kind} {text}" for low, high in pairs for kind, text in (("introduced", low), ("fixed", high))]
    order.shuffle(events)  # type: ignore[attr-defined]
    expected = any(version in SpecifierSet(f">={low},<{high}") for low, high in pairs)

    assert (concern(advisory("A-1", "p", *events), "p", version) is AFFECTED) == expected


@pytest.mark.parametrize(
    "text",
    [
        "", "[]", "{}", '{"id": "A"}', '{"id": 1, "modified": ""}', '{"id": " ", "modified": ""}',
        *(json.dumps(record("A", "p", withdrawn=text)) for text in ("", "no", "2026-01-01", "1767225600")),
        json.dumps(record("A", " ")), json.dumps(record("A", "p"))[:-1] + ', "x": ' + "[" * 9999 + "]" * 9999 + "}",
    ],
)  # fmt: skip
def test_what_is_no_record_of_osv_is_malformed(text: str) -> None:
    with pytest.raises(MalformedError):
        advisory_of(text.encode())


V4 = "CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N"


@pytest.mark.parametrize(
    ("vectors", "label", "severity", "score"),
    [
        ([CRITICAL], None, Severity.CRITICAL, 9.8),
        ([MEDIUM], None, Severity.MEDIUM, 5.4),
        ([MEDIUM, V4], None, Severity.CRITICAL, 9.3),
        ([V4 + "/E:U"], None, Severity.CRITICAL, 9.3),
        ([MEDIUM], "CRITICAL", Severity.CRITICAL, None),
        ([CRITICAL], "LOW", Severity.CRITICAL, 9.8),
        ([], "MODERATE", Severity.MEDIUM, None),
        ([], "SEVERE", Severity.UNKNOWN, None),
        ([MEDIUM], " critical\n", Severity.CRITICAL, None),
        ([MEDIUM], "SEVERE", Severity.UNKNOWN, None),
        ([MEDIUM], "", Severity.UNKNOWN, None),
        ([MEDIUM], 9.8, Severity.UNKNOWN, None),
        ([CRITICAL], "SEVERE", Severity.CRITICAL, 9.8),
        ([], None, Severity.UNKNOWN, None),
        ([MEDIUM, "CVSS:3.1/AV:N"], None, Severity.UNKNOWN, None),
        ([CRITICAL, "CVSS:3.1/nonsense"], None, Severity.CRITICAL, 9.8),
        (["CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:N"], None, Severity.NONE, 0.0),
    ],
    ids=[
        "v3",
        "medium",
        "the worse",
        "no threat",
        "label",
        "vector",
        "moderate",
        "odd",
        "spaced",
        "odd and",
        "blank",
        "a number",
        "odd but",
        "none",
        "half",
        "bad",
        "zero",
    ],
)
def test_a_rating_is_the_worst_of_vectors_and_label(
    vectors: list[str], label: object, severity: Severity, score: float | None
) -> None:
    told = {} if label is None else {"database_specific": {"severity": label}}
    rating = rating_of([advisory("A-1", "p", "introduced 0", vectors=vectors, **told)])

    assert (rating.severity, rating.score) == (severity, score)


@pytest.mark.parametrize(
    ("kind", "score", "severity"),
    [
        ("cvss_v3", CRITICAL, Severity.CRITICAL),
        ("", CRITICAL, Severity.CRITICAL),
        ("CVSS_V3", f" {CRITICAL} ", Severity.CRITICAL),
        ("CVSS_V3", "9.8", Severity.UNKNOWN),
        ("Ubuntu", "medium", Severity.LOW),
    ],
)
def test_a_vector_is_read_by_what_it_is(kind: str, score: str, severity: Severity) -> None:
    """Other scales than CVSS are legal, and say nothing here."""
    told = {"severity": [{"type": kind, "score": score}], "database_specific": {"severity": "LOW"}}

    assert rating_of([advisory("A-1", "p", **told)]).severity is severity


def test_a_long_chain_of_names_is_one_vulnerability() -> None:
    chain = [advisory(f"A-{k:05}", "p", aliases=[f"CVE-{k}", f"CVE-{k + 1}"]) for k in range(20_000)]

    assert [len(cluster) for cluster in clusters_of([*chain[::2], *chain[1::2]])] == [20_000]


@given(st.lists(st.sets(st.integers(0, 20), min_size=1, max_size=4), max_size=12))
def test_advisories_that_share_a_name_are_of_one_vulnerability(names: list[set[int]]) -> None:
    advisories = [advisory(f"A-{k}", "p", aliases=[f"CVE-{n}" for n in sorted(own)]) for k, own in enumerate(names)]
    clusters = clusters_of(advisories)
    by_name = [{name for member in cluster for name in member.names} for cluster in clusters]

    assert sorted(a.id for cluster in clusters for a in cluster) == sorted(a.id for a in advisories)
    assert all(one.isdisjoint(other) for k, one in enumerate(by_name) for other in by_name[:k])
    for cluster in clusters:
        reached, names_left = {cluster[0].id}, set(cluster[0].names)
        for _ in cluster:
            reached |= {a.id for a in cluster if a.names & names_left}
            names_left |= {name for a in cluster if a.id in reached for name in a.names}
        assert reached == {a.id for a in cluster}


@pytest.mark.parametrize(
    ("ranges", "installed", "fix"),
    [
        ([["introduced 0", "fixed 1.2"]], "1.0", "1.2"),
        ([["introduced 0", "fixed 1.2"], ["introduced 1.2", "fixed 1.3"]], "1.0", "1.3"),
        ([["introduced 0", "fixed 1.0.5", "introduced 2.0", "fixed 2.4.1"]], "2.4.0", "2.4.1"),
        ([["introduced 0", "fixed 2.0rc1"], ["introduced 0", "fixed 2.0"]], "1.0", "2.0"),
        ([["introduced 0", "fixed 2.0rc1"]], "2.0b1", "2.0rc1"),
        ([["introduced 0", "fixed 2.0"], ["introduced 0", "last_affected 3.0"]], "1.0", None),
        ([["introduced 0", "fixed 2.0"], ["introduced 0", "fixed odd", "fixed 3.0"]], "1.0", "3.0"),
        ([["introduced 0"]], "1.0", None),
        ([["introduced 0", "fixed 2.0"]], "2004d", None),
    ],
)
def test_the_fix_is_the_lowest_version_above_that_nothing_known_concerns(
    ranges: list[list[str]], installed: str, fix: str | None
) -> None:
    known = [advisory(f"A-{k}", "p", *events) for k, events in enumerate(ranges)]

    assert fix_of("p", installed, known) == fix


# Against what is really known


@pytest.fixture(scope="module")
def real() -> list[Advisory]:
    return [advisory_of(one.text) for path in (PYPA, GHSA) for one in records_of(path)]


@needs_data
def test_recorded_answers_of_the_database_are_ours(real: list[Advisory]) -> None:
    """The ids of its own kind alone: of GitHub's there are but a few beside the project."""
    answers = json.loads((DATA / "osv-recorded-answers.json").read_text())
    wrong = []
    for answer in answers:
        name, version = canonicalize_name(answer["package"]), answer["version"]
        told = {a.id: concern(a, name, version) for a in real if name in a.packages and a.id.startswith("PYSEC")}
        recorded = {v["id"] for v in answer["vulns"] if v["id"].startswith("PYSEC")}
        if {id_ for id_, said in told.items() if said is not CLEAN} != recorded:
            wrong.append((name, version))

    assert len(answers) == 16
    assert wrong == []


@needs_data
def test_severities_are_right_with_all_names_of_a_vulnerability(real: list[Advisory]) -> None:
    ours = [a for a in real if a.id.startswith("PYSEC") and a.withdrawn is None]
    theirs = {a.id: a for a in real if a.id.startswith("GHSA")}
    joined = clusters_of([*theirs.values(), *(a for a in ours if theirs.keys() & set(a.aliases))])

    assert Counter(rating_of([a]).severity.value for a in ours) == {
        "critical": 578, "high": 1634, "medium": 1735, "low": 128, "none": 5, "unknown": 2731
    }  # fmt: skip
    assert len(joined) == len(theirs) == 14
    high = {"GHSA-462w-v97r-4m45", "GHSA-cgvx-9447-vcch"}  # 8.6 and 7.5; all others have 9.8
    assert {c[0].id for c in joined if rating_of(c).severity is Severity.HIGH} == high
    assert sum(rating_of(c).severity is Severity.CRITICAL for c in joined) == 12


@needs_data
def test_listed_versions_are_affected_and_odd_ones_are_named(real: list[Advisory]) -> None:
    live = [a for a in real if a.withdrawn is None and a.id.startswith("PYSEC")]
    sample = [(a, p, part.versions[0]) for a in live for p in a.packages for part in a.affecting(p) if part.versions]

    assert len(sample) > 6000
    assert all(concern(a, package, version) is AFFECTED for a, package, version in sample)
    assert sum(len(unplaced(a)) for a in live) == 29
