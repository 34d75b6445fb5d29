"""Making footage fit: encoded by libx264 or libx265 as asked for, and kept in a cache."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import av.filter
from av.audio.resampler import AudioResampler
from av.container import InputContainer, OutputContainer
from av.error import FFmpegError
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from vms.adapters.footage.clips import VIDEO_CODECS
from vms.domain.errors import Failure

_ENCODERS = {"h264": "libx264", "h265": "libx265"}
_AUDIO_RATE = 48_000
# Counted into the cache's names: changed when the same arguments would give another file.
_VERSION = 2


@dataclass(frozen=True)
class Encoding:
    """How footage is encoded. `fps` 0 keeps the source's; the picture fills width × height, what sticks out is cut."""

    width: int = 1280
    height: int = 720
    fps: int = 0
    bitrate_bps: int = 2_000_000
    gop_seconds: float = 2.0
    b_frames: int = 0
    codec: str = "h264"
    mirrored: bool = False
    start_s: float = 0.0
    longest_s: float = 60.0
    with_audio: bool = True
    preset: str = "veryfast"


def prepared(source: Path, cache_dir: Path, encoding: Encoding | None = None) -> Path:
    """An MP4 that `read_clip` takes: the source itself, a copy in another container, or the source transcoded.

    With an `encoding` it is always transcoded; without one only when its codec asks for it. Raises
    Failure(not_found), Failure(malformed) when it cannot be read.
    """
    if not source.is_file():
        raise Failure("not_found", f"there is no file {source}")
    try:
        if encoding is None:
            with av.open(str(source), "r") as container:
                if not container.streams.video:
                    raise Failure("unsupported", f"{source} has no video")
                context = container.streams.video[0].codec_context
                fits = context.codec.name in VIDEO_CODECS
                packed = (context.extradata or b"")[:1] == b"\x01"
                if fits and packed:
                    return source
            kind = "copy" if fits else Encoding(longest_s=600.0)
        else:
            kind = encoding
        target = cache_dir / f"{source.stem}-{_digest(source, kind)}.mp4"
        if not target.exists():
            _make(source, target, kind)
    except (FFmpegError, OSError) as error:
        raise Failure("malformed", f"{source} cannot be read as video: {error}") from error
    return target


def _digest(source: Path, kind: object) -> str:
    state = source.stat()
    text = f"{_VERSION} {source.name} {state.st_size} {state.st_mtime_ns} {kind}"
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _make(source: Path, target: Path, kind: Encoding | str) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    # Named so that two processes making the same file do not write into each other's.
    draft = target.with_name(f".{target.stem}.{os.getpid()}.mp4")
    try:
        with av.open(str(source), "r") as incoming, av.open(str(draft), "w") as outgoing:
            if isinstance(kind, Encoding):
                _transcode(incoming, outgoing, kind)
            else:
                _copy(incoming, outgoing)
        draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)


def _copy(incoming: InputContainer, outgoing: OutputContainer) -> None:
    video = incoming.streams.video[0]
    stream = outgoing.add_stream_from_template(video)
    for packet in incoming.demux(video):
        if packet.dts is not None:
            packet.stream = stream
            outgoing.mux(packet)


def add_video_stream(outgoing: OutputContainer, encoding: Encoding, rate: Fraction) -> VideoStream:
    """The encoder that an `Encoding` describes: constant GOP, bit rate held within a second."""
    gop_frames = max(1, round(encoding.gop_seconds * rate))
    bitrate = encoding.bitrate_bps
    options = {
        "preset": encoding.preset,
        "maxrate": str(bitrate),
        "bufsize": str(bitrate),
        "bf": str(encoding.b_frames),
        "sc_threshold": "0",
        "keyint_min": str(gop_frames),
    }
    if encoding.codec == "h265":
        options["x265-params"] = f"log-level=error:scenecut=0:bframes={encoding.b_frames}:open-gop=0"
    stream = outgoing.add_stream(_ENCODERS[encoding.codec], rate=rate, options=options)
    if not isinstance(stream, VideoStream):
        raise Failure("unsupported", f"no encoder for {encoding.codec}")
    stream.width, stream.height, stream.pix_fmt = encoding.width, encoding.height, "yuv420p"
    stream.bit_rate = bitrate
    stream.gop_size = gop_frames
    stream.codec_context.max_b_frames = encoding.b_frames
    return stream


def _transcode(incoming: InputContainer, outgoing: OutputContainer, encoding: Encoding) -> None:
    source = incoming.streams.video[0]
    source.thread_type = "AUTO"
    rate = Fraction(encoding.fps) if encoding.fps else source.average_rate or Fraction(25)
    stream = add_video_stream(outgoing, encoding, rate)
    sound = incoming.streams.audio[0] if incoming.streams.audio and encoding.with_audio else None
    heard = outgoing.add_stream("aac", rate=_AUDIO_RATE, layout="stereo") if sound is not None else None
    for index, frame in enumerate(_pictures(incoming, source, encoding, rate)):
        frame.pts = index
        frame.time_base = 1 / rate
        frame.pict_type = 0  # the encoder chooses
        outgoing.mux(stream.encode(frame))
    outgoing.mux(stream.encode(None))
    if sound is None or heard is None:
        return
    incoming.seek(0)
    resampler = AudioResampler(format="fltp", layout="stereo", rate=_AUDIO_RATE)
    for decoded in incoming.decode(sound):
        if decoded.time is not None and decoded.time > encoding.longest_s:
            break
        for samples in resampler.resample(decoded):
            outgoing.mux(heard.encode(samples))
    outgoing.mux(heard.encode(None))


def _pictures(
    incoming: InputContainer, source: VideoStream, encoding: Encoding, rate: Fraction
) -> Iterator[VideoFrame]:
    """The source's pictures from `start_s` on, then those before it, scaled, cut and (if asked) mirrored."""
    graph = av.filter.Graph()
    begin = graph.add_buffer(template=source)
    size = f"{encoding.width}:{encoding.height}"
    steps = [("scale", f"{size}:force_original_aspect_ratio=increase:flags=bicubic"), ("crop", size)]
    if encoding.mirrored:
        steps.append(("hflip", ""))
    if encoding.fps:
        steps.append(("fps", str(encoding.fps)))
    steps.append(("format", "yuv420p"))
    last = begin
    for name, arguments in steps:
        step = graph.add(name, arguments) if arguments else graph.add(name)
        last.link_to(step)
        last = step
    last.link_to(graph.add("buffersink"))
    graph.configure()

    def drained() -> Iterator[VideoFrame]:
        while True:
            try:
                frame = graph.pull()
            except (av.BlockingIOError, av.EOFError):
                return
            if isinstance(frame, VideoFrame):
                yield frame

    longest = int(encoding.longest_s * rate)
    first = int(encoding.start_s * rate)
    kept: list[VideoFrame] = []
    count = 0
    for decoded in incoming.decode(source):
        graph.push(decoded)
        for frame in drained():
            count += 1
            if count > longest:
                break
            if count <= first:
                kept.append(frame)
            else:
                yield frame
        if count > longest:
            break
    graph.push(None)
    if count <= longest:
        yield from drained()
    yield from kept
