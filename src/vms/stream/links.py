"""Decisions about links: what a link may do, how long, and its path."""

from __future__ import annotations

from urllib.parse import urlencode

from vms.contracts.grants import Grant
from vms.contracts.stream import LinkProtocol
from vms.domain.errors import Failure, FieldFailure
from vms.domain.time import SECOND_US, format_time

START_WITHIN_S = 5 * 60
USE_WITHIN_S = 12 * 60 * 60
_LIVE: frozenset[LinkProtocol] = frozenset({"whep", "srt", "rtsp", "ws"})
_SERVED: frozenset[LinkProtocol] = frozenset({"whep", "mp4", "hls"})


def link_grant(
    camera_id: str,
    protocol: LinkProtocol,
    *,
    stream: str | None,
    start_us: int | None,
    end_us: int | None,
    subject: str,
    now_us: int,
) -> Grant:
    """What a link permits: five minutes to begin, then twelve hours to go on.

    Raises Failure(not_available_yet) for a protocol that nothing serves yet, FieldFailure for times that it needs or
    cannot have.
    """
    if protocol not in _SERVED:
        raise Failure("not_available_yet", f"links for {protocol} are not available yet", code="protocol-not-available")
    if protocol in _LIVE and (start_us is not None or end_us is not None):
        raise FieldFailure("/start", f"{protocol} is live and has no start or end", code="times-not-allowed")
    if protocol == "hls" and start_us is None:
        raise Failure(
            "not_available_yet",
            "live HLS is not available yet; give start for recordings",
            code="protocol-not-available",
        )
    if protocol == "mp4" and start_us is None:
        raise FieldFailure("/start", "mp4 plays recordings and needs start", code="start-missing")
    if start_us is not None and end_us is not None and end_us <= start_us:
        raise FieldFailure("/end", "end must be after start", code="span-reversed")
    if start_us is not None and end_us is None:
        # Playback needs an end; without one the link is for what is recorded by now.
        end_us = max(now_us, start_us + SECOND_US)
    now_s = now_us // SECOND_US
    return Grant(
        camera_id=camera_id,
        action="live" if protocol in _LIVE else "playback",
        stream=stream,
        start_us=start_us,
        end_us=end_us,
        starts_before=now_s + START_WITHIN_S,
        expires_at=now_s + USE_WITHIN_S,
        subject=subject,
    )


def link_path(grant: Grant, protocol: LinkProtocol, token: str) -> str:
    """The path and query that the link names on this server."""
    base = f"/api/v1/cameras/{grant.camera_id}"
    query: dict[str, str] = {}
    if grant.stream is not None:
        query["stream"] = grant.stream
    if grant.start_us is not None:
        query["start"] = format_time(grant.start_us)
    if grant.end_us is not None:
        query["end"] = format_time(grant.end_us)
    query["token"] = token
    path = {
        "whep": f"{base}/live/whep",
        "mp4": f"{base}/playback.mp4",
        "hls": f"{base}/playback/index.m3u8",
    }[protocol]
    return f"{path}?{urlencode(query, safe=':')}"
