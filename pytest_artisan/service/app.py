"""The service's ASGI app: from wishes to DNA, to options, to feedback."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from typing import Annotated, Any, TypeVar

from cachetools import LRUCache
from fastapi import FastAPI, Path, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST
from sqlalchemy.exc import SQLAlchemyError

from pytest_artisan.ensemble.answers import Conducted, Outcome, WishError
from pytest_artisan.ensemble.briefs import WishBrief
from pytest_artisan.fragrance.evolution import NotPossible
from pytest_artisan.release.flags.states import State
from pytest_artisan.service.cohorts import ASKED
from pytest_artisan.service.contract import (
    Checks,
    CreateRequest,
    Dna,
    FeedbackRequest,
    Health,
    Learnt,
    Live,
    Name,
    Options,
    OptionsRequest,
    Ready,
)
from pytest_artisan.service.creation import Creation
from pytest_artisan.service.errors import ServiceError, install, responses
from pytest_artisan.service.metrics import Metrics, MetricsObserver
from pytest_artisan.service.middleware import Around
from pytest_artisan.service.refining import Refining
from pytest_artisan.service.store import DatabaseStore
from pytest_artisan.service.switches import IsEnabled, Switches

VERSION = version("pytest-artisan")
_JSON = "application/json"
# Finished answers that are kept for wishes that come again.
_HOT = 1024
_KEPT = frozenset({Outcome.RAW, Outcome.REPAIRED, Outcome.CACHED})
# Evolutions at once: they share the processors with the event loop.
_EVOLUTIONS = 2
T = TypeVar("T")
# For whom the flags are asked; read by hand, as FastAPI's own way takes a tenth of an answer that is ready.
_USER = re.compile(r"^[!-~]{1,128}$")
_FOR_USER: dict[str, Any] = {
    "parameters": [{"name": "X-User", "in": "header", "schema": {"type": "string", "pattern": _USER.pattern}}]
}


@dataclass(frozen=True, slots=True)
class Service:
    """What the routes work with; `rollouts`: the flags of which some users, or all, are moved to the other side."""

    answering: Conducted
    store: DatabaseStore
    metrics: Metrics
    observer: MetricsObserver
    snapshot: str
    is_enabled: IsEnabled
    rollouts: Callable[[], Mapping[str, State]] = dict

    def switches(self, request: Request) -> Switches:
        """The flags for the user of the request. Raises ServiceError."""
        user = request.headers.get("x-user")
        if user is not None and not _USER.fullmatch(user):
            raise ServiceError(422, f"the user does not match {_USER.pattern}", "header.X-User")
        # Who is nobody in particular is in a trial when it has come to everybody.
        trials = [flag for flag, state in self.rollouts().items() if user is not None or not state.split]
        return Switches(self.is_enabled, user, trials, ASKED.get())


def create_app(service: Service) -> FastAPI:
    """The app over one ensemble and one store; at its end it closes the ensemble, and leaves the store open."""
    # They end with the process: an app may be started and stopped more than once.
    evolving, refining = ThreadPoolExecutor(_EVOLUTIONS), ThreadPoolExecutor(1)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncGenerator[None]:
        yield
        await service.answering.aclose()

    app = FastAPI(
        title="Artisan",
        version=VERSION,
        description="Perfume from a wish: a brief, a formula within IFRA's limits, and options that learn.",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.add_middleware(Around, metrics=service.metrics)
    install(app)
    creation = Creation(service.store)
    # On the app itself: a router within it is searched in turn, and costs more than an answer that is ready.
    _add_health(app, service)
    _add_creation(app, service, creation, evolving)
    _add_evolution(app, service, Refining(service.store, creation, service.metrics), refining)
    return app


async def _in(pool: ThreadPoolExecutor, work: Callable[..., T], *arguments: object) -> T:
    return await asyncio.get_running_loop().run_in_executor(pool, work, *arguments)


def _add_health(app: FastAPI, service: Service) -> None:
    health = Health(version=VERSION, model_snapshot=service.snapshot).model_dump_json().encode()
    live = Live().model_dump_json().encode()

    @app.get("/health", tags=["health"], response_model=Health, responses=responses())
    async def get_health() -> Response:
        return Response(health, media_type=_JSON)

    @app.get("/health/live", tags=["health"], response_model=Live, responses=responses())
    async def get_live() -> Response:
        return Response(live, media_type=_JSON)

    @app.get("/health/ready", tags=["health"], response_model=Ready, responses={**responses(), 503: {"model": Ready}})
    def get_ready() -> Response:
        try:
            service.store.check()
            store = True
        except SQLAlchemyError:
            store = False
        members = service.observer.reached()
        checks = Checks(store="ok" if store else "unavailable", members="ok" if members else "unavailable")
        ready = Ready(status="ok" if store and members else "unavailable", checks=checks)
        return Response(ready.model_dump_json(), 200 if store and members else 503, media_type=_JSON)

    @app.get("/metrics", tags=["health"], response_class=Response, responses=responses())
    def get_metrics() -> Response:
        service.metrics.cohorts.begin(service.rollouts())
        return Response(service.metrics.exposition(), media_type=CONTENT_TYPE_LATEST)


def _add_creation(app: FastAPI, service: Service, creation: Creation, pool: ThreadPoolExecutor) -> None:
    # By what shapes an answer: its brief, for which it counts, and the finished bytes.
    hot: LRUCache[object, tuple[WishBrief, bytes]] = LRUCache(_HOT)

    @app.post(
        "/dna/create",
        tags=["dna"],
        response_model=Dna,
        responses=responses(400, 413, 422, 503),
        openapi_extra=_FOR_USER,
    )
    async def create(body: CreateRequest, request: Request) -> Response:
        """From a wish to a brief to a formula; the same brief gives the same formula."""
        switches = service.switches(request)
        conduct, anew = switches.conduct, switches.evolves_anew
        try:
            answer = await service.answering.answer(body.wish, body.mode, conduct)
        except WishError as error:
            raise ServiceError(422, str(error), "body.wish") from None
        key = (answer.key, answer.mode, answer.source, answer.outcome, answer.remarks, anew)
        kept = hot.get(key)
        if kept is not None and (kept[0] is answer.brief or kept[0] == answer.brief):
            return Response(kept[1], media_type=_JSON)
        try:
            dna = await _in(pool, partial(creation.create, answer, anew=anew))
        except NotPossible as error:
            raise ServiceError(422, str(error), "body.wish", "not_possible") from None
        content = dna.model_dump_json().encode()
        if answer.outcome in _KEPT:
            hot[key] = (answer.brief, content)
        return Response(content, media_type=_JSON)

    @app.get("/dna/{id}", tags=["dna"], response_model=Dna, responses=responses(404, 422, 503))
    def get_dna(id: Annotated[Name, Path()]) -> Response:
        """The DNA as it was created."""
        dna = creation.find(id)
        if dna is None:
            raise ServiceError(404, f"there is no DNA {id!r}", "path.id")
        return Response(dna.model_dump_json(), media_type=_JSON)


def _add_evolution(app: FastAPI, service: Service, refining: Refining, pool: ThreadPoolExecutor) -> None:
    """The routes of refinement, which takes one request after the other: the pool has one thread."""

    @app.post(
        "/evolve/options",
        tags=["evolve"],
        response_model=Options,
        responses=responses(400, 404, 413, 422, 503),
        openapi_extra=_FOR_USER,
    )
    async def options(body: OptionsRequest, request: Request) -> Response:
        """Formulas made of a DNA, to choose from."""
        offered = await _in(pool, refining.options, body, service.switches(request))
        return Response(offered.model_dump_json(), media_type=_JSON)

    @app.post(
        "/evolve/feedback",
        tags=["evolve"],
        response_model=Learnt,
        responses=responses(400, 404, 409, 413, 422, 503),
        openapi_extra=_FOR_USER,
    )
    async def feedback(body: FeedbackRequest, request: Request) -> Response:
        """Which option was chosen and how good it is; an experiment takes one feedback."""
        learnt = await _in(pool, refining.feedback, body, service.switches(request))
        return Response(learnt.model_dump_json(), media_type=_JSON)
