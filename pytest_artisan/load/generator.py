"""A process that sends requests: `python -m pytest_artisan.load.generator alone | master WORKERS | worker PORT`.

A locustfile behind that is imported at once, while whoever started this still gets the service ready.

Locust changes the standard library where it is imported, so it is imported here, and nowhere else but in a locustfile.
"""

from __future__ import annotations

import os
import sys
import time
import traceback
from argparse import Namespace
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import msgspec

from pytest_artisan.load.messages import STOP, Checked, Listening, Order, Said
from pytest_artisan.loopback import HOST, end_with_parent

if TYPE_CHECKING:
    from locust.env import Environment

    from pytest_artisan.load.engine import Engine

_TICK_S, _REPORT_S, _AHEAD_S = 0.01, 0.2, 0.1
_READY, _ORDER, _CHECKED = "artisan ready", "artisan order", "artisan checked"
_BEGIN, _BATCH = "artisan begin", "artisan batch"
_DATA = "data"


class _Line:
    """The two ends of the line to the process that started this one."""

    def __init__(self) -> None:
        self._heard = b""
        # What a locustfile prints must not get between the lines.
        self._out = os.dup(sys.stdout.fileno())
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
        # It never waits for what else this process does, nor takes part in it: there may be no other way to end it.
        end_with_parent(self._hear)

    def _hear(self, text: bytes) -> None:
        self._heard += text

    def stopped(self) -> bool:
        return self._heard.endswith(STOP)

    def order(self) -> Order | None:
        """What was ordered, where it has come."""
        line, whole, _ = self._heard.partition(b"\n")
        return msgspec.json.decode(line, type=Order) if whole and not self.stopped() else None

    def say(self, said: Said) -> None:
        self.pass_on(msgspec.json.encode(said))

    def pass_on(self, encoded: bytes) -> None:
        left = memoryview(encoded + b"\n")
        while left:
            left = left[os.write(self._out, left) :]


def main() -> None:
    line = _Line()
    match sys.argv[1:]:
        case ["alone", *files]:
            _alone(line, files)
        case ["master", workers]:
            _master(line, int(workers))
        case ["worker", port, *files]:
            _worker(line, int(port), files)


def _environment(files: Sequence[str] = ()) -> Environment:
    """Locust, with one kind of user: the one that walks along the plan."""
    import locust
    from locust.env import Environment

    from pytest_artisan.load.users import ScenarioError, hear, kinds_of

    for file in files:
        with suppress(ScenarioError):  # which the contract tells of
            kinds_of(file)

    class Pacer(locust.User):  # type: ignore[misc,unused-ignore]
        @locust.task
        def walk(self) -> None:
            try:
                self.environment.artisan_walk()
            except Exception:  # noqa: BLE001 - Locust would begin again from the start
                traceback.print_exc()
            raise locust.exception.StopUser

    options = Namespace(web_base_path="", enable_rebalancing=False)
    environment = Environment(user_classes=[Pacer], events=locust.events, parsed_options=options)
    environment.events.request.add_listener(hear)
    return environment


def _engine(environment: Environment, line: _Line, order: Order, number: int) -> Engine | str:
    """Ready to start, where the contract is kept; or what broke it."""
    from pytest_artisan.load.engine import Engine
    from pytest_artisan.load.users import ScenarioError, cast_of

    try:
        cast = cast_of(environment, order.locustfile, order.url)
    except ScenarioError as error:
        return f"{order.locustfile}: {error}"
    environment.events.init.fire(environment=environment, runner=environment.runner, web_ui=None)
    engine = Engine(cast, order, number, line.stopped)
    return engine.broken() or engine


def _alone(line: _Line, files: Sequence[str]) -> None:
    environment = _environment(files)
    runner = environment.create_local_runner()
    engine = _engine(environment, line, _awaited(line), 0)
    if isinstance(engine, str):
        line.say(Checked(engine))
        return
    line.say(Checked())
    environment.artisan_walk = lambda: engine.walk(time.monotonic() + _TICK_S)  # type: ignore[attr-defined]
    runner.start(1, spawn_rate=1)
    while not engine.over.wait(_REPORT_S):
        line.say(engine.batch())
    line.say(engine.batch())
    runner.quit()


def _awaited(line: _Line) -> Order:
    import gevent

    while (order := line.order()) is None:
        gevent.sleep(_TICK_S)
    return order


def _master(line: _Line, count: int) -> None:
    """Hand each worker its part, let them begin together, and pass on what they say."""
    import gevent

    environment = _environment()
    runner = environment.create_master_runner(HOST, 0)
    ready: list[str] = []
    checked: list[Checked] = []

    def reported(client_id: str, data: dict[str, Any]) -> None:
        if _BATCH in data:
            line.pass_on(data[_BATCH])

    environment.events.worker_report.add_listener(reported)
    runner.register_message(_READY, lambda msg, **_: ready.append(msg.node_id))
    runner.register_message(
        _CHECKED, lambda msg, **_: checked.append(msgspec.json.decode(msg.data[_DATA], type=Checked))
    )
    line.say(Listening(runner.server.port))
    order = _awaited(line)
    while len(ready) < count:
        gevent.sleep(_TICK_S)
    for number, worker in enumerate(ready):
        part = msgspec.json.encode((number, order.part(number, count)))
        runner.send_message(_ORDER, {_DATA: part}, worker)
    while len(checked) < count:
        gevent.sleep(_TICK_S)
    for said in checked:
        if said.fault:
            line.say(said)
            return
    line.say(Checked())
    runner.send_message(_BEGIN, {_DATA: time.monotonic() + _AHEAD_S})
    runner.start(count, spawn_rate=count)
    # The end is told by the workers, and comes from whoever started all of them.
    gevent.get_hub().join()


def _worker(line: _Line, port: int, files: Sequence[str]) -> None:
    """Send one part of the plan, for the master on that port."""
    import gevent
    from gevent.queue import Queue
    from locust import runners

    runners.WORKER_REPORT_INTERVAL = _REPORT_S
    environment = _environment(files)
    ordered: Queue[tuple[int, Order]] = Queue()
    begins: Queue[float] = Queue()
    runner = environment.create_worker_runner(HOST, port)
    runner.register_message(
        _ORDER, lambda msg, **_: ordered.put(msgspec.json.decode(msg.data[_DATA], type=tuple[int, Order]))
    )
    runner.register_message(_BEGIN, lambda msg, **_: begins.put(msg.data[_DATA]))
    # Before, a message would have found nobody who listens for it.
    runner.send_message(_READY)
    number, order = ordered.get()
    engine = _engine(environment, line, order, number)
    fault = engine if isinstance(engine, str) else ""
    if not isinstance(engine, str):
        environment.artisan_walk = lambda: engine.walk(begins.get())  # type: ignore[attr-defined]
        environment.events.report_to_master.add_listener(
            lambda client_id, data: data.update({_BATCH: msgspec.json.encode(engine.batch())})
        )
    runner.send_message(_CHECKED, {_DATA: msgspec.json.encode(Checked(fault))})
    gevent.get_hub().join()


if __name__ == "__main__":
    main()
