"""`ai_HH.vms-idx` byte by byte: what is written, what damage costs, what a crash leaves."""

from __future__ import annotations

import os
import struct
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vms.adapters.analysis_log import AnalysisLogFiles, records
from vms.adapters.analysis_log import files as files_module
from vms.adapters.analysis_log.crc32c import crc32c
from vms.adapters.event_log.crc32c import crc32c as slow_crc32c
from vms.contracts.analysis import AnalysedFrame, EventStill
from vms.domain.errors import Failure
from vms.domain.events import HOUR_US
from vms.domain.ids import make_id
from vms.domain.motion import Box
from vms.domain.recordings import Span
from vms.domain.vision import KeyPoint, Track

GOLDEN = Path(__file__).parents[1] / "golden" / "ai_10.vms-idx"
HOUR = 1_763_892_000_000_000
CAMERA = "0193a5c2-7b00-7000-8000-000000000001"
EVENT = "0193a5c2-7b00-7000-8000-000000000002"
ALL = Span(start_us=0, end_us=2**62)
STILL = EventStill(
    HOUR + 500_000, Box(0.0, 0.25, 0.5, 1.0), bytes.fromhex("ffd8ffe0") + b"jpeg" + bytes.fromhex("ffd9")
)


def _track(number: int, label: str, at_us: int, **changes: object) -> Track:
    values = {
        "number": number,
        "label": label,
        "score": 0.75,
        "box": Box(0.25, 0.5, 0.75, 1.0),
        "since_us": at_us - 1_500_000,
        "at_us": at_us,
        **changes,
    }
    return Track(**values)  # type: ignore[arg-type]


def _frame(step: int, *tracks: Track) -> AnalysedFrame:
    at_us = HOUR + step * 200_000
    return AnalysedFrame(CAMERA, "sub" if step else "main", at_us, at_us * 9 // 100, 90_000, 1920, 1080, tracks)


def _golden_frames() -> list[AnalysedFrame]:
    return [
        _frame(0),
        _frame(1, _track(1, "person", HOUR + 200_000)),
        _frame(
            2,
            _track(1, "person", HOUR + 400_000, seen=False, score=0.5),
            _track(2, "Fahrrad äöü", HOUR + 400_000, points=(KeyPoint(0.0, 0.5, 1.0), KeyPoint(1.0, 0.25, 0.0))),
        ),
    ]


def golden_bytes() -> bytes:
    """The golden file anew."""
    frames = _golden_frames()
    return b"".join(
        [
            records.encode_header(records.Header(HOUR, CAMERA)),
            records.encode_frame(frames[0], []),
            records.encode_labels(["person"]),
            records.encode_frame(frames[1], ["person"]),
            records.encode_labels(["person", "Fahrrad äöü"]),
            records.encode_frame(frames[2], ["person", "Fahrrad äöü"]),
            records.encode_still(EVENT, STILL),
        ]
    )


def test_the_golden_file_is_written_as_it_was() -> None:
    assert golden_bytes() == GOLDEN.read_bytes()


def test_the_golden_file_is_read() -> None:
    content = records.parse(GOLDEN.read_bytes(), CAMERA)
    assert content.header == records.Header(HOUR, CAMERA)
    assert not content.problems
    assert content.whole_bytes == GOLDEN.stat().st_size
    assert [frame.at_us for frame in content.frames] == [HOUR, HOUR + 200_000, HOUR + 400_000]
    first, second = content.frames[2].tracks
    assert (first.number, first.label, first.seen) == (1, "person", False)
    assert first.score == pytest.approx(0.5, abs=1e-4)
    assert (second.label, second.since_us) == ("Fahrrad äöü", HOUR + 400_000 - 1_500_000)
    assert [value for point in second.points for value in point] == pytest.approx([0, 0.5, 1, 1, 0.25, 0], abs=1e-4)
    found = records.find_still(GOLDEN.read_bytes(), EVENT)
    assert found is not None
    assert (found.taken_us, found.jpeg) == (STILL.taken_us, STILL.jpeg)


def test_the_checksum_is_that_of_rfc_3720() -> None:
    assert crc32c(b"123456789") == 0xE306_9283
    assert crc32c(bytes(32)) == 0x8A91_36AA
    assert crc32c(b"") == 0
    for size in (1, 3, 4, 5, 1023, 1024, 1025, 1026, 1028, 5000):
        data = bytes(number * 7 % 256 for number in range(size))
        assert crc32c(data) == slow_crc32c(data), size


def test_a_file_cut_anywhere_gives_what_is_whole() -> None:
    data = GOLDEN.read_bytes()
    whole = records.parse(data, CAMERA).frames
    for size in range(len(data) + 1):
        content = records.parse(data[:size], CAMERA)
        if size < records.HEADER_BYTES:
            assert content.header is None
            continue
        assert content.frames == whole[: len(content.frames)], size
        assert content.whole_bytes <= size
        assert not content.problems, "a torn tail is no damage"
        assert records.parse(data[: content.whole_bytes], CAMERA) == content


def test_a_flipped_bit_costs_one_record_and_is_told() -> None:
    data = GOLDEN.read_bytes()
    whole = records.parse(data, CAMERA).frames
    for at in range(records.HEADER_BYTES, len(data)):
        damaged = bytearray(data)
        damaged[at] ^= 1 << at % 8
        content = records.parse(bytes(damaged), CAMERA)
        intact = [frame for frame in content.frames if frame in whole]
        # Labels that are damaged leave frames without them; nothing is made up.
        assert len(whole) - len(intact) <= 1, at
        for frame in content.frames:
            assert all(track.label in {"", "person", "Fahrrad äöü"} for track in frame.tracks)
        is_last = content.whole_bytes < len(data)
        assert content.problems or is_last, at


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_no_bytes_break_the_reader(data: st.DataObject) -> None:
    content = bytearray(GOLDEN.read_bytes())
    for _ in range(data.draw(st.integers(0, 6))):
        at = data.draw(st.integers(0, len(content) - 1))
        junk = data.draw(st.binary(max_size=40))
        if data.draw(st.booleans()):
            content[at : at + len(junk)] = junk
        else:
            del content[at : at + len(junk)]
        if not content:
            break
    found = records.parse(bytes(content), CAMERA)
    assert found.whole_bytes <= len(content)
    still = records.find_still(bytes(content), EVENT)
    assert still is None or still.jpeg == STILL.jpeg


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200), st.sampled_from([records.LABELS, records.FRAME, records.STILL, 9]))
def test_records_that_match_their_checksum_may_hold_anything(payload: bytes, kind: int) -> None:
    header = records.encode_header(records.Header(HOUR, CAMERA))
    record = records._record(kind, payload)
    content = records.parse(header + record + records.encode_frame(_frame(0), []), CAMERA)
    assert content.frames[-1].at_us == HOUR
    assert content.whole_bytes > len(header + record)


def test_a_record_that_says_it_is_huge_is_skipped() -> None:
    header = records.encode_header(records.Header(HOUR, CAMERA))
    huge = struct.pack("<HBxI", records.MARK, records.FRAME, 2**32 - 1) + b"\0" * 20
    content = records.parse(header + huge + records.encode_frame(_frame(0), []), CAMERA)
    assert len(content.frames) == 1
    assert "28 bytes at byte 64 are damaged" in content.problems


def _path(directory: Path) -> Path:
    (path,) = directory.rglob("ai_*.vms-idx")
    return path


def _written(directory: Path, *frames: AnalysedFrame) -> Path:
    log = AnalysisLogFiles(directory, flush_s=3600)
    for frame in frames:
        log.append(frame)
    log.close()
    return _path(directory)


def test_the_file_lies_beside_the_recordings_of_its_hour(tmp_path: Path) -> None:
    path = _written(tmp_path, *_golden_frames())
    assert path == tmp_path / "cameras" / CAMERA / "2025-11-23" / "ai_10.vms-idx"
    assert path.read_bytes() == golden_bytes()[: -len(records.encode_still(EVENT, STILL))]


@pytest.mark.parametrize("cut_bytes", [1, 7, 30])
def test_a_torn_tail_is_cut_before_more_is_written(tmp_path: Path, cut_bytes: int) -> None:
    path = _written(tmp_path, *_golden_frames()[:2])
    os.truncate(path, path.stat().st_size - cut_bytes)
    with path.open("ab") as file:
        file.write(b"\0" * 4096)
    _written(tmp_path, _golden_frames()[2])
    content = records.parse(path.read_bytes(), CAMERA)
    assert content.whole_bytes == path.stat().st_size
    assert [frame.at_us for frame in content.frames] == [HOUR, HOUR + 400_000]
    assert not content.problems
    assert [track.label for track in content.frames[-1].tracks] == ["person", "Fahrrad äöü"]


def test_labels_are_not_written_twice_after_a_start(tmp_path: Path) -> None:
    path = _written(tmp_path, _golden_frames()[1])
    size = path.stat().st_size
    _written(tmp_path, _golden_frames()[1])
    frame = records.encode_frame(_golden_frames()[1], ["person"])
    assert path.stat().st_size == size + len(frame)


@pytest.mark.parametrize("size", [0, 10, 63, 64])
def test_a_file_that_was_only_begun_is_begun_anew(tmp_path: Path, size: int) -> None:
    path = _written(tmp_path, _golden_frames()[0])
    path.write_bytes(b"\0" * size)
    _written(tmp_path, *_golden_frames())
    assert len(records.parse(path.read_bytes(), CAMERA).frames) == 3


def test_a_file_of_a_later_version_is_left_alone(tmp_path: Path) -> None:
    path = _written(tmp_path, *_golden_frames())
    other = bytearray(path.read_bytes())
    other[8] = 2
    path.write_bytes(other)
    log = AnalysisLogFiles(tmp_path, flush_s=3600)
    log.append(_golden_frames()[0])
    log.flush()
    assert path.read_bytes() == bytes(other)
    with pytest.raises(Failure) as refused:
        log.append(_golden_frames()[0])
    assert CAMERA in refused.value.detail
    assert not log.frames(CAMERA, Span(start_us=HOUR, end_us=HOUR), 9)
    log.close()


def test_a_label_that_is_too_long_is_cut_between_characters(tmp_path: Path) -> None:
    label = "x" * 254 + "ä"
    path = _written(tmp_path, _frame(1, _track(1, label, HOUR), _track(2, "person", HOUR)))
    (frame,) = records.parse(path.read_bytes(), CAMERA).frames
    assert [track.label for track in frame.tracks] == ["x" * 254, "person"]


def test_damage_in_the_middle_costs_one_record(tmp_path: Path) -> None:
    path = _written(tmp_path, *_golden_frames())
    content = bytearray(path.read_bytes())
    content[80] ^= 0xFF
    path.write_bytes(content)
    log = AnalysisLogFiles(tmp_path)
    assert [frame.at_us for frame in log.frames(CAMERA, ALL, 9)] == [HOUR + 200_000, HOUR + 400_000]
    log.close()


def test_a_disk_that_refuses_costs_what_waited_and_is_told_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = AnalysisLogFiles(tmp_path, flush_s=3600)
    log.append(_golden_frames()[0])
    log.flush()
    full, pwrite = OSError(28, "No space left on device"), os.pwrite

    def torn(descriptor: int, data: bytes, offset: int) -> int:
        pwrite(descriptor, bytes(data)[: len(data) // 2], offset)
        raise full

    with monkeypatch.context() as patched:
        patched.setattr(os, "pwrite", torn)
        log.append(_golden_frames()[1])
        log.flush()
    with pytest.raises(Failure, match="No space left on device"):
        log.append(_frame(2, _track(1, "person", HOUR + 400_000)))
    log.append(_frame(3))
    log.flush()
    found = log.frames(CAMERA, ALL, 9)
    assert [frame.at_us - HOUR for frame in found] == [0, 400_000, 600_000]
    assert found[1].tracks[0].label == "person", "its label was lost with what was refused"
    content = records.parse(_path(tmp_path).read_bytes(), CAMERA)
    assert not content.problems
    log.close()


def test_a_frame_that_cannot_be_written_costs_no_other(tmp_path: Path) -> None:
    log = AnalysisLogFiles(tmp_path, flush_s=3600)
    impossible = replace(_golden_frames()[1], pts=2**70)
    log.append(impossible)
    other = replace(_golden_frames()[1], at_us=HOUR + HOUR_US)
    log.append(other)
    log.flush()
    with pytest.raises(Failure, match="out of range"):
        log.append(_golden_frames()[2])
    log.flush()
    assert [frame.at_us - HOUR for frame in log.frames(CAMERA, ALL, 9)] == [400_000, HOUR_US]
    log.close()


def test_what_waits_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files_module, "MOST_WAITING_BYTES", 1000)
    log = AnalysisLogFiles(tmp_path, flush_s=3600)
    with pytest.raises(Failure) as refused:
        for step in range(100):
            log.append(_frame(step))
    assert refused.value.kind == "exhausted"
    assert len(log.frames(CAMERA, ALL, 99)) < 20
    log.flush()
    log.append(_frame(99))
    log.close()


def test_few_files_are_open_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files_module, "MOST_OPEN", 2)
    log = AnalysisLogFiles(tmp_path, flush_s=3600)
    for turn in range(2):
        for hour in range(5):
            at_us = HOUR + hour * HOUR_US + turn
            log.append(AnalysedFrame(CAMERA, "sub", at_us, 0, 90_000, 640, 360, (_track(1, "person", at_us),)))
        log.flush()
    assert len(log._open) == 2
    assert len(log.frames(CAMERA, ALL, 99)) == 10
    log.close()


def test_it_writes_by_itself(tmp_path: Path) -> None:
    log = AnalysisLogFiles(tmp_path, flush_s=0.01)
    log.append(_golden_frames()[0])
    for _ in range(1000):
        if any(tmp_path.rglob("ai_*.vms-idx")) and len(records.parse(_path(tmp_path).read_bytes(), CAMERA).frames):
            break
        log._stopping.wait(0.01)
    assert len(records.parse(_path(tmp_path).read_bytes(), CAMERA).frames) == 1
    log.close()


def test_names_that_are_none_are_left_alone(tmp_path: Path) -> None:
    path = _written(tmp_path, *_golden_frames())
    for name in ("ai_24.vms-idx", "ai_1.vms-idx", "ai_10.vms-idx.new"):
        path.with_name(name).write_bytes(b"x")
    (tmp_path / "cameras" / CAMERA / "notes").mkdir()
    (tmp_path / "cameras" / "lost+found").mkdir()
    log = AnalysisLogFiles(tmp_path)
    assert list(log.cameras()) == [CAMERA]
    assert log.remove_before(CAMERA, 2**62) == 1
    assert len(list(path.parent.iterdir())) == 3
    assert make_id(1, b"\0" * 8) not in log.cameras()
    log.close()
