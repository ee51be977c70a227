"""The command that serves the reference models until it is told to stop."""

from __future__ import annotations

import argparse
import math
import signal
from collections.abc import Sequence
from types import FrameType

from pytest_artisan.ensemble.local.faults import Fault, Faults, Latency
from pytest_artisan.ensemble.local.server import SERVED, ModelServer
from pytest_artisan.loopback import bound, end_with_parent, server_of
from pytest_artisan.settings import SettingsError


def serve(options: argparse.Namespace) -> int:
    """Serve until SIGTERM, which is 0, or Ctrl-C, which raises KeyboardInterrupt; raises SettingsError."""
    faults = _faults(options.fault, options.latency_ms, options.seed)
    try:
        listener = bound(options.port, options.host)
    except OSError as error:
        raise SettingsError(f"{options.host}:{options.port}: {error.strerror or error}") from None
    with listener:
        app = ModelServer(options.seed)
        app.faults |= faults
        server = server_of(app)

        def stop(number: int, frame: FrameType | None) -> None:
            server.should_exit = True

        # uvicorn raises a signal again once it has stopped; without this, SIGTERM would then kill this process.
        signal.signal(signal.SIGTERM, stop)
        if options.watch_stdin:
            end_with_parent()
        host, port = listener.getsockname()
        print(f"models at http://{host}:{port}/v1: {', '.join(SERVED)}", flush=True)
        server.run(sockets=[listener])
    return 0


def _faults(texts: Sequence[str], latency_ms: float, seed: int) -> dict[str, Faults]:
    """By model, from texts such as local-ridge=status:0.1."""
    if not 0 <= latency_ms < math.inf:
        raise SettingsError(f"--latency-ms={latency_ms}: expected milliseconds, at least 0")
    chosen: dict[str, tuple[Fault, float]] = {}
    for text in texts:
        model, _, rest = text.partition("=")
        kind, _, probability = rest.partition(":")
        if model not in SERVED:
            raise SettingsError(f"--fault={text}: no model {model!r}; known: {', '.join(SERVED)}")
        if kind not in list(Fault):
            raise SettingsError(f"--fault={text}: no fault {kind!r}; known: {', '.join(Fault)}")
        if model in chosen:
            raise SettingsError(f"--fault={text}: {model} has a fault already")
        chosen[model] = Fault(kind), _probability(probability or "1", text)
    made = {}
    for place, model in enumerate(SERVED):
        fault, chance = chosen.get(model, (None, 1.0))
        made[model] = Faults(fault=fault, probability=chance, latency=Latency(latency_ms), seed=seed + place)
    return made


def _probability(text: str, where: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 <= number <= 1:
        raise SettingsError(f"--fault={where}: {text!r} is no probability from 0 to 1")
    return number
