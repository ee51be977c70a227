"""Traffic by Kubernetes' Gateway API, held against a stand-in for its API server."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from gateway_by_contract import SERVICE_ACCOUNT, FakeCluster, failure, rule
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.responses import PlainTextResponse, RedirectResponse, Response, StreamingResponse

from pytest_artisan.loopback import served
from pytest_artisan.release.environments import resolve
from pytest_artisan.release.traffic import kubernetes as module
from pytest_artisan.release.traffic.choosing import router_of
from pytest_artisan.release.traffic.kubernetes import Gateway
from pytest_artisan.release.traffic.router import SLOTS, Slot
from pytest_artisan.settings import SettingsError
from pytest_artisan.verdict.evidence import NoEvidence

PLACE = "HTTPRoute shop/perfume: "
NAMES: Mapping[Slot, str] = {"blue": "blue", "green": "green"}
ROUTER = Gateway("shop", "perfume", NAMES, patience_s=0)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, FakeCluster]]:
    fake = FakeCluster()
    with served(fake.app) as url:
        path = tmp_path_factory.mktemp("kube") / "config"
        path.write_text(config_of(url), encoding="utf-8")
        yield path, fake


@pytest.fixture
def cluster(running: tuple[Path, FakeCluster], monkeypatch: pytest.MonkeyPatch) -> FakeCluster:
    """One that KUBECONFIG leads to, where blue gets everything."""
    path, fake = running
    vars(fake).update(vars(FakeCluster()))
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "KUBERNETES_SERVICE_HOST"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    monkeypatch.setenv("KUBECONFIG", str(path))
    return fake


def config_of(url: str) -> str:
    """A kubeconfig; JSON is YAML."""
    named = {
        "clusters": [{"name": "c", "cluster": {"server": url}}],
        "users": [{"name": "u", "user": {"token": SERVICE_ACCOUNT}}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
    }
    return json.dumps({"apiVersion": "v1", "kind": "Config", "current-context": "x", **named})


def fault(call: Callable[[], object]) -> str:
    with pytest.raises(NoEvidence) as raised:
        call()
    told = str(raised.value)
    assert told.startswith("HTTPRoute ")
    assert told.isprintable()
    assert SERVICE_ACCOUNT not in told
    return told


@pytest.mark.parametrize("slot", SLOTS)
@pytest.mark.parametrize("percent", [0, 0.1, 0.5, 1, 5, 25, 33.333, 100])
def test_the_share_that_was_asked_for_is_read_back(cluster: FakeCluster, slot: Slot, percent: float) -> None:
    ROUTER.shift(slot, percent)
    assert ROUTER.weights()[slot] == percent
    [weights] = cluster.weights
    assert weights[SLOTS.index(slot)] / sum(weights) == pytest.approx(percent / 100, abs=1e-15)
    assert cluster.tokens == {f"Bearer {SERVICE_ACCOUNT}"}


def test_any_shifts_are_read_back_and_nothing_else_of_the_route_changes(cluster: FakeCluster) -> None:
    kept: dict[str, Any] = {"filters": [{"type": "RequestHeaderModifier"}], "timeouts": {"request": "10s"}}
    other = {"backendRefs": [{"name": "shop-window", "port": 80}]}

    @settings(max_examples=10, deadline=None)
    @given(st.lists(st.tuples(st.sampled_from(SLOTS), st.integers(0, 1000).map(lambda tenth: tenth / 10)), max_size=3))
    def check(shifts: list[tuple[Slot, float]]) -> None:
        cluster.rules = [other, rule(None, None, **kept), rule(7, 7)]
        for slot, percent in shifts:
            ROUTER.shift(slot, percent)
            assert ROUTER.weights()[slot] == percent
            assert cluster.weights[1] == cluster.weights[2]
            assert sum(cluster.weights[1]) > 0
        if shifts:
            blue, green = cluster.weights[1]
            assert cluster.rules == [other, rule(blue, green, **kept), rule(blue, green)]

    check()


def test_a_patch_is_one_request_that_tests_each_name_and_is_called_by_its_name(cluster: FakeCluster) -> None:
    cluster.rules = [rule(None, 0)]
    ROUTER.shift("green", 5)
    [(kind, operations)] = cluster.patches
    assert kind == "application/json-patch+json"
    refs = "/spec/rules/0/backendRefs"
    assert operations == [
        {"op": "test", "path": f"{refs}/0/name", "value": "blue"},
        {"op": "test", "path": f"{refs}/1/name", "value": "green"},
        {"op": "add", "path": f"{refs}/0/weight", "value": 190},
        {"op": "add", "path": f"{refs}/1/weight", "value": 10},
    ]


def test_a_patch_that_is_called_a_merge_would_lose_every_match(cluster: FakeCluster) -> None:
    """What the stand-in does, as the API does, to a client that is wrong about its content type."""
    from kubernetes import client, config

    found: Any = config
    configuration = client.Configuration()
    found.load_kube_config(os.environ["KUBECONFIG"], client_configuration=configuration)
    with client.ApiClient(configuration) as api:
        client.CustomObjectsApi(api).patch_namespaced_custom_object(
            *("gateway.networking.k8s.io", "v1", "shop", "httproutes", "perfume"),
            body={"spec": {"rules": [{"backendRefs": [{"name": "blue"}]}]}},
        )
    assert cluster.patches[0][0] == "application/merge-patch+json"
    assert cluster.rules == [{"backendRefs": [{"name": "blue"}]}]


@pytest.mark.parametrize("status", [409, 422])
def test_a_route_that_changes_meanwhile_is_read_again(cluster: FakeCluster, status: int) -> None:
    cluster.early = {"PATCH": [failure(status)] * 2}
    ROUTER.shift("green", 25)
    assert len(cluster.patches) == 3
    assert ROUTER.weights() == {"blue": 75, "green": 25}
    cluster.early = {"PATCH": [failure(status)] * 9}
    told = fault(lambda: ROUTER.shift("green", 50))
    assert told == f"{PLACE}somebody else changed it 5 times at the same moment"
    assert ROUTER.weights() == {"blue": 75, "green": 25}


def test_no_weight_goes_to_whoever_has_taken_the_place_of_a_slot(cluster: FakeCluster) -> None:
    turned = rule()
    turned["backendRefs"].reverse()
    cluster.moves = [[turned]]
    ROUTER.shift("green", 5)
    assert [(ref["name"], ref["weight"]) for ref in cluster.rules[0]["backendRefs"]] == [("green", 10), ("blue", 190)]
    assert len(cluster.patches) == 2
    cluster.moves = [[rule(100, 0, "third")]]
    assert "rule 0 sends to blue, green, third" in fault(lambda: ROUTER.shift("green", 50))


def test_a_shift_waits_until_the_gateway_has_taken_it(cluster: FakeCluster) -> None:
    cluster.lag = 4
    Gateway("shop", "perfume", NAMES, patience_s=10).shift("green", 5)
    assert cluster.taken == cluster.generation == 2
    cluster.lag = 10**6
    told = fault(lambda: ROUTER.shift("green", 50))
    assert told == f"{PLACE}a gateway does not say Accepted of its generation 3"
    assert fault(ROUTER.weights) == told


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"gateways": 0}, "no gateway has taken it"),
        ({"refused": ("Accepted",)}, "a gateway does not say Accepted of its generation 1"),
        ({"refused": ("ResolvedRefs",)}, "a gateway does not say ResolvedRefs of its generation 1"),
        ({"rules": []}, "no rule sends to blue and green"),
        ({"rules": [rule(0, 0)]}, "blue and green both have the weight 0 in rule 0"),
        ({"rules": [rule(), rule(1, 1)]}, "its rules give different shares: [{'blue': 100.0, 'green': 0.0}, {'blue':"),
        ({"rules": [rule(1, 1, "third")]}, "rule 0 sends to blue, green, third, and not to blue and green, each once"),
        ({"rules": [rule(), {"backendRefs": [{"name": "blue"}]}]}, "rule 1 sends to blue, and not to blue and green"),
        ({"rules": [rule(1, 1, "green")]}, "rule 0 sends to blue, green, green, and not to"),
        ({"rules": [rule(-1, 2)]}, "the answer is no HTTPRoute: Expected `int` >= 0"),
        ({"rules": [rule("5", 1)]}, "the answer is no HTTPRoute: Expected `int`, got `str`"),
        ({"early": {"GET": [failure(403)]}}, "the server forbids it (403); the role needs get and patch of httproutes"),
        ({"early": {"GET": [failure(404)]}}, "the server has no such route, or no Gateway API v1 (404)"),
        ({"early": {"GET": [failure(500)]}}, "the server answers with status 500"),
        ({"early": {"GET": [RedirectResponse("http://192.0.2.1/")]}}, "the server answers with status 307"),
        ({"early": {"GET": [PlainTextResponse("<html>hello</html>")]}}, "the answer is no HTTPRoute: "),
        ({"early": {"GET": [PlainTextResponse("{}")]}}, "the answer is no HTTPRoute: Object missing required field"),
        ({"early": {"GET": [PlainTextResponse("[" * 100_000)]}}, "the answer is no HTTPRoute: "),
        ({"early": {"GET": [Response(b"\xff\x00")]}}, "the answer is no HTTPRoute: "),
        ({"early": {"GET": [Response(b"x" * (3 << 20))]}}, "the server gives no answer (TimeoutError)"),
    ],
)
def test_what_is_no_share_is_no_evidence(cluster: FakeCluster, fields: dict[str, Any], expected: str) -> None:
    vars(cluster).update(fields)
    assert fault(ROUTER.weights).startswith(PLACE + expected)


def test_whoever_may_only_look_changes_nothing(cluster: FakeCluster) -> None:
    cluster.forbidden = True
    assert "forbids it (403)" in fault(lambda: ROUTER.shift("green", 5))
    assert ROUTER.weights() == {"blue": 100, "green": 0}


def test_a_server_that_obeys_and_does_nothing_is_found_out(cluster: FakeCluster) -> None:
    cluster.early = {"PATCH": [PlainTextResponse("{}")]}
    told = fault(lambda: ROUTER.shift("green", 5))
    assert told.endswith("has the shares {'blue': 100.0, 'green': 0.0}, and was told {'blue': 95.0, 'green': 5.0}")


def test_an_answer_that_does_not_come_is_left_in_time(cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_ANSWER_S", 0.15)
    cluster.delay_s = 0.5
    assert fault(ROUTER.weights) == f"{PLACE}the server gives no answer (ReadTimeoutError)"
    cluster.delay_s = 0

    async def drip() -> Any:
        for _ in range(100):
            yield b" "
            await asyncio.sleep(0.02)

    cluster.early = {"GET": [StreamingResponse(drip())]}
    assert fault(ROUTER.weights) == f"{PLACE}the server gives no answer (TimeoutError)"


def test_a_server_that_speaks_no_tls_is_not_believed(
    cluster: FakeCluster, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    text = Path(os.environ["KUBECONFIG"]).read_text(encoding="utf-8")
    (tmp_path / "config").write_text(text.replace("http:", "https:"), encoding="utf-8")
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "config"))
    assert fault(ROUTER.weights) == f"{PLACE}the server does not prove by TLS who it is"
    assert cluster.tokens == set()


@pytest.mark.usefixtures("cluster")
def test_nobody_can_tell_what_is_being_answered() -> None:
    assert "nobody here can tell" in fault(lambda: ROUTER.in_flight("blue"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (config_of("http://127.0.0.1:1"), "the server gives no answer (NewConnectionError)"),
        (config_of("https://127.0.0.1:1"), "the server gives no answer (NewConnectionError)"),
        (config_of("http://[::bad"), "no usable configuration of a cluster: ValueError"),
        ("", "no usable configuration of a cluster: Invalid kube-config."),
        (f"users: [token: {SERVICE_ACCOUNT}", "no usable configuration of a cluster: ParserError"),
        (
            config_of("http://127.0.0.1:1").replace('"x"', '"y"', 1),
            "no usable configuration of a cluster: Invalid kube-",
        ),
        (
            config_of("http://127.0.0.1:1").replace(SERVICE_ACCOUNT, "two\\nlines"),
            "the server gives no answer (ValueError)",
        ),
    ],
)
def test_a_configuration_that_leads_nowhere_is_no_evidence(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str, expected: str
) -> None:
    path = tmp_path / "config"
    path.write_text(text, encoding="utf-8")
    monkeypatch.setenv("KUBECONFIG", str(path))
    for call in (ROUTER.weights, lambda: ROUTER.shift("green", 5)):
        assert fault(call).startswith(PLACE + expected)


def test_in_a_cluster_a_pod_needs_its_account(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "1")
    assert fault(ROUTER.weights) == f"{PLACE}no usable configuration of a cluster: Service token file does not exist."


def test_without_its_client_library_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "kubernetes", None)
    told = fault(ROUTER.weights)
    assert told == f"{PLACE}kubernetes is not installed; pip install 'pytest-artisan[kubernetes]'"


def test_its_client_library_is_imported_by_the_first_question() -> None:
    program = "import sys, pytest_artisan.release.traffic.choosing; sys.exit('kubernetes' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_an_environment_names_its_route(cluster: FakeCluster) -> None:
    traffic = {"router": "kubernetes", "namespace": "shop", "route": "perfume"}
    router = router_of(resolve("prod", {"prod": {"traffic": traffic}}, "x"))
    assert router == Gateway("shop", "perfume", NAMES)
    router.shift("green", 1)
    assert cluster.weights == [[198, 2]]


@pytest.mark.usefixtures("cluster")
def test_a_share_that_is_finer_than_its_weights_is_refused() -> None:
    with pytest.raises(SettingsError, match="by two whole weights up to 1000000"):
        ROUTER.shift("green", 0.00001)
