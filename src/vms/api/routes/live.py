"""Live WebRTC: WHEP sessions, and the relays for viewers that reach no address of the server."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.concurrency import run_in_threadpool

from vms.api.dependencies import (
    BearerToken,
    CameraId,
    GrantToken,
    Services,
    ServicesOf,
    allow_media,
    find_camera,
    permitted,
)
from vms.api.models import IceServersAnswer, TileRequest
from vms.api.problem_handlers import answer
from vms.contracts.problems import problem
from vms.contracts.stream import IceServer
from vms.domain.errors import Failure
from vms.domain.permissions import Permission, Principal

router = APIRouter(prefix="/api/v1", tags=["live"])
LARGEST_SDP = 64 * 1024
_SDP = "application/sdp"
_TRICKLE = "application/trickle-ice-sdpfrag"
_JSON = "application/json"
_TileHeight = Annotated[
    int | None, Query(ge=1, le=16384, description="Height of the picture on the screen in device pixels, for `auto`")
]


@router.get("/webrtc/ice-servers", response_model_exclude_none=True)
def ice_servers(
    part: ServicesOf, principal: Annotated[Principal, Depends(permitted(Permission.WATCH_LIVE))]
) -> IceServersAnswer:
    """`iceServers` for an RTCPeerConnection; log-ins at relays last twelve hours."""
    return IceServersAnswer(ice_servers=list(part.live.ice_servers(principal.name)))


@router.post("/cameras/{camera_id}/live/whep", status_code=201, response_class=Response)
async def open_whep(
    part: ServicesOf,
    request: Request,
    camera_id: CameraId,
    header_token: BearerToken,
    token: GrantToken = None,
    stream: Annotated[Literal["main", "sub", "auto"] | None, Query()] = None,
    height: _TileHeight = None,
) -> Response:
    """WHEP: the viewer's offer (application/sdp) for the server's answer; the session is at Location.

    `stream=auto` sends whichever of the camera's streams suits the viewer's network and `height`, now and later; `main`
    and `sub` stay what they are.
    """
    return await run_in_threadpool(
        _open_whep, part, request, await _body(request), camera_id, header_token, token, stream, height
    )


def _open_whep(
    part: Services,
    request: Request,
    body: bytes,
    camera_id: str,
    header_token: str | None,
    token: str | None,
    stream: str | None,
    tile_height_px: int | None,
) -> Response:
    admitted = allow_media(part, header_token, token, camera_id, "live", first=True)
    name = admitted.choose_stream(stream)
    camera = find_camera(part, camera_id)
    if name == "auto" and "sub" not in camera.streams:
        name = "main"
    if name != "auto" and name not in camera.streams:
        raise Failure("not_found", f"the camera has no {name} stream", code="stream-not-found")
    if _media_type(request) != _SDP:
        return answer(problem(415, "Unsupported media type", f"send an offer as {_SDP}", "unsupported-media-type"))
    session_id, sdp = part.live.open_whep(camera.id, name, _text(body), tile_height_px)
    location = f"/api/v1/cameras/{camera.id}/live/whep/{session_id}"
    if token is not None:
        location += "?" + urlencode({"token": token})
    headers = {"Location": location, "ETag": f'"{session_id}"', "Accept-Patch": f"{_TRICKLE}, {_JSON}"}
    relays = _link_header(part.live.ice_servers(admitted.subject))
    if relays is not None:
        headers["Link"] = relays
    return Response(sdp, 201, headers=headers, media_type=_SDP)


@router.patch("/cameras/{camera_id}/live/whep/{session_id}", status_code=204, response_class=Response)
async def patch_whep(
    part: ServicesOf,
    request: Request,
    camera_id: CameraId,
    session_id: str,
    header_token: BearerToken,
    token: GrantToken = None,
) -> Response:
    """More candidates of the viewer's (application/trickle-ice-sdpfrag, RFC 8840), or the size of its picture.

    A size is the height on the screen, `{"height": device pixels}` (application/json); `auto` chooses after it.
    """
    body = await _body(request)

    def patch() -> Response:
        allow_media(part, header_token, token, camera_id, "live", first=False)
        if _media_type(request) == _JSON:
            part.live.resize_whep(session_id, TileRequest.model_validate_json(body).height)
            return Response(status_code=204)
        if _media_type(request) != _TRICKLE:
            detail = f"send candidates as {_TRICKLE} or a size as {_JSON}"
            return answer(problem(415, "Unsupported media type", detail, "unsupported-media-type"))
        try:
            part.live.patch_whep(session_id, _text(body))
        except Failure as failure:
            if failure.kind != "unsupported":
                raise
            # An ICE restart: RFC 9725 §4.3.3 wants this status here.
            return answer(problem(422, "Not supported", failure.detail, failure.code))
        return Response(status_code=204)

    return await run_in_threadpool(patch)


@router.delete("/cameras/{camera_id}/live/whep/{session_id}", status_code=204)
def close_whep(
    part: ServicesOf,
    camera_id: CameraId,
    session_id: str,
    header_token: BearerToken,
    token: GrantToken = None,
) -> Response:
    """Ends a live session."""
    allow_media(part, header_token, token, camera_id, "live", first=False)
    part.live.close_whep(session_id)
    return Response(status_code=204)


def _media_type(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


async def _body(request: Request) -> bytes:
    body = await request.body()
    if len(body) > LARGEST_SDP:
        raise Failure("malformed", f"a session description has at most {LARGEST_SDP} bytes", code="malformed-sdp")
    return body


def _text(body: bytes) -> str:
    try:
        return body.decode()
    except UnicodeDecodeError as error:
        raise Failure("malformed", "a session description is UTF-8 text", code="malformed-sdp") from error


def _link_header(servers: Sequence[IceServer]) -> str | None:
    """The servers as RFC 9725 §4.6 tells players that know nothing else of our interface; None when there are none."""
    links = []
    for server in servers:
        for url in server.urls:
            link = f'<{url}>; rel="ice-server"'
            if server.username is not None:
                link += f'; username="{server.username}"; credential="{server.credential}"; credential-type="password"'
            links.append(link)
    return ", ".join(links) or None
