"""The gate kpi: a real Prometheus that scrapes the real service, the ways in which a query lies, and what is no evidence."""

from __future__ import annotations

import json
import math
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx2
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_house import House, matrix, prometheus, scripted, vector

from conftest import Project as PytesterProject
from pytest_artisan.ensemble.answers import MODES
from pytest_artisan.gates.gate import CheckEvidence, Project, state_of
from pytest_artisan.gates.indicating.evidence import of_kpis
from pytest_artisan.gates.indicating.exposing import Window, exposed
from pytest_artisan.gates.indicating.indicators import INDICATORS, filled
from pytest_artisan.gates.indicating.judging import Answer, Told, indicated
from pytest_artisan.gates.kpi import GATE
from pytest_artisan.gates.tables import Kpi, Queries, Questions
from pytest_artisan.policy import load_policy
from pytest_artisan.release.environments import NAMES, Environment, EnvironmentTable
from pytest_artisan.release.prometheus import Prometheus, Sample
from pytest_artisan.service.launcher import launched
from pytest_artisan.settings import SettingsError, convert
from pytest_artisan.verdict.decide import Purpose
from pytest_artisan.verdict.evidence import Measurement, NoEvidence
from pytest_artisan.verdict.judge import State, judge

SUBJECT = "pytest_artisan.gates.indicating.traffic:traffic"
NOW = 1_700_000_000.0


def in_environment(name: str, **table: Any) -> Project:
    environment = msgspec.convert({"env": name, "table": {}}, Environment)
    return Project(Path.cwd(), environment=msgspec.structs.replace(environment, table=EnvironmentTable(**table)))


def states(evidence: CheckEvidence) -> dict[str, State]:
    return {one.name: state_of(CheckEvidence((one,))) for one in evidence.measurements}


# --- the real service, and a real Prometheus


@pytest.fixture(scope="module")
def service() -> Iterator[str]:
    with launched() as service:
        yield service.url


def use(url: str, wish: str) -> None:
    """Once in every way."""
    with httpx2.Client(base_url=url, timeout=30, trust_env=False) as client:
        made = [client.post("/dna/create", json={"wish": wish, "mode": mode}).json() for mode in MODES]
        offered = client.post("/evolve/options", json={"dna": made[0]["id"], "algorithm": "PPO"}).json()
        said = {"experiment": offered["experiment"], "chosen": offered["options"][0]["id"], "rating": 4}
        assert client.post("/evolve/feedback", json={**said, "algorithm": "PPO"}).status_code == 200


def own_traffic() -> Callable[[str, int], None]:
    """What a project may name as its `subject`."""

    def send(url: str, requests: int) -> None:
        for _ in range(requests):
            use(url, "fresh")

    return send


# What the few requests of a test can show, over all that there is.
REAL = Kpi(window="1min", samples=2, step="500ms", min_requests=2, episode_return=-100, kl=1, stale_s=5)


@pytest.fixture(scope="module")
def used(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[House, CheckEvidence]]:
    """A Prometheus that has seen the traffic of dev, and what dev itself says to that."""
    with prometheus(tmp_path_factory.mktemp("prometheus"), {}) as house:
        service: str = request.getfixturevalue("service")
        # A series that is new has gained nothing yet.
        use(service, "woody")
        house.scrape({service: {}})
        house.until_scraped(1)
        table = msgspec.structs.replace(REAL, subject="test_kpi_gate:own_traffic")
        evidence = of_kpis(in_environment("dev", base_url=service), table)
        house.until("min(min_over_time(artisan_rl_updates_total[2s])) == 3", bool)
        yield house, evidence


DIVERGED = b"""\
artisan_rl_updates_total 7
artisan_rl_kl{algorithm="PPO"} 0.01
artisan_rl_kl{algorithm="REINFORCE"} NaN
"""


def test_a_service_in_use_is_go_until_nobody_scrapes_it(used: tuple[House, CheckEvidence]) -> None:
    house, in_dev = used
    assert states(in_dev) == dict.fromkeys(states(in_dev), State.GO), in_dev
    counted = {one.name: one.n for one in in_dev.measurements}
    assert counted["episode return"] == 2
    assert counted["llm creative p95"] == 2

    evidence = of_kpis(in_environment("prod", prometheus_url=house.url), REAL)
    assert states(evidence) == dict.fromkeys(states(evidence), State.GO), evidence
    assert len(evidence.measurements) == 9
    for one in evidence.measurements:
        told, counts = counted[one.name], one.n
        assert told is not None
        assert counts is not None
        # increase() extrapolates by at most 1.1 times the time between two scrapes to either side, and has seen two or more.
        assert told <= counts <= 3.2 * told, f"{one.name}: the same, but for what increase() extrapolates"
    stricter = of_kpis(
        in_environment("stg", prometheus_url=house.url), msgspec.structs.replace(REAL, min_requests=1000)
    )
    assert set(states(stricter).values()) == {State.NO_EVIDENCE, State.GO}
    assert [name for name, state in states(stricter).items() if state is State.GO] == ["episode return", "kl"]

    with scripted(lambda api, asked: (200, DIVERGED, {"content-type": "text/plain; version=0.0.4"})) as diverged:
        house.scrape({diverged: {}})
        house.until("count(artisan_rl_kl) == 2 unless count(artisan_build_info)", bool)
        gone = of_kpis(in_environment("prod", prometheus_url=house.url), REAL)
    assert set(states(gone).values()) == {State.NO_EVIDENCE}
    *others, kl = gone.measurements
    assert all("min(timestamp(" in one.no_data for one in others), "although increase() still sees them"
    assert kl.no_data.endswith("the value is nan"), "although max() does not"


@pytest.mark.usefixtures("used")
def test_every_default_query_names_what_the_service_exposes(service: str) -> None:
    series = [(name, dict(labels)) for name, labels in exposed(service)]
    for name, indicator in INDICATORS.items():
        asked = indicator.questions
        for query in filter(None, (asked.query, asked.newest, asked.samples)):
            named = re.findall(r"\b((?:http|artisan)_\w+)(?:\{([^}]*)\})?", query)
            assert named, query
            for metric, matchers in named:
                labels = re.findall(r'(\w+)[=!]~"', matchers)
                assert [one for known, one in series if known == metric and set(labels) <= one.keys()], (name, metric)
    bounds = {labels["le"] for name, labels in series if name.endswith("_seconds_bucket")}
    table = Kpi()
    for limit in (table.llm_fast_p95_s, table.llm_balanced_p95_s, table.llm_creative_p95_s, table.api_p99_s):
        assert str(float(limit)) in bounds


@pytest.mark.parametrize(
    ("project", "table", "told"),
    [
        (in_environment("stg"), Kpi(subject=SUBJECT), "stg: prometheus_url is not set, so there is nobody to ask"),
        (in_environment("prod"), Kpi(subject=SUBJECT), "prod: prometheus_url is not set"),
        (in_environment("dev", allow_writes=False), Kpi(subject=SUBJECT), "which allow_writes forbids"),
        (in_environment("dev", base_url="http://127.0.0.1:1"), Kpi(subject=SUBJECT), "http://127.0.0.1:1/metrics: "),
        (in_environment("dev"), Kpi(), "no subject is configured"),
        (
            in_environment("dev"),
            Kpi(subject=SUBJECT, queries=Queries(kl=Questions(query="kl", newest="t", samples="n"))),
            "queries] are for Prometheus",
        ),
        (
            in_environment("prod", prometheus_url="http://127.0.0.1:1"),
            Kpi(),
            "http://127.0.0.1:1: vector(1): no answer",
        ),
    ],
)
def test_where_nobody_can_be_asked_there_is_no_evidence(project: Project, table: Kpi, told: str) -> None:
    with pytest.raises(NoEvidence, match=re.escape(told)):
        of_kpis(project, table)


def test_a_service_that_does_not_do_what_the_traffic_needs_is_no_evidence() -> None:
    with scripted(lambda api, asked: (200, b"", {})) as url, pytest.raises(NoEvidence) as caught:
        of_kpis(in_environment("dev", base_url=url), Kpi(subject=SUBJECT))
    assert str(caught.value).startswith(f"no traffic for {url}: JSONDecodeError: ")


# --- a scripted Prometheus: healthy, but for one fault

TABLE = Kpi()
HEALTHY: Mapping[str, float] = {"errors": 0, "schema_failures": 0, "episode_return": 12, "kl": 0.01}
BOUNDS = {"0.1": 990.0, "2.5": 999.0, "3.2": 999.0, "4.5": 999.0, "5.0": 999.0, "20.0": 1000.0, "+Inf": 1000.0}
# A value, or one for each window.
Series = Sequence[tuple[Mapping[str, str], float | str | list[float | str]]]


def healthy(query: str) -> tuple[str, Series]:
    """Which question it is, and what a healthy service's Prometheus would answer."""
    if query == "vector(1)":
        return "clock", [({}, 1)]
    for name, indicator in INDICATORS.items():
        asked = indicator.questions
        if query == filled(asked.query, TABLE.window):
            return "value", [({}, HEALTHY[name])] if name in HEALTHY else [({"le": le}, n) for le, n in BOUNDS.items()]
        if query == filled(asked.newest, TABLE.window):
            return "newest", [({}, NOW - 5)]
        if asked.samples is not None and query == filled(asked.samples, TABLE.window):
            return "samples", [({}, 1000)]
    raise AssertionError(query)


Change = Callable[[str, Series], Series]


@contextmanager
def changed(change: Change, at: Callable[[float], float | None] = lambda at: at) -> Iterator[str]:
    """A Prometheus whose answers are changed; `at` says when a sample of a range is told to be, None where it is not."""

    def script(api: str, asked: Mapping[str, str]) -> tuple[int, Any, Mapping[str, str]]:
        kind, series = healthy(asked["query"])
        told = change(kind, series)
        if api == "query":
            return (
                200,
                vector(*((la, v) for la, v in told if not isinstance(v, list)), at=float(asked.get("time", NOW))),
                {},
            )
        start, end, step = (float(asked[name]) for name in ("start", "end", "step"))
        times = [start + step * number for number in range(round((end - start) / step) + 1)]
        kept = [time for time in map(at, times) if time is not None]
        points = ((la, list(zip(kept, v if isinstance(v, list) else [v] * len(kept), strict=True))) for la, v in told)
        return 200, matrix(*(points if kept else ())), {}

    def answered(server: Prometheus, address: str) -> tuple[int, bytes]:
        asked = urlsplit(address)
        status, body, _ = script(asked.path.rpartition("/")[2], dict(parse_qsl(asked.query)))
        return status, json.dumps(body).encode()

    with pytest.MonkeyPatch.context() as patch:
        # Sockets are for the drill, the real server, and the reader's own tests.
        patch.setattr(Prometheus, "_within", answered)
        yield "http://prometheus:9090"


def judged(url: str, table: Kpi = TABLE) -> tuple[Measurement, ...]:
    return of_kpis(in_environment("prod", prometheus_url=url), table).measurements


@pytest.fixture(autouse=True)
def _the_time_is_that_of_the_script(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if "used" not in request.fixturenames:
        monkeypatch.setattr("pytest_artisan.gates.indicating.asking.time.time", lambda: NOW)


def only(kind: str, to: Callable[[Series], Series]) -> Change:
    return lambda asked, series: to(series) if asked == kind else series


def every(value: float | str) -> Callable[[Series], Series]:
    return lambda series: [(labels, value) for labels, _ in series]


def twice(series: Series) -> Series:
    return [({**labels, "pod": pod}, value) for labels, value in series for pod in "ab"]


# What is wrong; what it is changed to; and what the cause of each indicator that has no data says.
LIES: dict[str, tuple[Change, str]] = {
    "nothing matches": (only("value", lambda series: []), "no such series|0 series are no histogram"),
    "NaN": (only("value", every("NaN")), "the value is nan|nan was never counted"),
    "infinite": (only("value", every("+Inf")), "the value is inf|inf was never counted"),
    "two series": (only("value", twice), "series, and it has to be one|series are no histogram"),
    "no traffic": (only("samples", every(0)), "the window has 0, and 1"),
    "no samples": (only("samples", lambda series: []), "no such series"),
    "unknown samples": (only("samples", every("NaN")), "the value is nan"),
    "more samples than anybody counts": (only("samples", every(1e300)), "1e\\+300 was never counted"),
    "samples of two": (only("samples", twice), "2 series, and it has to be one"),
    "stale": (only("newest", every(NOW - 121)), "121 s old, and 120 are allowed"),
    "from the future": (only("newest", every(NOW + 31)), "-31 s old"),
    "never read": (only("newest", lambda series: []), "no such series"),
    "read at no time": (only("newest", every("NaN")), "the value is nan"),
    "read by two": (only("newest", twice), "2 series, and it has to be one"),
    "no +Inf": (only("value", lambda series: [one for one in series if one[0].get("le") != "+Inf"]), "no histogram"),
    "no bound at the limit": (
        only("value", lambda series: [one for one in series if one[0].get("le") not in {"2.5", "3.2", "4.5", "5.0"}]),
        "needs a bound at the limit",
    ),
    "no bound beyond the limit": (
        only("value", lambda series: [one for one in series if one[0].get("le") not in {"3.2", "4.5", "5.0", "20.0"}]),
        "needs a bound at the limit",
    ),
    "a bound that is none": (
        only("value", lambda series: [({**labels, "le": "fast"}, value) for labels, value in series]),
        "comes twice|is no bound|no histogram",
    ),
    "negative counts": (
        only("value", lambda series: [(la, v if v == HEALTHY["episode_return"] else -1) for la, v in series]),
        "never counted",
    ),
    "more up to a bound than in all": (
        only("value", lambda series: [(la, 2000 if la.get("le") not in (None, "+Inf") else v) for la, v in series]),
        "than in all",
    ),
    "an empty histogram": (
        only("value", lambda series: [(la, 0) if la else (la, v) for la, v in series]),
        "has 0, and 100",
    ),
}


def test_a_healthy_service_is_go() -> None:
    with changed(lambda kind, series: series) as url:
        assert {one.name: list(judge(one)) for one in judged(url)} == {one.name: [] for one in indicated(TABLE)}


@pytest.mark.parametrize("lie", LIES)
def test_no_lie_is_go(lie: str) -> None:
    change, told = LIES[lie]
    with changed(change) as url:
        measurements = judged(url)
    lacking = [one for one in measurements if one.value is None]
    assert lacking
    for one in lacking:
        assert re.search(told, one.no_data), one
        assert re.match(r"(http://\S+: )?(sum|min|max|\()", one.no_data), "the query stands first"
        assert state_of(CheckEvidence((one,))) is State.NO_EVIDENCE
    assert state_of(CheckEvidence(measurements)) is State.NO_EVIDENCE


@pytest.mark.parametrize("missing", [0, 1, 2])
def test_each_window_in_a_row_has_to_be_there(missing: int) -> None:
    lost = NOW - 60 * missing
    with changed(lambda kind, series: series, lambda at: None if abs(at - lost) < 1 else at) as url:
        measurements = judged(url)
    assert all(one.value is None for one in measurements)
    assert all(f", {60 * missing} s ago: " in one.no_data for one in measurements)


@pytest.mark.parametrize("offset_s", [-31, 31])
def test_a_clock_that_is_off_makes_nothing_fresh(offset_s: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pytest_artisan.gates.indicating.asking.time.time", lambda: NOW - offset_s)
    with (
        changed(lambda kind, series: series) as url,
        pytest.raises(NoEvidence, match=re.escape(f"its clock is {offset_s:+} s")),
    ):
        judged(url)


@pytest.mark.parametrize(
    ("windows", "state"),
    [
        ([0, 20, 0], State.NO_GO),
        ([0, "NaN", 0], State.NO_EVIDENCE),
        # What one window shows is not undone by what another can not show.
        (["NaN", 20, 0], State.NO_GO),
    ],
)
def test_one_bad_window_among_good_ones_is_what_counts(windows: list[float | str], state: State) -> None:
    with changed(only("value", lambda series: [(la, v if v or la else windows) for la, v in series])) as url:
        found = {one.name: one for one in judged(url)}
    assert {name: state_of(CheckEvidence((one,))) for name, one in found.items() if list(judge(one))} == {
        "errors": state,
        "schema failures": state,
    }
    assert found["schema failures"].value == (20 if state is State.NO_GO else None)


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("sum by (le) (increase(their_milliseconds_bucket[$window]))", "does not say that it is in seconds"),
        ("sum by (le) (increase(latency_bucket[$window]))", "does not say that it is in seconds"),
        ("job:latency:p95", "does not say that it is in seconds"),
        ("sum by (le) (increase(their_duration_seconds_bucket[$window]))", ""),
    ],
)
def test_other_metrics_are_asked_for_by_name_and_have_to_name_their_unit(query: str, told: str) -> None:
    asked: list[str] = []

    def script(api: str, given: Mapping[str, str]) -> tuple[int, Any, Mapping[str, str]]:
        asked.append(given["query"])
        series = [({"le": le}, n) for le, n in BOUNDS.items()] if "step" in given else [({}, NOW - 1)]
        times = [NOW - 120, NOW - 60, NOW]
        if api == "query":
            return 200, vector(*series, at=float(given.get("time", NOW))), {}
        return 200, matrix(*((labels, [(time, value) for time in times]) for labels, value in series)), {}

    with scripted(script) as url:
        table = msgspec.structs.replace(TABLE, queries=Queries(llm_fast=Questions(query=query, newest="their_time")))
        first = judged(url, table)[0]
    assert told in first.no_data
    assert bool(told) == (first.value is None)
    assert (query.replace("$window", "300s") in asked) == (not told)


@pytest.mark.parametrize(
    ("table", "told"),
    [
        ({"queries": {"kll": {}}}, "'kll'; the nearest is 'kl'"),
        ({"queries": {"kl": {"query": "a", "newest": "b"}}}, "queries.kl: needs samples"),
        (
            {"queries": {"api": {"query": "a", "newest": "b", "samples": "c"}}},
            "queries.api: its buckets are the samples",
        ),
        ({"queries": {"api": {"query": "a"}}}, "newest"),
        ({"window": "5 minutes"}, "window: '5 minutes' is no duration"),
        ({"step": "0s"}, "step: "),
        ({"errors_pct": 0}, "errors_pct"),
        ({"subject": "traffic"}, "subject 'traffic' is not"),
        ({"samples": 0}, "samples"),
    ],
)
def test_a_policy_that_can_not_be_asked_is_refused(table: dict[str, Any], told: str) -> None:
    with pytest.raises(SettingsError, match=re.escape(told)):
        convert(table, Kpi, "pyproject.toml [tool.artisan.kpi]")


# --- the judge alone


@given(
    durations=st.lists(st.floats(0, 30), min_size=1, max_size=300),
    limit=st.sampled_from([0.5, 1.0, 2.5, 5.0]),
    share=st.sampled_from([0.95, 0.99]),
)
def test_a_p95_is_over_its_limit_exactly_where_the_durations_themselves_are(
    durations: list[float], limit: float, share: float
) -> None:
    table = Kpi(api_p95_s=limit, api_p99_s=limit, min_requests=1)
    bounds = [0.1, 0.5, 1.0, 2.5, 5.0, 10.0, math.inf]
    series = tuple(Sample({"le": str(b)}, 0, sum(one <= b for one in durations)) for b in bounds)
    [api] = [one for one in indicated(table) if one.name == f"api p{share * 100:.0f}"]
    found = api.of([Answer(Told("q", series))])
    # The nearest rank, as the load's own p95 has it.
    exact = sorted(durations)[math.ceil(share * len(durations) - 1e-9) - 1]
    assert found.value is not None
    assert api.limit.holds(found.value) == (exact <= limit)
    assert found.n == len(durations)


EXPOSED: dict[str, dict[tuple[str, str], float]] = {
    "artisan_rl_kl": {("algorithm", "PPO"): 0.02, ("algorithm", "REINFORCE"): 0.01},
    "artisan_rl_episode_return": {("algorithm", "PPO"): 12.0, ("algorithm", "REINFORCE"): 11.0},
    "artisan_rl_updates_total": {("", ""): 3.0},
    "artisan_build_info": {("started", "now"): 1.0},
    "http_requests_total": {("status", "200"): 500.0},
}


def window(after: Mapping[str, Mapping[tuple[str, str], float]]) -> Window:
    def flat(
        tables: Mapping[str, Mapping[tuple[str, str], float]],
    ) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
        return {(name, frozenset([label])): value for name, table in tables.items() for label, value in table.items()}

    return Window(flat(EXPOSED), flat(after))


def shown(indicator: str, **after: Mapping[tuple[str, str], float]) -> Measurement:
    seen = {**EXPOSED, "artisan_rl_updates_total": {("", ""): 4.0}, **after}
    one = next(one for one in indicated(Kpi(min_requests=1)) if one.indicator == indicator)
    try:
        return one.of([window(seen).answer(indicator)])
    except NoEvidence as error:
        return one.without(str(error))


def test_an_exposition_shows_the_worst_algorithm_and_what_was_gained() -> None:
    assert (shown("kl").value, shown("kl").n) == (0.02, 1)
    assert shown("episode_return").value == 11.0
    more = {("status", "200"): 599.0, ("status", "503"): 1.0, ("status", "404"): 1.0}
    assert shown("errors", http_requests_total=more).value == pytest.approx(100 / 101)
    assert shown("errors", http_requests_total={("status", "200"): 600.0}).value == 0


@pytest.mark.parametrize(
    ("indicator", "after", "told"),
    [
        ("kl", {"artisan_rl_kl": {}}, "no such series"),
        ("kl", {"artisan_rl_kl": {("algorithm", "PPO"): math.nan, ("algorithm", "GA"): 0.01}}, "the value is nan"),
        ("kl", {"artisan_rl_updates_total": {("", ""): 3.0}}, "has 0, and 1"),
        ("kl", {"artisan_rl_updates_total": {("", ""): 1.0}}, "went down by 2"),
        ("kl", {"artisan_build_info": {("started", "then"): 1.0}}, "so it is not of one process"),
        ("errors", {"http_requests_total": {("status", "503"): 900.0}}, "so it is not of one process"),
        ("errors", {"http_requests_total": {("status", "200"): 500.0, ("status", "5xx"): 9.0}}, "has 0, and 1"),
        ("schema_failures", {}, "no such series"),
        ("api", {}, "0 series are no histogram"),
    ],
)
def test_an_exposition_that_shows_nothing(
    indicator: str, after: Mapping[str, Mapping[tuple[str, str], float]], told: str
) -> None:
    found = shown(indicator, **after)
    assert found.value is None
    assert told in found.no_data


@pytest.mark.parametrize(
    ("status", "text", "told"),
    [
        (500, "", "500 Internal Server Error"),
        (200, "<html>\nSign in\n</html>", "ValueError: "),
        (200, 'a{b="c"} 1\na{b="c"} 2\n', "the same series comes twice"),
        (200, f"a {'9' * 400}\n", "OverflowError: "),
    ],
)
def test_what_is_no_exposition_is_told_in_one_line(status: int, text: str, told: str) -> None:
    with scripted(lambda api, asked: (status, text.encode(), {})) as url, pytest.raises(NoEvidence) as caught:
        exposed(url)
    assert str(caught.value).startswith(f"{url}/metrics: ")
    assert told in str(caught.value)
    assert str(caught.value).isprintable()


# --- the queries themselves, in Prometheus' own tests of rules


def test_the_queries_do_not_lie_in_the_ways_that_queries_do(tmp_path: Path) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("no Prometheus server is installed")
    asked = {name: indicator.questions for name, indicator in INDICATORS.items()}

    def ask(name: str, *samples: tuple[str, float], part: str = "query", at: str = "10m") -> dict[str, Any]:
        query = filled(getattr(asked[name], part), "5min")
        return {"expr": query, "eval_time": at, "exp_samples": [{"labels": la, "value": v} for la, v in samples]}

    def lives(series: Mapping[str, str], *tests: dict[str, Any]) -> dict[str, Any]:
        inputs = [{"series": name, "values": values} for name, values in series.items()]
        return {"interval": "1m", "input_series": inputs, "promql_expr_test": list(tests)}

    ok = 'http_requests_total{route="/dna/create",status="200"}'
    bad = ok.replace("200", "503")
    probe = 'http_requests_total{route="/metrics",status="200"}'
    failures, answers = 'artisan_brief_schema_failures_total{member="%s"}', 'artisan_member_requests_total{member="a"}'
    kl = 'artisan_rl_kl{algorithm="%s"}'
    slow = 'http_request_duration_seconds_bucket{route="/dna/create",le="%s"}'
    cases = [
        # 1. An empty vector is not zero: nobody failed, and that is 0; nobody came, and that is nothing.
        lives({ok: "0+60x20", probe: "0+600x20"}, ask("errors", ("{}", 0)), ask("errors", ("{}", 300), part="samples")),
        lives({probe: "0+600x20"}, ask("errors", ("{}", 0)), ask("errors", part="samples")),
        lives({ok.replace("200", "2xx"): "0+60x20"}, ask("errors", part="samples")),
        # Client errors are no errors of the service; a status is a number.
        lives({ok.replace("200", "404"): "0+60x20"}, ask("errors", ("{}", 0))),
        # A counter that its first event brings about.
        lives({ok: "0+60x20", bad: "_x8 1x12"}, ask("errors", ("{}", 1))),
        lives({failures % "a": "_x8 1x12", failures % "b": "0x20"}, ask("schema_failures", ("{}", 1))),
        lives({failures % "a": "0x20", failures % "b": "0x20"}, ask("schema_failures", ("{}", 0))),
        lives({failures % "a": "7x20"}, ask("schema_failures", ("{}", 0))),
        # What its process took with it when it ended, or began to count anew.
        lives({failures % "a": "_x7 1 stale", failures % "b": "0x20"}, ask("schema_failures", ("{}", 1))),
        lives({failures % "a": "_x7 2 0x12"}, ask("schema_failures", ("{}", 2))),
        lives({failures % "a": "9x7 0x13"}, ask("schema_failures", ("{}", 0))),
        lives({answers: "0+60x20"}, ask("schema_failures"), ask("schema_failures", ("{}", 300), part="samples")),
        # 2. No traffic, and no target.
        lives({ok: "9x20"}, ask("errors", ("{}", 0), part="samples")),
        lives({ok: "0+60x5 stale"}, ask("errors", part="newest"), ask("errors", ("{}", 300), part="newest", at="5m")),
        # 3. and 4. Bucket by bucket, so that neither the last bound nor what lies between two is taken for the truth.
        lives(
            {slow % "0.1": "0x20", slow % "2.5": "0+30x20", slow % "+Inf": "0+60x20"},
            ask("api", ('{le="0.1"}', 0), ('{le="2.5"}', 150), ('{le="+Inf"}', 300)),
        ),
        lives({kl % "PPO": "0.01x20", kl % "REINFORCE": "0.02x20"}, ask("kl", ("{}", 0.02))),
    ]
    tests = tmp_path / "tests.yml"
    tests.write_text(json.dumps({"rule_files": [], "evaluation_interval": "1m", "tests": cases}), encoding="utf-8")
    done = subprocess.run([promtool, "test", "rules", str(tests)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


# --- a session

LEFT_OUT = "no prometheus_url for this environment, and no table [tool.artisan.kpi]"


@pytest.mark.parametrize("environment", NAMES)
def test_a_prometheus_of_the_environment_is_what_asks_for_the_gate(environment: str, tmp_path: Path) -> None:
    text = '[tool.artisan.environments.stg]\nprometheus_url = "http://prometheus:9090"\n'
    (tmp_path / "pyproject.toml").write_text(text, encoding="utf-8")
    policy = load_policy(tmp_path, environment=environment)
    asked = policy.requirements(Purpose.MERGE, (), (), ())
    assert asked.left_out.get("kpi") == (None if environment == "stg" else LEFT_OUT)
    assert GATE.checks[0].applies(policy.project, policy.tables["kpi"]) == (environment == "stg")


def test_who_requires_it_and_says_nothing_of_whom_to_ask_is_told_so(project: PytesterProject) -> None:
    project.policy('required = ["unit", "kpi"]\nlocal_optional = []')
    project.tests("def test_it(): pass")
    run = project.run("--artisan-env=prod")
    assert run.state("kpi") == "NO_EVIDENCE"
    assert "this environment has no prometheus_url" in run.told
    assert run.status == 1


def test_a_session_asks_the_server_and_can_be_told_otherwise(project: PytesterProject) -> None:
    for change, state in ((lambda kind, series: series, "GO"), (only("samples", every(0)), "NO_EVIDENCE")):
        with changed(change) as url:
            project.policy(f'[tool.artisan.environments.dev]\nprometheus_url = "{url}"')
            run = project.run("--artisan-purpose=merge", gates="--artisan-gates=kpi")
            assert run.state("kpi") == state, run.out
    assert "sum(increase(artisan_rl_updates_total[300s])), 120 s ago: the window has 0, and 1 are needed" in run.told


def test_the_drill_plants_every_kind() -> None:
    [check] = GATE.checks
    assert check.drill is not None
    evidence = check.drill(Project(Path.cwd()), Kpi())
    assert set(states(evidence).values()) == {State.NO_GO}
    assert list(states(evidence)) == [one.name for one in indicated(Kpi())]


def test_the_page_shows_the_queries_that_are_asked() -> None:
    page = (Path(__file__).parent.parent / "docs" / "kpi.md").read_text(encoding="utf-8").splitlines()
    for name in ("llm_fast", "api", "errors", "schema_failures", "episode_return"):
        asked = INDICATORS[name].questions
        assert asked.query in page
        assert asked.samples is None or asked.samples in page
