"""What `artisan serve` does: the models, the workers and the server, and their end."""

from __future__ import annotations

import os
import select
import signal
import socket
import sys
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec

from pytest_artisan.children import Child, ChildError
from pytest_artisan.loopback import bound, server_of
from pytest_artisan.release.environments import Environment, get_config
from pytest_artisan.settings import SettingsError

if TYPE_CHECKING:
    from pytest_artisan.ensemble.answers import Conducted, Observer

_MODELS: tuple[str, ...] = (sys.executable, "-m", "pytest_artisan", "models", "serve", "--port", "0", "--watch-stdin")
_WORKER: tuple[str, ...] = (sys.executable, "-m", "pytest_artisan.service.worker")
_START_S = 30.0


class Plan(msgspec.Struct, frozen=True):
    """What a worker needs to know: `name` of the environment, `database` as a URL, `models` where local ones run."""

    name: str
    database: str
    models: str | None
    started: str


@dataclass(frozen=True, slots=True)
class Serving:
    """The options of `artisan serve`."""

    host: str
    port: int
    workers: int
    database: str | None
    env: str | None


def answering_of(environment: Environment, models: str | None, observer: Observer) -> tuple[Conducted, dict[str, str]]:
    """The ensemble of an environment, with local models where they run, and its model ids by role."""
    from pytest_artisan.clock import SystemClock
    from pytest_artisan.ensemble.ensemble import Ensemble
    from pytest_artisan.ensemble.local.models import local_settings
    from pytest_artisan.ensemble.settings import settings_of

    settings = settings_of(environment, None if models is None else local_settings(models))
    ensemble = Ensemble(settings, clock=SystemClock(), observer=observer)
    return ensemble, {role: endpoint.model for role, endpoint in settings.members.items()}


def serve(options: Serving) -> None:
    """Serve until a signal ends it. Raises SettingsError for a port that is taken and a database that is of no use."""
    signal.signal(signal.SIGTERM, end)
    environment = get_config(options.env)
    with ExitStack() as stack:
        try:
            listener = stack.enter_context(bound(options.port, options.host))
        except (OSError, OverflowError) as error:
            raise SettingsError(f"{options.host}:{options.port}: {error}") from None
        models = None
        if environment.llm.qwen_endpoint is None and environment.env == "dev":
            models = Child("models", _MODELS)
            stack.callback(models.stop)
        plan = _planned(options, environment, models)
        if options.workers == 1:
            work(listener, plan, "artisan")
        else:
            _work_together(stack, listener, plan, options.workers)


def end(*_: object) -> None:
    """End with status 0 from wherever this process is, and let a second signal not disturb it."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise SystemExit(0)


def _planned(options: Serving, environment: Environment, models: Child | None) -> Plan:
    """Open the database and the flags once, so that workers find them as they need them, while the models get ready."""
    from pytest_artisan.release.flags import FeatureFlagManager
    from pytest_artisan.service.databases import address_of
    from pytest_artisan.service.store import DatabaseStore

    FeatureFlagManager(environment.env)
    database = options.database or address_of(environment).render_as_string(hide_password=False)
    store = DatabaseStore(database)
    store.close()
    if store.in_memory:
        raise SettingsError("database: one in memory is another one for each thread; give it a file")
    if options.workers == 1:
        import pytest_artisan.service.app  # noqa: F401  # the models take their time; what is needed next is slow, too
    started = datetime.now(UTC).isoformat(timespec="milliseconds")
    return Plan(environment.env, database, None if models is None else models.url(_START_S), started)


def work(listener: socket.socket, plan: Plan, name: str) -> None:
    """Serve in this process; it says `name at URL` when it is ready."""
    from pytest_artisan.release.flags import FeatureFlagManager
    from pytest_artisan.service.app import VERSION, Service, create_app
    from pytest_artisan.service.metrics import Metrics, MetricsObserver
    from pytest_artisan.service.snapshot import snapshot_of
    from pytest_artisan.service.store import DatabaseStore

    metrics = Metrics()
    observer = MetricsObserver(metrics)
    answering, models = answering_of(get_config(plan.name), plan.models, observer)
    snapshot = snapshot_of(models)
    metrics.runs(VERSION, snapshot, plan.started)
    store = DatabaseStore(plan.database)
    flags = FeatureFlagManager(environment=plan.name)
    app = create_app(Service(answering, store, metrics, observer, snapshot, flags.is_enabled, flags.rollouts))
    server = server_of(app)
    started = server.startup

    async def startup(sockets: list[socket.socket] | None = None) -> None:
        await started(sockets)
        if server.started:
            host, port = listener.getsockname()
            print(f"{name} at http://{host}:{port} ({plan.name}, model snapshot {snapshot})", flush=True)

    server.startup = startup  # type: ignore[method-assign]
    try:
        server.run(sockets=[listener])
    finally:
        store.close()


def _work_together(stack: ExitStack, listener: socket.socket, plan: Plan, count: int) -> None:
    """Several processes behind one socket; where one of them ends, all do, and whoever runs the service is told."""
    folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="artisan-", ignore_cleanup_errors=True))
    environment: Mapping[str, str] = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": folder}
    # By standard input: a command's arguments can be read by every user of the machine, and the URL holds a password.
    first = msgspec.json.encode([listener.fileno(), folder, plan]).decode() + "\n"
    workers = []
    for _ in range(count):
        child = Child("worker", _WORKER, environment=environment, sockets=[listener.fileno()], first=first)
        stack.callback(child.stop)
        workers.append(child)
    lines = [child.line(_START_S) for child in workers]
    print(lines[0].replace("worker", "artisan", 1), flush=True)
    select.select(workers, [], [])
    raise ChildError("a worker ended by itself")
