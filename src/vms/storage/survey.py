"""What really lies on the volumes: videos, what belongs to them, and what does not belong there."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from vms.contracts.catalogue import Finding, FindingKind
from vms.contracts.files import FileChanges, RecordedFile
from vms.domain.errors import Failure
from vms.storage import archive_paths, index_reading

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Placed:
    """A video where it lies."""

    camera_id: str
    name: str
    volume: str
    size_bytes: int
    has_index: bool


@dataclass
class Survey:
    """Every video, and what was found beside them."""

    videos: list[Placed] = field(default_factory=list)
    # Indexes without a video beside them: of videos in the object storage, or orphans.
    lone_indexes: list[Placed] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)


def survey(volumes: Mapping[str, Path], camera_id: str | None = None) -> Survey:
    """Walks the volumes (name → directory) without following a link, and reads no file."""
    found = Survey()
    for volume, root in volumes.items():
        _Walk(found, volume, root).cameras(camera_id)
    found.videos.sort(key=lambda video: (video.camera_id, video.name, video.volume))
    return found


class _Walk:
    def __init__(self, found: Survey, volume: str, root: Path) -> None:
        self._found = found
        self._volume = volume
        self._root = root

    def cameras(self, camera_id: str | None) -> None:
        for camera in self._entries(self._root / "cameras"):
            if camera_id in {None, camera.name} and self._is_directory(camera, archive_paths.is_camera(camera.name)):
                for day in self._entries(Path(camera.path)):
                    if self._is_directory(day, archive_paths.is_day(day.name)):
                        self._day(camera.name, day)

    def _day(self, camera_id: str, day: os.DirEntry[str]) -> None:
        videos: dict[str, int] = {}
        indexes: set[str] = set()
        checksums: set[str] = set()
        for entry in self._entries(Path(day.path)):
            name = f"{day.name}/{entry.name}"
            if entry.is_symlink() or not entry.is_file(follow_symlinks=False):
                self._find("link", f"{self._shown(entry)} is a link or no file: it is not opened", camera_id, name)
            elif archive_paths.VIDEO.fullmatch(entry.name):
                videos[name] = entry.stat(follow_symlinks=False).st_size
            elif not archive_paths.COMPANION.fullmatch(entry.name):
                self._find("foreign", f"{self._shown(entry)} is nothing that the recorder writes", camera_id, name)
            elif entry.name.startswith("index_"):
                indexes.add(name)
            elif entry.name.startswith("checksum_"):
                checksums.add(name)
        for name, size_bytes in videos.items():
            has_index = archive_paths.index_name(name) in indexes
            self._found.videos.append(Placed(camera_id, name, self._volume, size_bytes, has_index))
            indexes.discard(archive_paths.index_name(name))
            checksums.discard(archive_paths.checksum_name(name))
        for index in sorted(indexes):
            video = index.replace("/index_", "/video_", 1).removesuffix(".vms-idx") + ".mp4"
            self._found.lone_indexes.append(Placed(camera_id, video, self._volume, 0, has_index=True))
            checksums.discard(archive_paths.checksum_name(video))
        for checksum in sorted(checksums):
            self._find("orphan", f"{checksum} is the checksum of no video", camera_id, checksum)

    def _is_directory(self, entry: os.DirEntry[str], named_well: bool) -> bool:
        if entry.is_symlink():
            self._find("link", f"{self._shown(entry)} is a link: it is not followed", None, self._shown(entry))
        elif not (named_well and entry.is_dir(follow_symlinks=False)):
            self._find("foreign", f"{self._shown(entry)} is nothing that the recorder makes", None, self._shown(entry))
        else:
            return True
        return False

    def _entries(self, directory: Path) -> Iterator[os.DirEntry[str]]:
        try:
            with os.scandir(directory) as entries:
                yield from sorted(entries, key=lambda entry: entry.name)
        except FileNotFoundError:
            return
        except OSError as error:
            shown = str(directory.relative_to(self._root))
            self._find("unreadable", f"{shown} cannot be read: {error.strerror or error}", None, shown)

    def _shown(self, entry: os.DirEntry[str]) -> str:
        # Names may hold any bytes; a report is text.
        return os.fsencode(os.path.relpath(entry.path, self._root)).decode("utf-8", "replace")

    def _find(self, kind: FindingKind, detail: str, camera_id: str | None, name: str) -> None:
        name = os.fsencode(name).decode("utf-8", "replace")
        self._found.findings.append(
            Finding(kind=kind, detail=detail, camera_id=camera_id, name=name, volume=self._volume)
        )


def checksum_beside(root: Path, camera_id: str, name: str) -> str | None:
    """The hash in the checksum file of a video, if there is one in its form (`docs/format/checksum.md`)."""
    try:
        content = archive_paths.read_below(
            root, ("cameras", camera_id, *archive_paths.checksum_name(name).split("/"))
        ).decode("ascii")
    except (OSError, UnicodeDecodeError):
        return None
    digest, rest = content[:64], content[64:]
    is_digest = len(digest) == 64 and all(character in "0123456789abcdef" for character in digest)
    return digest if is_digest and rest == f"  {name.rpartition('/')[2]}\n" else None


def index_beside(root: Path, camera_id: str, name: str) -> bytes:
    """The index of a video. Raises OSError."""
    return archive_paths.read_below(root, ("cameras", camera_id, *archive_paths.index_name(name).split("/")))


def recorded_file(root: Path, video: Placed) -> RecordedFile:
    """What a video's index and checksum say of it, as the media core would.

    Raises Failure(malformed) where there is no index that can be read.
    """
    try:
        index = index_beside(root, video.camera_id, video.name)
    except OSError as error:
        raise Failure("malformed", f"the index of {video.name} cannot be read: {error.strerror or error}") from error
    if not index_reading.is_header(index):
        raise Failure("malformed", f"the index of {video.name} is of another version or none")
    seal = index_reading.seal_of(index)
    listed = list(index_reading.fragments(index)) if seal is None else []
    middle = archive_paths.VIDEO.fullmatch(video.name.partition("/")[2])
    stream = next((part for part in (middle[2] if middle else "").split("_") if part and not part.isdecimal()), "main")
    return RecordedFile(
        camera_id=video.camera_id,
        stream=stream,
        name=video.name,
        volume=video.volume,
        start_us=seal.start_us if seal is not None else (listed[0].start_us if listed else 0),
        end_us=seal.end_us if seal is not None else (listed[-1].start_us if listed else 0),
        size_bytes=video.size_bytes,
        sealed=seal is not None,
        sha256=checksum_beside(root, video.camera_id, video.name) if seal is not None else None,
    )


class DirectoryFiles:
    """What the volumes hold, read from the directories while no server runs: the part of
    `vms.contracts.files.ArchiveFiles` that the catalogue is made of."""

    def __init__(self, volumes: Callable[[], Mapping[str, Path]]) -> None:
        self._volumes = volumes

    def file_changes(self, _: int) -> FileChanges:
        """Everything, each time."""
        volumes = self._volumes()
        files: dict[tuple[str, str], RecordedFile] = {}
        for video in survey(volumes).videos:
            try:
                files.setdefault((video.camera_id, video.name), recorded_file(volumes[video.volume], video))
            except Failure as failure:
                log.warning("a recording is not catalogued", camera_id=video.camera_id, reason=failure.detail)
        return FileChanges(revision=0, whole=True, files=list(files.values()))

    def hash_file(self, camera_id: str, name: str, max_bytes_per_s: int | None) -> str:  # noqa: ARG002
        """Raises Failure(unavailable): what is not hashed yet waits for the server."""
        raise Failure("unavailable", f"{name} of camera {camera_id} is hashed by a running server")
