"""Live viewers, snapshots and links."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from vms.contracts.clock import Clock
from vms.contracts.grants import GrantSigner
from vms.contracts.media import MediaLive
from vms.contracts.stills import StillDecoder
from vms.contracts.storage import Still
from vms.contracts.stream import IceServer, Link, LinkProtocol
from vms.domain.errors import Failure, FailureKind
from vms.domain.time import SECOND_US
from vms.stream import links
from vms.stream.ice_servers import Relays, ice_servers

# What players act on; the media core tells kinds only.
_OFFER_CODES: dict[FailureKind, str] = {
    "malformed": "malformed-sdp",
    "unsupported": "no-common-codec",
    "exhausted": "too-many-viewers",
    "conflict": "camera-shows-nothing",
}
_SESSION_CODES: dict[FailureKind, str] = {"malformed": "malformed-sdp", "not_found": "session-not-found"}


@contextmanager
def _named(codes: Mapping[FailureKind, str]) -> Iterator[None]:
    """Gives failures of these kinds their codes."""
    try:
        yield
    except Failure as failure:
        raise Failure(failure.kind, failure.detail, code=codes.get(failure.kind, failure.code)) from failure


class StreamService:
    """Satisfies `vms.contracts.stream.Live`."""

    def __init__(
        self,
        media: MediaLive,
        stills: StillDecoder,
        signer: GrantSigner,
        clock: Clock,
        relays: Relays,
    ) -> None:
        self._media = media
        self._stills = stills
        self._signer = signer
        self._clock = clock
        self._relays = relays

    def open_whep(self, camera_id: str, stream: str, offer_sdp: str, tile_height_px: int | None) -> tuple[str, str]:
        with _named(_OFFER_CODES):
            return self._media.whep_open(camera_id, stream, offer_sdp, tile_height_px)

    def ice_servers(self, subject: str) -> Sequence[IceServer]:
        return ice_servers(self._relays, subject=subject, now_s=self._clock.now_us() // SECOND_US)

    def patch_whep(self, session_id: str, fragment: str) -> None:
        with _named(_SESSION_CODES):
            self._media.whep_patch(session_id, fragment)

    def resize_whep(self, session_id: str, tile_height_px: int) -> None:
        with _named(_SESSION_CODES):
            self._media.whep_resize(session_id, tile_height_px)

    def rtp_offset(self, session_id: str) -> int | None:
        try:
            return self._media.whep_rtp_offset(session_id)
        except Failure as failure:
            if failure.kind != "not_found":
                raise
            return None

    def close_whep(self, session_id: str) -> None:
        with _named(_SESSION_CODES):
            self._media.whep_close(session_id)

    def snapshot(self, camera_id: str, stream: str, height: int | None) -> Still:
        with _named({"conflict": "no-picture"}):
            picture = self._media.picture_now(camera_id, stream)
        return Still(jpeg=self._stills.jpeg(picture, height=height), captured_us=picture.captured_us)

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
        grant = links.link_grant(
            camera_id,
            protocol,
            stream=stream,
            start_us=start_us,
            end_us=end_us,
            subject=subject,
            now_us=self._clock.now_us(),
        )
        return Link(
            path=links.link_path(grant, protocol, self._signer.sign(grant)),
            expires_us=grant.starts_before * SECOND_US,
        )
