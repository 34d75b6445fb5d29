"""Pictures of a camera's recordings, by the running server's interface: key frames alone, and of the file little more
than these is fetched."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import cast

import av
import numpy as np
from av.container import InputContainer
from av.stream import Discard
from av.video.stream import VideoStream
from numpy.typing import NDArray

from vms.app.cli.client import Server
from vms.domain.errors import Failure
from vms.domain.recordings import Span
from vms.domain.time import format_time, parse_time

# Fetched at once: a key frame, as a rule.
_PIECE_BYTES = 256 << 10
# Of one file. The table of its pictures is fetched before the first of them.
_LONGEST_US = 30 * 60_000_000


@dataclass(frozen=True)
class KeyFrame:
    """A picture (rows × columns × RGB), and how much of what was to be looked at lies before it, 0–1."""

    picture: NDArray[np.uint8]
    share: float


def recorded(server: Server, camera_id: str, span: Span) -> dict[str, list[Span]]:
    """What of the span is recorded, by stream, in order of time."""
    timeline = server.get(
        f"/cameras/{camera_id}/timeline", start=format_time(span.start_us), end=format_time(span.end_us)
    )
    found: dict[str, list[Span]] = {}
    for entry in timeline["ranges"]:
        start_us = max(span.start_us, parse_time(entry["start"]))
        end_us = min(span.end_us, parse_time(entry["end"]))
        if start_us < end_us:
            found.setdefault(entry["stream"], []).append(Span(start_us=start_us, end_us=end_us))
    return found


def key_frames(
    server: Server, camera_id: str, stream: str, spans: Sequence[Span], least_apart_us: int
) -> Iterator[KeyFrame]:
    """The key frames within spans, no two closer than `least_apart_us`. Pictures that cannot be decoded are left out.

    Raises Failure for a server that cannot be reached and for recordings that are no video.
    """
    whole_us = sum(span.end_us - span.start_us for span in spans)
    before_us = 0
    for span in spans:
        for start_us in range(span.start_us, span.end_us, _LONGEST_US):
            end_us = min(span.end_us, start_us + _LONGEST_US)
            for at_us, picture in _within(
                server, camera_id, stream, Span(start_us=start_us, end_us=end_us), least_apart_us
            ):
                yield KeyFrame(picture, (before_us + at_us - start_us) / whole_us)
            before_us += end_us - start_us


def _within(
    server: Server, camera_id: str, stream: str, span: Span, least_apart_us: int
) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """Each with its time."""
    start_us = span.start_us
    while start_us < span.end_us:
        wanted = {"start": format_time(start_us), "end": format_time(span.end_us), "stream": stream}
        try:
            file = _RecordedFile(server, f"/cameras/{camera_id}/playback.mp4", wanted)
        except Failure as failure:
            # Removed since the timeline was told, or only a moment between two recordings.
            if failure.kind == "not_found":
                return
            raise
        begins_us = parse_time(file.start) if file.start is not None else start_us
        for after_us, picture in _decoded(file, least_apart_us):
            yield min(span.end_us, begins_us + after_us), picture
        following_us = parse_time(file.next_start) if file.next_start is not None else span.end_us
        if following_us <= start_us:
            raise Failure("malformed", f"the recording after {file.next_start} is said to begin then")
        start_us = following_us


def _decoded(file: _RecordedFile, least_apart_us: int) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """Pictures with the µs since the file's beginning."""
    try:
        container = av.open(file, "r", format="mp4")
    except av.FFmpegError as error:
        raise Failure("malformed", f"a recording cannot be read: {error.strerror}") from error
    with container:
        if not container.streams.video:
            raise Failure("malformed", "a recording has no video")
        video = container.streams.video[0]
        video.codec_context.thread_type = "NONE"
        scale = float(video.time_base or 0) * 1e6
        # What lies between key frames is passed over unread.
        video.discard = Discard.nonkey
        keys = [entry.timestamp for entry in video.index_entries if entry.is_keyframe and not entry.is_discard]
        last_us: int | None = None
        for at, following in zip(keys, [*keys[1:], None], strict=True):
            after_us = round(at * scale)
            if last_us is not None and after_us - last_us < least_apart_us:
                continue
            last_us = after_us
            # FFmpeg looks for the time of showing, which is some pictures after that of decoding in the index.
            picture = _picture_at(container, video, at, at if following is None else (at + following) // 2)
            if picture is not None:
                yield max(0, after_us), picture


def _picture_at(container: InputContainer, video: VideoStream, at: int, sought: int) -> NDArray[np.uint8] | None:
    """The key frame that is decoded at a time, found by one within its group of pictures."""
    try:
        container.seek(sought, stream=video)
        for packet in container.demux(video):
            if packet.dts is None or packet.dts < at:
                continue
            # The end is told so that the decoder does not wait for the pictures that follow.
            for frame in [*video.codec_context.decode(packet), *video.codec_context.decode(None)]:
                return cast(NDArray[np.uint8], frame.to_ndarray(format="rgb24"))
            return None
    except av.FFmpegError:
        return None
    return None


class _RecordedFile:
    """`playback.mp4` as a file for FFmpeg to read; a piece of it is in memory."""

    def __init__(self, server: Server, path: str, query: dict[str, str]) -> None:
        self._server, self._path, self._query = server, path, query
        self._at = 0
        answer = server.part(path, 0, _PIECE_BYTES, **query)
        self._piece_at, self._piece = 0, answer.content
        total = answer.headers.get("Content-Range", "").rpartition("/")[2]
        self._size_bytes = int(total) if total.isdecimal() else len(self._piece)
        # Where it begins, and where to go on when the codec changes.
        self.start: str | None = answer.headers.get("Vms-Start")
        self.next_start: str | None = answer.headers.get("Vms-Next-Start")

    def read(self, size: int) -> bytes:
        if self._at >= self._size_bytes:
            return b""
        if not self._piece_at <= self._at < self._piece_at + len(self._piece):
            size_bytes = min(_PIECE_BYTES, self._size_bytes - self._at)
            self._piece = self._server.part(self._path, self._at, size_bytes, **self._query).content
            self._piece_at = self._at
        offset = self._at - self._piece_at
        content = self._piece[offset : offset + size]
        self._at += len(content)
        return content

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size_bytes}[whence]
        self._at = max(0, base + offset)
        return self._at

    def tell(self) -> int:
        return self._at
