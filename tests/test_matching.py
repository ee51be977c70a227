"""What a record that is not as OSV asks says of a version, and whether it may clear one."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from osv_records import advisory

from pytest_artisan.audit.fixes import fix_of
from pytest_artisan.audit.matching import Concern, concern, decides, doubt

AFFECTED, CLEAN, UNDECIDED = Concern.AFFECTED, Concern.NOT_AFFECTED, Concern.UNDECIDED
NO_BEGINNING = "its record has a range without a beginning"


def ranged(*events: dict[str, str], **changes: Any) -> list[dict[str, Any]]:
    return [
        {"package": {"ecosystem": "PyPI", "name": "p"}, "ranges": [{"type": "ECOSYSTEM", "events": events}], **changes}
    ]


@pytest.mark.parametrize(
    ("affected", "version", "answer", "why"),
    [
        (ranged({"fixed": "2.0"}), "1.0", UNDECIDED, NO_BEGINNING),
        (ranged({"fixed": "2.0"}), "3.0", UNDECIDED, NO_BEGINNING),
        (ranged({"introducd": "0"}, {"fixed": "2.0"}), "1.0", UNDECIDED, NO_BEGINNING),
        (ranged(), "1.0", UNDECIDED, NO_BEGINNING),
        (ranged({"fixed": "2.0"}, versions=["1.0"]), "1.0", AFFECTED, ""),
        (ranged({"introduced": "0"}, {"limit": "0.5"}), "1.0", CLEAN, ""),
        (ranged({"introduced": "0"}, {"limit": "0.5"}, {"limit": "*"}), "1.0", AFFECTED, ""),
        (ranged({"introduced": "0"}, {"limit": "0.5"}, {"limit": "2.0"}), "1.0", AFFECTED, ""),
        (ranged({"introduced": "0"}, {"limit": "0.5"}, {"limit": "odd"}), "1.0", UNDECIDED, "names 'odd', which is no"),
        (ranged({"introduced": "0"}, {"limit": "odd"}), "1.0", UNDECIDED, "names 'odd', which is no"),
        (ranged({"introduced": "0"}, {"limit": "2.0"}, {"limit": "odd"}), "1.0", AFFECTED, ""),
        (ranged({"introduced": "3.0"}, {"limit": "odd"}), "1.0", CLEAN, ""),
        (ranged({"introduced": "odd"}, {"limit": "0.5"}), "1.0", CLEAN, ""),
        (ranged({"introduced": "1"}, {"fixed": "2"}, versions=["0.1"]), "1.0-custom-x", UNDECIDED, "'1.0-custom-x' is no"),
        ([{"package": {"ecosystem": "PyPI", "name": "p"}, "versions": ["1.0"]}], "1.0-x", UNDECIDED, "'1.0-x' is no"),
        ([{"package": {"ecosystem": "PyPI", "name": "p"}, "versions": ["1.0-x"]}], "1.0-x", AFFECTED, ""),
        ([{"package": {"ecosystem": "PyPI", "name": "p"}}], "1.0-x", CLEAN, ""),
    ],
)  # fmt: skip
def test_what_nobody_can_place_is_undecided(
    affected: list[dict[str, Any]], version: str, answer: Concern, why: str
) -> None:
    one = advisory("A-1", "p", affected=affected)

    assert concern(one, "p", version) is answer
    assert answer is not UNDECIDED or why in doubt(one, version)


@pytest.mark.parametrize(
    ("affected", "changes", "may"),
    [
        (ranged({"introduced": "2.0"}), {}, True),
        ([{"package": {"ecosystem": "PyPI", "name": "P"}, "versions": ["1.0"]}], {}, True),
        (ranged({"introduced": "2.0"}), {"withdrawn": "2026-01-01T00:00:00Z"}, False),
        ([{"package": {"ecosystem": "PyPI", "name": "p"}}], {}, False),
        ([{"package": {"ecosystem": "PyPI", "name": "q"}, "versions": ["1.0"]}], {}, False),
        ([], {}, False),
        (
            [{"package": {"ecosystem": "PyPI", "name": "p"}, "ranges": [{"type": "GIT", "events": [{"introduced": "0"}]}]}],
            {},
            False,
        ),
    ],
    ids=["a range", "a list", "withdrawn", "nothing of it", "another package", "nothing", "commits"],
)  # fmt: skip
def test_only_what_says_which_versions_it_is_about_may_clear_others(
    affected: list[dict[str, Any]], changes: dict[str, Any], may: bool
) -> None:
    assert decides(advisory("A-1", "p", affected=affected, **changes), "p") is may


def test_what_is_undecided_is_no_advice() -> None:
    known = advisory("A-1", "p", "introduced 0", "fixed 2.0"), advisory("A-2", "p", "fixed 1.0")

    assert fix_of("p", "1.0", known[:1]) == "2.0"
    assert fix_of("p", "1.0", known) is None


KINDS = ("introduced", "fixed", "last_affected", "limit")
VERSIONS = ("0", "1", "2", "3", "4")
events = st.lists(st.tuples(st.sampled_from(KINDS), st.sampled_from((*VERSIONS, "odd"))), max_size=6)


@given(bounds=events, version=st.sampled_from(VERSIONS))
def test_what_is_decided_is_so_wherever_an_odd_version_lies(bounds: list[tuple[str, str]], version: str) -> None:
    def answered(odd: str) -> Concern:
        texts = ({kind: odd if text == "odd" else text} for kind, text in bounds)
        return concern(advisory("A-1", "p", affected=ranged(*texts)), "p", version)

    found = answered("odd")

    assert found is UNDECIDED or {answered(place) for place in (*VERSIONS, "0.5", "1.5", "2.5", "3.5", "5")} == {found}
