"""What the stream service offers: live pictures and links for players."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol

from pydantic import BaseModel, ConfigDict

from vms.contracts.storage import Still

LinkProtocol = Literal["whep", "hls", "srt", "rtsp", "ws", "mp4"]


class Link(BaseModel):
    """A path (with its signed query) on this server, and when it stops being good for a first use."""

    model_config = ConfigDict(frozen=True)

    path: str
    expires_us: int


class IceServer(BaseModel):
    """A STUN server, or a TURN server with a log-in (`RTCIceServer` of the W3C's WebRTC)."""

    model_config = ConfigDict(frozen=True)

    urls: tuple[str, ...]
    username: str | None = None
    credential: str | None = None


class Live(Protocol):
    """Live pictures."""

    def open_whep(self, camera_id: str, stream: str, offer_sdp: str, tile_height_px: int | None) -> tuple[str, str]:
        """(session id, answer SDP). With the stream `auto` the tile's height helps to choose.

        Raises Failure of unsupported, malformed, exhausted or conflict.
        """
        ...

    def ice_servers(self, subject: str) -> Sequence[IceServer]:
        """What `subject` may use where no address of the server can be reached; log-ins last twelve hours."""
        ...

    def patch_whep(self, session_id: str, fragment: str) -> None: ...

    def resize_whep(self, session_id: str, tile_height_px: int) -> None:
        """The viewer's tile has this height now. Raises Failure(not_found)."""
        ...

    def rtp_offset(self, session_id: str) -> int | None:
        """The RTP timestamp of a live picture in the session is (at_us × 9 ÷ 100, rounded down, + this) modulo 2³².
        None before its first live picture, and for a session that there is not."""
        ...

    def close_whep(self, session_id: str) -> None: ...

    def snapshot(self, camera_id: str, stream: str, height: int | None) -> Still:
        """Raises Failure(conflict) when the camera shows nothing."""
        ...

    def link(
        self,
        camera_id: str,
        protocol: LinkProtocol,
        *,
        stream: str | None,
        start_us: int | None,
        end_us: int | None,
        subject: str,
    ) -> Link:
        """Raises Failure(not_available_yet) for protocols that are not served yet, FieldFailure for times that the
        protocol needs or cannot have."""
        ...
