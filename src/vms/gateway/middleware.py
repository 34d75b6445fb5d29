"""What every request passes before the application: security headers, the log, the rate limit, the body's bound."""

from __future__ import annotations

import contextlib
import json
import math
import time
from collections.abc import Callable
from typing import Any

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from vms.contracts.clock import Clock
from vms.contracts.problems import MEDIA_TYPE, problem
from vms.gateway.rate_limit import TokenBuckets
from vms.gateway.routes import SESSION_FACTOR, address_key, bearer_token, client_address, is_counted

log = structlog.get_logger(__name__)
LARGEST_BODY = 1 << 20
_LOGIN_PATH = "/api/v1/auth/token"

SECURITY_HEADERS = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "cross-origin-resource-policy": "cross-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
    "cache-control": "no-store",
}


async def send_problem(send: Send, document: dict[str, Any], headers: dict[str, str] | None = None) -> None:
    """Answers with a problem document."""
    body = json.dumps(document).encode()
    raw = [(b"content-type", MEDIA_TYPE.encode()), (b"content-length", str(len(body)).encode())]
    raw += [(name.lower().encode(), value.encode()) for name, value in (headers or {}).items()]
    await send({"type": "http.response.start", "status": document["status"], "headers": raw})
    await send({"type": "http.response.body", "body": body})


class Entry:
    """The outermost layer: who is calling, security headers on every answer, one log line per request.

    The log names the path without its query, which may hold a token.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        peer = scope["client"][0] if scope.get("client") else None
        address = client_address(headers.get("x-forwarded-for"), peer)
        secure = headers.get("x-forwarded-proto", "http").rpartition(",")[2].strip() == "https"
        scope.setdefault("state", {})["client_address"] = address
        if scope["type"] == "websocket":
            # The messages that follow have no headers and no status.
            await self._app(scope, receive, send)
            return
        scope["scheme"] = "https" if secure else "http"
        started = time.perf_counter()
        status = 500

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                answered = MutableHeaders(scope=message)
                for name, value in SECURITY_HEADERS.items():
                    answered.setdefault(name, value)
                if secure:
                    answered.setdefault("strict-transport-security", "max-age=31536000")
            await send(message)

        try:
            await self._app(scope, receive, answer)
        finally:
            log.debug(
                "request",
                method=scope["method"],
                path=scope["path"],
                status=status,
                address=address,
                duration_ms=round((time.perf_counter() - started) * 1000, 1),
            )


class RateLimit:
    """Token buckets before the application: per address without a session, ten times as much per session."""

    def __init__(
        self, app: ASGIApp, *, requests_per_minute: int, session_of: Callable[[str], str | None], clock: Clock
    ) -> None:
        self._app = app
        self._session_of = session_of
        self._clock = clock
        self._addresses = TokenBuckets(requests_per_minute)
        self._sessions = TokenBuckets(requests_per_minute * SESSION_FACTOR)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in {"http", "websocket"} and is_counted(scope["path"]):
            headers = Headers(scope=scope)
            token = bearer_token(headers.get("authorization"))
            session = self._session_of(token) if token is not None and scope["path"] != _LOGIN_PATH else None
            now_s = self._clock.monotonic_s()
            if session is not None:
                verdict = self._sessions.take(session, now_s)
            else:
                verdict = self._addresses.take(address_key(scope["state"]["client_address"]), now_s)
            if not verdict.allowed:
                wait_s = max(1, math.ceil(verdict.retry_after_s))
                document = problem(
                    429, "Too many requests", f"too many requests; try again in {wait_s} s", "rate-limited"
                )
                await send_problem(_answering(scope, send), document, {"Retry-After": str(wait_s)})
                return
        await self._app(scope, receive, send)


def _answering(scope: Scope, send: Send) -> Send:
    """`send` for an HTTP answer, also to who asks for a WebSocket (ASGI's extension websocket.http.response)."""
    if scope["type"] == "http":
        return send

    async def send_denial(message: Message) -> None:
        await send({**message, "type": f"websocket.{message['type']}"})

    return send_denial


class _TooLargeError(Exception):
    pass


class BodyLimit:
    """Refuses bodies larger than `largest` bytes, announced or not."""

    def __init__(self, app: ASGIApp, *, largest: int = LARGEST_BODY) -> None:
        self._app = app
        self._largest = largest

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        announced = Headers(scope=scope).get("content-length", "0")
        if not announced.isdigit() or int(announced) > self._largest:
            await self._refuse(send)
            return
        received = 0
        started = False

        async def bounded() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self._largest:
                raise _TooLargeError
            return message

        async def watched(message: Message) -> None:
            nonlocal started
            # Whatever the application makes of the body's sudden end, the answer is ours.
            if received <= self._largest or started:
                started = True
                await send(message)

        with contextlib.suppress(_TooLargeError):
            await self._app(scope, bounded, watched)
        if received > self._largest and not started:
            await self._refuse(send)

    async def _refuse(self, send: Send) -> None:
        detail = f"a request's body has at most {self._largest} bytes"
        await send_problem(send, problem(413, "Request too large", detail, "request-too-large"))
