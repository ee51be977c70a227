"""Which router an environment has, and what it can do."""

from __future__ import annotations

from collections.abc import Iterable

from pytest_artisan.release.environments import Environment
from pytest_artisan.release.traffic import haproxy, kubernetes
from pytest_artisan.release.traffic.haproxy import HAProxy
from pytest_artisan.release.traffic.kubernetes import Gateway
from pytest_artisan.release.traffic.router import Router
from pytest_artisan.release.traffic.shares import weights_of


def router_of(environment: Environment) -> Router | None:
    """The router that its settings name, which has not been asked anything yet; None where they name none."""
    traffic = environment.table.traffic
    if traffic is None:
        return None
    return HAProxy.of(traffic) if traffic.router == "haproxy" else Gateway.of(traffic)


def check_shares(environment: Environment, percents: Iterable[float]) -> None:
    """Raises SettingsError for a share that its router, if it has one, has no weights for."""
    traffic = environment.table.traffic
    if traffic is not None:
        most = haproxy.MOST_WEIGHT if traffic.router == "haproxy" else kubernetes.MOST_WEIGHT
        for percent in percents:
            weights_of("blue", percent, most)
