"""What a canary sees: its users' own counts, exactly, or no evidence with its cause; never a number that is none."""

from __future__ import annotations

import math
import os
import sys
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families
from prometheus_house import House, prometheus, scripted, vector
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from pytest_artisan.children import Child
from pytest_artisan.gates.load_smoke import ITEM
from pytest_artisan.loopback import served
from pytest_artisan.release import baselines
from pytest_artisan.release.environments import Environment, EnvironmentTable
from pytest_artisan.release.flags import FeatureFlagManager
from pytest_artisan.release.health import Block
from pytest_artisan.release.observing import Counters, Yardstick, between, later
from pytest_artisan.release.observing.histograms import Buckets
from pytest_artisan.release.observing.prometheus import FEWEST, PrometheusSource, flag_source, slot_source
from pytest_artisan.release.observing.queries import Queries, SlotQueries
from pytest_artisan.release.prometheus import Sample
from pytest_artisan.release.traffic.router import Slot
from pytest_artisan.service.cohorts import SECONDS
from pytest_artisan.settings import SettingsError
from pytest_artisan.verdict.evidence import NoEvidence, measured

FLAG = "new_moga_optimizer"
NOW = datetime(2026, 11, 27, 9, tzinfo=UTC)
AT = NOW.timestamp()
YARDSTICK = Yardstick(1.0, 1.2, "a test")
USERS = [f"user-{number}" for number in range(160)]
SERVICE = [sys.executable, str(Path(__file__).parent / "service_by_stub.py"), "serve", "--port", "0", "--watch-stdin"]


def by_flag(
    root: Path, url: str | None, *, flag: str = FLAG, on: bool = True, queries: Queries | None = None
) -> PrometheusSource:
    environment = Environment("stg", EnvironmentTable(prometheus_url=url))
    return flag_source(root, environment, flag, on=on, ratio=1.2, queries=queries or Queries())


def by_slot(root: Path, url: str | None, slot: Slot) -> PrometheusSource:
    environment = Environment("stg", EnvironmentTable(prometheus_url=url))
    return slot_source(root, environment, slot, ratio=1.2, queries=SlotQueries())


# A real server that scrapes the real service, and one that tells what a test has written


class Double:
    """What a process would tell of a flag in a rollout; `text` None is one that is down."""

    flag = "advanced_rlhf"

    def __init__(self) -> None:
        self.text: str | None = ""
        self.tells(5)

    def tells(self, requests: int, *started: str) -> None:
        info = [f'artisan_build_info{{started="{one}"}} 1' for one in started or ("10:00",)]
        labels = f'{{flag="{self.flag}",on="true"}}'
        counted = [f"artisan_cohort_{name}{labels} {requests}" for name in ("requests_total", "rating_count")]
        none = [f"artisan_cohort_{name}{labels} 0" for name in ("errors_total", "schema_failures_total")]
        buckets = [
            f'artisan_cohort_duration_seconds_bucket{labels[:-1]},le="{le}"}} {requests}' for le in ("2", "+Inf")
        ]
        rated = [f"artisan_cohort_rating_sum{labels} {4 * requests}"]
        self.text = "\n".join([*info, *counted, *none, *buckets, *rated, ""])

    @property
    def app(self) -> Starlette:
        return Starlette(routes=[Route("/metrics", self._answer)])

    def _answer(self, _: Request) -> PlainTextResponse:
        return PlainTextResponse(self.text, 500 if self.text is None else 200)


@dataclass(frozen=True)
class Watched:
    """A service of two workers, seen by Prometheus; what its users counted themselves, by what the flag said to them."""

    root: Path
    url: str
    house: House
    idle: Mapping[bool | Slot, Counters]
    told: Mapping[bool, Mapping[str, float]]
    double: Double

    def exposed(self, name: str, **labels: str) -> float:
        text = httpx2.get(f"{self.url}/metrics", trust_env=False).text
        samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
        return sum(s.value for s in samples if s.name == name and labels.items() <= s.labels.items())


def asked_by_all(url: str, flags: FeatureFlagManager) -> Mapping[bool, Mapping[str, float]]:
    """Every user wishes once, every seventh in vain, and every twentieth rates what comes of it."""
    told = {on: dict.fromkeys(("requests", "errors", "ratings", "rating_sum"), 0.0) for on in (True, False)}
    with httpx2.Client(base_url=url, trust_env=False, timeout=30) as client:
        dna = client.post("/dna/create", json={"wish": "woody"}).json()["id"]
        for number, user in enumerate(USERS):
            seen, headers = told[flags.is_enabled(FLAG, user)], {"X-User": user}
            wish = {"wish": "woody" if number % 7 else "broken"}
            seen["requests"] += 1
            seen["errors"] += client.post("/dna/create", json=wish, headers=headers).status_code == 500
            if number % 20 == 0:
                offered = client.post("/evolve/options", json={"dna": dna}, headers=headers).json()
                said = {"experiment": offered["experiment"], "chosen": offered["options"][0]["id"], "rating": 2.3}
                assert client.post("/evolve/feedback", json=said, headers=headers).status_code == 200
                seen["ratings"] += 1
                seen["rating_sum"] += 2.3
    return told


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    root = tmp_path_factory.mktemp("watched")
    flags = FeatureFlagManager("dev", root)
    known = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    command = [*SERVICE, "--workers", "2", "--database", f"sqlite:///{root / 'artisan.db'}"]
    child = Child("artisan", command, environment=known | {"ARTISAN_FLAGS": str(flags.store.path)}, cwd=root)
    double = Double()
    try:
        with prometheus(root, {}) as house, served(double.app) as other:
            url = child.url(30)
            house.scrape({url: {"slot": "blue"}, other: {}})
            house.until_scraped()
            sources: dict[bool | Slot, PrometheusSource] = {"blue": by_slot(root, house.url, "blue")}
            sources |= {on: by_flag(root, house.url, on=on) for on in (True, False)}
            idle = {who: source.counters(YARDSTICK, datetime.now(UTC)) for who, source in sources.items()}
            flags.set_rollout_percentage(FLAG, 50, why="a trial", who="anna")
            # Both workers look once in a second.
            house.until(f'min(count_over_time(artisan_cohort_requests_total{{flag="{FLAG}"}}[1m])) >= 3', bool)
            told = asked_by_all(url, flags)
            house.until(f'sum(http_requests_total{{route="/dna/create"}}) == {len(USERS) + 1}', bool)
            yield Watched(root, url, house, idle, told, double)
    finally:
        child.stop()


@pytest.mark.parametrize("on", [True, False])
def test_what_is_counted_is_what_users_counted_themselves(watched: Watched, on: bool) -> None:
    source, told = by_flag(watched.root, watched.house.url, on=on), watched.told[on]
    before, after = watched.idle[on], source.counters(YARDSTICK, datetime.now(UTC))
    assert (before.requests, list(before.instances.values())) == (0, [0, 0])
    block = between(before, after)
    assert (block.requests, block.errors, block.ratings) == (told["requests"], told["errors"], told["ratings"])
    assert block.rating_sum == pytest.approx(told["rating_sum"])
    assert min(told.values()) > 0
    assert (block.timed, block.schema_failures) == (told["requests"], 0)
    named = {"flag": FLAG, "on": str(on).lower()}
    # 0.006 lies between two bounds, and 0.00605 is the next one.
    slow = source.counters(Yardstick(0.005, 0.006, "a test"), datetime.now(UTC)).slow
    quick = watched.exposed("artisan_cohort_duration_seconds_bucket", le="0.00605", **named)
    assert slow == told["requests"] - quick


def test_the_baseline_is_the_p95_of_those_without_the_change(watched: Watched) -> None:
    at = datetime.now(UTC)
    yardstick = by_flag(watched.root, watched.house.url).yardstick(at)
    increase = f'sum by (le) (increase(artisan_cohort_duration_seconds_bucket{{flag="{FLAG}",on="false"}}[30m]))'
    [by_prometheus] = watched.house.prometheus.query(f"histogram_quantile(0.95, {increase})", at.timestamp())
    assert yardstick.p95_s == pytest.approx(by_prometheus.value, rel=1e-9)
    assert yardstick.slow_s == 1.2 * yardstick.p95_s
    assert yardstick.origin.startswith("those without the change")


def test_a_slot_is_seen_by_the_ordinary_metrics_without_probes(watched: Watched) -> None:
    source = by_slot(watched.root, watched.house.url, "blue")
    assert watched.idle["blue"].requests == 0
    block = between(watched.idle["blue"], source.counters(YARDSTICK, datetime.now(UTC)))
    both = {name: sum(told[name] for told in watched.told.values()) for name in watched.told[True]}
    # Every rating took options and feedback, and one wish was nobody's.
    assert block.requests == block.timed == both["requests"] + 2 * both["ratings"] + 1
    assert (block.errors, block.ratings, block.slow) == (both["errors"], both["ratings"], 0)
    # A series that brings its counts along has gained nothing: it has to be there before what is then counted.
    route = 'http_request_duration_seconds_count{slot="blue",route="/dna/{id}"}'
    with httpx2.Client(base_url=watched.url) as client:
        for asked, seen in ((1, f"min(count_over_time({route}[5m])) > 1"), (100, f"sum({route}) > 100")):
            for _ in range(asked):
                client.get("/dna/none")
            watched.house.until(seen, bool)
    assert (
        "those without the change"
        in by_slot(watched.root, watched.house.url, "green").yardstick(datetime.now(UTC)).origin
    )


@pytest.mark.parametrize(
    ("slot", "later_s", "cause"),
    [("green", 0, "0 series"), ("blue", -3600, r"clock.* \+3600 s apart"), ("blue", 120, r"clock.* -1[12]\d s apart")],
    ids=["a slot where nothing runs", "a clock that is late", "a clock that is early"],
)
def test_what_is_not_there_is_no_zero(watched: Watched, slot: Slot, later_s: float, cause: str) -> None:
    at = datetime.now(UTC) + timedelta(seconds=later_s)
    with pytest.raises(NoEvidence, match=cause):
        by_slot(watched.root, watched.house.url, slot).counters(YARDSTICK, at)


def test_a_process_that_begins_anew_is_down_or_is_read_twice_is_no_evidence(watched: Watched) -> None:
    source = by_flag(watched.root, watched.house.url, flag=Double.flag)

    def told(requests: int, *started: str) -> Counters:
        watched.double.tells(requests, *started)
        watched.house.until(f'artisan_cohort_requests_total{{flag="{Double.flag}"}} == {requests}', bool)
        return source.counters(YARDSTICK, datetime.now(UTC))

    first = told(5)
    assert (first.requests, first.slow, first.rating_sum) == (5, 0, 20)
    # More than before, and yet counted anew.
    with pytest.raises(NoEvidence, match=r"started=10:00 is gone"):
        between(first, told(20, "10:01"))
    with pytest.raises(NoEvidence, match="duplicate series"):
        told(30, "10:01", "10:02")
    watched.double.text = None
    watched.house.until("min(up) == 0", bool)
    with pytest.raises(NoEvidence, match=r"unless on \(\).*0 series"):
        source.counters(YARDSTICK, datetime.now(UTC))
    # Another flag's users lack nothing.
    assert by_flag(watched.root, watched.house.url).counters(YARDSTICK, datetime.now(UTC)).requests


# A server that answers what a test has written

Answer = dict[str, list[tuple[dict[str, str], float | str]]]


def sound_answer() -> Answer:
    single = {"errors": 2, "ratings": 3, "rating_sum": 12.5, "schema_failures": 0, "scraped": AT - 5}
    bounds = {"0.5": 60, "1.0": 80, "1.25": 90, "2.5": 95, "+Inf": 100}
    answer: Answer = {name: [({}, value)] for name, value in single.items()}
    answer["requests"] = [({"instance": "a"}, 40), ({"instance": "b"}, 60)]
    answer["durations"] = [({"le": le}, value) for le, value in bounds.items()]
    return answer


class Fake:
    """What the server says: `body` to the one question of `counters`, or to that of the baseline."""

    def __init__(self) -> None:
        self.status, self.asked = 200, ""
        self.body: Any = b""

    def __call__(self, _: str, asked: Mapping[str, str]) -> tuple[int, Any, Mapping[str, str]]:
        self.asked = asked["query"]
        return self.status, self.body, {}

    def says(self, answer: Answer) -> None:
        named = [({**labels, "artisan_of": name}, value) for name, all_ in answer.items() for labels, value in all_]
        self.status, self.body = 200, vector(*named, at=AT)


@pytest.fixture(scope="module")
def served_fake() -> Iterator[tuple[str, Fake]]:
    fake = Fake()
    with scripted(fake) as url:
        yield url, fake


@pytest.fixture
def fake(served_fake: tuple[str, Fake], tmp_path: Path) -> tuple[PrometheusSource, Fake]:
    url, fake = served_fake
    return by_flag(tmp_path, url), fake


def test_a_sound_answer_is_counted(fake: tuple[PrometheusSource, Fake]) -> None:
    source, server = fake
    server.says(sound_answer())
    assert source.counters(YARDSTICK, NOW) == Counters(
        at=NOW - timedelta(seconds=5),
        requests=100,
        errors=2,
        timed=100,
        # 1.2 s has no bound of its own, so that slow is what took more than 1.25 s.
        slow=10,
        ratings=3,
        rating_sum=12.5,
        schema_failures=0,
        instances={"instance=a": 40, "instance=b": 60},
    )


def test_who_was_never_asked_for_has_only_zeros(fake: tuple[PrometheusSource, Fake]) -> None:
    source, server = fake
    server.says({"requests": [({"instance": "a"}, 0)], "scraped": [({}, AT)]})
    assert source.counters(YARDSTICK, NOW) == Counters(at=NOW, instances={"instance=a": 0})


NUMBERS = ("NaN", "+Inf", "-Inf", "-1")
SINGLE = ("errors", "ratings", "rating_sum", "schema_failures", "scraped")
FAULTS: dict[str, Answer] = {
    **{f"{name} {number}": {name: [({}, number)]} for name in SINGLE for number in NUMBERS},
    **{f"{name} twice": {name: [({"job": "a"}, 1), ({"job": "b"}, 1)]} for name in SINGLE},
    **{f"{name} absent": {name: []} for name in (*SINGLE, "requests", "durations")},
    **{f"requests {number}": {"requests": [({"instance": "a"}, number)]} for number in NUMBERS},
    "scraped long ago": {"scraped": [({}, AT - 61)]},
    "scraped later": {"scraped": [({}, AT + 1)]},
    "errors that no float can count": {"errors": [({}, 2.0**53)]},
    "a bound that is no number": {"durations": [({"le": "NaN"}, 1), ({"le": "2.5"}, 1), ({"le": "+Inf"}, 1)]},
    "no +Inf": {"durations": [({"le": "1.25"}, 1), ({"le": "2.5"}, 1)]},
    "nothing but +Inf": {"durations": [({"le": "+Inf"}, 1)]},
    "a bound twice": {"durations": [({"le": "2.5"}, 1), ({"le": "2.50"}, 1), ({"le": "+Inf"}, 1)]},
    "a bound that is none": {"durations": [({"le": "fast"}, 1), ({"le": "2.5"}, 1), ({"le": "+Inf"}, 1)]},
    "no bound at all": {"durations": [({}, 1), ({"le": "2.5"}, 1), ({"le": "+Inf"}, 1)]},
    "no bound from 1.2 s on": {"durations": [({"le": "1.0"}, 1), ({"le": "+Inf"}, 1)]},
    "more up to a bound than in all": {"durations": [({"le": "1.25"}, 3), ({"le": "2.5"}, 1), ({"le": "+Inf"}, 1)]},
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS.keys())
def test_a_faulty_number_is_no_evidence_and_its_query_is_named(
    fake: tuple[PrometheusSource, Fake], fault: Answer
) -> None:
    source, server = fake
    server.says(sound_answer() | fault)
    [name] = fault
    query = Queries().filled({"flag": FLAG, "on": "true"})[name]
    with pytest.raises(NoEvidence) as caught:
        source.counters(YARDSTICK, NOW)
    assert query in str(caught.value)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, b"<html>sign in</html>"),
        (502, b"bad gateway"),
        (200, b""),
        (200, {"status": "error", "errorType": "timeout", "error": "too slow"}),
        (200, vector(at=AT)),
        (200, vector(({"artisan_of": "another"}, 1), at=AT)),
        (200, vector(({}, 1), at=AT)),
        (200, vector(({"artisan_of": "scraped"}, AT), at=AT - 300)),
    ],
    ids=["HTML", "502", "nothing", "error", "no series", "of something else", "of nothing", "of another time"],
)
def test_a_faulty_answer_is_no_evidence(fake: tuple[PrometheusSource, Fake], status: int, body: Any) -> None:
    source, server = fake
    server.status, server.body = status, body
    with pytest.raises(NoEvidence):
        source.counters(YARDSTICK, NOW)
    with pytest.raises(NoEvidence):
        source.yardstick(NOW)


# The baseline


def recorded(root: Path, p95: float, unit: str = "ms") -> None:
    found = replace(measured("p95", p95, unit=unit, at_most=1e9, n=100), item=ITEM)
    baselines.save(root, "stg", [found])


RECENT = {
    "too few": ({"0.5": 60, "1.0": FEWEST - 1, "2.5": FEWEST - 1, "+Inf": FEWEST - 1}, "71 requests are too few"),
    "none": ({"0.5": 0, "1.0": 0, "2.5": 0, "+Inf": 0}, "0 requests are too few"),
    "beyond all bounds": ({"0.5": 60, "1.0": 80, "2.5": 90, "+Inf": 100}, "beyond 1 s"),
    "up to the last bound": ({"0.5": 60, "1.0": 80, "2.5": 100, "+Inf": 100}, "beyond 1 s"),
    "NaN": ({"0.5": "NaN", "1.0": "NaN", "2.5": "NaN", "+Inf": "NaN"}, "nan was never counted"),
    "no series": ({}, "0 series"),
}


@pytest.mark.parametrize(("buckets", "cause"), RECENT.values(), ids=RECENT.keys())
def test_where_there_is_no_p95_of_now_the_recorded_one_counts_and_without_one_none(
    fake: tuple[PrometheusSource, Fake], tmp_path: Path, buckets: dict[str, float | str], cause: str
) -> None:
    source, server = fake
    server.status, server.body = 200, vector(*(({"le": le}, value) for le, value in buckets.items()), at=AT)
    with pytest.raises(NoEvidence, match=rf"no baseline.*{cause}.*artisan baseline save"):
        source.yardstick(NOW)
    recorded(tmp_path, 500)
    yardstick = source.yardstick(NOW)
    assert (yardstick.p95_s, yardstick.slow_s) == (0.5, 0.6)
    assert yardstick.origin.startswith("the recorded baseline")
    assert cause in yardstick.origin


def test_a_recorded_baseline_of_another_kind_is_none(fake: tuple[PrometheusSource, Fake], tmp_path: Path) -> None:
    source, server = fake
    server.status, server.body = 200, vector(at=AT)
    recorded(tmp_path, 0.5, "s")
    with pytest.raises(NoEvidence, match="holds no p95 of the gate load_smoke, in ms"):
        source.yardstick(NOW)
    baselines.path_of(tmp_path, "stg").write_text("{", encoding="utf-8")
    with pytest.raises(NoEvidence, match="no baseline for the p95"):
        source.yardstick(NOW)


@given(st.lists(st.floats(0.001, 10), min_size=1, max_size=300))
def test_a_quantile_lies_in_the_bucket_of_the_true_one(seconds: list[float]) -> None:
    bounds = [*SECONDS, math.inf]
    counts = [sum(one <= bound for one in seconds) for bound in bounds]
    buckets = Buckets([Sample({"le": str(bound)}, AT, count) for bound, count in zip(bounds, counts, strict=True)])
    true = sorted(seconds)[math.ceil(0.95 * len(seconds)) - 1]
    place = bisect_left(bounds, true)
    below = bounds[place - 1] if place else 0
    assert below < buckets.quantile(0.95) <= bounds[place] * (1 + 1e-9)
    assert buckets.longer_than(true) == sum(one > bounds[place] for one in seconds)


# What happened between two looks

ADDED = st.builds(
    Block,
    requests=st.integers(0, 10**6),
    errors=st.integers(0, 10**6),
    timed=st.integers(0, 10**6),
    slow=st.integers(0, 10**6),
    ratings=st.integers(0, 10**6),
    rating_sum=st.integers(0, 10**6).map(lambda tenths: tenths / 10),
    schema_failures=st.integers(0, 10**6),
)


def counters(block: Block, **more: Any) -> Counters:
    counted = {name: float(getattr(block, name)) for name in Block.__struct_fields__}
    return Counters(at=NOW, **counted | {"instances": {"a": float(block.requests)}} | more)


def total(first: Block, second: Block) -> Block:
    return Block(**{name: getattr(first, name) + getattr(second, name) for name in Block.__struct_fields__})


@given(ADDED, ADDED)
def test_what_was_added_is_between_two_looks(first: Block, second: Block) -> None:
    assert between(counters(first), counters(total(first, second))) == second


@given(ADDED, st.sampled_from(Block.__struct_fields__), st.floats(0.01, 1e6))
def test_whatever_goes_down_is_no_evidence(block: Block, name: str, less: float) -> None:
    after = counters(block)
    before = counters(block, **{name: getattr(after, name) + less})
    with pytest.raises(NoEvidence, match=f"{name} went down"):
        between(before, after)


@pytest.mark.parametrize(
    ("before", "after", "cause"),
    [
        ({"a": 5.0, "b": 5.0}, {"a": 100.0}, "b is gone"),
        ({"a": 5.0, "b": 5.0}, {"a": 100.0, "b": 4.0}, "requests of b went down"),
        ({"a": 5.0}, {"a": 100.0, "b": 1.0}, "b is new"),
        ({"": 5.0}, {"a": 100.0}, "the counter of requests is gone"),
        ({"a": 5.0}, {"a": math.nan}, "went down"),
    ],
)
def test_a_process_that_comes_or_goes_is_no_evidence(
    before: dict[str, float], after: dict[str, float], cause: str
) -> None:
    with pytest.raises(NoEvidence, match=cause):
        between(Counters(at=NOW, instances=before), Counters(at=NOW, requests=100, instances=after))


def test_of_two_servers_that_are_asked_in_turn_the_one_that_is_behind_does_not_tell_the_same_twice() -> None:
    ahead, behind = Counters(at=NOW, requests=9.0), Counters(at=NOW - timedelta(seconds=1), requests=9.0)
    with pytest.raises(NoEvidence, match="was told before"):
        between(ahead, behind)
    assert later(ahead, behind) == later(behind, ahead) == ahead
    assert between(ahead, ahead) == Block()


def test_a_process_that_comes_with_nothing_counted_is_welcome() -> None:
    after = Counters(at=NOW, requests=7.0, instances={"a": 7.0, "b": 0.0})
    assert between(Counters(at=NOW, requests=5.0, instances={"a": 5.0}), after) == Block(requests=2)


def test_a_rate_is_no_counter() -> None:
    with pytest.raises(NoEvidence, match=r"errors: 0\.5 is no whole number"):
        between(Counters(at=NOW), Counters(at=NOW, errors=0.5))


# The policy's queries


def test_other_metrics_are_asked_for_by_their_own_names(served_fake: tuple[str, Fake], tmp_path: Path) -> None:
    url, fake = served_fake
    fake.says(sound_answer())
    errors = 'sum(shop_failures{variant="$flag:$on",path=~"/buy$|^/$"})'
    by_flag(tmp_path, url, on=False, queries=Queries(errors=errors)).counters(YARDSTICK, NOW)
    assert f'sum(shop_failures{{variant="{FLAG}:false",path=~"/buy$|^/$"}})' in fake.asked


def test_a_flag_that_nobody_declared_stands_in_no_query(tmp_path: Path) -> None:
    environment = Environment("stg", EnvironmentTable(prometheus_url="http://127.0.0.1:1"))
    with pytest.raises(SettingsError, match="the list of flags has no key"):
        flag_source(tmp_path, environment, 'a"} or vector(0) or x{y="', on=True, ratio=1.2, queries=Queries())


def test_without_a_server_nobody_can_see(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"environments\.stg\] has no prometheus_url"):
        by_flag(tmp_path, None)
    with pytest.raises(SettingsError, match=r"environments\.stg\] has no prometheus_url"):
        by_slot(tmp_path, None, "blue")
    with pytest.raises(NoEvidence, match="no answer"):
        by_flag(tmp_path, "http://127.0.0.1:1").counters(YARDSTICK, NOW)
