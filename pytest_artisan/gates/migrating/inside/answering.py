"""The process's one request and one answer."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable

import msgspec

from . import guard
from .dual_write import dual_write
from .messages import Answer, Refused, Request, Run, failure_of, line_of
from .models import models
from .old_models import alone, check_moved, move_from, prepare, read, upgrade, use
from .round_trip import round_trip
from .scripts import Scripts

_LOOK_S = 1.0


def main() -> None:
    """Answer on what was standard output; whatever the project's own code prints goes to the errors."""
    request = msgspec.json.decode(sys.stdin.buffer.read(), type=Request)
    threading.Thread(target=_end_with, args=(request.parent,), daemon=True).start()
    guard.watch()
    answer_to = os.dup(1)
    os.dup2(2, 1)
    try:
        runs: dict[str, Run] = {}
        failed = failure_of(lambda: runs.update(answer_of(request)))
        guard.check()
        answer = Answer(runs) if failed is None else Answer(refused=f"the migrations can not be run: {line_of(failed)}")
    except Refused as error:
        answer = Answer(refused=str(error))
    with open(answer_to, "wb") as file:
        file.write(msgspec.json.encode(answer))
    # What the project's code has left running is no part of the answer.
    os._exit(0)


def _end_with(parent: int) -> None:
    """End, with all that was started here, soon after whoever waits for the answer has been killed."""
    while os.getppid() == parent:
        time.sleep(_LOOK_S)
    os.killpg(0, signal.SIGKILL)


def answer_of(request: Request) -> dict[str, Run]:
    """A run for each of the databases. Raises Refused."""
    if request.other:
        move_from(request.other)
    return {name: _run(request, name) for name in request.urls}


def _run(request: Request, name: str) -> Run:
    scripts = Scripts(request.ini, request.urls[name])
    if request.other:
        check_moved(request.other)
    if request.action == "use":
        return use(scripts, request.choices[name])
    return _ACTIONS[request.action](scripts, request)


def _stalls(scripts: Scripts, request: Request) -> Run:
    from .stalls import stalls  # needs psycopg

    return stalls(scripts, request)


_ACTIONS: dict[str, Callable[[Scripts, Request], Run]] = {
    "round_trip": lambda scripts, request: round_trip(scripts),
    "models": lambda scripts, request: models(scripts),
    "prepare": lambda scripts, request: prepare(scripts),
    "upgrade": lambda scripts, request: upgrade(scripts),
    "read": lambda scripts, request: read(scripts),
    "alone": lambda scripts, request: alone(scripts),
    "dual_write": lambda scripts, request: dual_write(scripts, request.dual_writes),
    "stalls": _stalls,
}
