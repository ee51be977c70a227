"""A run of a load: its generators are started, told what to send, listened to, and ended."""

from __future__ import annotations

import math
import os
import select
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec
import numpy as np

from pytest_artisan.children import Child
from pytest_artisan.load.arrivals import arrivals, shares
from pytest_artisan.load.messages import STOP, Batch, Checked, Listening, Order, Said
from pytest_artisan.load.record import DECIDED, INTERRUPTED, Load, Record

_START_S, _CONTRACT_S, _SLACK_S, _STOP_S = 30.0, 60.0, 10.0, 3.0
_LEAST_PATIENCE_S = 2.5
_FIRST = "generator"
_SEED = 0
# A proxy between here and there, or a setting of Locust that nobody sees, would make it another test.
_DROPPED = ("locust_", "gevent_", "geventhttpclient_", "http_proxy", "https_proxy", "all_proxy", "no_proxy")


class Interrupted(KeyboardInterrupt):
    """Ctrl-C in the middle of a run; `record` holds what there was until then."""

    def __init__(self, record: Record) -> None:
        super().__init__()
        self.record = record


class Generators:
    """The processes that send, ready to be told what, once; they end with the block, or with this process.

    With `workers`, these send, and Locust's master leads them. `folder` is where a locustfile finds its modules; one that
    is named here is there when it is needed.
    """

    def __init__(self, workers: int = 0, folder: Path | None = None, locustfile: Path | None = None) -> None:
        self._workers, self._folder = workers, folder
        self._files = [] if locustfile is None else [str(locustfile.resolve())]
        self._stack = ExitStack()
        self._children: dict[str, Child] = {}
        self._unread: dict[str, bytes] = {}
        self._done: set[int] = set()
        self._deadline = math.inf

    def __enter__(self) -> Self:
        self._errors = self._stack.enter_context(tempfile.TemporaryFile())
        with self._stack:
            self._start(_FIRST, *(["master", str(self._workers)] if self._workers else ["alone", *self._files]))
            self._stack = self._stack.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stack.close()

    def run(self, load: Load, told: Callable[[Record], bool] = lambda record: True) -> Record:
        """Send a load; after each news `told` gets the record so far, and ends the run where it returns False.

        What goes wrong is in the record. Raises Interrupted where Ctrl-C ends it.
        """
        rng = np.random.default_rng(_SEED)
        parts = ((load.warmup, 0.0), (load.planned, load.warmup_s))
        due = np.concatenate([start + arrivals(load.arrivals, load.rps, n, rng) for n, start in parts])
        patience_s = max(load.limit_ms / 1000, _LEAST_PATIENCE_S)
        file = None if load.locustfile is None else str(load.locustfile.resolve())
        mix = np.concatenate([shares(n, rng) for n, _ in parts])
        order = Order(load.url, file, due.tobytes(), mix.tobytes(), load.warmup, load.deadline_s, patience_s)
        record = Record(load, due)
        self._deadline = time.monotonic() + _START_S + _CONTRACT_S
        try:
            self._children[_FIRST].tell(msgspec.json.encode(order) + b"\n")
            self._listen(record, told)
        except KeyboardInterrupt:
            self._call_off(record, INTERRUPTED)
            self._listen(record, told)
            raise Interrupted(record) from None
        finally:
            record.close()
        return record

    def _listen(self, record: Record, told: Callable[[Record], bool]) -> None:
        load = record.load
        for said in self._said(record):
            match said:
                case Listening(port):
                    for number in range(self._workers):
                        self._start(f"worker {number + 1}", "worker", str(port), *self._files)
                case Checked(fault):
                    record.broken = fault
                    if fault:
                        return
                    lasts = load.warmup_s + load.duration_s + load.deadline_s
                    self._deadline = time.monotonic() + lasts + _SLACK_S
                case Batch():
                    record.add(said)
                    self._done |= {said.generator} if said.done else set()
                    if len(self._done) == max(self._workers, 1):
                        return
                    if not record.stopped and not told(record):
                        self._call_off(record, DECIDED)

    def _call_off(self, record: Record, why: str) -> None:
        """What is known by then still comes."""
        record.stopped = why
        self._deadline = time.monotonic() + _STOP_S
        for child in self._children.values():
            child.tell(STOP)

    def _said(self, record: Record) -> Iterator[Said]:
        """All that the generators say, until one of them is gone, or the time is up, which are faults."""
        while True:
            names = {child.fileno(): name for name, child in self._children.items()}
            ready = select.select(list(names), [], [], max(self._deadline - time.monotonic(), 0))[0]
            if not ready:
                record.faults.append("the generator did not end in time")
                return
            for number in ready:
                name = names[number]
                read = os.read(number, 1 << 20)
                *lines, self._unread[name] = (self._unread.get(name, b"") + read).split(b"\n")
                for line in lines:
                    yield msgspec.json.decode(line, type=Said)
                if not read:
                    record.faults.append(f"the {name} {self._end(name)}")
                    return

    def _end(self, name: str) -> str:
        """How one ended by itself, with the last that it said to nobody."""
        status = self._children[name].wait()
        self._errors.seek(0)
        last = (self._errors.read().decode(errors="replace").strip().splitlines() or [""])[-1]
        how = f"was killed by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"
        return f"{how}: {last}" if last else how

    def _start(self, name: str, *arguments: str) -> None:
        command = [sys.executable, "-m", "pytest_artisan.load.generator", *arguments]
        child = Child(name, command, environment=_environment(), cwd=self._folder, stderr=self._errors)
        self._stack.callback(child.stop)
        self._children[name] = child


def _environment() -> Mapping[str, str]:
    return {name: value for name, value in os.environ.items() if not name.lower().startswith(_DROPPED)}


def run(load: Load, told: Callable[[Record], bool] = lambda record: True) -> Record:
    """Send a load by generators of its own; see `Generators.run`."""
    with Generators(load.workers) as generators:
        return generators.run(load, told)
