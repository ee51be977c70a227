"""A service of advisories that fails, in each way that there is: never GO, always the cause, always in time."""

from __future__ import annotations

import time

import pytest
from osv_records import CRITICAL, GROUND, MEDIUM, record
from osv_stub import FAULTS, Leaping, served, serving

from pytest_artisan.audit.audit import Audit, audit
from pytest_artisan.audit.inventory import Inventory, NoAudit, Pin
from pytest_artisan.audit.osv import OsvService
from pytest_artisan.audit.source import Canaries

CANARIES = Canaries(critical=("ground", "1.0"), clean=("ground", "1.1"), malware=("trap", "0.1"))
RECORDS = (
    *GROUND,
    *(record(f"PYSEC-{n}", "p", "introduced 0", "fixed 1.1", vectors=[CRITICAL]) for n in (2, 3, 4)),
    record("PYSEC-5", "p", "introduced 2", vectors=[MEDIUM]),
)
WHOLE = [("PYSEC-2", "1.1"), ("PYSEC-3", "1.1"), ("PYSEC-4", "1.1")]


def audited(url: str, timeout_s: float) -> Audit:
    source = OsvService(url, canaries=CANARIES, timeout_s=timeout_s, clock=Leaping())
    inventory = Inventory((Pin("clean", "1.0", "r.txt", 1), Pin("p", "1.0", "r.txt", 2)))
    return audit(inventory, [source])


REFUSED = {
    "refused": "can not be reached: Connection refused",
    "status 400": "answers with status 400",
    "status 401": "answers with status 401",
    "status 404": "answers with status 404",
    "status 429": "answers with status 429",
    "status 429 for an hour": "answers with status 429, and asks to wait for 3600 s",
    "status 500": "answers with status 500",
    "status 503": "answers with status 503",
    "status 204": "answers with status 204",
    "HTML": "is not of OSV: JSON is malformed",
    "knows nothing": "can not be believed: it knows a critical advisory of ground==1.0, and told none",
    "no vulnerabilities": "can not be believed: it knows a critical advisory of ground==1.0, and told none",
    "empty": "is empty",
    "truncated": "is not of OSV: Input data was truncated",
    "length too long": "breaks off: peer closed connection",
    "length too short": "is not of OSV: Input data was truncated",
    "hang": "gives no whole answer within",
    "hang after headers": "gives no whole answer within",
    "slow drip": "gives no whole answer within",
    "slow drip of headers": "gives no whole answer within",
    "endless token": "does not end: page follows page",
    "same token": "does not end: page follows page",
    "token that is a number": "is not of OSV: Expected `str | null`, got `int`",
    "redirect to another host": "sends to another host, elsewhere.invalid, and no redirect is followed",
    "redirect to itself": "sends to itself, and no redirect is followed",
    "another package": "it told of PYSEC-BAD, which is about somebody-else",
    "another ecosystem": "it told of PYSEC-BAD, which is about nothing of PyPI",
    "error": "is not of OSV: it has 'error'",
    "code": "is not of OSV: it has 'code', 'message'",
    "error beside records": "is not of OSV: it has 'error'",
    "list": "is not of OSV: Expected `object`, got `array`",
    "null": "is not of OSV: Expected `object`, got `null`",
    "number of vulnerabilities": "is not of OSV: Expected `array`, got `int`",
    "null of vulnerabilities": "is not of OSV: Expected `array`, got `null`",
    "huge": "answers with too much, more than 33,554,432 bytes",
    "UTF-16": "is not of OSV: JSON is malformed",
    "Latin-1": "can not be believed: it knows a critical advisory of ground==1.0, and told none",
    "nested": "is not of OSV: ",
    "no gzip": "gives no answer that can be read",
    "gzip twice": "answers with a content of 'gzip, gzip', and was asked for gzip",
    "reset": "breaks off: Connection reset by peer",
    "reset after headers": "breaks off: Connection reset by peer",
}
UNDECIDED = {"malformed record": "PYSEC-BAD", "record that is none": "record ", "record without an id": "record "}
PASSING = ("none", "status 429 for a second", "status 503 once", "token-only page", "reset once")
SLOW = ("hang", "hang after headers", "slow drip", "slow drip of headers")


def test_every_fault_is_tried() -> None:
    assert {*REFUSED, *UNDECIDED, *PASSING} - {"refused"} == FAULTS.keys()


@pytest.mark.parametrize("fault", REFUSED)
def test_a_service_that_fails_is_no_audit_and_says_why_in_time(fault: str) -> None:
    budget_s = 0.3 if fault in SLOW else 3.0
    with serving(RECORDS, fault) as url:
        started = time.monotonic()
        with pytest.raises(NoAudit) as told:
            audited(url, budget_s)
        taken = time.monotonic() - started

    text = str(told.value)
    assert REFUSED[fault] in text
    assert url.removeprefix("http://") in text
    assert "hunter2" not in text
    assert "\n" not in text
    assert taken < budget_s + 1


@pytest.mark.parametrize("fault", UNDECIDED)
def test_a_record_that_can_not_be_read_leaves_the_rest(fault: str) -> None:
    with serving(RECORDS, fault) as url:
        clean, p = audited(url, 3.0).dependencies

    assert [v.id for v in p.vulnerabilities] == [id_ for id_, _ in WHOLE]
    for dependency in (clean, p):
        [undecided] = dependency.undecided
        assert undecided.id.startswith(UNDECIDED[fault])
        assert "can not be read" in undecided.why


@pytest.mark.parametrize("fault", PASSING)
@pytest.mark.parametrize("page_size", [1, 2, 1000])
def test_what_passes_and_what_comes_in_pages_is_whole(fault: str, page_size: int) -> None:
    with serving(RECORDS, fault, page_size) as url:
        clean, p = audited(url, 3.0).dependencies

    assert [(v.id, v.fixed_in) for v in p.vulnerabilities] == WHOLE
    assert (clean.vulnerabilities, clean.undecided, p.undecided) == ((), (), ())


def test_a_record_with_a_version_that_is_none_is_no_clean_answer() -> None:
    odd = record("PYSEC-BAD", "p", "introduced 0", "last_affected 1.0-NA", vectors=[MEDIUM])
    with serving((*RECORDS, odd)) as url:
        _, p = audited(url, 3.0).dependencies

    assert [v.id for v in p.vulnerabilities][-1] == "PYSEC-BAD"


@pytest.mark.parametrize(("fault", "tries"), [("status 503", 3), ("reset", 3), ("status 404", 1), ("list", 1)])
def test_what_may_pass_is_asked_three_times_and_the_rest_once(fault: str, tries: int) -> None:
    with served(RECORDS, fault) as server, pytest.raises(NoAudit):
        OsvService(server.url, timeout_s=30, clock=Leaping()).known([("p", "1.0")])

    assert len(server.queries) == tries


def test_a_pause_beyond_the_budget_is_not_waited_for() -> None:
    clock = Leaping()
    with serving(RECORDS, "status 429 for an hour") as url, pytest.raises(NoAudit):
        OsvService(url, timeout_s=30, clock=clock).known([("p", "1.0")])

    assert clock.slept == 0


def test_the_budget_is_one_for_all_that_is_asked() -> None:
    clock = Leaping()
    with served(RECORDS) as server:
        source = OsvService(server.url, timeout_s=30, clock=clock)
        source.known([("p", "1.0")])
        clock.slept = 31
        source.known([("p", "1.0")])
        with pytest.raises(NoAudit, match="gives no whole answer within 30 s"):
            source.known([("p", "1.1")])
