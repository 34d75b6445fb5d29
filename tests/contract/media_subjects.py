"""Whatever satisfies the media contracts, with an hour of recordings: in memory, the media core, and both of them
behind gRPC."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from vms_media import make_sparse_archive

from vms.adapters.grpc import Served, ServerAddress, StorageNode, StorageServer
from vms.adapters.media import MediaEngine
from vms.adapters.memory.files import MemoryFiles
from vms.adapters.memory.media import MemoryMedia
from vms.contracts.files import ArchiveFiles, RecordedFile, VolumeStatus
from vms.contracts.media import EngineSettings, MediaArchive, MediaIngest, MediaLive, WebRtcSettings
from vms.contracts.playback import MediaPlayback
from vms.domain.ids import make_id
from vms.domain.recordings import RecordedRange

SECOND_US = 1_000_000
HOUR_US = 3600 * SECOND_US
# 2026-11-23T10:00:00Z
START_US = 1_795_428_000 * SECOND_US
END_US = START_US + HOUR_US
CAMERA = make_id(START_US, b"recorded")
UNKNOWN = make_id(START_US, b"unknown!")
TOKEN = "t" * 64


@dataclass(frozen=True)
class Subject:
    """One implementation. `camera` is recorded in [START_US, END_US), but not connected."""

    ingest: MediaIngest
    archive: MediaArchive
    live: MediaLive
    playback: MediaPlayback
    files: ArchiveFiles
    # Whether the archive is somebody else's: exports are written there.
    remote: bool = False


def volume(name: str, free_bytes: int = 10_000) -> VolumeStatus:
    return VolumeStatus(
        name=name, path=f"/{name}", weight=1, tier="fast", reserve_bytes=100, state="ok", free_bytes=free_bytes
    )


def _memory() -> Subject:
    media = MemoryMedia()
    media.recorded[CAMERA] = [RecordedRange(start_us=START_US, end_us=END_US)]
    files = MemoryFiles([volume("main"), volume("slow")])
    for number, sealed in ((10, True), (11, False)):
        files.put(
            RecordedFile(
                camera_id=CAMERA,
                stream="main",
                name=f"2026-11-23/video_{number}.mp4",
                volume="main",
                start_us=START_US,
                end_us=END_US,
                size_bytes=1000,
                sealed=sealed,
            )
        )
    return Subject(media, media, media, media, files)


@contextmanager
def _engine(directory: Path) -> Iterator[Subject]:
    make_sparse_archive(str(directory), CAMERA, START_US, END_US)
    settings = EngineSettings(allow_local_cameras=True, webrtc=WebRtcSettings(udp_port=0))
    media = MediaEngine(directory, settings)
    try:
        yield Subject(media, media, media, media, media)
    finally:
        media.close(2.0)


@contextmanager
def _over_grpc(inner: Subject, directory: Path) -> Iterator[Subject]:
    export_dir = directory / "outgoing"
    export_dir.mkdir(parents=True)
    served = Served(inner.ingest, inner.archive, inner.live, inner.playback, export_dir, inner.files)
    server = StorageServer(served, ServerAddress("127.0.0.1", 0, TOKEN))
    port = server.start()
    node = StorageNode(f"127.0.0.1:{port}", TOKEN)
    node.start(lambda: None)
    try:
        yield Subject(node.ingest, node.archive, node.live, node.playback, node.files, remote=True)
    finally:
        node.close()
        server.stop(0.1)


SUBJECTS = ("memory", "engine", "memory over gRPC", "engine over gRPC")


@contextmanager
def subject(name: str, directory: Path) -> Iterator[Subject]:
    """The subject of that name, on a directory of its own."""
    if name.startswith("engine"):
        with _engine(directory / "data") as engine:
            if name == "engine":
                yield engine
            else:
                with _over_grpc(engine, directory) as over:
                    yield over
    elif name == "memory":
        yield _memory()
    else:
        with _over_grpc(_memory(), directory) as over:
            yield over
