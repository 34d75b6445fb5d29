"""The media core as the services get it: in this process, or its archive in another."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import structlog

from vms.adapters.audio import OPUS_WORKER
from vms.adapters.sealing import load_token
from vms.app.config import Settings
from vms.app.config import Storage as StorageSection
from vms.contracts.files import ArchiveFiles
from vms.contracts.media import (
    EngineSettings,
    MediaArchive,
    MediaFront,
    MediaIngest,
    MediaLive,
    MediaTap,
    WebRtcSettings,
)
from vms.contracts.playback import MediaPlayback
from vms.domain.errors import Failure
from vms.ingest.service import IngestService

if TYPE_CHECKING:
    from vms.adapters.grpc import StorageNode
    from vms.adapters.media import MediaEngine

log = structlog.get_logger(__name__)


class MediaParts(Protocol):
    """What satisfies the contracts of the media core, and its life."""

    ingest: MediaIngest
    archive: MediaArchive
    live: MediaLive
    playback: MediaPlayback
    front: MediaFront
    files: ArchiveFiles
    # None: cameras' pictures are not looked at from another process.
    tap: MediaTap | None
    # The archive's directories are this process's own.
    is_here: bool

    def start(self, cameras: IngestService) -> None:
        """Connects the cameras, now or as soon as that can be done."""
        ...

    def check(self) -> None:
        """Raises Failure(unavailable) while recordings cannot be had."""
        ...

    def close(self, timeout_s: float) -> None: ...


def engine_settings(settings: Settings) -> EngineSettings:
    """What the configuration says of the media core."""
    return EngineSettings(
        fragment_ms=settings.recording.fragment_ms,
        sync_ms=settings.recording.sync_ms,
        worker_threads=settings.media.worker_threads,
        allow_local_cameras=settings.cameras.allow_loopback,
        checksums=settings.recording.checksums,
        webrtc=WebRtcSettings(
            udp_port=settings.webrtc.udp_port,
            tcp_port=settings.webrtc.tcp_port,
            public_addresses=settings.webrtc.public_addresses,
            max_viewers=settings.webrtc.max_viewers,
            audio_worker=OPUS_WORKER,
        ),
        volumes=settings.storage.volumes,
    )


class LocalMedia:
    """Everything in this process."""

    def __init__(self, engine: MediaEngine) -> None:
        self.ingest: MediaIngest = engine
        self.archive: MediaArchive = engine
        self.live: MediaLive = engine
        self.playback: MediaPlayback = engine
        self.front: MediaFront = engine
        self.files: ArchiveFiles = engine
        self.tap: MediaTap | None = engine
        self.is_here = True

    def start(self, cameras: IngestService) -> None:
        log.info("archive opened", **self.archive.repair_report().model_dump())
        log.info("cameras started", cameras=cameras.start())

    def check(self) -> None:
        pass

    def close(self, timeout_s: float) -> None:
        self.front.close(timeout_s)


class RemoteMedia:
    """Cameras and archive with the storage service that the configuration names; the front alone is here."""

    def __init__(self, settings: Settings) -> None:
        from vms.adapters.media import PlainFront

        front = PlainFront(settings.media.worker_threads)
        self.front: MediaFront = front
        self._node = _node(settings.storage, front)
        self.ingest: MediaIngest = self._node.ingest
        self.archive: MediaArchive = self._node.archive
        self.live: MediaLive = self._node.live
        self.playback: MediaPlayback = self._node.playback
        self.files: ArchiveFiles = self._node.files
        self.tap: MediaTap | None = None
        self.is_here = False

    def start(self, cameras: IngestService) -> None:
        self._node.start(cameras.reconnect)

    def check(self) -> None:
        self._node.check()

    def close(self, timeout_s: float) -> None:
        self.front.close(timeout_s)
        self._node.close()


def _node(section: StorageSection, front: object) -> StorageNode:
    from vms.adapters.grpc import StorageNode
    from vms.adapters.media import PlainFront

    assert section.address is not None and isinstance(front, PlainFront)  # noqa: S101 (the caller's)
    token = section.token.get_secret_value() if section.token is not None else load_token(section.token_file or Path())
    return StorageNode(
        section.address,
        token,
        tls=section.uses_tls(),
        certificate_pem=_read(section.certificate_file),
        http_requests=front.http_requests_total,
    )


def _read(certificate_file: Path | None) -> bytes | None:
    if certificate_file is None:
        return None
    try:
        return certificate_file.read_bytes()
    except OSError as error:
        raise Failure("unavailable", f"the certificate {certificate_file} cannot be read: {error.strerror}") from error
