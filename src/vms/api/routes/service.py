"""The service itself: health, metrics, and the front's questions."""

from __future__ import annotations

import ipaddress

from fastapi import APIRouter, Request, Response

from vms.api import metrics
from vms.api.dependencies import Authenticated, BearerToken, ServicesOf, authenticated, require
from vms.api.models import GrantAnswer, GrantRequest
from vms.domain.cameras import Camera
from vms.domain.errors import Failure
from vms.domain.ids import is_id
from vms.domain.permissions import Permission

router = APIRouter()
_PAGE = 500


@router.get("/healthz", tags=["service"])
def healthz() -> dict[str, str]:
    """The process answers."""
    return {"status": "ok"}


@router.get("/readyz", tags=["service"])
def readyz(part: ServicesOf) -> dict[str, str]:
    """The process can serve requests; 503 otherwise."""
    part.check_ready()
    return {"status": "ready"}


@router.get("/metrics", tags=["service"], response_class=Response)
def prometheus_metrics(part: ServicesOf, request: Request, token: BearerToken) -> Response:
    """Prometheus text format 0.0.4. Open to this machine; others need a session, since it names the cameras."""
    if not _is_this_machine(request.state.client_address):
        require(authenticated(part, token), Permission.READ_METRICS)
    cameras: list[Camera] = []
    after: str | None = None
    while page := part.cameras.page(after, _PAGE):
        cameras.extend(page)
        after = page[-1].id
    report = part.keeping.report() if part.keeping is not None else None
    damaged = part.integrity.damaged_files() if part.integrity is not None else None
    text = metrics.exposition(
        cameras,
        part.cameras.statuses(),
        part.archive.usage(),
        keeping=report,
        damaged_files=damaged,
        analysis=part.analysis.figures() if part.analysis is not None else None,
    )
    return Response(text, media_type="text/plain; version=0.0.4; charset=utf-8")


@router.post("/internal/grants", include_in_schema=False)
def front_grant(part: ServicesOf, principal: Authenticated, wanted: GrantRequest) -> GrantAnswer:
    """Tells the front whether the sender of a media request may have what it asks for. The front answers 404 to
    requests for /internal from outside."""
    if not is_id(wanted.camera_id):
        raise Failure("not_found", "no camera has this identifier", code="camera-not-found")
    token = part.access.sign_grant(principal, wanted.camera_id, wanted.action)
    if wanted.action != "export":
        part.cameras.get(wanted.camera_id)
    return GrantAnswer(grant=token)


def _is_this_machine(address: str) -> bool:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    mapped = parsed.ipv4_mapped if isinstance(parsed, ipaddress.IPv6Address) else None
    return (mapped or parsed).is_loopback
