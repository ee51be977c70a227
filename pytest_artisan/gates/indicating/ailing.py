"""A Prometheus whose every answer is proper, and over the limit that the indicators have by default: for drills."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qs

from pytest_artisan.gates.indicating.indicators import INDICATORS, filled
from pytest_artisan.gates.tables import Kpi
from pytest_artisan.loopback import served

_MANY = 1000
# One in ten takes longer than any limit; and no histogram hides it beyond its last bound.
_BOUNDS = {"0.1": 900, "2.5": 900, "3.2": 900, "4.5": 900, "5.0": 900, "20.0": _MANY, "+Inf": _MANY}
_PLANTED = {"errors": 20, "schema_failures": 1, "episode_return": 9.9, "kl": 0.04}
TABLE = Kpi()


def _answers(now: float) -> Mapping[str, Mapping[str, float]]:
    """The value by `le`, or by nothing, for each question."""
    answers: dict[str, Mapping[str, float]] = {"vector(1)": {"": 1}}
    for name, indicator in INDICATORS.items():
        asked = indicator.questions
        answers[filled(asked.query, TABLE.window)] = {"": _PLANTED[name]} if name in _PLANTED else _BOUNDS
        answers[filled(asked.newest, TABLE.window)] = {"": now}
        if asked.samples is not None:
            answers[filled(asked.samples, TABLE.window)] = {"": _MANY}
    return answers


async def _app(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        for _ in range(2):
            await send({"type": f"{(await receive())['type']}.complete"})
        return
    asked = {name: value for name, [value] in parse_qs(scope["query_string"].decode()).items()}
    now = time.time()
    kind, key = ("matrix", "values") if "step" in asked else ("vector", "value")
    result = [
        {"metric": {"le": label} if label else {}, key: _points(asked, now, str(value))}
        for label, value in _answers(now)[asked["query"]].items()
    ]
    content = json.dumps({"status": "success", "data": {"resultType": kind, "result": result}}).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(content))]})
    await send({"type": "http.response.body", "body": content})


def _points(asked: Mapping[str, str], now: float, value: str) -> Sequence[object]:
    if "step" not in asked:
        return float(asked.get("time", now)), value
    start, end, step = (float(asked[name]) for name in ("start", "end", "step"))
    return [(start + step * number, value) for number in range(round((end - start) / step) + 1)]


@contextmanager
def ailing() -> Iterator[str]:
    """Its address; it knows the questions of `TABLE` alone."""
    with served(_app) as url:
        yield url
