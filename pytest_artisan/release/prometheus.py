"""What a Prometheus server answers, and nothing that is not a proper answer: by its HTTP API, version 1."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal
from urllib.parse import urlencode

import msgspec

from pytest_artisan.loopback import is_here
from pytest_artisan.release.addresses import certificates
from pytest_artisan.settings import one_line
from pytest_artisan.verdict.evidence import NoEvidence
from pytest_artisan.waiting import within

if TYPE_CHECKING:
    import httpx2

_MOST_BYTES = 8 * 1024 * 1024
_QUOTED = 200  # characters of what a server says
# As Go writes floats; Python's own reader would also take "1_000", " 1" and "infinity".
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?|NaN|[+-]Inf", re.ASCII)
# Its times are rounded to milliseconds, so two are the same that differ by less.
CLOSE_S: Final = 0.0015


@dataclass(frozen=True, slots=True)
class Sample:
    """One value at one time, in Unix seconds; it may be NaN or infinite, which is for the reader to judge."""

    labels: Mapping[str, str]
    at: float
    value: float


@dataclass(frozen=True, slots=True)
class Series:
    """Values over time, each as (Unix seconds, value), in order of time; NaN and infinities as in `Sample`."""

    labels: Mapping[str, str]
    points: tuple[tuple[float, float], ...]


_Labels = dict[str, str]
_Point = tuple[float, str]


class _Instant(msgspec.Struct):
    metric: _Labels
    value: _Point


class _Range(msgspec.Struct):
    metric: _Labels
    values: Annotated[list[_Point], msgspec.Meta(min_length=1)]


class _Vector(msgspec.Struct, rename="camel"):
    result_type: Literal["vector"]
    result: list[_Instant]


class _Matrix(msgspec.Struct, rename="camel"):
    result_type: Literal["matrix"]
    result: list[_Range]


class _Envelope(msgspec.Struct, rename="camel"):
    status: Literal["success", "error"]
    data: msgspec.Raw = msgspec.Raw()
    error_type: str = ""
    error: str = ""
    warnings: list[str] = []
    is_partial: bool = False  # as VictoriaMetrics has it


class _Fault(Exception):
    """Why there is no answer; the reader adds which query had none."""


class Prometheus:
    """A server at `url`, as pyproject.toml names it; each answer has to be there, as a whole, within `timeout_s`.

    All that is asked raises NoEvidence, with the query and the cause, for anything but a proper answer: no server, no
    success, a part of the result (`warnings`), another kind of result, another time, what is no number.
    """

    def __init__(self, url: str, timeout_s: float) -> None:
        self.url, self._timeout_s = url.rstrip("/"), timeout_s

    def query(self, promql: str, at: float | None = None) -> tuple[Sample, ...]:
        """The instant vector at a time in Unix seconds, else at the server's own; empty where no series matches."""
        asked = {"query": promql} if at is None else {"query": promql, "time": f"{at:.3f}"}
        try:
            vector = self._ask("query", asked, _Vector).result
            _once([one.metric for one in vector])
            samples = tuple(Sample(one.metric, one.value[0], _number(one.value[1])) for one in vector)
            for sample in samples:
                if at is not None and abs(sample.at - at) > CLOSE_S:
                    raise _Fault(f"it answers for {sample.at:.3f}, and was asked for {at:.3f}")
        except _Fault as fault:
            raise self._no_evidence(promql, fault) from None
        return samples

    def query_range(self, promql: str, start: float, end: float, step_s: float) -> tuple[Series, ...]:
        """The matrix of all times from `start` to `end`, Unix seconds, by `step_s`; a series may lack some of them."""
        asked = {"query": promql, "start": f"{start:.3f}", "end": f"{end:.3f}", "step": f"{step_s:.3f}"}
        try:
            matrix = self._ask("query_range", asked, _Matrix).result
            _once([one.metric for one in matrix])
            series = tuple(Series(one.metric, tuple((at, _number(text)) for at, text in one.values)) for one in matrix)
            for one in series:
                times = [at for at, _ in one.points]
                if not all(before < after for before, after in pairwise(times)):
                    raise _Fault("its times are not in order")
                if times[0] < start - CLOSE_S or times[-1] > end + CLOSE_S:
                    raise _Fault("it answers for another time than it was asked for")
        except _Fault as fault:
            raise self._no_evidence(promql, fault) from None
        return series

    def _no_evidence(self, promql: str, fault: _Fault) -> NoEvidence:
        return NoEvidence(one_line(f"{self.url}: {promql}: {fault}"))

    def _ask(self, what: str, asked: Mapping[str, str], kind: type[Any]) -> Any:
        """The data of an answer; raises _Fault."""
        status, content = self._within(f"{self.url}/api/v1/{what}?{urlencode(asked)}")
        try:
            envelope = msgspec.json.decode(content, type=_Envelope)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            why = f"status {status}" if status != 200 else str(error)
            raise _Fault(f"no answer of Prometheus: {why}: {_quoted(content.decode(errors='replace'))}") from None
        if envelope.status != "success" or status != 200:
            raise _Fault(f"status {status}: {_quoted(f'{envelope.error_type}: {envelope.error}')}")
        if envelope.warnings or envelope.is_partial:
            raise _Fault(f"the answer may be a part only: {_quoted('; '.join(envelope.warnings))}")
        try:
            return msgspec.json.decode(envelope.data, type=kind)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise _Fault(f"no result that can be read: {error}") from None

    def _within(self, address: str) -> tuple[int, bytes]:
        """Status and body; raises _Fault."""
        try:
            return within(self._timeout_s, lambda: self._get(address))
        except TimeoutError:
            raise _Fault(f"no whole answer within {self._timeout_s:g} s") from None

    async def _get(self, address: str) -> tuple[int, bytes]:
        import httpx2

        try:
            async with self._client() as client, client.stream("GET", address) as response:
                if response.is_redirect:
                    raise _Fault(f"status {response.status_code}, and no redirect is followed")
                if response.headers.get("Content-Encoding", "identity") != "identity":
                    raise _Fault("its answer is packed, and was not asked to be")
                content = bytearray()
                async for part in response.aiter_raw():
                    content += part
                    if len(content) > _MOST_BYTES:
                        raise _Fault(f"its answer has more than {_MOST_BYTES:,} bytes")
                return response.status_code, bytes(content)
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise _Fault(f"no answer: {type(error).__name__}: {error}") from None
        except (ValueError, ImportError, OSError) as error:
            # Without its text, which may quote a proxy's address and its password.
            raise _Fault(f"no answer: {type(error).__name__}") from None

    def _client(self) -> httpx2.AsyncClient:
        import httpx2

        return httpx2.AsyncClient(
            # A proxy from the environment is for the world outside; what runs on this machine is asked directly.
            trust_env=not is_here(self.url),
            verify=certificates(self.url),
            timeout=None,  # all of it has one
            follow_redirects=False,
            headers={"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": "pytest-artisan"},
        )


def _once(labels: list[_Labels]) -> None:
    """Raises _Fault where two series are the same."""
    if len({tuple(sorted(one.items())) for one in labels}) != len(labels):
        raise _Fault("the same series comes twice")


def _number(text: str) -> float:
    """Raises _Fault."""
    if not _NUMBER.fullmatch(text):
        raise _Fault(f"{_quoted(text)} is no number")
    return float(text)


def _quoted(text: str) -> str:
    return repr(text[:_QUOTED])
