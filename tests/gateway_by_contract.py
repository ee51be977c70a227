"""A stand-in for the API server of Kubernetes over real sockets: one HTTPRoute, read and patched as its API says."""

from __future__ import annotations

import asyncio
import copy
import json
from dataclasses import dataclass, field
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

SERVICE_ACCOUNT = "sa-token-4711"
PATH = "/apis/gateway.networking.k8s.io/v1/namespaces/shop/httproutes/perfume"


def rule(blue: object = 100, green: object = 0, *more: str, **fields: Any) -> dict[str, Any]:
    """A rule with both slots; a weight of None is not written down."""
    refs: list[dict[str, Any]] = [
        {"group": "", "kind": "Service", "name": name, "port": 80} for name in ("blue", "green")
    ]
    for ref, weight in zip(refs, (blue, green), strict=True):
        if weight is not None:
            ref["weight"] = weight
    refs += [{"name": name, "port": 80, "weight": 1} for name in more]
    return {"matches": [{"path": {"type": "PathPrefix", "value": "/"}}], "backendRefs": refs, **fields}


@dataclass
class FakeCluster:
    """Its route's rules; a controller takes each change when the route is read for the `lag`-th time after it.

    `early` stands for the answers to the next requests by their method, and `moves` for what somebody else does to the
    rules just before the next patches.
    """

    rules: list[dict[str, Any]] = field(default_factory=lambda: [rule()])
    lag: int = 1
    refused: tuple[str, ...] = ()
    forbidden: bool = False
    gateways: int = 1
    delay_s: float = 0.0
    early: dict[str, list[Response]] = field(default_factory=dict)
    moves: list[list[dict[str, Any]]] = field(default_factory=list)
    patches: list[tuple[str | None, Any]] = field(default_factory=list)
    tokens: set[str | None] = field(default_factory=set)
    generation: int = 1
    taken: int = 1
    _reads: int = 0

    @property
    def app(self) -> Starlette:
        return Starlette(routes=[Route(PATH, self._get), Route(PATH, self._patch, methods=["PATCH"])])

    @property
    def weights(self) -> list[list[int]]:
        return [[ref.get("weight", 1) for ref in found["backendRefs"]] for found in self.rules]

    def _object(self) -> dict[str, Any]:
        conditions = [
            {"type": kind, "status": "False" if kind in self.refused else "True", "observedGeneration": self.taken}
            for kind in ("Accepted", "ResolvedRefs")
        ]
        parents = [{"controllerName": f"example.test/{n}", "conditions": conditions} for n in range(self.gateways)]
        metadata = {"name": "perfume", "generation": self.generation, "resourceVersion": str(self.generation)}
        spec = {"parentRefs": [{"name": "edge"}], "rules": self.rules}
        return {"kind": "HTTPRoute", "metadata": metadata, "spec": spec, "status": {"parents": parents}}

    async def _get(self, request: Request) -> Response:
        early = await self._early(request)
        if early is not None:
            return early
        self._reads += 1
        if self._reads >= self.lag:
            self.taken = self.generation
        return JSONResponse(self._object())

    async def _patch(self, request: Request) -> Response:
        kind, sent = request.headers.get("content-type"), json.loads(await request.body())
        self.patches.append((kind, sent))
        early = await self._early(request)
        if early is not None:
            return early
        if self.forbidden:
            return failure(403)
        if self.moves:
            self.rules = self.moves.pop(0)
        try:
            changed = {"application/json-patch+json": _operated, "application/merge-patch+json": _merged}[str(kind)]
            found = changed(self._object(), sent)
        except KeyError:
            return failure(415)
        except ValueError:
            return failure(422)
        if found["spec"]["rules"] != self.rules:
            self.rules, self.generation, self._reads = found["spec"]["rules"], self.generation + 1, 0
        return JSONResponse(self._object())

    async def _early(self, request: Request) -> Response | None:
        self.tokens.add(request.headers.get("authorization"))
        await asyncio.sleep(self.delay_s)
        if request.headers.get("authorization") != f"Bearer {SERVICE_ACCOUNT}":
            return failure(401)
        waiting = self.early.get(request.method)
        return waiting.pop(0) if waiting else None


def failure(code: int) -> Response:
    """As the API server says no."""
    return JSONResponse({"kind": "Status", "status": "Failure", "message": "no", "code": code}, code)


def _operated(whole: dict[str, Any], operations: Any) -> dict[str, Any]:
    """RFC 6902, for members of objects; raises ValueError where a test fails or there is no such place."""
    whole = copy.deepcopy(whole)
    for operation in operations:
        *parts, last = operation["path"].split("/")[1:]
        place: Any = whole
        try:
            for part in parts:
                place = place[int(part)] if isinstance(place, list) else place[part]
            if operation["op"] != "add" and last not in place:
                raise ValueError(operation["path"])
        except (KeyError, IndexError):
            raise ValueError(operation["path"]) from None
        if operation["op"] == "test" and place[last] != operation["value"]:
            raise ValueError(operation["path"])
        if operation["op"] in ("add", "replace"):
            place[last] = operation["value"]
    return whole


def _merged(whole: Any, sent: Any) -> Any:
    """RFC 7386: a list takes the place of a list."""
    return {**whole, **{key: _merged(whole.get(key, {}), v) if isinstance(v, dict) else v for key, v in sent.items()}}
