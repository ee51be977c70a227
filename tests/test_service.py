"""The service: its flow, its errors and its metrics."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from service_house import House, created

from pytest_artisan.ensemble.answers import ROLES, Answer, CallOutcome, Outcome
from pytest_artisan.ensemble.breaker import PAUSE_S
from pytest_artisan.ensemble.briefs import DEFAULT_BRIEF, WishBrief
from pytest_artisan.fragrance.ingredients import load_catalogue
from pytest_artisan.fragrance.limits import allergen_declarations, violations
from pytest_artisan.fragrance.objectives import price_of
from pytest_artisan.fragrance.standards import packaged_standards
from pytest_artisan.gates.briefing.rig import ManualClock
from pytest_artisan.service.contract import Dna
from pytest_artisan.service.creation import DEAREST, PRODUCTS, Creation
from pytest_artisan.service.metrics import MetricsObserver
from pytest_artisan.service.snapshot import snapshot_of

JSON = {"content-type": "application/json"}


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    house = House(tmp_path)
    yield house
    house.store.close()


def test_a_wish_becomes_options_and_feedback_better_options(house: House) -> None:
    async def flow(client: httpx2.AsyncClient) -> None:
        dna = await created(client, mode="creative")
        assert (dna["mode"], dna["source"], dna["outcome"], dna["remarks"]) == ("creative", "primary", "raw", [])
        assert sum(part["per_cent"] for part in dna["composition"]) == pytest.approx(100)
        assert set(dna["objectives"]) == {"misfit", "sameness", "fading", "cost"}
        assert (await client.get(f"/dna/{dna['id']}")).json() == dna
        first = (await client.post("/evolve/options", json={"dna": dna["id"], "algorithm": "REINFORCE"})).json()
        assert (first["dna"], first["algorithm"], len(first["options"])) == (dna["id"], "REINFORCE", 3)
        said = {"experiment": first["experiment"], "chosen": first["options"][1]["id"], "rating": 4}
        learnt = (await client.post("/evolve/feedback", json={**said, "notes": "more citrus"})).json()
        assert learnt["algorithm"] == "PPO"
        assert learnt["update"]["kl"] <= 0.03
        assert house.value("artisan_rl_kl", algorithm="PPO") == learnt["update"]["kl"]
        assert house.value("artisan_rl_episode_return", algorithm="PPO") == learnt["update"]["episode_return"]
        assert house.value("artisan_user_rating_bucket", le="4.0") == 1
        assert house.value("artisan_user_rating_bucket", le="3.0") == 0
        again = await client.post("/evolve/feedback", json=said)
        assert (again.status_code, again.json()["error"]["code"]) == (409, "conflict")
        second = (await client.post("/evolve/options", json={"dna": dna["id"], "count": 4.0})).json()
        assert len(second["options"]) == 4
        assert second["experiment"] != first["experiment"]
        for option in (*first["options"], *second["options"]):
            composition = {part["cas"]: part["per_cent"] for part in option["composition"]}
            assert not violations(composition, load_catalogue(), PRODUCTS["perfume"])

    house.ask(flow)


def test_the_same_brief_is_the_same_dna_and_a_repeated_wish_costs_nothing(
    house: House, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    made: list[object] = []
    create = Creation.create

    def counted(self: Creation, answer: Answer, *, anew: bool) -> Dna:
        made.append(answer)
        return create(self, answer, anew=anew)

    monkeypatch.setattr(Creation, "create", counted)

    async def calls(client: httpx2.AsyncClient) -> None:
        first = await created(client)
        assert await created(client) == first
        assert len(made) == 1, "the finished answer is kept"
        house.stub.outcome = Outcome.FALLBACK
        for number in (2, 3):
            assert await created(client) == {**first, "outcome": "fallback"}
            assert len(made) == number, "what is no full answer is not kept"
        house.stub.outcome = Outcome.RAW
        house.stub.brief = DEFAULT_BRIEF.model_copy(update={"season": "winter"})
        assert (await created(client))["id"] != first["id"], "an outdated answer is not given"
        assert (await client.get(f"/dna/{first['id']}")).json() == first
        house.stub.brief = DEFAULT_BRIEF
        (tmp_path / "other").mkdir()
        other = House(tmp_path / "other")
        assert (await created_elsewhere(other)) == first
        other.store.close()

    async def created_elsewhere(other: House) -> Any:
        async with httpx2.AsyncClient(transport=httpx2.ASGITransport(other.app), base_url="http://a") as client:
            return await created(client)

    house.ask(calls)


def brief(**fields: object) -> WishBrief:
    return WishBrief.model_validate({**DEFAULT_BRIEF.model_dump(), **fields})


def of_naturals(formula: Any, *forbidden: str) -> list[str]:
    find, constituents = load_catalogue().find, packaged_standards().constituents
    parts = [(part, name) for part in formula["composition"] for name in forbidden]
    held = [(part["name"], name) for part, name in parts if find(name).cas in constituents.get(part["cas"], {})]
    return sorted(f"forbidden ingredient {name}: a constituent of {whole}" for whole, name in held)


@pytest.mark.parametrize(
    ("fields", "remarks"),
    [
        ({"product_category": category, "season": season}, 0)
        for category, season in zip(PRODUCTS, ["any", "spring", "summer", "autumn", "winter"] * 2, strict=False)
    ]
    + [
        ({"forbidden_ingredients": ("Linalool", "unobtainium")}, None),
        # So few generations may find none within it, and other processors other formulas; then it is told.
        ({"allergen_ceiling": 0.5}, None),
        ({"allergen_ceiling": 0.0, "notes_preference": {"citrus": 1.0}, "budget_tier": "economy"}, None),
        ({"budget_tier": "luxury"}, 0),
    ],
)
def test_a_brief_is_kept_or_a_remark_says_what_is_not(
    house: House, fields: dict[str, Any], remarks: int | None
) -> None:
    wish = brief(**fields)
    house.stub.brief = wish

    async def calls(client: httpx2.AsyncClient) -> None:
        dna = await created(client, "as the stub says")
        composition = {part["cas"]: part["per_cent"] for part in dna["composition"]}
        product = PRODUCTS[wish.product_category]
        assert not violations(composition, load_catalogue(), product)
        allergens = sum(allergen_declarations(composition, load_catalogue(), product).values())
        told = [remark for remark in dna["remarks"] if remark.startswith("allergens: ")]
        assert bool(told) == (allergens > wish.allergen_ceiling)
        assert all(f"{allergens:.4g} %" in remark for remark in told)
        assert remarks is None or len(dna["remarks"]) == remarks, dna["remarks"]
        if wish.forbidden_ingredients:
            assert load_catalogue().find("Linalool").cas not in composition
            told = [*of_naturals(dna, "Linalool"), "forbidden ingredient not known: unobtainium"]
            assert sorted(dna["remarks"]) == told

    house.ask(calls)


def test_a_natural_material_that_holds_a_forbidden_one_is_told(house: House) -> None:
    house.stub.brief = brief(forbidden_ingredients=("Citral", "Limonene"), notes_preference={"citrus": 1.0})

    async def calls(client: httpx2.AsyncClient) -> None:
        dna = await created(client, "as the stub says")
        offered = (await client.post(OPTIONS, json={"dna": dna["id"]})).json()["options"]
        for formula in (dna, *offered):
            told = sorted(remark for remark in formula["remarks"] if remark.startswith("forbidden"))
            assert told == of_naturals(formula, "Citral", "Limonene")
        assert any("a constituent of" in remark for remark in (*dna["remarks"], *offered[0]["remarks"]))

    house.ask(calls)


def test_an_option_tells_what_it_does_not_keep_of_the_brief(house: House) -> None:
    wish = house.stub.brief = brief(allergen_ceiling=2.0, notes_preference={"citrus": 1.0}, budget_tier="economy")

    async def calls(client: httpx2.AsyncClient) -> None:
        dna = await created(client, "as the stub says")
        offered = (await client.post(OPTIONS, json={"dna": dna["id"], "count": 8})).json()["options"]
        for option in offered:
            composition = {part["cas"]: part["per_cent"] for part in option["composition"]}
            allergens = sum(allergen_declarations(composition, load_catalogue(), PRODUCTS["perfume"]).values())
            dear = price_of(option["objectives"]["cost"]) > DEAREST["economy"]
            kinds = ["allergens"] * (allergens > wish.allergen_ceiling) + ["budget"] * dear
            assert [remark.split(":")[0] for remark in option["remarks"]] == kinds
        assert any(option["remarks"] for option in offered)

    house.ask(calls)


def test_what_the_limits_leave_no_formula_for_is_not_possible(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pytest_artisan.service.creation.evolve", lambda *_, **__: ())

    async def calls(client: httpx2.AsyncClient) -> None:
        response = await client.post("/dna/create", json={"wish": "woody"})
        assert (response.status_code, response.json()["error"]["code"]) == (422, "not_possible")

    house.ask(calls)


CREATE, OPTIONS, FEEDBACK = "/dna/create", "/evolve/options", "/evolve/feedback"
FAULTS: list[tuple[str, str, dict[str, Any], int, str, str | None]] = [
    ("GET", "/nowhere", {}, 404, "not_found", None),
    ("GET", "/health/", {}, 404, "not_found", None),
    ("GET", "/dna/0123", {}, 404, "not_found", "path.id"),
    ("GET", "/dna/a%20b", {}, 422, "invalid", "path.id"),
    ("DELETE", "/health", {}, 405, "method_not_allowed", None),
    ("POST", CREATE, {"content": b"{", "headers": JSON}, 400, "bad_request", "body"),
    ("POST", CREATE, {"content": b'{"wish": "\xff"}', "headers": JSON}, 400, "bad_request", None),
    ("POST", CREATE, {"content": '{"wish": "a"}'.encode("utf-16"), "headers": JSON}, 400, "bad_request", None),
    ("POST", CREATE, {"content": b"[" * 60000, "headers": JSON}, 400, "bad_request", None),
    ("POST", CREATE, {"json": {"wish": "a" * 70_000}}, 413, "too_large", None),
    ("POST", CREATE, {"content": b'{"wish": "\\ud800"}', "headers": JSON}, 422, "invalid", "body.wish"),
    ("POST", CREATE, {"json": {"wish": "a" * 4001}}, 422, "invalid", "body.wish"),
    ("POST", CREATE, {"json": {"wish": ""}}, 422, "invalid", "body.wish"),
    ("POST", CREATE, {"json": {"wish": "   "}}, 422, "invalid", "body.wish"),
    ("POST", CREATE, {"json": {"wish": 7}}, 422, "invalid", "body.wish"),
    ("POST", CREATE, {"json": {"wish": "a", "mode": "slow"}}, 422, "invalid", "body.mode"),
    ("POST", CREATE, {"json": {"wish": "a", "colour": 1}}, 422, "invalid", "body.colour"),
    ("POST", CREATE, {"json": [1]}, 422, "invalid", "body"),
    ("POST", CREATE, {}, 422, "invalid", "body"),
    ("POST", CREATE, {"json": {"wish": "broken"}}, 500, "internal", None),
    ("POST", OPTIONS, {"json": {"dna": "0123"}}, 404, "not_found", "body.dna"),
    ("POST", OPTIONS, {"json": {"dna": "0123", "count": "3"}}, 422, "invalid", "body.count"),
    ("POST", OPTIONS, {"json": {"dna": "0123", "count": 3.5}}, 422, "invalid", "body.count"),
    ("POST", OPTIONS, {"json": {"dna": "0123", "count": 9}}, 422, "invalid", "body.count"),
    ("POST", FEEDBACK, {"json": {"experiment": "a", "chosen": "b", "rating": 5}}, 404, "not_found", "body.experiment"),
    ("POST", FEEDBACK, {"json": {"experiment": "a", "chosen": "b", "rating": 6}}, 422, "invalid", "body.rating"),
    ("POST", FEEDBACK, {"json": {"experiment": "a", "chosen": "b", "rating": True}}, 422, "invalid", "body.rating"),
]  # fmt: skip


@pytest.mark.parametrize(("method", "path", "request_", "status", "code", "field"), FAULTS)
def test_every_failure_has_the_one_shape(
    house: House, method: str, path: str, request_: dict[str, Any], status: int, code: str, field: str | None
) -> None:
    async def calls(client: httpx2.AsyncClient) -> None:
        response = await client.request(method, path, **request_)
        assert response.status_code == status, response.text
        [(name, fault)] = response.json().items()
        assert (name, fault["code"], fault["field"]) == ("error", code, field)
        assert fault["message"].isprintable()
        assert not {"secret", "Traceback", "Error"} & set(fault["message"].split())
        assert status != 405 or response.headers["allow"] == "GET"
        assert response.headers["content-type"] == "application/json"

    house.ask(calls)
    [count] = [
        sample.value
        for metric in house.metrics.registry.collect()
        for sample in metric.samples
        if sample.name == "http_requests_total" and sample.labels["status"] == str(status)
    ]
    assert count == 1


def test_an_option_that_was_not_offered_and_a_database_that_is_gone(house: House) -> None:
    async def calls(client: httpx2.AsyncClient) -> None:
        dna = await created(client)
        offered = (await client.post(OPTIONS, json={"dna": dna["id"]})).json()
        said = {"experiment": offered["experiment"], "chosen": "none", "rating": 4}
        response = await client.post(FEEDBACK, json=said)
        assert (response.status_code, response.json()["error"]["field"]) == (422, "body.chosen")
        assert (await client.get("/health/ready")).json() == {
            "status": "ok",
            "checks": {"store": "ok", "members": "ok"},
        }
        for member in house.observer.breakers:
            house.observer.breaker(member, "open")
        connection = sqlite3.connect(str(house.store._engine.url.database))
        connection.execute("DROP TABLE dna")
        connection.close()
        response = await client.get("/health/ready")
        assert response.status_code == 503
        assert response.json()["checks"] == {"store": "unavailable", "members": "unavailable"}
        response = await client.get(f"/dna/{dna['id']}")
        assert (response.status_code, response.json()["error"]["code"]) == (503, "unavailable")

    house.ask(calls)
    assert house.value("artisan_breaker_state", member="primary") == 2


def test_members_that_may_be_asked_again_are_reached(house: House) -> None:
    clock = ManualClock()
    observer = MetricsObserver(house.metrics, clock)
    for member in ROLES:
        assert observer.reached()
        observer.breaker(member, "open")
    assert not observer.reached()
    clock.time += PAUSE_S
    assert observer.reached(), "who sends requests only to what is ready would never send one again"
    for member in ROLES:
        observer.breaker(member, "half-open")
        assert observer.reached()
        observer.breaker(member, "open")
    assert not observer.reached()


def test_health_answers_while_a_formula_evolves(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    began, free = threading.Event(), threading.Event()
    create = Creation.create

    def slow(self: Creation, answer: Answer, *, anew: bool) -> Dna:
        began.set()
        assert free.wait(10)
        return create(self, answer, anew=anew)

    monkeypatch.setattr(Creation, "create", slow)

    async def calls(client: httpx2.AsyncClient) -> None:
        wish = asyncio.create_task(created(client))
        await asyncio.to_thread(began.wait, 10)
        for path in ("/health", "/health/live"):
            assert (await client.get(path)).json()["status"] == "ok"
        assert not wish.done()
        free.set()
        assert (await wish)["id"]

    house.ask(calls)
    assert house.stub.closed, "the app closes its ensemble"


def test_metrics_are_zero_before_anything_happens_and_count_what_does(house: House) -> None:
    for member in ("primary", "validator", "creative"):
        assert house.value("artisan_brief_schema_failures_total", member=member) == 0
        assert house.value("artisan_breaker_state", member=member) == 0
    for outcome in CallOutcome:
        house.observer.called("primary", outcome, 0.2)
    house.observer.answered("fast", Outcome.DEFAULT, 0.3)
    house.observer.breaker("creative", "half-open")
    assert house.value("artisan_brief_schema_failures_total", member="primary") == 2
    assert house.value("artisan_member_requests_total", member="primary", outcome="timeout") == 1
    assert house.value("artisan_member_duration_seconds_count", member="primary") == len(CallOutcome)
    assert house.value("artisan_briefs_total", mode="fast", outcome="default") == 1
    assert house.value("artisan_brief_duration_seconds_sum", mode="fast") == 0.3
    assert house.value("artisan_breaker_state", member="creative") == 1

    async def calls(client: httpx2.AsyncClient) -> None:
        dna = await created(client)
        for path in (f"/dna/{dna['id']}", "/dna/0", "/x", "/y", "/health"):
            await client.get(path)
        await client.request("BREW", "/health")
        text = (await client.get("/metrics")).text
        for line in (
            'http_requests_total{method="GET",route="/dna/{id}",status="200"} 1.0',
            'http_requests_total{method="GET",route="unknown",status="404"} 2.0',
            'http_requests_total{method="other",route="/health",status="405"} 1.0',
            'http_request_duration_seconds_bucket{le="2.5",method="GET",route="/health",status="200"} 1.0',
        ):
            assert line in text.splitlines()

    house.ask(calls)


def test_a_client_that_goes_away_within_its_body_is_no_bad_request(house: House) -> None:
    parts = iter([{"type": "http.request", "body": b'{"wish"', "more_body": True}, {"type": "http.disconnect"}])

    async def receive() -> Any:
        return next(parts)

    async def send(message: Any) -> None: ...

    header = (b"content-type", b"application/json")
    scope = {"type": "http", "method": "POST", "path": CREATE, "query_string": b"", "headers": [header]}
    asyncio.run(house.app(scope, receive, send))
    assert house.value("http_requests_total", method="POST", route=CREATE, status="499") == 1


def test_the_snapshot_names_the_models_by_role() -> None:
    one = snapshot_of({"primary": "a", "validator": "b"})
    assert one == snapshot_of({"validator": "b", "primary": "a"})
    assert one != snapshot_of({"primary": "b", "validator": "a"})
    assert len(one) == 12
