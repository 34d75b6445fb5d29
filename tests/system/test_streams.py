"""Streams that are harder than the usual: B-frames, ten seconds to the next key frame, open GOPs, sound.

Every clip is a moving test picture with a beep at each whole second, so that a decoded picture tells its number in the
clip and decoded sound its time in the clip, whatever the server believes.
"""

from __future__ import annotations

import array
import itertools
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from benchmarks.running_server import RunningServer
from tests.system.players import probe

FPS = 25
CLIP_S = 20
RECORDED_S = 14
AUDIO_RATE = 48_000
HEARD_RATE = 8_000
BEEP_S = 0.05
# Where its clip begins anew, the simulator lets sound go on without a gap: it is out of step from then on.
FIRST_ROUND_S = CLIP_S - 1


@dataclass(frozen=True)
class Clip:
    """How ffmpeg makes a clip, and what the server must see."""

    video: str
    audio: str = ""
    video_codec: str = "h264"
    audio_codec: str = ""


X264 = "-c:v libx264 -preset veryfast -x264-params scenecut=0:threads=1:"
X265 = "-c:v libx265 -preset veryfast -tag:v hvc1 -x265-params scenecut=0:log-level=error:"
AAC = "-c:a aac -b:a 64k"
CLIPS = {
    "b_frames": Clip(X264 + "bframes=3:b-adapt=0:b-pyramid=normal:keyint=50", AAC, audio_codec="aac"),
    "b_frames_h265": Clip(X265 + "bframes=4:b-adapt=0:open-gop=0:keyint=50", AAC, "hevc", "aac"),
    "long_gop": Clip(X264 + "bframes=0:keyint=250:min-keyint=250", "-c:a pcm_mulaw -ar 8000", audio_codec="pcm_mulaw"),
    "open_gop": Clip(
        X264 + "bframes=2:b-adapt=0:open-gop=1:keyint=40:min-keyint=40",
        "-c:a pcm_alaw -ar 8000",
        audio_codec="pcm_alaw",
    ),
}


@dataclass(frozen=True)
class Recorded:
    """One camera after `RECORDED_S`."""

    clip: Clip
    camera_id: str
    start: datetime
    # The number in the clip of the picture with this hash.
    numbers: dict[str, int]


@dataclass(frozen=True)
class Installation:
    server: RunningServer
    recorded: dict[str, Recorded]


def ffmpeg(*arguments: str) -> bytes:
    run = subprocess.run(
        ["ffmpeg", "-nostdin", "-v", "error", *arguments], capture_output=True, check=False, timeout=60
    )
    assert run.returncode == 0, run.stderr.decode()
    return run.stdout


def pictures(path: Path) -> list[tuple[float, str]]:
    """Presentation time in seconds and hash of every picture shown."""
    listing = ffmpeg(
        *("-i", str(path), "-map", "0:v:0", "-vsync", "passthrough"),
        *("-enc_time_base", "1:90000", "-f", "framemd5", "-"),
    )
    rows = [line.split(",") for line in listing.decode().splitlines() if not line.startswith("#")]
    return [(int(row[2]) / 90_000, row[5].strip()) for row in rows]


def beeps(path: Path) -> list[float]:
    """Seconds, on the file's own time line, at which sound begins after silence."""
    sound = array.array("h")
    sound.frombytes(
        ffmpeg(
            *("-i", str(path), "-map", "0:a:0", "-af", "aresample=async=1:min_hard_comp=0.001:first_pts=0"),
            *("-ar", str(HEARD_RATE), "-ac", "1", "-f", "s16le", "-"),
        )
    )
    step = HEARD_RATE // 200
    loud = [max(map(abs, sound[at : at + step]), default=0) > 4_000 for at in range(0, len(sound), step)]
    # A beep cut off by the file's beginning has no onset.
    return [at * step / HEARD_RATE for at in range(10, len(loud)) if loud[at] and not any(loud[at - 5 : at])]


def make_clip(path: Path, clip: Clip) -> None:
    beep = f"aevalsrc=0.8*sin(2*PI*1000*t)*lt(mod(t\\,1)\\,{BEEP_S}):s={AUDIO_RATE}"
    ffmpeg(
        *("-f", "lavfi", "-i", f"testsrc2=size=192x108:rate={FPS}", "-f", "lavfi", "-i", beep),
        *("-t", str(CLIP_S), "-pix_fmt", "yuv420p", "-b:v", "150k", *clip.video.split(), *clip.audio.split()),
        str(path),
    )


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """One server and a camera per clip, all recorded at the same time."""
    folder = tmp_path_factory.mktemp("streams")
    videos = {name: folder / f"{name}.mov" for name in CLIPS}
    for name, path in videos.items():
        make_clip(path, CLIPS[name])
    arguments = [sys.executable, "-m", "vms", "simulate", "--cameras", str(len(CLIPS)), "--port", "0"]
    arguments += ["--cache-dir", str(folder / "footage"), "--until-stdin-closes"]
    for path in videos.values():
        arguments += ["--video", str(path)]
    with (
        subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as simulator,
        RunningServer(folder / "data") as server,
    ):
        assert simulator.stdin is not None and simulator.stdout is not None
        urls = [simulator.stdout.readline().strip() for _ in CLIPS]
        ids = [server.add_camera(name, url) for name, url in zip(CLIPS, urls, strict=True)]
        recorded = {}
        for name, camera_id in zip(CLIPS, ids, strict=True):
            ranges = server.wait_for_recording(camera_id, RECORDED_S)
            assert len(ranges) == 1, (name, ranges)
            hashes = [md5 for _, md5 in pictures(videos[name])]
            assert len(set(hashes)) == FPS * CLIP_S, f"{name}: every picture of the clip is another"
            numbers = {md5: number for number, md5 in enumerate(hashes)}
            recorded[name] = Recorded(CLIPS[name], camera_id, datetime.fromisoformat(ranges[0]["start"]), numbers)
        yield Installation(server, recorded)
        simulator.stdin.close()
        simulator.wait(10)


def playback(installation: Installation, name: str, from_s: float, seconds: float, folder: Path) -> Path:
    camera = installation.recorded[name]
    start = camera.start + timedelta(seconds=from_s)
    answer = installation.server.client.get(
        f"/cameras/{camera.camera_id}/playback.mp4",
        params={"start": start.isoformat(), "end": (start + timedelta(seconds=seconds)).isoformat()},
    )
    assert answer.status_code == 200, answer.text
    path = folder / f"{name}-{from_s}.mp4"
    path.write_bytes(answer.content)
    return path


def shown_numbers(camera: Recorded, shown: list[tuple[float, str]]) -> list[int]:
    """The pictures' numbers in the clip; fails on a picture that the camera never sent."""
    strange = [time_s for time_s, md5 in shown if md5 not in camera.numbers]
    assert not strange, f"pictures at {strange} s are none of the clip"
    return [camera.numbers[md5] for _, md5 in shown]


def assert_consecutive(numbers: list[int]) -> None:
    steps = [(after - before) % (FPS * CLIP_S) for before, after in itertools.pairwise(numbers)]
    breaks = [(place, numbers[place]) for place, step in enumerate(steps) if step != 1]
    assert not breaks, f"of {len(numbers)} pictures, the order breaks after (place, number in the clip) {breaks}"


def signed_offset_s(path: Path) -> float:
    """How much later than written FFmpeg shows the pictures of a fragmented file with signed composition offsets: by
    the greatest negative one. The first picture of a recording is written with an offset of 0."""
    first = ["-select_streams", "v:0", "-read_intervals", "%+#1", "-show_entries", "packet=pts_time,dts_time"]
    run = subprocess.run(
        ["ffprobe", "-v", "error", *first, "-of", "csv=p=0", str(path)], capture_output=True, check=True, text=True
    )
    pts_s, dts_s = (float(field) for field in run.stdout.strip().split(",")[:2])
    return pts_s - dts_s


def assert_in_step(camera: Recorded, path: Path, shown_late_s: float = 0.0) -> None:
    """Both tracks are there, begin together, and each beep is heard with the picture of its second."""
    streams = {stream["codec_type"]: stream for stream in probe(path)["streams"]}
    assert streams["video"]["codec_name"] == camera.clip.video_codec
    assert streams["audio"]["codec_name"] == camera.clip.audio_codec
    start_s = float(streams["video"]["start_time"]) - shown_late_s
    # A simulated camera with B-frames sends its first sound after the first picture.
    assert abs(float(streams["audio"]["start_time"]) - start_s) <= (0.1 if shown_late_s else 0.04)
    seconds = [time_s - shown_late_s for time_s, md5 in pictures(path) if camera.numbers.get(md5, 1) % FPS == 0]
    heard = beeps(path)
    # Not at the very edges, where one of the two may lie outside.
    inner = [at for at in seconds if 0.1 < at < min(FIRST_ROUND_S, max(heard) + 0.5)]
    assert len(inner) >= 3, (inner, heard)
    worst_s = max(min(abs(beep - at) for beep in heard) for at in inner)
    assert worst_s <= 0.04, f"sound is {worst_s * 1000:.0f} ms out of step: {inner} and {heard}"


@pytest.mark.parametrize("name", CLIPS)
def test_recorded_files_hold_both_tracks_in_step(installation: Installation, name: str) -> None:
    camera = installation.recorded[name]
    folder = installation.server.data_dir / "storage" / "cameras" / camera.camera_id
    videos = sorted(folder.rglob("video_*.mp4"))
    shown = pictures(videos[0])
    # The last pictures of a file that grows may wait for those shown before them.
    assert_consecutive(shown_numbers(camera, shown)[:-8])
    assert_in_step(camera, videos[0], signed_offset_s(videos[0]))


@pytest.mark.parametrize("name", CLIPS)
def test_playback_is_exact_wherever_the_key_frames_are(installation: Installation, name: str, tmp_path: Path) -> None:
    camera = installation.recorded[name]
    numbers: list[int] = []
    for from_s in (3.13, 6.13, 9.13):
        shown = pictures(playback(installation, name, from_s, 3, tmp_path))
        assert len(shown) in (3 * FPS - 1, 3 * FPS, 3 * FPS + 1)
        numbers += shown_numbers(camera, shown)
        steps = [after - before for (before, _), (after, _) in itertools.pairwise(shown)]
        assert max(steps) - min(steps) < 0.002, "pictures come in the camera's rhythm"
    # [a, b) and [b, c) together show each picture once.
    assert_consecutive(numbers)


@pytest.mark.parametrize("name", CLIPS)
def test_playback_has_sound_in_step(installation: Installation, name: str, tmp_path: Path) -> None:
    assert_in_step(installation.recorded[name], playback(installation, name, 6.57, 5, tmp_path))


@pytest.mark.parametrize("name", CLIPS)
def test_an_export_shows_and_sounds_as_the_playback(installation: Installation, name: str, tmp_path: Path) -> None:
    camera, server = installation.recorded[name], installation.server
    start = camera.start + timedelta(seconds=6.57)
    document = {"camera_ids": [camera.camera_id], "start": start.isoformat(), "format": "mp4"}
    answer = server.client.post("/exports", json={**document, "end": (start + timedelta(seconds=5)).isoformat()})
    assert answer.status_code == 202, answer.text
    job: dict[str, Any] = answer.json()
    deadline = time.monotonic() + 20
    while job["state"] not in ("done", "failed"):
        assert time.monotonic() < deadline, job
        time.sleep(0.05)
        job = server.get(f"/exports/{job['id']}")
    assert job["state"] == "done", job
    path = tmp_path / "export.mp4"
    path.write_bytes(server.client.get(f"/exports/{job['id']}/download").content)
    assert pictures(path) == pictures(playback(installation, name, 6.57, 5, tmp_path))
    assert_in_step(camera, path)
