"""Every way in which a request can fail, as one JSON shape."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from sqlalchemy.exc import SQLAlchemyError
from starlette.exceptions import HTTPException

from pytest_artisan.service.contract import Code, ErrorBody, Fault
from pytest_artisan.settings import one_line

_CODES: dict[int, tuple[Code, str]] = {
    400: ("bad_request", "the body is not JSON in UTF-8"),
    404: ("not_found", "there is nothing at this address"),
    405: ("method_not_allowed", "this address does not take this method"),
    409: ("conflict", "this has been answered already"),
    413: ("too_large", "the body is larger than 64 KiB"),
    422: ("invalid", "the request does not keep the contract"),
    500: ("internal", "the service failed; the request is not at fault"),
    503: ("unavailable", "the service can not answer now"),
}


class ServiceError(Exception):
    """What a request ends with; `code` and `field` as in `contract.Fault`."""

    def __init__(self, status: int, message: str, field: str | None = None, code: Code | None = None) -> None:
        super().__init__(message)
        self.status, self.field, self.code = status, field, code


def responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """What OpenAPI says of a route's failures: those given, and the ones that any route can have."""
    return {status: {"model": ErrorBody, "description": _CODES[status][1]} for status in sorted({*statuses, 500})}


def error_response(
    status: int,
    message: str | None = None,
    field: str | None = None,
    code: Code | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """The answer to a request that failed."""
    usual, told = _CODES.get(status, ("bad_request", "the request can not be answered"))
    body = ErrorBody(error=Fault(code=code or usual, message=one_line(message or told), field=field))
    return Response(body.model_dump_json(), status, headers, "application/json")


def install(app: FastAPI) -> None:
    """Have an app answer every failure in the one shape; what nobody expected is the middleware's to catch."""
    app.add_exception_handler(ServiceError, _told)
    app.add_exception_handler(HTTPException, _refused)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(SQLAlchemyError, _unavailable)


def _told(_: Request, error: Exception) -> Response:
    assert isinstance(error, ServiceError)
    return error_response(error.status, str(error), error.field, error.code)


def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return error_response(error.status_code, headers=error.headers)


def _invalid(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    if first["type"] == "json_invalid":
        return error_response(400, field="body")
    place = ".".join(map(str, first["loc"]))
    # A key that the client made up is told back no longer than it needs to be found.
    return error_response(422, f"{place[:120]}: {first['msg']}", place[:120])


def _unavailable(_: Request, __: Exception) -> Response:
    return error_response(503, "the database does not answer")
