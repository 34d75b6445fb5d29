"""The FastAPI application."""

from __future__ import annotations

from importlib import metadata

from fastapi import FastAPI
from fastapi.responses import HTMLResponse

from vms.api import docs_page, problem_handlers
from vms.api.dependencies import Services
from vms.api.routes import (
    analysis,
    auth,
    box_push,
    cameras,
    event_push,
    events,
    exports,
    integrity,
    live,
    media,
    not_yet,
    playback,
    service,
    storage,
    thumbnails,
)

_ROUTES = (
    auth,
    cameras,
    live,
    media,
    playback,
    thumbnails,
    events,
    event_push,
    analysis,
    box_push,
    exports,
    storage,
    integrity,
    service,
    not_yet,
)
_DESCRIPTION = (
    "Times are RFC 3339 with microseconds and Z. Lists are pages: {items, next_cursor}. Errors are problem documents "
    "(RFC 9457) whose type is urn:vms:problem:CODE. Unknown fields are refused with 422. Log in at /api/v1/auth/token "
    "and send Authorization: Bearer. Playback (playback.mp4, playback/index.m3u8) takes start and end."
)


def create_application(services: Services) -> FastAPI:
    """The interface over the given services; the gateway's layers go around it."""
    app = FastAPI(
        title="VMS Enterprise",
        version=metadata.version("vms"),
        description=_DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        openapi_url="/openapi.json",
    )
    app.state.services = services
    problem_handlers.install(app)
    for module in _ROUTES:
        app.include_router(module.router)

    @app.get("/docs", include_in_schema=False)
    def docs() -> HTMLResponse:
        headers = {"Content-Security-Policy": docs_page.CONTENT_SECURITY_POLICY}
        return HTMLResponse(docs_page.PAGE, headers=headers)

    return app
