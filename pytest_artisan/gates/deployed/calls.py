"""Calls to a deployed service, each checked against its contract; the first break ends them."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import httpx2
from pydantic import BaseModel, ValidationError

from pytest_artisan.gates.gate import CheckEvidence, Project
from pytest_artisan.loopback import is_here
from pytest_artisan.settings import one_line
from pytest_artisan.verdict.evidence import Finding, NoEvidence, measured

# The answers so far, in order.
Answers = Sequence[Any]


def _no_body(answers: Answers) -> None:
    return None


def _nothing(answer: Any, answers: Answers) -> Iterator[str]:
    yield from ()


@dataclass(frozen=True, slots=True)
class Call:
    """One request: its `body` is made from earlier answers, its answer has to be an `answer`, without more `faults`.

    An `answer` of str is any text.
    """

    method: str
    path: str
    answer: type[BaseModel | str]
    body: Callable[[Answers], Mapping[str, Any] | None] = _no_body
    faults: Callable[[Any, Answers], Iterator[str]] = _nothing

    def __post_init__(self) -> None:
        # Whatever is no model would be taken for text, and so for any text.
        if self.answer is not str and not (inspect.isclass(self.answer) and issubclass(self.answer, BaseModel)):
            raise TypeError(f"{self.name}: its answer is {self.answer!r}, and has to be str or a model of pydantic")

    @property
    def name(self) -> str:
        return f"{self.method} {self.path}"


class Journey(NamedTuple):
    """What is asked of a service: calls that only read, and calls that write, each in order."""

    reads: Sequence[Call]
    writes: Sequence[Call]


class ContractBreak(Exception):
    """An answer that is not what the contract says, with the field where it is not."""


def of_calls(url: str, calls: Sequence[Call], timeout_s: float) -> CheckEvidence:
    """How many calls kept their contract, each within `timeout_s`, and of the first that did not, the field."""
    return asyncio.run(_of_calls(url, calls, timeout_s))


async def _of_calls(url: str, calls: Sequence[Call], timeout_s: float) -> CheckEvidence:
    answers: list[Any] = []
    findings = []
    async with httpx2.AsyncClient(base_url=url, timeout=None, trust_env=not is_here(url)) as client:
        for call in calls:
            try:
                answers.append(_answer(await _response(client, call, answers, timeout_s), call, answers))
            except ContractBreak as error:
                findings.append(Finding("smoke", call.name, one_line(str(error)), "pyproject.toml", 1))
                break
    kept = measured("calls that keep their contract", len(answers), unit="count", equal_to=len(calls), n=len(calls))
    return CheckEvidence((kept,), tuple(findings))


async def _response(client: httpx2.AsyncClient, call: Call, answers: Answers, timeout_s: float) -> httpx2.Response:
    body = call.body(answers)
    try:
        # For all of it: a client's own timeout begins again with each byte.
        async with asyncio.timeout(timeout_s):
            return await client.request(call.method, call.path, json=body)
    except TimeoutError:
        raise ContractBreak(f"no whole answer within {timeout_s:g} s") from None
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        raise ContractBreak(f"no answer: {type(error).__name__}: {error}") from None


def _answer(response: httpx2.Response, call: Call, answers: Answers) -> Any:
    if response.status_code != httpx2.codes.OK:
        raise ContractBreak(f"status {response.status_code}, not 200: {response.text[:200]}")
    answer: Any = response.text
    if issubclass(call.answer, BaseModel):
        try:
            answer = call.answer.model_validate_json(response.content)
        except ValidationError as error:
            [first, *others] = error.errors(include_url=False, include_input=False)
            more = f" (and {len(others)} more)" if others else ""
            raise ContractBreak(f"{'.'.join(map(str, first['loc'])) or 'body'}: {first['msg']}{more}") from None
    for fault in call.faults(answer, answers):
        raise ContractBreak(fault)
    return answer


@contextmanager
def service_of(project: Project) -> Iterator[str]:
    """The base URL of the environment's service; in dev, where none is named, of one that is started for the block.

    Raises NoEvidence.
    """
    environment = project.environment
    if environment.base_url is not None:
        yield environment.base_url
    elif environment.env == "dev":
        from pytest_artisan.service.launcher import launched

        with launched() as service:
            yield service.url
    else:
        raise NoEvidence(f"{environment.env}: base_url is not set, so there is no service to ask")
