"""A service of OSV's API as a source: what it is asked, and what of its answers counts."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import Sequence
from typing import Any

import httpx2
import msgspec
import pytest
from osv_records import CRITICAL, DATA, GHSA, GROUND, MEDIUM, PYPA, needs_data, record
from osv_stub import Leaping, served, serving
from packaging.utils import canonicalize_name

from pytest_artisan.audit.advisories import Advisory
from pytest_artisan.audit.audit import Audit, audit
from pytest_artisan.audit.canaries import PUBLIC
from pytest_artisan.audit.inventory import Inventory, NoAudit, Pin
from pytest_artisan.audit.matching import Concern, concern
from pytest_artisan.audit.osv import OsvService, base_of
from pytest_artisan.audit.severity import Severity
from pytest_artisan.audit.source import Canaries

CANARIES = Canaries(critical=("ground", "1.0"), clean=("ground", "1.1"), malware=("trap", "0.1"))


def audited(records: Sequence[dict[str, Any]], *texts: str) -> Audit:
    released = (text.split("==") for text in texts)
    pins = tuple(Pin(name, version, "r.txt", n) for n, (name, version) in enumerate(released, 1))
    with serving([*GROUND, *records]) as url:
        return audit(Inventory(pins), [OsvService(url, canaries=CANARIES)])


def told(found: Audit) -> list[tuple[str, str | None]]:
    return [(v.id, v.fixed_in) for _, v in found.vulnerabilities()]


@pytest.mark.parametrize(
    ("url", "base"),
    [
        ("https://api.osv.dev", "https://api.osv.dev"),
        ("https://api.osv.dev/", "https://api.osv.dev"),
        ("https://api.osv.dev/v1", "https://api.osv.dev"),
        ("https://api.osv.dev/v1/query", "https://api.osv.dev"),
        ("http://127.0.0.1:80/mirror/v1/query/", "http://127.0.0.1:80/mirror"),
        ("http://[::1]:80/mirror/v1/", "http://[::1]:80/mirror"),
    ],
)
def test_an_address_may_name_the_service_or_its_query(url: str, base: str) -> None:
    assert base_of(url) == base
    assert OsvService(url).origin == f"osv {base.partition('://')[2]}"


@pytest.mark.parametrize(
    ("url", "cause"),
    [
        ("ftp://osv.invalid", "'ftp://osv.invalid' is no http or https address"),
        ("osv.invalid", "'osv.invalid' is no http or https address"),
        ("", "'' is no http or https address"),
        ("https://", "'https://' is no http or https address"),
        ("http://bad host", "'http://bad host' is no http or https address"),
        ("http://[::1", r"'http://\[::1' is no http or https address"),
        ("https://ada:hunter2@osv.invalid", "an address must not hold credentials"),
        ("https://osv.invalid?key=hunter2", "an address must not hold a query"),
        ("https://osv.invalid/#hunter2", "an address must not hold a query"),
    ],
)
def test_what_is_no_address_or_holds_a_secret_is_refused(url: str, cause: str) -> None:
    with pytest.raises(NoAudit, match=f"osv_url: .*{cause}") as refused:
        OsvService(url)
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize("host", ["a..b", "xn--", "a" * 300, "ä.invalid", "nowhere.invalid"])
def test_a_host_that_nobody_finds_is_no_audit(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "*")
    with pytest.raises(NoAudit, match=r"can not be reached|can be read"):
        OsvService(f"http://{host}", timeout_s=5, clock=Leaping()).known([("p", "1.0")])


def test_a_release_is_asked_for_once_as_osv_has_it() -> None:
    with served([*GROUND]) as server:
        source = OsvService(f"{server.url}/v1/query", canaries=CANARIES)
        source.known([("p", "1.0"), ("p", "1.0")])
        source.known([("p", "1.0"), ("q", "2.0+cu121")])

    assert sorted(server.queries, key=str) == [
        {"package": {"name": "p", "ecosystem": "PyPI"}, "version": "1.0"},
        {"package": {"name": "q", "ecosystem": "PyPI"}, "version": "2.0"},
        {"package": {"name": "q", "ecosystem": "PyPI"}, "version": "2.0+cu121"},
    ]


def test_a_build_is_affected_as_what_it_was_built_from() -> None:
    commits = record("PYSEC-2", "torch", versions=["2.0"], vectors=[CRITICAL])
    patched = record("PYSEC-3", "torch", "introduced 0", "fixed 2.0+cu121", vectors=[CRITICAL])
    found = audited([commits, patched], "torch==2.0+cu121", "torch==2.0+cpu")

    assert [(pin.version, v.id) for pin, v in found.vulnerabilities()] == [
        ("2.0+cu121", "PYSEC-2"),
        ("2.0+cpu", "PYSEC-2"),
        ("2.0+cpu", "PYSEC-3"),
    ]


class Elsewhere:
    """A service that finds what our own evaluation does not: it knows more of commits and of odd versions."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *versions: str) -> None:
        import osv_stub

        def evaluated(advisory: Advisory, name: str, version: str) -> Concern:
            return Concern.AFFECTED if name == "p" and version in versions else concern(advisory, name, version)

        monkeypatch.setattr(osv_stub, "concern", evaluated)


def test_what_the_service_says_of_a_version_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    Elsewhere(monkeypatch, "1.0", "1.1", "1.2", "2004d-odd")
    commits = record("PYSEC-2", "P", vectors=[MEDIUM])
    commits["affected"][0]["ranges"] = [{"type": "GIT", "events": [{"introduced": "0"}]}]
    ranged = record("PYSEC-3", "p", "introduced 3", "fixed 4", vectors=[MEDIUM])
    named = record("PYSEC-4", "p", "introduced 0", "fixed 1.1", "introduced 1.2", "fixed 1.3", vectors=[CRITICAL])
    found = audited([commits, ranged, named], "p==1.0", "p==2004d-odd", "p==5")

    assert [(pin.version, v.id) for pin, v in found.vulnerabilities()] == [
        ("1.0", "PYSEC-4"),
        ("1.0", "PYSEC-2"),
        ("1.0", "PYSEC-3"),
        ("2004d-odd", "PYSEC-4"),
        ("2004d-odd", "PYSEC-2"),
        ("2004d-odd", "PYSEC-3"),
    ]
    # 1.1 and 1.2 are fixes of PYSEC-4 as far as it goes by records alone.
    assert {v.fixed_in for pin, v in found.vulnerabilities() if pin.version == "1.0"} == {"1.3"}


MILD, BAD = (record("PYSEC-2", "p", "introduced 0", vectors=[vector]) for vector in (MEDIUM, CRITICAL))


@pytest.mark.parametrize("told", [(MILD, BAD), (BAD, MILD), (MILD, MILD, BAD)])
@pytest.mark.parametrize("page_size", [1, 9])
def test_all_that_is_told_by_one_id_counts(told: Sequence[dict[str, Any]], page_size: int) -> None:
    with serving([*GROUND, *told], page_size=page_size) as url:
        found = audit(Inventory((Pin("p", "1.0", "r.txt", 1),)), [OsvService(url, canaries=CANARIES)])

    assert [(v.id, v.rating.severity) for _, v in found.vulnerabilities()] == [("PYSEC-2", Severity.CRITICAL)]


@pytest.mark.parametrize("told", [(MILD, BAD), (BAD, MILD)])
def test_what_is_told_of_one_version_counts_for_another(
    told: Sequence[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    import osv_stub

    def evaluated(advisory: Advisory, name: str, version: str) -> Concern:
        is_told = name != "p" or (advisory.severity[0].score == told[version == "1.1"]["severity"][0]["score"])
        return concern(advisory, name, version) if is_told else Concern.NOT_AFFECTED

    monkeypatch.setattr(osv_stub, "concern", evaluated)
    found = audited(told, "p==1.0", "p==1.1")

    assert [(pin.version, v.rating.severity) for pin, v in found.vulnerabilities()] == [
        ("1.0", Severity.CRITICAL),
        ("1.1", Severity.CRITICAL),
    ]


def test_a_record_that_was_withdrawn_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    Elsewhere(monkeypatch, "1.0")
    withdrawn = record("PYSEC-2", "p", "introduced 0", withdrawn="2026-01-01T00:00:00Z")

    assert told(audited([withdrawn], "p==1.0")) == []


def test_an_advised_fix_is_asked_about_as_well() -> None:
    first = record("PYSEC-2", "p", "introduced 0", "fixed 2.0", vectors=[MEDIUM])
    second = record("PYSEC-3", "p", "introduced 2.0", "fixed 2.1", vectors=[CRITICAL])
    third = record("PYSEC-4", "p", "introduced 2.1", "fixed 3.0rc1", "introduced 3.0rc1", "fixed 3.1", vectors=[MEDIUM])

    assert told(audited([first, second, third], "p==1.0")) == [("PYSEC-2", "3.1")]


@pytest.mark.parametrize("version", ["", " ", "é", "\udcff", '1"}', "1" * 4_000, "1.0\n"])
def test_whatever_is_pinned_can_be_asked_about(version: str) -> None:
    with served(GROUND) as server:
        known = OsvService(server.url).known([("p", version)])

    assert {query.get("version") for query in server.queries} - {None} == {version}
    assert known["p", version].advisories == ()


def test_of_a_version_that_is_none_all_that_is_known_of_the_package_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    import osv_stub

    def evaluated(advisory: Advisory, name: str, version: str) -> Concern:
        """The public service compares as texts what is no version, and finds nothing."""
        answer = concern(advisory, name, version)
        return Concern.NOT_AFFECTED if answer is Concern.UNDECIDED else answer

    monkeypatch.setattr(osv_stub, "concern", evaluated)
    listed = record("PYSEC-2", "p", versions=["1.0"], vectors=[CRITICAL])
    literally = record("PYSEC-3", "p", versions=["1.0-custom-x"], vectors=[CRITICAL])
    found = audited([listed, literally], "p==1.0-custom-x", "q==1.0-custom-x", "p==2.0")

    assert [(pin.name, v.id) for pin, v in found.vulnerabilities()] == [("p", "PYSEC-3")]
    assert [(d.pin.version, u.id, u.why) for d in found.dependencies for u in d.undecided] == [
        ("1.0-custom-x", "PYSEC-2", "'1.0-custom-x' is no version")
    ]


def test_a_hundred_releases_are_asked_about_together() -> None:
    records = [record(f"PYSEC-{n + 10}", f"p{n}", "introduced 0", vectors=[MEDIUM]) for n in range(100)]
    found = audited(records, *(f"p{n}==1.0" for n in range(100)))

    assert [v.id for _, v in found.vulnerabilities()] == [f"PYSEC-{n + 10}" for n in range(100)]


def test_a_proxy_of_the_environment_is_not_asked_for_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")

    assert told(audited([record("PYSEC-2", "p", "introduced 0", vectors=[MEDIUM])], "p==1.0")) == [("PYSEC-2", None)]
    with pytest.raises(NoAudit, match="can not be reached: Connection refused"):
        OsvService("http://osv.invalid", timeout_s=5, clock=Leaping()).known([("p", "1.0")])


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("HTTP_PROXY", "ftp://ada:hunter2@proxy.invalid"),
        ("HTTP_PROXY", "http://ada:hunter2@[::1"),
        ("HTTP_PROXY", "http://ada:hunter2@127.0.0.1:1"),
        ("ALL_PROXY", "socks5://ada:hunter2@127.0.0.1:1"),
        ("SSL_CERT_FILE", "/nowhere/hunter2.pem"),
    ],
)
def test_a_proxy_that_can_not_be_used_is_no_audit(variable: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy", "NO_PROXY", "no_proxy", "SSL_CERT_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(variable, value)

    with pytest.raises(NoAudit, match=r"^http://osv.invalid: ") as refused:
        OsvService("http://osv.invalid", timeout_s=5, clock=Leaping()).known([("p", "1.0")])
    assert "hunter2" not in str(refused.value)


def test_it_answers_below_a_running_event_loop() -> None:
    async def inside() -> Audit:
        return audited([], "p==1.0")

    assert len(asyncio.run(inside()).dependencies) == 1


def test_a_server_without_tls_is_none_for_https() -> None:
    with serving(GROUND) as url, pytest.raises(NoAudit, match="can not be reached: WRONG_VERSION_NUMBER"):
        OsvService(url.replace("http://", "https://"), timeout_s=5, clock=Leaping()).known([("p", "1.0")])


def test_the_stand_in_answers_the_other_questions_of_the_api() -> None:
    with serving(GROUND) as url, httpx2.Client(base_url=url, trust_env=False) as client:
        queries = [{"package": {"name": n, "ecosystem": "PyPI"}, "version": "1.0"} for n in ("ground", "p")]
        batch = client.post("/v1/querybatch", json={"queries": queries}).json()
        one = client.get("/v1/vulns/MAL-1").json()
        missing = client.get("/v1/vulns/MAL-2")

    assert batch == {"results": [{"vulns": [{"id": "PYSEC-1", "modified": "2026-11-23T00:00:00Z"}]}, {"vulns": []}]}
    assert one == GROUND[1]
    assert missing.status_code == 404


@needs_data
def test_recorded_answers_of_the_public_service_are_ours() -> None:
    """By names of vulnerabilities, as far as the records beside the project know them, with its own canaries."""
    records = [json.loads(line) for line in gzip.decompress(PYPA.read_bytes()).splitlines()]
    records += json.loads(GHSA.read_bytes())
    answers = msgspec.json.decode((DATA / "osv-recorded-answers.json").read_bytes())
    pins = [Pin(canonicalize_name(a["package"]), a["version"], "r.txt", n) for n, a in enumerate(answers, 1)]
    with serving(records, page_size=7) as url:
        found = audit(Inventory(tuple(pins)), [OsvService(url, canaries=PUBLIC)])

    known = {r["id"] for r in records}
    wrong = []
    for answer, dependency in zip(answers, found.dependencies, strict=True):
        names = {name for v in dependency.vulnerabilities for name in v.names} & known
        recorded = {v["id"] for v in answer["vulns"]} & known
        if names != recorded or dependency.undecided:
            wrong.append((answer["package"], answer["version"], names ^ recorded))
    assert len(answers) == 16
    assert wrong == []
