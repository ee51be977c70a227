"""The service keeps what its OpenAPI document promises, whatever it is sent."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import load_all_checks
from service_by_stub import Stub, as_by_default

from pytest_artisan.service.app import Service, create_app
from pytest_artisan.service.metrics import Metrics, MetricsObserver
from pytest_artisan.service.store import DatabaseStore

PATHS = {
    "/health",
    "/health/live",
    "/health/ready",
    "/metrics",
    "/dna/create",
    "/dna/{id}",
    "/evolve/options",
    "/evolve/feedback",
}


@pytest.fixture(scope="module")
def schema(tmp_path_factory: pytest.TempPathFactory) -> Iterator[schemathesis.BaseSchema]:
    store = DatabaseStore(f"sqlite:///{tmp_path_factory.mktemp('openapi') / 'artisan.db'}")
    metrics = Metrics()
    app = create_app(Service(Stub(), store, metrics, MetricsObserver(metrics), "0123456789ab", as_by_default))
    yield schemathesis.openapi.from_asgi("/openapi.json", app)
    store.close()


def test_the_document_names_every_route_and_one_error(schema: schemathesis.BaseSchema) -> None:
    assert set(schema.raw_schema["paths"]) == PATHS
    assert "HTTPValidationError" not in schema.raw_schema["components"]["schemas"]
    for path, operations in schema.raw_schema["paths"].items():
        for operation in operations.values():
            for status, response in operation["responses"].items():
                if int(status) >= 400 and path != "/health/ready":
                    [content] = response["content"].values()
                    assert content["schema"] == {"$ref": "#/components/schemas/ErrorBody"}, (path, status)


@pytest.mark.parametrize("path", sorted(PATHS))
def test_no_request_breaks_the_contract(schema: schemathesis.BaseSchema, path: str) -> None:
    load_all_checks()
    for operation in schema[path].values():

        @settings(
            max_examples=20,
            derandomize=True,
            deadline=None,
            database=None,
            phases=[Phase.explicit, Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy())
        def holds(case: schemathesis.Case[Any]) -> None:
            case.call_and_validate()

        holds()
