"""The users of a locustfile, each with one arrival at a time, and what became of every request they sent."""

from __future__ import annotations

import itertools
import time
from bisect import bisect_right
from collections.abc import Callable
from contextlib import suppress
from functools import cache, partial
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import gevent
from locust import FastHttpUser, HttpUser, User, task
from locust.env import Environment
from locust.exception import CatchResponseError, RescheduleTask, RescheduleTaskImmediately, StopUser
from locust.util.load_locustfile import load_locustfile

from pytest_artisan.load.messages import Outcome

_ENDED = (RescheduleTask, RescheduleTaskImmediately, StopUser)
_REDIRECTS = (301, 302, 303, 307, 308)
_KEY = "artisan"


class ScenarioError(Exception):
    """A locustfile that can not be used; its text is one line."""


class Expired(gevent.GreenletExit):
    """The deadline of an arrival. It is no Exception, and the one kind of end that Locust's client lets through."""


class Answered(NamedTuple):
    """One request: seconds that it was late, and that it took; `cause` where it failed."""

    endpoint: str
    late: float
    took: float
    outcome: Outcome
    cause: str = ""


class Sent:
    """A request that left, with the seconds that it was late.

    Once the client has given the task its answer, `took` are its seconds, and `cause` says where it broke off.
    """

    __slots__ = ("arrival", "at", "cause", "endpoint", "late", "took")

    def __init__(self, arrival: Arrival, endpoint: str, late: float, at: float) -> None:
        self.arrival, self.endpoint, self.late, self.at = arrival, endpoint, late, at
        self.took: float | None = None
        self.cause = ""


class Arrival:
    """One entry of the plan, due at a moment of the monotonic clock, and the requests that its task sends.

    The first one counts from when the arrival was due; those after it, from when they were sent.
    """

    def __init__(self, due: float) -> None:
        self._due = due
        self._open: list[Sent] = []
        self.answered: list[Answered] = []

    def sends(self, endpoint: str) -> Sent:
        now = time.monotonic()
        # Several at a time where a task has greenlets of its own; or one after another that it gave up.
        sent = Sent(self, endpoint, 0.0 if self._open or self.answered else now - self._due, now)
        self._open.append(sent)
        return sent

    def hears(self, sent: Sent, endpoint: str, cause: str) -> None:
        """Of its own clock: a locustfile may write another time into what Locust tells."""
        if sent not in self._open:
            return
        self._open.remove(sent)
        took = time.monotonic() - sent.at if sent.took is None else sent.took
        outcome = Outcome.FAILED if cause else Outcome.OK
        self.answered.append(Answered(endpoint, sent.late, took, outcome, cause))

    @property
    def is_whole(self) -> bool:
        """Whether nothing that it sent is without an answer."""
        return not self._open

    def ends(self, name: str, error: BaseException | None) -> None:
        """Its task is over: what it left open, what it never sent, and what it could not read has failed."""
        now = time.monotonic()
        expired = isinstance(error, Expired)
        outcome = Outcome.EXPIRED if expired else Outcome.FAILED
        cause = "no answer within the deadline" if expired else f"{type(error).__name__}: {error}" if error else ""
        if self._open:
            text = cause or "its answer was never judged"
            left = [Answered(sent.endpoint, sent.late, now - sent.at, outcome, text) for sent in self._open]
            self.answered += left
            self._open.clear()
        elif not self.answered:
            text = cause or "the task sent no request"
            self.answered.append(Answered(name, now - self._due, 0.0, outcome, text))
        elif cause and not self.answered[-1].cause:
            self.answered[-1] = self.answered[-1]._replace(outcome=outcome, cause=cause)


class _Watched:
    """What is added to a user: its requests stay with the one host, are not sent twice, and are told to its arrival."""

    insecure = False
    max_retries = max_redirects = 0

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)  # type: ignore[call-arg]
        self.arrival: Arrival | None = None
        client: Any = self.client  # type: ignore[attr-defined]
        self._origin = urlsplit(client.base_url)[:2]
        self._address = client._build_url
        client.request = partial(self._request, client.request)
        pool = getattr(getattr(client, "client", None), "clientpool", None)
        if pool is not None:
            # It sends again, and says nothing, where a server closes without an answer; as often as its size says.
            pool.get_client(client.base_url)._connection_pool.size = -1

    def _request(self, send: Callable[..., Any], method: str, url: str, *args: Any, **kwargs: Any) -> Any:
        if urlsplit(self._address(url))[:2] != self._origin:
            raise ScenarioError(f"{method} {url}: is not at {'://'.join(self._origin)}, where this load may go")
        # Of `HttpUser`, nothing else keeps it from another host.
        kwargs["allow_redirects"] = False
        if self.arrival is None:
            return send(method, url, *args, **kwargs)
        sent = self.arrival.sends(f"{method} {kwargs.get('name') or url}")
        kwargs["context"] = {**kwargs.get("context", {}), _KEY: sent}
        response = send(method, url, *args, **kwargs)
        sent.took = time.monotonic() - sent.at
        broken = getattr(response, "request_meta", {}).get("exception")
        if broken is not None and response.status_code < 400:
            sent.cause = f"{type(broken).__name__}: {broken}"
        return response


def hear(request_type: str, name: str, response: Any, exception: Any, context: Any, **_: Any) -> None:
    """Listen to Locust's event of a request that is over."""
    sent = (context or {}).get(_KEY)
    if sent is not None:
        sent.arrival.hears(sent, f"{request_type} {name}", _cause(response, exception) or sent.cause)


def _cause(response: Any, exception: Any) -> str:
    status = getattr(response, "status_code", 0) or 0
    if isinstance(exception, CatchResponseError):
        return str(exception) or "its task says so"  # the locustfile's own words
    if exception is not None:
        return f"status {status}" if status >= 400 else f"{type(exception).__name__}: {exception}"
    # A task may call an answer right that looks wrong; there has to be one, and the server has to have meant it.
    if not status:
        error = getattr(response, "error", None)
        return f"{type(error).__name__}: {error}" if error else "no answer"
    if status in _REDIRECTS:
        return f"status {status}, a redirect, which is not followed"
    return f"status {status}" if status >= 500 else ""


class Part(NamedTuple):
    """One task of one kind of user."""

    kind: type[Any]
    name: str
    task: Callable[[Any], None]


class Cast:
    """All users of a load: by what a share in [0, 1) chooses, as their weights say."""

    def __init__(self, environment: Environment, kinds: list[type[Any]]) -> None:
        self._environment = environment
        self._idle: dict[type[Any], list[Any]] = {}
        self.parts: list[Part] = []
        weights: list[float] = []
        for kind in kinds:
            if kind.fixed_count:
                raise ScenarioError(
                    f"{kind.__name__}: fixed_count has no meaning where arrivals are planned, weight has"
                )
            watched = type(kind.__name__, (_Watched, kind), {"host": environment.host})
            self._idle[watched] = []
            for made in dict.fromkeys(kind.tasks):
                if isinstance(made, type):
                    raise ScenarioError(
                        f"{kind.__name__}: {made.__name__} is a TaskSet; its tasks have to be functions"
                    )
                self.parts.append(Part(watched, f"{kind.__name__}.{made.__name__}", made))
                weights.append(kind.weight * kind.tasks.count(made) / len(kind.tasks))
        if not any(weight > 0 for weight in weights):
            raise ScenarioError("it has no user with a task")
        self._until = list(itertools.accumulate(weights))

    def part(self, share: float) -> Part:
        place = bisect_right(self._until, share * self._until[-1])
        return self.parts[min(place, len(self.parts) - 1)]

    def perform(self, part: Part, due: float, seconds: float) -> list[Answered]:
        """Let a user do its part, until `seconds` from now at the latest; what became of its requests."""
        arrival = Arrival(due)
        idle = self._idle[part.kind]
        error: BaseException | None = None
        timer = gevent.Timeout.start_new(seconds, Expired)
        try:
            user = idle.pop() if idle else self._new(part.kind, arrival)
            user.arrival = arrival
            part.task(user)
        except _ENDED:
            pass
        except (Exception, gevent.GreenletExit, gevent.Timeout) as raised:  # noqa: BLE001 - whatever a locustfile does wrong
            error = raised
        finally:
            timer.close()
        # Whoever is left with half an answer would read the rest of it as the next one.
        is_reusable = error is None and arrival.is_whole
        arrival.ends(part.name, error)
        if is_reusable:
            user.arrival = None
            idle.append(user)
        return arrival.answered

    def _new(self, kind: type[Any], arrival: Arrival) -> Any:
        user = kind(self._environment)
        user.arrival = arrival
        try:
            user.on_start()
        except _ENDED as ended:
            raise ScenarioError(f"{kind.__name__}.on_start: {type(ended).__name__}") from ended
        return user

    def leave(self, seconds: float) -> None:
        """Let those who are idle say goodbye, within `seconds`; what they send then does not count."""
        with gevent.Timeout(seconds, False):  # type: ignore[arg-type]  # its own way to be silent
            for user in itertools.chain.from_iterable(self._idle.values()):
                with suppress(Exception):
                    user.on_stop()


def cast_of(environment: Environment, locustfile: str | None, url: str) -> Cast:
    """The users of a locustfile, who share the base `url`, or one who gets nothing but `url`.

    Raises ScenarioError.
    """
    if locustfile is None:
        environment.host = "://".join(urlsplit(url)[:2])
        return Cast(environment, [_getter(url.removeprefix(environment.host) or "/")])
    environment.host = url
    return Cast(environment, kinds_of(locustfile))


@cache
def kinds_of(locustfile: str) -> list[type[Any]]:
    """The kinds of users in a locustfile. Raises ScenarioError."""
    try:
        kinds, _ = load_locustfile(locustfile)
    except Exception as error:
        raise ScenarioError(f"can not be imported: {type(error).__name__}: {error}") from error
    for kind in kinds.values():
        if not issubclass(kind, HttpUser | FastHttpUser):
            raise ScenarioError(f"{kind.__name__} is no HttpUser and no FastHttpUser")
    return list(kinds.values())


def _getter(path: str) -> type[User]:
    class Get(FastHttpUser):  # type: ignore[misc,unused-ignore]
        @task
        def get(self) -> None:
            self.client.get(path)

    return Get
