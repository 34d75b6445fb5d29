"""Sound for browsers, by the real worker process."""

from __future__ import annotations

import array
import json
import os
import subprocess
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import av
import pytest
from av.audio.codeccontext import AudioCodecContext
from av.audio.resampler import AudioResampler

from vms.adapters.audio import OPUS_WORKER, framing
from vms.adapters.audio.opus import OPUS_RATE, PACKET_SAMPLES

# Ticks since the epoch, as cameras' times are: more than 32 bits hold.
EPOCH_S = 1_700_000_000
BEEP_S = 0.05
Units = list[tuple[int, bytes]]


class Sound:
    """Some seconds of AAC that beep at each whole second."""

    def __init__(self, folder: Path, rate: int, channels: int, seconds: int, codec: str = "aac") -> None:
        path = folder / f"{rate}-{channels}-{seconds}.mp4"
        beep = f"0.8*sin(2*PI*1000*t)*lt(mod(t\\,1)\\,{BEEP_S})"
        source = f"aevalsrc={'|'.join([beep] * channels)}:s={rate}"
        arguments = ["-f", "lavfi", "-i", source, "-t", str(seconds), "-c:a", codec, "-b:a", "64k", str(path)]
        subprocess.run(["ffmpeg", "-nostdin", "-v", "error", "-y", *arguments], check=True, timeout=30)
        self.rate, self.channels = rate, channels
        self.units: Units = []
        with av.open(str(path)) as container:
            stream = container.streams.audio[0]
            self.configuration = bytes(stream.codec_context.extradata or b"")
            for packet in container.demux(stream):
                if packet.pts is not None and packet.time_base is not None:
                    at = round(packet.pts * packet.time_base * rate)
                    self.units.append((EPOCH_S * rate + at, bytes(packet)))

    def header(self, **other: object) -> bytes:
        document = {"codec": "aac", "configuration": self.configuration.hex(), "clock_rate": self.rate}
        return json.dumps({**document, "channels": self.channels, **other}).encode() + b"\n"


def run(header: bytes, units: Units) -> tuple[Units, int, subprocess.CompletedProcess[bytes]]:
    """Packets, how many units were skipped, and how the worker ended."""
    stream = header + b"".join(framing.UNIT.pack(pts, len(unit)) + unit for pts, unit in units)
    ended = subprocess.run(OPUS_WORKER, input=stream, capture_output=True, check=False, timeout=30)
    packets, skipped, rest = [], 0, ended.stdout
    while rest:
        kind, value, size_bytes = framing.RECORD.unpack_from(rest)
        content = rest[framing.RECORD.size : framing.RECORD.size + size_bytes]
        assert len(content) == size_bytes
        rest = rest[framing.RECORD.size + size_bytes :]
        if kind == framing.PACKET:
            packets.append((value, content))
        elif kind == framing.READY:
            assert packets == []
        else:
            assert (kind, size_bytes) == (framing.SKIPPED, 0)
            skipped += value
    return packets, skipped, ended


def heard_s(packets: Units) -> Iterator[float]:
    """Seconds since the epoch, less `EPOCH_S`, at which sound begins after silence, as a browser plays: each packet's
    sound from the packet's time on."""
    decoder = av.CodecContext.create("libopus", "r")
    assert isinstance(decoder, AudioCodecContext)
    decoder.sample_rate, decoder.layout = OPUS_RATE, "mono"
    mono = AudioResampler(format="s16", layout="mono", rate=OPUS_RATE)
    silent_since = None
    for pts, packet in packets:
        for decoded in decoder.decode(av.Packet(packet)):
            for frame in mono.resample(decoded):
                samples = array.array("h", bytes(frame.planes[0])[: 2 * frame.samples])
                for at, sample in enumerate(samples):
                    place = pts + at - EPOCH_S * OPUS_RATE
                    if abs(sample) > 4000:
                        if silent_since is None or place - silent_since > OPUS_RATE / 10:
                            yield place / OPUS_RATE
                        silent_since = place


@pytest.mark.parametrize(("rate", "channels"), [(48_000, 2), (44_100, 2), (16_000, 1), (8_000, 1), (32_000, 6)])
def test_sound_stays_in_step(tmp_path: Path, rate: int, channels: int) -> None:
    sound = Sound(tmp_path, rate, channels, 5)
    packets, skipped, ended = run(sound.header(), sound.units)
    assert (ended.returncode, skipped) == (0, 0), ended.stderr
    assert all(after - before == PACKET_SAMPLES for (before, _), (after, _) in pairwise(packets))
    # ffmpeg begins with a unit before the first and ends with a whole one: of 128 ms at 8 kHz.
    assert len(packets) in range(5 * 50 - 5, 5 * 50 + 15)
    kbit_s = sum(len(packet) for _, packet in packets) * 8 / 5 / 1000
    assert 2 < kbit_s < 80
    onsets = [at for at in heard_s(packets) if at > 0.5]
    assert len(onsets) == 4, onsets
    worst_ms = max(abs(at - round(at)) for at in onsets) * 1000
    assert worst_ms < 1, onsets


def test_a_gap_stays_a_gap_and_small_jitter_does_not_show(tmp_path: Path) -> None:
    sound = Sound(tmp_path, 16_000, 1, 6)
    # Half a second is missing, and the camera's clock jumps ahead by a minute.
    late = [(pts if pts < (EPOCH_S + 4.5) * 16_000 else pts + 60 * 16_000, unit) for pts, unit in sound.units]
    lost = [(pts, unit) for pts, unit in late if not 2.2 < pts / 16_000 - EPOCH_S < 2.7]
    jittered = [(pts + 40 * (number % 3 - 1), unit) for number, (pts, unit) in enumerate(lost)]
    packets, skipped, _ = run(sound.header(), jittered)
    assert skipped == 0
    steps = [after - before for (before, _), (after, _) in pairwise(packets)]
    assert len([step for step in steps if step != PACKET_SAMPLES]) == 2, steps
    assert min(steps) > 0
    onsets = [at for at in heard_s(packets) if at > 0.5]
    assert [round(at) for at in onsets] == [1, 2, 3, 4, 65], onsets
    assert max(abs(at - round(at)) for at in onsets) < 0.004, onsets


def test_malformed_units_are_skipped_and_counted(tmp_path: Path) -> None:
    sound = Sound(tmp_path, 48_000, 2, 4)
    broken = [
        (pts, os.urandom(len(unit)) if 40 <= number < 60 else b"" if number == 70 else unit)
        for number, (pts, unit) in enumerate(sound.units)
    ]
    packets, skipped, ended = run(sound.header(), broken)
    assert ended.returncode == 0, ended.stderr
    assert skipped > 0
    onsets = [at for at in heard_s(packets) if at > 1.9]
    assert [round(at) for at in onsets] == [2, 3], onsets


@pytest.mark.parametrize(
    "header",
    [
        b"",
        b"nonsense\n",
        b"[]\n",
        b'{"codec": "aac"}\n',
        b'{"codec": "mp3", "configuration": "", "clock_rate": 8000, "channels": 1}\n',
        b'{"codec": "aac", "configuration": "1210", "clock_rate": 0, "channels": 1}\n',
        b'{"codec": "aac", "configuration": "xy", "clock_rate": 8000, "channels": 1}\n',
        b'{"codec": "aac", "configuration": "ffff", "clock_rate": 8000, "channels": 1}\n',
    ],
)
def test_what_is_no_sound_ends_it_with_a_reason(header: bytes) -> None:
    packets, _, ended = run(header, [])
    assert ended.returncode == 2
    assert packets == []
    assert b"no such sound" in ended.stderr
    assert b"Traceback" not in ended.stderr


def test_a_unit_too_large_to_be_one_ends_it(tmp_path: Path) -> None:
    sound = Sound(tmp_path, 48_000, 1, 1)
    _, _, ended = run(sound.header() + framing.UNIT.pack(0, 1 << 30), [])
    assert ended.returncode == 2


def test_it_works_below_real_time(tmp_path: Path) -> None:
    """A stream takes a small part of a core."""
    sound = Sound(tmp_path, 48_000, 2, 60)
    before = os.times()
    packets, _, _ = run(sound.header(), sound.units)
    after = os.times()
    used_s = after.children_user + after.children_system - before.children_user - before.children_system
    assert packets[-1][0] - packets[0][0] > 58 * OPUS_RATE
    # Measured: 0.6 %, starting Python included.
    assert used_s / 60 < 0.05
