"""Logs: one event a line on stderr, JSON or text, with secrets struck out."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any, Literal

import structlog

STRUCK = "[removed]"
_SECRET_KEY = re.compile(r"passw|secret|token|authorization|cookie|credential|api_?key|private", re.IGNORECASE)
_USERINFO = re.compile(r"(\b[a-z][a-z0-9+.-]*://)[^/\s@]+@", re.IGNORECASE)
_QUERY = re.compile(r"([?&](?:token|s|password|access_token|refresh_token)=)[^&\s\"']+", re.IGNORECASE)
_BEARER = re.compile(r"\b(Bearer|Basic|Digest)\s+[A-Za-z0-9._~+/=-]{8,}", re.IGNORECASE)


def redact(value: Any, key: str = "") -> Any:
    """The value without secrets: those under telling names whole, those inside text (user information in URLs,
    tokens in queries, authorization headers) in place."""
    if key and _SECRET_KEY.search(key) and not isinstance(value, bool | int | float | None):
        return STRUCK
    if isinstance(value, str):
        text = _USERINFO.sub(rf"\1{STRUCK}@", value)
        text = _QUERY.sub(rf"\1{STRUCK}", text)
        return _BEARER.sub(rf"\1 {STRUCK}", text)
    if isinstance(value, Mapping):
        return {name: redact(item, str(name)) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [redact(item) for item in value]
    return value


def _redacting(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    # These two are exceptions on their way to their own renderer, which prints no values.
    kept = {name: event[name] for name in ("exc_info", "_record") if name in event}
    event.update({name: redact(value, name) for name, value in event.items() if name not in kept})
    return event


def _redacting_exception(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    if isinstance(event.get("exception"), str):
        event["exception"] = redact(event["exception"])
    return event


def configure(level: Literal["debug", "info", "warning", "error"], form: Literal["auto", "json", "console"]) -> bool:
    """Sets up structlog and the standard library's logging alike; whether the form is JSON."""
    as_json = form == "json" or (form == "auto" and not sys.stderr.isatty())
    number = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}[level]
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
        _redacting,
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.stdlib.PositionalArgumentsFormatter(),
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    ending: list[Any] = [structlog.stdlib.ProcessorFormatter.remove_processors_meta]
    if as_json:
        ending += [structlog.processors.format_exc_info, _redacting_exception, structlog.processors.JSONRenderer()]
    else:
        plain = structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
        ending += [structlog.processors.format_exc_info, _redacting_exception, plain]
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.ExtraAdder(), *shared], processors=ending
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(number)
    # The libraries' own news is for debugging; uvicorn repeats what the application logs.
    for name in (
        "uvicorn",
        "uvicorn.error",
        "alembic",
        "sqlalchemy",
        "httpx",
        "httpcore",
        "asyncio",
        "python_multipart",
    ):
        library = logging.getLogger(name)
        library.handlers = []
        library.propagate = True
        library.setLevel(max(number, logging.WARNING))
    return as_json
