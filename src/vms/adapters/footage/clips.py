"""A video file as the access units that a simulated camera sends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import av
from av.audio.stream import AudioStream
from av.error import FFmpegError
from av.packet import Packet
from av.video.stream import VideoStream

from vms.adapters.footage import parameter_sets
from vms.domain.errors import Failure

VIDEO_CODECS = {"h264": "h264", "hevc": "h265"}
_AUDIO_CODECS = {"aac": "aac", "pcm_alaw": "pcma", "pcm_mulaw": "pcmu"}
VIDEO_CLOCK = 90_000
_LENGTH_BYTES = 4

# (track, pts ticks, dts ticks, key, bytes in the form that `vms_media` documents for the codec)
Unit = tuple[int, int, int, bool, bytes]


@dataclass(frozen=True)
class Track:
    """A track as the simulator takes it."""

    codec: str
    configuration: bytes
    clock_rate: int
    channels: int


@dataclass(frozen=True)
class Clip:
    """Tracks and their units in sending order; the first unit of the video is decoded at tick 0."""

    tracks: list[Track]
    units: list[Unit]
    width: int
    height: int
    duration_s: float


class SourceTaker(Protocol):
    """What of `vms_media.Simulator` a clip is given to."""

    def add_source(
        self,
        track_kinds: list[str],
        configuration: list[bytes],
        clock_rates: list[int],
        channels: list[int],
        units: list[Unit],
    ) -> int: ...


def give(clip: Clip, simulator: SourceTaker) -> int:
    """Adds the clip to a simulator; its number there."""
    return simulator.add_source(
        [track.codec for track in clip.tracks],
        [track.configuration for track in clip.tracks],
        [track.clock_rate for track in clip.tracks],
        [track.channels for track in clip.tracks],
        clip.units,
    )


def read_clip(path: Path) -> Clip:
    """The clip in an MP4, MOV or Matroska file of H.264 or H.265, with its AAC or G.711 audio.

    NAL units get lengths of four bytes, and key frames that lack them get the parameter sets in band. Raises
    Failure(unsupported) for what needs transcoding first, Failure(malformed) for what cannot be read.
    """
    try:
        with av.open(str(path), "r") as container:
            if not container.streams.video:
                raise Failure("unsupported", f"{path} has no video")
            video = container.streams.video[0]
            audio = next((stream for stream in container.streams.audio if stream.codec.name in _AUDIO_CODECS), None)
            wanted = [video] if audio is None else [video, audio]
            packets = [packet for packet in container.demux(wanted) if packet.size]
            return _clip(path, video, audio, packets)
    except (FFmpegError, OSError) as error:
        raise Failure("malformed", f"{path} cannot be read: {error}") from error


def _clip(path: Path, video: VideoStream, audio: AudioStream | None, packets: Sequence[Packet[Any]]) -> Clip:
    codec = VIDEO_CODECS.get(video.codec_context.codec.name)
    configuration = video.codec_context.extradata or b""
    if codec is None or configuration[:1] != b"\x01":
        raise Failure("unsupported", f"{path} is not H.264 or H.265 with its configuration in the container")
    try:
        sets = parameter_sets.parameter_sets(codec, configuration)
        size_of_length = parameter_sets.length_size(codec, configuration)
        pictures = [
            (packet, _in_band(codec, bytes(packet), size_of_length, sets, packet.is_keyframe))
            for packet in packets
            if packet.stream_index == video.index
        ]
    except ValueError as error:
        raise Failure("malformed", f"{path}: {error}") from error
    if not pictures or not pictures[0][0].is_keyframe:
        raise Failure("unsupported", f"{path} does not begin with a key frame")
    decoded_s = _decoding_seconds([packet for packet, _ in pictures])
    origin_s = decoded_s[0]
    timed: list[tuple[float, Unit]] = []
    last_dts = -1
    for (packet, data), decoded_at_s in zip(pictures, decoded_s, strict=True):
        at_s = decoded_at_s - origin_s
        dts = max(last_dts + 1, round(at_s * VIDEO_CLOCK))
        pts = round((_seconds(packet.pts, packet) - origin_s) * VIDEO_CLOCK)
        timed.append((at_s, (0, pts, dts, packet.is_keyframe, data)))
        last_dts = dts
    step = last_dts / max(1, len(pictures) - 1) if len(pictures) > 1 else VIDEO_CLOCK / 25
    duration_s = (last_dts + step) / VIDEO_CLOCK
    tracks = [Track(codec, parameter_sets.with_four_byte_lengths(codec, configuration), VIDEO_CLOCK, 0)]
    if audio is not None:
        rate = audio.codec_context.sample_rate
        tracks.append(
            Track(
                _AUDIO_CODECS[audio.codec.name],
                audio.codec_context.extradata or b"",
                rate,
                audio.codec_context.channels,
            )
        )
        for packet in packets:
            if packet.stream_index != audio.index:
                continue
            at_s = _seconds(packet.pts, packet) - origin_s
            if 0 <= at_s < duration_s:
                ticks = round(at_s * rate)
                timed.append((at_s, (1, ticks, ticks, True, bytes(packet))))
    timed.sort(key=lambda entry: entry[0])
    return Clip(tracks, [unit for _, unit in timed], video.width, video.height, duration_s)


def _seconds(ticks: int | None, packet: Packet[Any]) -> float:
    return float((ticks or 0) * (packet.time_base or 0))


def _decoding_seconds(packets: Sequence[Packet[Any]]) -> list[float]:
    """The packets' decoding times. Matroska has none: there they are the presentation times in order, moved so far
    back that no picture is decoded after it is shown."""
    if all(packet.dts is not None for packet in packets):
        return [_seconds(packet.dts, packet) for packet in packets]
    shown = [_seconds(packet.pts, packet) for packet in packets]
    ordered = sorted(shown)
    back = max(early - at for early, at in zip(ordered, shown, strict=True))
    return [at - back for at in ordered]


def _in_band(codec: str, sample: bytes, size_of_length: int, sets: Sequence[bytes], key: bool) -> bytes:
    nals = list(parameter_sets.nal_units(sample, size_of_length))
    if key and not any(parameter_sets.is_parameter_set(codec, nal) for nal in nals):
        # An access unit delimiter (H.264 type 9, H.265 type 35) stays first.
        first = nals[0][0] if nals and nals[0] else 0
        delimiter = first & 31 == 9 if codec == "h264" else first >> 1 & 63 == 35
        at = 1 if delimiter else 0
        nals[at:at] = sets
    return b"".join(len(nal).to_bytes(_LENGTH_BYTES, "big") + nal for nal in nals)
