"""A stand-in for a Vault server over real sockets: what its API says about AppRole and the KV store, version 2."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

TOKEN, ROLE, SECRET = "hvs.root-4711", "role-4711", "secret-id-4711"


@dataclass
class FakeVault:
    """Its versions of each secret, None for a deleted one; `answer` stands for any answer about a secret or a login."""

    token: str = TOKEN
    versions: dict[str, list[dict[str, Any] | None]] = field(default_factory=dict)
    sealed: bool = False
    answer: Response | None = None
    delay_s: float = 0.0
    asked: list[str] = field(default_factory=list)
    tokens: list[str | None] = field(default_factory=list)

    @property
    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/v1/auth/approle/login", self._login, methods=["POST"]),
                Route("/v1/secret/data/{path:path}", self._data, methods=["GET", "POST", "DELETE"]),
            ]
        )

    async def _login(self, request: Request) -> Response:
        sent = await request.json()
        early = await self._early(request)
        if early is not None:
            return early
        if sent != {"role_id": ROLE, "secret_id": SECRET}:
            return _errors(400, "invalid role or secret ID")
        return JSONResponse({"auth": {"client_token": self.token, "lease_duration": 3600}})

    async def _data(self, request: Request) -> Response:
        early = await self._early(request)
        if early is not None:
            return early
        if request.headers.get("X-Vault-Token") != self.token:
            return _errors(403, "permission denied")
        known = self.versions.setdefault(request.path_params["path"], [])
        if request.method == "POST":
            known.append((await request.json())["data"])
            return JSONResponse({"data": {"version": len(known)}})
        if request.method == "DELETE":
            known[-1] = None
            return Response(status_code=204)
        if not known:
            return _errors(404)
        deleted = known[-1] is None
        metadata = {"version": len(known), "deletion_time": "2026-11-24T10:00:00Z" if deleted else ""}
        return JSONResponse({"data": {"data": known[-1], "metadata": metadata}}, 404 if deleted else 200)

    async def _early(self, request: Request) -> Response | None:
        self.asked.append(f"{request.method} {request.url.path}")
        self.tokens.append(request.headers.get("X-Vault-Token"))
        await asyncio.sleep(self.delay_s)
        return _errors(503, "Vault is sealed") if self.sealed else self.answer


def _errors(status: int, *errors: str) -> Response:
    return JSONResponse({"errors": errors}, status)
