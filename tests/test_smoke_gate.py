"""The gate smoke: what it asks of a service, and how it names the first break of the contract."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from service_by_stub import as_by_default

from conftest import Project as PytesterProject
from pytest_artisan.ensemble.answers import WHOLE, Answer, Conduct, Mode, Outcome, Source
from pytest_artisan.ensemble.briefs import DEFAULT_BRIEF
from pytest_artisan.gates.deployed.calls import Call, Journey, of_calls
from pytest_artisan.gates.deployed.journey import journey
from pytest_artisan.gates.gate import Check, Project
from pytest_artisan.gates.smoke import GATE
from pytest_artisan.gates.tables import Smoke
from pytest_artisan.loopback import served
from pytest_artisan.service.app import Service, create_app
from pytest_artisan.service.metrics import Metrics, MetricsObserver
from pytest_artisan.service.store import DatabaseStore
from pytest_artisan.verdict.evidence import NoEvidence
from pytest_artisan.verdict.judge import judge

TABLE = Smoke(subject="pytest_artisan.gates.deployed.journey:journey")


class _Answering:
    """One brief for all wishes."""

    async def answer(self, wish: str, mode: Mode | None = None, conduct: Conduct = WHOLE) -> Answer:
        return Answer(DEFAULT_BRIEF, mode or "fast", Source.PRIMARY, Outcome.RAW, "one")

    async def aclose(self) -> None: ...


@dataclass
class Damaged:
    """The service, but for what is changed in one path's answer."""

    app: Any
    path: str = ""
    change: Callable[[dict[str, Any]], object] = lambda body: None
    asked: list[tuple[str, str]] = field(default_factory=list)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            self.asked.append((scope["method"], scope["path"]))
        if scope.get("path") != self.path:
            await self.app(scope, receive, send)
            return
        start: dict[str, Any] = {}

        async def damaging(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.start":
                start.update(message)
                return
            body = json.loads(message["body"])
            self.change(body)
            content = json.dumps(body).encode()
            headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(content))]
            await send({**start, "headers": headers})
            await send({**message, "body": content})

        await self.app(scope, receive, damaging)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Damaged, str]]:
    store = DatabaseStore(f"sqlite:///{tmp_path_factory.mktemp('smoke') / 'artisan.db'}")
    metrics = Metrics()
    damaged = Damaged(
        create_app(Service(_Answering(), store, metrics, MetricsObserver(metrics), "0" * 12, as_by_default))
    )
    with served(damaged) as url:
        yield damaged, url
    store.close()


def _told(url: str, part: str) -> list[str]:
    shown = of_calls(url, getattr(journey(), part), 10)
    broken = any(code for measurement in shown.measurements for code in judge(measurement))
    assert broken == bool(shown.findings)
    return [f"{finding.rule}: {finding.message}" for finding in shown.findings]


def test_a_sound_service_keeps_its_contract(service: tuple[Damaged, str]) -> None:
    damaged, url = service
    damaged.path, damaged.asked = "", []
    assert _told(url, "writes") == _told(url, "reads") == []
    create, options = ("POST", "/dna/create"), ("POST", "/evolve/options")
    health = [("GET", "/health"), ("GET", "/health/live"), ("GET", "/health/ready"), ("GET", "/metrics")]
    assert damaged.asked == [health[0], create, options, ("POST", "/evolve/feedback"), options, *health]


def _without_parts(body: dict[str, Any]) -> None:
    body["composition"] = body["composition"][1:]


def _one_option(body: dict[str, Any]) -> None:
    body["options"] = body["options"][:1] * 3


@pytest.mark.parametrize(
    ("path", "change", "told"),
    [
        ("/health", lambda body: body.update(status="fine"), "GET /health: status: Input should be 'ok'"),
        ("/health", lambda body: body.pop("version"), "GET /health: version: Field required"),
        ("/dna/create", lambda body: body.pop("brief"), "POST /dna/create: brief: Field required"),
        ("/dna/create", lambda body: body.update(id=7), "POST /dna/create: id: Input should be a valid string"),
        ("/dna/create", lambda body: body.update(more=1), "POST /dna/create: more: Extra inputs are not permitted"),
        ("/dna/create", lambda body: body.update(outcome="default"), "POST /dna/create: outcome: nobody read the wish"),
        (
            "/dna/create",
            lambda body: body["composition"][1].update(name="Oakmoss absolute"),
            "composition.1: Oakmoss absolute, which the wish forbids",
        ),
        ("/dna/create", _without_parts, "POST /dna/create: composition: sums to "),
        (
            "/dna/create",
            lambda body: body["composition"][0].update(per_cent=-1),
            "composition.0.per_cent: Input should",
        ),
        ("/evolve/options", lambda body: body.update(algorithm="PPO"), "algorithm: 'PPO' was not asked for"),
        ("/evolve/options", lambda body: body.update(dna="x"), "dna: 'x' was not asked for"),
        ("/evolve/options", _one_option, "options: 1 different ones, at least 3 were asked for"),
        ("/evolve/feedback", lambda body: body.update(experiment="x"), "experiment: 'x' was not rated"),
        ("/evolve/feedback", lambda body: body["update"].update(kl=None), "POST /evolve/feedback: update.kl: Input"),
        ("/evolve/feedback", lambda body: body["update"].update(kl=float("nan")), "update.kl: "),
    ],
)
def test_the_first_break_ends_it_and_names_the_field(
    service: tuple[Damaged, str], path: str, change: Callable[[dict[str, Any]], object], told: str
) -> None:
    damaged, url = service
    damaged.path, damaged.change, damaged.asked = path, change, []
    [message] = _told(url, "writes")
    assert told in message
    assert damaged.asked[-1][1] == path, "nothing is asked after the first break"


@pytest.mark.parametrize(
    ("path", "told"), [("/nowhere", "status 404, not 200"), ("/metrics", "http_requests_total: is missing")]
)
def test_a_status_and_missing_metrics_are_breaks(service: tuple[Damaged, str], path: str, told: str) -> None:
    _, url = service
    [metrics] = [call for call in journey().reads if call.path == "/metrics"]
    call = type(metrics)("GET", "/health/live" if path == "/metrics" else path, str, faults=metrics.faults)
    [finding] = of_calls(url, [call], 10).findings
    assert told in finding.message


def test_nobody_there_is_a_break_too() -> None:
    [message] = _told("http://127.0.0.1:1", "reads")
    assert message.startswith("GET /health: no answer: ConnectError")


async def _dripping(scope: Any, receive: Any, send: Any) -> None:
    """An answer that never ends, and never pauses for long."""
    if scope["type"] == "lifespan":
        for _ in range(2):
            await send({"type": f"{(await receive())['type']}.complete"})
        return
    await receive()
    gone = asyncio.ensure_future(receive())
    await send({"type": "http.response.start", "status": 200, "headers": []})
    while not (await asyncio.wait([gone], timeout=0.02))[0]:
        await send({"type": "http.response.body", "body": b" ", "more_body": True})


def test_an_answer_that_never_ends_is_a_break() -> None:
    with served(_dripping) as url:
        [finding] = of_calls(url, [Call("GET", "/", str)], 0.2).findings
    assert finding.message == "no whole answer within 0.2 s"


@pytest.mark.parametrize("kind", [dict, list[int], bytes, Journey, None])
def test_what_no_answer_can_be_checked_against_is_refused(kind: Any) -> None:
    with pytest.raises(TypeError, match=r"GET /: its answer is .*, and has to be str or a model of pydantic"):
        Call("GET", "/", kind)


@pytest.mark.parametrize("check", GATE.checks, ids=lambda check: check.name)
def test_a_service_that_answers_all_with_200_is_no_go(check: Check) -> None:
    assert check.drill is not None
    shown = check.drill(Project(Path(__file__).parents[1]), TABLE)
    assert any(judge(measurement) for measurement in shown.measurements)
    assert shown.findings


def test_a_subject_that_makes_no_journey_is_no_evidence() -> None:
    with pytest.raises(NoEvidence, match="subject 'builtins:list' made list, and no Journey"):
        GATE.checks[0].run(Project(Path(__file__).parents[1]), Smoke(subject="builtins:list"))


def writing_reads() -> Journey:
    """A journey whose author took a call that writes for one that reads."""
    return Journey(reads=[Call("POST", "/orders", str)], writes=[])


def test_a_call_that_writes_is_none_of_those_that_everybody_may_make() -> None:
    subject = f"{__name__}:writing_reads"
    with pytest.raises(NoEvidence, match="POST /orders is among the calls that only read"):
        GATE.checks[0].run(Project(Path(__file__).parents[1]), Smoke(subject=subject))


POLICY = """
required = ["smoke"]
[tool.artisan.smoke]
subject = "pytest_artisan.gates.deployed.journey:journey"
[tool.artisan.environments.{env}]
{settings}
"""


@pytest.mark.parametrize(
    ("env", "writes", "items"),
    [("stg", "allow_writes = true", {"reads", "writes"}), ("stg", "", {"reads"}), ("prod", "", {"reads"})],
)
def test_an_environment_is_only_written_to_where_it_says_so(
    project: PytesterProject, service: tuple[Damaged, str], env: str, writes: str, items: set[str]
) -> None:
    damaged, url = service
    damaged.path, damaged.asked = "", []
    project.policy(POLICY.format(env=env, settings=f'base_url = "{url}"\n{writes}'))
    run = project.run(f"--artisan-env={env}")
    assert (run.status, run.last_line) == (0, "GO"), run.out
    assert {method for method, _ in damaged.asked} == ({"GET", "POST"} if "writes" in items else {"GET"})


def test_an_environment_without_an_address_has_no_evidence(project: PytesterProject) -> None:
    project.policy(POLICY.format(env="stg", settings="allow_writes = true"))
    run = project.run("--artisan-env=stg")
    assert (run.status, run.last_line) == (1, "NO-GO")
    assert "smoke|no_data|artisan::smoke::reads|reads: no data: stg: base_url is not set" in run.told
