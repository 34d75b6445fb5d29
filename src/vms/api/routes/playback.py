"""Recordings as bytes: one MP4 with ranges, or HLS.

Where the archive is in this process, the front answers these paths itself and nothing here is ever asked.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from typing import Annotated, NamedTuple
from urllib.parse import urlencode

from fastapi import APIRouter, Path, Query, Request, Response
from fastapi.responses import StreamingResponse

from vms.api.dependencies import (
    BearerToken,
    CameraId,
    GrantToken,
    Services,
    ServicesOf,
    authenticated,
    find_camera,
    require,
)
from vms.api.problem_handlers import answer
from vms.api.ranges import Outcome, evaluate
from vms.api.routes.media import StreamQuery
from vms.api.times import ApiTime
from vms.contracts.playback import RecordedBytes
from vms.contracts.problems import problem
from vms.domain import recordings
from vms.domain.errors import Failure
from vms.domain.ids import is_id
from vms.domain.permissions import Permission, Principal
from vms.domain.recordings import Span
from vms.domain.time import format_time

router = APIRouter(prefix="/api/v1/cameras/{camera_id}", tags=["media"])
Start = Annotated[ApiTime, Query()]
End = Annotated[ApiTime, Query(description="In the future: up to what is recorded by now")]
SegmentName = Annotated[str, Path(pattern=r"^[A-Za-z0-9_.-]{1,128}$")]
# A URI of a playlist: a line of its own, or an attribute (RFC 8216 §4.1, §4.2).
_URI = re.compile(r'^(?P<line>[^#\r\n][^\r\n]*)|(?<=URI=")(?P<attribute>[^"\r\n]+)', re.MULTILINE)


class _Admitted(NamedTuple):
    """Whoever may see the recording: a session, or the bearer of a link to so much of it."""

    principal: Principal | None
    start_us: int | None = None
    end_us: int | None = None


@router.get("/playback.mp4", response_class=Response, responses={206: {"description": "A part"}})
@router.head("/playback.mp4", include_in_schema=False)
def playback(
    request: Request,
    part: ServicesOf,
    camera_id: CameraId,
    start: Start,
    end: End,
    header_token: BearerToken,
    token: GrantToken = None,
    stream: StreamQuery = "main",
) -> Response:
    """[start, end) as one MP4 of fixed length, with ranges and an ETag. `Vms-Start` tells where it begins when start
    lies in a gap, `Vms-Next-Start` where to go on when the codec changes."""
    span = recordings.span(start, end)
    _admit(part, camera_id, stream, header_token, token, span)
    content = part.playback.playback_open(camera_id, stream, span.start_us, span.end_us)
    headers = {"Cache-Control": "private, no-cache"}
    if content.start_us is not None:
        headers["Vms-Start"] = format_time(content.start_us)
    if content.next_start_us is not None:
        headers["Vms-Next-Start"] = format_time(content.next_start_us)
    return _send(request, content, headers)


@router.get("/playback/index.m3u8", response_class=Response)
@router.head("/playback/index.m3u8", include_in_schema=False)
def playlist(
    part: ServicesOf,
    camera_id: CameraId,
    start: Start,
    end: End,
    header_token: BearerToken,
    token: GrantToken = None,
    stream: StreamQuery = "main",
) -> Response:
    """[start, end) as an HLS playlist; its segments carry their own grants."""
    span = recordings.span(start, end)
    admitted = _admit(part, camera_id, stream, header_token, token, span)
    text = part.playback.hls_playlist(camera_id, stream, span.start_us, span.end_us)
    if token is None and admitted.principal is not None:
        token = part.access.sign_playback_grant(admitted.principal, camera_id, stream, span)
        part.started_links.add(token)
    query = urlencode({**({} if stream == "main" else {"stream": stream}), "token": token})
    return Response(
        _with_query(text, query),
        media_type="application/vnd.apple.mpegurl",
        headers={"Cache-Control": "private, no-store"},
    )


@router.get("/playback/init-{name}.mp4", response_class=Response, include_in_schema=False)
@router.head("/playback/init-{name}.mp4", include_in_schema=False)
def init_segment(
    request: Request,
    part: ServicesOf,
    camera_id: CameraId,
    name: SegmentName,
    header_token: BearerToken,
    token: GrantToken = None,
    stream: StreamQuery = "main",
) -> Response:
    """What a playlist's segments begin with."""
    _admit(part, camera_id, stream, header_token, token, None)
    content = part.playback.hls_init(camera_id, stream, name)
    return _send(request, content, {"Cache-Control": "private, max-age=3600"})


@router.get("/playback/segment-{name}.m4s", response_class=Response, include_in_schema=False)
@router.head("/playback/segment-{name}.m4s", include_in_schema=False)
def segment(
    request: Request,
    part: ServicesOf,
    camera_id: CameraId,
    name: SegmentName,
    header_token: BearerToken,
    token: GrantToken = None,
    stream: StreamQuery = "main",
) -> Response:
    """Some seconds of a recording, as a playlist names them."""
    admitted = _admit(part, camera_id, stream, header_token, token, None)
    content = part.playback.hls_segment(camera_id, stream, name, admitted.start_us, admitted.end_us)
    return _send(request, content, {"Cache-Control": "private, max-age=3600"})


def _admit(
    part: Services, camera_id: str, stream: str, header_token: str | None, token: str | None, span: Span | None
) -> _Admitted:
    """Lets the holder of the permission pass, or of a link that covers the stream and the span."""
    if token is None:
        principal = authenticated(part, header_token)
        require(principal, Permission.WATCH_RECORDINGS)
        find_camera(part, camera_id)
        return _Admitted(principal)
    if not is_id(camera_id):
        raise Failure("not_found", "no camera has this identifier", code="camera-not-found")
    grant = part.access.check_grant(token, camera_id, "playback", first_use=token not in part.started_links)
    part.started_links.add(token)
    if grant.stream is not None and grant.stream != stream:
        raise Failure("forbidden", "the link is for another stream", code="link-for-something-else")
    if span is not None:
        early = grant.start_us is not None and span.start_us < grant.start_us
        late = grant.end_us is not None and span.end_us > grant.end_us
        if early or late:
            raise Failure("forbidden", "the link is for another time", code="link-for-something-else")
    return _Admitted(None, grant.start_us, grant.end_us)


def _send(request: Request, content: RecordedBytes, headers: dict[str, str]) -> Response:
    """What the request wants of the content (RFC 9110)."""
    outcome = evaluate(request.headers, content.etag, content.size_bytes, is_get=request.method == "GET")
    headers |= {"ETag": f'"{content.etag}"', "Accept-Ranges": "bytes"}
    if outcome.status in {200, 206}:
        headers["Content-Length"] = str(outcome.length)
    if outcome.status == 206:
        last = outcome.offset + outcome.length - 1
        headers["Content-Range"] = f"bytes {outcome.offset}-{last}/{content.size_bytes}"
    if outcome.status in {200, 206} and outcome.length and request.method == "GET":
        body = _read(content, outcome)
        return StreamingResponse(body, outcome.status, headers=headers, media_type=content.content_type)
    content.close()
    if outcome.status == 412:
        document = problem(412, "Another version is here", "the recording has another ETag", "precondition-failed")
        return answer(document)
    if outcome.status == 416:
        detail = f"the recording has {content.size_bytes} bytes"
        document = problem(416, "The range cannot be had", detail, "range-not-satisfiable")
        return answer(document, {"Content-Range": f"bytes */{content.size_bytes}"})
    media_type = None if outcome.status == 304 else content.content_type
    return Response(status_code=outcome.status, headers=headers, media_type=media_type)


def _read(content: RecordedBytes, outcome: Outcome) -> Iterator[bytes]:
    """The bytes. The first piece is read at once: what cannot be read at all is a problem, not a broken answer."""
    pieces = content.read(outcome.offset, outcome.length)
    try:
        first = next(pieces)
    except StopIteration:
        first = b""
    except Failure:
        content.close()
        raise

    def all_of_it() -> Iterator[bytes]:
        try:
            yield from itertools.chain([first], pieces)
        finally:
            content.close()

    return all_of_it()


def _with_query(text: str, query: str) -> str:
    def extended(match: re.Match[str]) -> str:
        return match[0] + ("&" if "?" in match[0] else "?") + query

    return _URI.sub(extended, text)
