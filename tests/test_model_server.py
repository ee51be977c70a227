"""The reference models over HTTP on loopback, and what goes wrong there on demand."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx2
import numpy as np
import pytest

from pytest_artisan import cli
from pytest_artisan.commands import BAD_INPUT
from pytest_artisan.ensemble.briefs import Hints, WishBrief
from pytest_artisan.ensemble.local.faults import Fault, Faults, Latency
from pytest_artisan.ensemble.local.models import EMBEDDING, MODELS
from pytest_artisan.ensemble.local.server import SERVED, Call, ModelServer
from pytest_artisan.loopback import served

RIDGE, RETRIEVER, NGRAM = MODELS.values()
WISH = "장미 향수"


@pytest.fixture(scope="module")
def running() -> Iterator[tuple[ModelServer, httpx2.Client]]:
    app = ModelServer()
    with served(app) as url, httpx2.Client(base_url=url, timeout=5, trust_env=False) as client:
        yield app, client


@pytest.fixture
def app(running: tuple[ModelServer, httpx2.Client]) -> Iterator[ModelServer]:
    running[0].calls.clear()
    yield running[0]
    running[0].faults.update({model: Faults() for model in SERVED})


@pytest.fixture
def client(app: ModelServer, running: tuple[ModelServer, httpx2.Client]) -> httpx2.Client:
    return running[1]


def body(model: str = RETRIEVER, name: str = "brief", **question: object) -> dict[str, Any]:
    user = json.dumps({"wish": WISH, **question})
    return {
        "model": model,
        "messages": [{"role": "system", "content": "Answer in JSON."}, {"role": "user", "content": user}],
        "response_format": {"type": "json_schema", "json_schema": {"name": name, "schema": {}}},
        "temperature": 0,
        "max_tokens": 500,
        "seed": 7,
    }


def ask(client: httpx2.Client, **question: Any) -> httpx2.Response:
    return client.post("/v1/chat/completions", json=body(**question))


def content(response: httpx2.Response) -> str:
    assert response.status_code == 200, response.text
    reply = response.json()
    assert reply["object"] == "chat.completion"
    [choice] = reply["choices"]
    assert (choice["index"], choice["message"]["role"], choice["finish_reason"]) == (0, "assistant", "stop")
    return str(choice["message"]["content"])


@pytest.mark.parametrize("model", MODELS.values())
def test_every_model_does_every_task_again_alike(app: ModelServer, client: httpx2.Client, model: str) -> None:
    brief = content(ask(client, model=model))
    checked = content(ask(client, model=model, brief=json.loads(brief)))
    assert WishBrief.model_validate_json(brief).language == WishBrief.model_validate_json(checked).language == "ko"
    assert Hints.model_validate_json(content(ask(client, model=model, name="hints")))
    assert content(ask(client, model=model)) == brief
    assert list(app.calls) == [Call(model, task, WISH) for task in ("brief", "check", "hints", "brief")]


def test_models_are_listed(client: httpx2.Client) -> None:
    assert [model["id"] for model in client.get("/v1/models").json()["data"]] == list(SERVED)


def test_embeddings_are_unit_vectors_in_the_order_of_the_texts(client: httpx2.Client) -> None:
    reply = client.post("/v1/embeddings", json={"model": EMBEDDING, "input": [WISH, "rose perfume", "leather"]}).json()
    rose, same, other = (np.array(row["embedding"]) for row in reply["data"])
    assert [row["index"] for row in reply["data"]] == [0, 1, 2]
    assert rose @ rose == pytest.approx(1, abs=1e-5)
    assert rose @ same > 0.9
    assert rose @ other < 0.8


@pytest.mark.parametrize(
    ("path", "sent", "status"),
    [
        ("chat/completions", b"{", 400),
        ("chat/completions", b"[" * 5000, 400),
        ("chat/completions", b"\xff\xfe", 400),
        ("chat/completions", json.dumps({**body(), "messages": []}).encode(), 400),
        ("chat/completions", json.dumps({**body(), "messages": [{"role": "user", "content": "hi"}]}).encode(), 400),
        ("chat/completions", json.dumps(body(name="poem")).encode(), 400),
        ("chat/completions", json.dumps(body(wish=5)).encode(), 400),
        ("chat/completions", json.dumps(body(wish="x" * 20_001)).encode(), 400),
        ("chat/completions", json.dumps({**body(), "temperature": -1}).encode(), 400),
        ("chat/completions", json.dumps(body(model="gpt")).encode(), 404),
        ("chat/completions", json.dumps(body(model=EMBEDDING)).encode(), 404),
        ("embeddings", json.dumps({"model": RIDGE, "input": "x"}).encode(), 404),
        ("embeddings", json.dumps({"model": EMBEDDING, "input": []}).encode(), 400),
        ("embeddings", json.dumps({"model": EMBEDDING, "input": "x", "encoding_format": "base64"}).encode(), 400),
        ("nowhere", b"{}", 404),
    ],
)
def test_bad_input_is_told_in_the_shape_of_openai(
    app: ModelServer, client: httpx2.Client, path: str, sent: bytes, status: int
) -> None:
    response = client.post(f"/v1/{path}", content=sent)
    assert response.status_code == status
    assert response.json()["error"]["type"] == "invalid_request_error"
    assert response.json()["error"]["message"]
    assert not app.calls


@pytest.mark.parametrize("seed", [None, -1, 2**70])
def test_any_integer_is_a_seed(client: httpx2.Client, seed: int | None) -> None:
    response = client.post("/v1/chat/completions", json={**body(model=NGRAM), "seed": seed})
    assert WishBrief.model_validate_json(content(response))


def test_a_status_comes_with_when_to_try_again(app: ModelServer, client: httpx2.Client) -> None:
    app.faults[RETRIEVER] = Faults([Fault.STATUS, None], status=429, retry_after=3)
    refused = ask(client)
    assert (refused.status_code, refused.headers["Retry-After"]) == (429, "3")
    assert refused.json()["error"]["message"]
    assert content(ask(client))


@pytest.mark.parametrize(
    ("fault", "sign"),
    [
        (Fault.MALFORMED_CONTENT, '{"language"'),
        (Fault.WRONG_SCHEMA, "scent"),
        (Fault.FENCED, "```json"),
        (Fault.INJECTED, "DROP TABLE"),
    ],
)
def test_a_spoilt_message_comes_in_a_whole_reply(
    app: ModelServer, client: httpx2.Client, fault: Fault, sign: str
) -> None:
    app.faults[RETRIEVER] = Faults([fault])
    told = content(ask(client))
    assert sign in told
    with pytest.raises(ValueError, match="validation error"):
        WishBrief.model_validate_json(told)
    assert WishBrief.model_validate_json(content(ask(client)))


def test_a_fence_holds_the_brief(app: ModelServer, client: httpx2.Client) -> None:
    app.faults[RETRIEVER] = Faults([Fault.FENCED])
    fenced, plain = (content(ask(client)) for _ in range(2))
    assert fenced.split("```json\n")[1].split("\n```")[0] == plain


def test_a_malformed_body_is_no_json(app: ModelServer, client: httpx2.Client) -> None:
    app.faults[RETRIEVER] = Faults([Fault.MALFORMED_BODY])
    with pytest.raises(json.JSONDecodeError):
        ask(client).json()


@pytest.mark.parametrize(
    ("model", "path", "sent"),
    [(RETRIEVER, "chat/completions", body()), (EMBEDDING, "embeddings", {"model": EMBEDDING, "input": "x"})],
    ids=[RETRIEVER, EMBEDDING],
)
def test_a_truncated_body_breaks_the_connection(
    app: ModelServer, client: httpx2.Client, model: str, path: str, sent: dict[str, Any]
) -> None:
    app.faults[model] = Faults([Fault.TRUNCATED])
    with pytest.raises(httpx2.RemoteProtocolError):
        client.post(f"/v1/{path}", json=sent)


def test_a_hang_ends_with_the_clients_patience_and_delays_nobody_else(app: ModelServer, client: httpx2.Client) -> None:
    app.faults[RETRIEVER] = Faults([Fault.HANG])
    with pytest.raises(httpx2.ReadTimeout):
        client.post("/v1/chat/completions", json=body(), timeout=0.2)
    assert content(ask(client))


def test_a_spoilt_embedding_has_no_numbers(app: ModelServer, client: httpx2.Client) -> None:
    app.faults[EMBEDDING] = Faults([Fault.WRONG_SCHEMA])
    reply = client.post("/v1/embeddings", json={"model": EMBEDDING, "input": "x"}).json()
    assert reply["data"][0]["embedding"] == []


def test_latency_delays_an_answer_and_no_other_model(app: ModelServer, client: httpx2.Client) -> None:
    app.faults[RETRIEVER] = Faults(latency=Latency(400))
    with ThreadPoolExecutor(1) as pool:
        start = time.monotonic()
        slow = pool.submit(ask, client)
        assert content(ask(client, model=RIDGE))
        assert not slow.done()
        assert content(slow.result())
    assert time.monotonic() - start >= 0.4


def test_many_clients_get_what_one_gets(client: httpx2.Client) -> None:
    models = list(MODELS.values()) * 8
    alone = {model: content(ask(client, model=model)) for model in MODELS.values()}
    with ThreadPoolExecutor(8) as pool:
        together = pool.map(lambda model: content(ask(client, model=model)), models)
    assert list(together) == [alone[model] for model in models]


def test_the_server_stops_while_a_hang_is_pending() -> None:
    app = ModelServer()
    drawn = threading.Event()

    class Telling(Faults):
        def draw(self) -> tuple[Fault | None, float]:
            drawn.set()
            return super().draw()

    app.faults[RETRIEVER] = Telling(fault=Fault.HANG)
    with ThreadPoolExecutor(1) as pool:
        with served(app) as url:
            pending = pool.submit(httpx2.post, f"{url}/v1/chat/completions", json=body(), timeout=20, trust_env=False)
            assert drawn.wait(5)
            start = time.monotonic()
        assert time.monotonic() - start < 4.5
        # uvicorn cancels what is left, and says so.
        assert pending.result(5).status_code == 500


def test_faults_by_chance_repeat_with_their_seed() -> None:
    def drawn(seed: int) -> list[tuple[Fault | None, float]]:
        faults = Faults(fault=Fault.STATUS, probability=0.3, latency=Latency(10, 40), seed=seed)
        return [faults.draw() for _ in range(2000)]

    one = drawn(1)
    assert one == drawn(1) != drawn(2)
    assert np.mean([fault is Fault.STATUS for fault, _ in one]) == pytest.approx(0.3, abs=0.05)
    assert np.median([delay for _, delay in one]) == pytest.approx(0.010, rel=0.1)
    assert np.percentile([delay for _, delay in one], 95) == pytest.approx(0.040, rel=0.15)


@pytest.mark.parametrize(
    "wrong",
    [{"probability": 1.1}, {"probability": float("nan")}, {"status": 200}],
    ids=str,
)
def test_a_fault_that_can_not_be_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="is n"):
        Faults(**wrong)


@pytest.mark.parametrize("wrong", [(-1.0,), (float("nan"),), (10.0, 5.0), (1.0, float("inf"))], ids=str)
def test_a_latency_that_can_not_be_is_refused(wrong: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="latency"):
        Latency(*wrong)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--fault=nobody=hang"], "no model 'nobody'"),
        (["--fault=local-ridge=rain"], "no fault 'rain'"),
        (["--fault=local-ridge=hang:2"], "'2' is no probability"),
        (["--fault=local-ridge=hang:x"], "'x' is no probability"),
        (["--fault=local-ridge=hang", "--fault=local-ridge=status"], "has a fault already"),
        (["--latency-ms=-1"], "--latency-ms=-1"),
        (["--host=203.0.113.1"], "203.0.113.1:0"),
    ],
)
def test_what_can_not_be_served_is_one_line(
    capsys: pytest.CaptureFixture[str], arguments: list[str], told: str
) -> None:
    assert cli.main(["models", "serve", "--port=0", *arguments]) == BAD_INPUT
    err = capsys.readouterr().err
    assert told in err
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize(("sent", "status", "told"), [(None, 0, ""), (signal.SIGINT, 130, "artisan: interrupted\n")])
def test_the_command_serves_until_its_standard_input_ends_or_ctrl_c(
    sent: signal.Signals | None, status: int, told: str
) -> None:
    command = [sys.executable, "-m", "pytest_artisan", "models", "serve", "--port=0", "--watch-stdin"]
    command += ["--fault=local-ridge=status", "--latency-ms=1"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, text=True, stdin=pipe, stdout=pipe, stderr=pipe) as process:
        assert process.stdout is not None
        ready = process.stdout.readline()
        url, _, names = ready.removeprefix("models at ").strip().partition(": ")
        assert names == ", ".join(SERVED)
        statuses = [
            httpx2.post(f"{url}/chat/completions", json=body(model=model), trust_env=False).status_code
            for model in (RETRIEVER, RIDGE)
        ]
        if sent is not None:
            process.send_signal(sent)
            process.wait(10)
        assert process.communicate(timeout=10) == ("", told)
    assert (statuses, process.returncode) == ([200, 503], status)
