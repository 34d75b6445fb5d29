"""Exceptions to problem documents. What was sent is never repeated: it may hold a password."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

from vms.contracts.problems import MEDIA_TYPE, problem, problem_of
from vms.domain.errors import Failure

log = structlog.get_logger(__name__)
_OAUTH_ERRORS = {"invalid-credentials": "invalid_grant", "invalid-token": "invalid_grant"}


def answer(document: dict[str, Any], headers: Mapping[str, str] | None = None) -> JSONResponse:
    """The response that carries a problem document."""
    return JSONResponse(document, document["status"], headers=dict(headers or {}), media_type=MEDIA_TYPE)


def _validation(errors: Sequence[Any], *, skip: int) -> JSONResponse:
    fields = []
    for error in errors:
        path = [str(part).replace("~", "~0").replace("/", "~1") for part in error["loc"][skip:]]
        message = str(error["msg"]).removeprefix("Value error, ")
        fields.append({"pointer": "".join(f"/{part}" for part in path), "detail": message})
    first = fields[0] if fields else {"pointer": "", "detail": "not valid"}
    if any(error["type"] == "json_invalid" for error in errors):
        return answer(problem(400, "The request cannot be read", "the body is not JSON", "malformed"))
    detail = f"{first['pointer'].lstrip('/').replace('/', '.') or 'the request'}: {first['detail']}"
    return answer(problem(422, "The request is not valid", detail, "validation", errors=fields))


async def _failure(request: Request, error: Exception) -> JSONResponse:
    failure = error if isinstance(error, Failure) else Failure("internal", "an internal error")
    document = problem_of(failure)
    headers: dict[str, str] = {}
    if failure.kind == "unauthorized":
        headers["WWW-Authenticate"] = 'Bearer realm="vms"'
    if failure.kind in {"exhausted", "unavailable"}:
        headers["Retry-After"] = "2"
    if failure.kind == "internal":
        log.error("request failed", path=request.url.path, reason=failure.detail)
    if request.url.path.endswith("/auth/token"):
        document["error"] = _OAUTH_ERRORS.get(failure.code, "invalid_request")
    return answer(document, headers)


async def _request_validation(_: Request, error: Exception) -> JSONResponse:
    return _validation(error.errors() if isinstance(error, RequestValidationError) else [], skip=1)


async def _model_validation(_: Request, error: Exception) -> JSONResponse:
    errors = error.errors(include_input=False, include_url=False) if isinstance(error, ValidationError) else []
    return _validation(errors, skip=0)


async def _http(_: Request, error: Exception) -> JSONResponse:
    status = error.status_code if isinstance(error, HTTPException) else 500
    known = {
        404: ("Not found", "nothing is at this path", "not-found"),
        405: ("Method not allowed", "this path does not take this method", "method-not-allowed"),
    }
    title, detail, code = known.get(status, ("The request failed", "the request cannot be served", f"http-{status}"))
    headers = error.headers if isinstance(error, HTTPException) else None
    return answer(problem(status, title, detail, code), headers)


async def _unexpected(request: Request, error: Exception) -> JSONResponse:
    log.error("request failed", path=request.url.path, error=type(error).__name__, exc_info=error)
    return answer(problem(500, "Internal error", "an internal error; see the server's log", "internal"))


def install(app: FastAPI) -> None:
    """Answers every failure of the application with a problem document."""
    app.add_exception_handler(Failure, _failure)
    app.add_exception_handler(RequestValidationError, _request_validation)
    app.add_exception_handler(ValidationError, _model_validation)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(Exception, _unexpected)
