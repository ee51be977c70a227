"""Which router an environment has."""

from __future__ import annotations

from pytest_artisan.release.environments import Environment
from pytest_artisan.release.traffic.haproxy import HAProxy
from pytest_artisan.release.traffic.kubernetes import Gateway
from pytest_artisan.release.traffic.router import Router


def router_of(environment: Environment) -> Router | None:
    """The router that its settings name, which has not been asked anything yet; None where they name none."""
    traffic = environment.table.traffic
    if traffic is None:
        return None
    return HAProxy.of(traffic) if traffic.router == "haproxy" else Gateway.of(traffic)
