"""What somebody states in OpenVEX: what clears a release, and what takes that back."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from osv_records import NOW

from pytest_artisan.audit.vex import Statement, read_vex
from pytest_artisan.settings import SettingsError


def vex(folder: Path, *statements: dict[str, Any], **changes: Any) -> Path:
    path = folder / "vex.json"
    document = {"@context": "https://openvex.dev/ns/v0.2.0", "timestamp": "2026-11-01T00:00:00Z"}
    path.write_text(json.dumps({**document, "statements": statements, **changes}))
    return path


def stated(folder: Path, *statements: dict[str, Any]) -> tuple[Statement, ...]:
    return read_vex([(vex(folder, *statements), "v")], now=NOW)


def statement(
    status: str = "not_affected", product: str = "pkg:pypi/Some.Package@1.0", **changes: Any
) -> dict[str, Any]:
    told = {
        "vulnerability": {"name": "CVE-1", "aliases": ["GHSA-1"]},
        "status": status,
        "products": [{"@id": product}],
    }
    return {**told, "justification": "vulnerable_code_not_present", **changes}


def test_a_release_that_is_stated_not_affected_is_covered(tmp_path: Path) -> None:
    other = statement("affected", "pkg:pypi/b@1"), statement("fixed", "pkg:npm/c")
    [one] = stated(tmp_path, statement(), *other)

    assert one.told() == "not affected, says v: vulnerable_code_not_present"
    assert one.covers({"GHSA-1"}, "some-package", "1.0.0")
    assert not one.covers({"GHSA-1"}, "some-package", "1.1")
    assert not one.covers({"GHSA-1"}, "b", "1.0")
    assert not one.covers({"CVE-2"}, "some-package", "1.0")


def of_name(name: str, status: str = "affected", **changes: Any) -> dict[str, Any]:
    return statement(status, vulnerability={"name": name}, **changes)


@pytest.mark.parametrize(
    ("other", "covered"),
    [
        (of_name("CVE-1", timestamp="2026-11-02T00:00:00Z"), False),
        (of_name("CVE-1", timestamp="2026-10-01T00:00:00Z"), True),
        (of_name("CVE-1", timestamp="2026-11-01T02:00:00+03:00"), True),
        (of_name("CVE-1", timestamp="2026-10-31T23:00:00-02:00"), False),
        (of_name("CVE-1"), False),
        (of_name("GHSA-1", "under_investigation"), False),
        (of_name(" cve-1"), False),
        (of_name("CVE-1", timestamp="2026-09-01T00:00:00Z", last_updated="2026-11-02T00:00:00Z"), False),
        (of_name("PYSEC-1"), False),
        (of_name("CVE-2"), True),
        (of_name("CVE-1", product="pkg:pypi/some-package"), False),
        (of_name("CVE-1", products=[]), False),
        (of_name("CVE-1", product="pkg:pypi/some-package@1.0.0"), False),
        (of_name("CVE-1", product="pkg:pypi/some-package@1.1"), True),
        (of_name("CVE-1", product="pkg:pypi/other@1.0"), True),
    ],
    ids=[
        *("later", "earlier", "earlier elsewhere", "later elsewhere", "at the same time", "an alias of its own"),
        *("in another case", "later by its last change"),
        *("a name that the advisories know", "another", "any version", "any product", "an equal version"),
        *("another version", "another package"),
    ],
)
def test_the_latest_statement_counts(other: dict[str, Any], covered: bool, tmp_path: Path) -> None:
    [one] = stated(tmp_path, statement(), other)

    assert one.covers({"PYSEC-1", "CVE-1", "GHSA-1"}, "some-package", "1.0") is covered


LATER = {"timestamp": "2026-11-02T00:00:00Z"}
PURL = "pkg:pypi/some-package@1.0"


@pytest.mark.parametrize(
    ("product", "covered"),
    [
        ({"@id": "pkg:PyPI/some-package@1.0"}, False),
        ({"@id": "PKG:pypi/some-package@1.0 "}, False),
        ({"@id": "pkg:pypi//Some_Package@1.0"}, False),
        ({"@id": "pkg:pypi/some-package@%31.0"}, False),
        ({"@id": f"{PURL}?file_name=x.whl#sub"}, False),
        ({"@id": "pkg:pypi/some-package@<2"}, False),
        ({"@id": "pkg:pypi/@1.0"}, False),
        ({"@id": "urn:x"}, False),
        ({"@id": "https://shop.invalid"}, False),
        ({"hashes": {"sha-256": "00"}}, False),
        ({"identifiers": {"cpe23": "cpe:2.3:a:b:c:1.0:*:*:*:*:*:*:*"}}, False),
        ({"@id": PURL, "identifiers": {"purl": "pkg:generic/x"}}, False),
        ({"@id": "pkg:generic/x", "identifiers": {"purl": PURL}}, False),
        ({"@id": "pkg:generic/x", "identifiers": {"purl": "pkg:pypi"}}, False),
        ({"@id": "pkg:oci/shop@1", "subcomponents": [{"@id": PURL}]}, False),
        ({"@id": "pkg:oci/shop@1", "subcomponents": [{"identifiers": {"purl": PURL}}]}, False),
        ({"@id": "urn:x", "subcomponents": [{"@id": "pkg:pypi/other@1.0"}]}, True),
        ({"@id": "pkg:oci/shop@1"}, True),
        ({"@id": "pkg:generic/some_package@1.0"}, False),
        ({"@id": "pkg:generic/other@1.0"}, True),
        ({"@id": "urn:x", "identifiers": {"purl": "pkg:npm/some-package@1.0"}}, True),
        ({"@id": f"{PURL}+cu121"}, True),
    ],
    ids=lambda given: json.dumps(given) if isinstance(given, dict) else None,
)
@pytest.mark.parametrize("status", ["affected", "under_investigation", "of tomorrow"])
def test_whatever_may_mean_the_release_takes_a_clearance_back(
    product: dict[str, Any], status: str, covered: bool, tmp_path: Path
) -> None:
    [one] = stated(tmp_path, statement(), of_name("CVE-1", status, products=[product], **LATER))

    assert one.covers({"CVE-1"}, "some-package", "1.0") is covered


@pytest.mark.parametrize(
    ("product", "clears"),
    [
        ({"@id": "pkg:PyPI/Some_Package@1.0"}, True),
        ({"@id": "urn:x", "identifiers": {"purl": PURL, "cpe23": "cpe:2.3:a"}}, True),
        ({"@id": "pkg:pypi/Some_Package@1.0", "identifiers": {"purl": "pkg:pypi/some-package@1%2E0"}}, True),
        ({"@id": f"{PURL}?file_name=some_package-1.0-cp311-cp311-win32.whl"}, False),
        ({"@id": f"{PURL}?repository_url=https://ours.invalid"}, False),
        ({"@id": f"{PURL}#sub"}, False),
        ({"@id": "pkg:pypi/ours/some-package@1.0"}, False),
        ({"@id": "pkg:conda/some-package@1.0"}, False),
        ({"@id": "pkg:pypi/some-package@<2"}, False),
        ({"@id": PURL, "identifiers": {"purl": "pkg:pypi/some-package@2.0"}}, False),
        ({"@id": PURL, "identifiers": {"purl": "pkg:pypi"}}, False),
        ({"@id": PURL, "subcomponents": [{"@id": "pkg:pypi/other@3"}]}, False),
        ({"@id": "pkg:oci/shop@1", "subcomponents": [{"@id": PURL}]}, False),
        ({"@id": "some-package@1.0"}, False),
        ({}, False),
    ],
    ids=lambda given: json.dumps(given) if isinstance(given, dict) else None,
)
def test_only_what_means_the_release_as_a_whole_clears_it(
    product: dict[str, Any], clears: bool, tmp_path: Path
) -> None:
    found = stated(tmp_path, statement(products=[product]))

    assert any(one.covers({"CVE-1"}, "some-package", "1.0") for one in found) is clears


@pytest.mark.parametrize("later", [0, 1])
def test_of_two_of_one_time_the_one_that_clears_does_not_count(later: int, tmp_path: Path) -> None:
    both = [statement(), of_name("CVE-1")]
    [one] = stated(tmp_path, both[later], both[1 - later])

    assert not one.covers({"CVE-1"}, "some-package", "1.0")


def test_a_statement_in_words_is_a_reason(tmp_path: Path) -> None:
    [one] = stated(tmp_path, statement(justification="trust me", impact_statement="we do not call it"))

    assert one.told() == "not affected, says v: we do not call it"


def test_what_is_stated_within_a_day_may_come_from_another_clock(tmp_path: Path) -> None:
    [one] = stated(tmp_path, statement(timestamp="2026-11-25T11:00:00Z"))

    assert one.covers({"CVE-1"}, "some-package", "1.0")


def test_a_later_document_counts_too(tmp_path: Path) -> None:
    (tmp_path / "later").mkdir()
    first, later = (
        vex(tmp_path, statement()),
        vex(tmp_path / "later", of_name("CVE-1"), timestamp="2026-11-02T00:00:00Z"),
    )

    for files in ([(first, "a"), (later, "b")], [(later, "b"), (first, "a")]):
        [one] = read_vex(files, now=NOW)
        assert not one.covers({"CVE-1"}, "some-package", "1.0")


def raw(folder: Path, data: bytes) -> Path:
    path = folder / "raw.json"
    path.write_bytes(data)
    return path


MALFORMED: dict[str, tuple[Callable[[Path], Path], str]] = {
    "no context": (lambda folder: vex(folder, **{"@context": "https://example.org"}), "is not OpenVEX's"),
    "no statements": (lambda folder: vex(folder, statements=None), "no OpenVEX document"),
    "no version": (
        lambda folder: vex(folder, statement(product="pkg:pypi/p")),
        r"statements\[0\]: product .* no version",
    ),
    "no reason": (lambda folder: vex(folder, statement(justification="")), r"statements\[0\]: not_affected needs"),
    "a blank reason": (lambda folder: vex(folder, statement(justification=" ")), "needs an impact_statement, or"),
    "no known reason": (lambda folder: vex(folder, statement(justification="trust me")), "inline_mitigations_already"),
    "of the future": (
        lambda folder: vex(folder, statement(timestamp="2099-01-01T00:00:00Z")),
        r"v statements\[0\]: is of 2099-01-01, which is in the future",
    ),
    "a document of the future": (
        lambda folder: vex(folder, of_name("CVE-1"), timestamp="9999-12-31T23:59:59-23:00"),
        "is of 9999-12-31, which is in the future",
    ),
    "no time": (lambda folder: vex(folder, timestamp="yesterday"), "no OpenVEX document: Invalid RFC3339"),
    "no UTF-8": (lambda folder: raw(folder, b'{"@context": "\xff"}'), "no OpenVEX document"),
    "too deep": (lambda folder: raw(folder, b"[" * 100_000), "no OpenVEX document"),
    "not there": (lambda folder: folder / "nowhere.json", "no OpenVEX document"),
}


@pytest.mark.parametrize("case", MALFORMED)
def test_a_statement_without_version_or_reason_is_refused(case: str, tmp_path: Path) -> None:
    made, error = MALFORMED[case]
    with pytest.raises(SettingsError, match=error):
        read_vex([(made(tmp_path), "v")], now=NOW)


def test_a_document_that_was_changed_later_revokes_from_then_on(tmp_path: Path) -> None:
    first = vex(tmp_path, statement(timestamp="2026-11-05T00:00:00Z"))
    (tmp_path / "b").mkdir()
    changed = vex(tmp_path / "b", of_name("CVE-1"), last_updated="2026-11-06T00:00:00Z")
    [one] = read_vex([(first, "a"), (changed, "b")], now=NOW)

    assert not one.covers({"CVE-1"}, "some-package", "1.0")
