"""From an RTSP camera to files, timeline, playback, stills and export."""

from __future__ import annotations

import hashlib
import time
from datetime import datetime, timedelta
from pathlib import Path

from benchmarks.recorded_stamps import stamps_of_camera
from benchmarks.running_server import RunningServer
from benchmarks.simulated_cameras import SimulatedCameras
from tests.system.players import presented, probe


def test_four_cameras_record_every_frame(server: RunningServer, cameras: SimulatedCameras, data_dir: Path) -> None:
    ids = [server.add_camera(f"camera {n}", cameras.url(n)) for n in range(4)]
    for camera_id in ids:
        status = server.wait_for_state(camera_id, "online")
        assert status["codec"] == "h264"
    for camera_id in ids:
        ranges = server.wait_for_recording(camera_id, 5)
        assert len(ranges) == 1, ranges
    status = server.get(f"/cameras/{ids[0]}/status")
    assert (status["width"], status["height"]) == (320, 180)
    assert 25 <= status["fps"] <= 35
    assert status["recording"] is True
    assert server.stop() == 0
    for camera_id in ids:
        frames = [stamp.frame for stamp in stamps_of_camera(data_dir, camera_id)]
        assert frames == list(range(frames[0], frames[0] + len(frames)))
        assert len(frames) > 140


def test_a_growing_file_plays(server: RunningServer, cameras: SimulatedCameras, data_dir: Path) -> None:
    camera_id = server.add_camera("growing", cameras.url(0))
    server.wait_for_recording(camera_id, 3)
    (path,) = (data_dir / "storage").rglob("video_*.mp4")
    assert probe(path)["streams"][0]["codec_name"] == "h264"
    assert presented(path).count > 80


def test_udp_records_like_tcp(server: RunningServer, cameras: SimulatedCameras, data_dir: Path) -> None:
    camera_id = server.add_camera("udp", cameras.url(0), transport="udp")
    server.wait_for_recording(camera_id, 4)
    server.stop()
    frames = [stamp.frame for stamp in stamps_of_camera(data_dir, camera_id)]
    assert frames == list(range(frames[0], frames[0] + len(frames)))


def test_playback_presents_exactly_the_asked_time(
    server: RunningServer, cameras: SimulatedCameras, tmp_path: Path
) -> None:
    camera_id = server.add_camera("exact", cameras.url(0))
    (span,) = server.wait_for_recording(camera_id, 8)
    start = datetime.fromisoformat(span["start"]) + timedelta(seconds=3.1)
    answer = server.client.get(
        f"/cameras/{camera_id}/playback.mp4",
        params={"start": start.isoformat(), "end": (start + timedelta(seconds=3)).isoformat()},
    )
    assert answer.status_code == 200, answer.text
    assert int(answer.headers["content-length"]) == len(answer.content)
    path = tmp_path / "playback.mp4"
    path.write_bytes(answer.content)
    shown = presented(path)
    assert shown.count in (90, 91), shown
    assert abs(float(probe(path)["format"]["duration"]) - 3.0) < 0.05
    part = server.client.get(
        f"/cameras/{camera_id}/playback.mp4",
        params={"start": start.isoformat(), "end": (start + timedelta(seconds=3)).isoformat()},
        headers={"Range": "bytes=1000-1999", "If-Range": answer.headers["etag"]},
    )
    assert part.status_code == 206
    assert part.content == answer.content[1000:2000]


def test_playback_outside_of_recordings(server: RunningServer, cameras: SimulatedCameras) -> None:
    camera_id = server.add_camera("bounds", cameras.url(0))
    (span,) = server.wait_for_recording(camera_id, 3)
    first, second = datetime.fromisoformat(span["start"]), timedelta(seconds=1)
    path = f"/cameras/{camera_id}/playback.mp4"
    backwards = server.client.get(path, params={"start": first.isoformat(), "end": (first - second).isoformat()})
    assert backwards.status_code in (400, 422)
    assert backwards.headers["content-type"].startswith("application/problem+json")
    before = server.client.get(
        path, params={"start": (first - 9 * second).isoformat(), "end": (first - 8 * second).isoformat()}
    )
    assert before.status_code == 404
    early = server.client.get(
        path, params={"start": (first - 2 * second).isoformat(), "end": (first + second).isoformat()}
    )
    assert early.status_code == 200
    assert abs((datetime.fromisoformat(early.headers["vms-start"]) - first).total_seconds()) < 0.05
    late = server.client.get(
        path, params={"start": (first + second).isoformat(), "end": (first + 3600 * second).isoformat()}
    )
    assert late.status_code == 200


def test_hls_playlist_plays_in_ffmpeg(server: RunningServer, cameras: SimulatedCameras) -> None:
    camera_id = server.add_camera("hls", cameras.url(0))
    (span,) = server.wait_for_recording(camera_id, 6)
    answer = server.client.post(
        f"/cameras/{camera_id}/links", json={"protocol": "hls", "start": span["start"], "end": span["end"]}
    )
    assert answer.status_code in (200, 201), answer.text
    url = answer.json()["url"]
    shown = presented(url if url.startswith("http") else server.url + url)
    assert shown.count > 100


def test_stills_are_pictures(server: RunningServer, cameras: SimulatedCameras) -> None:
    camera_id = server.add_camera("stills", cameras.url(0))
    (span,) = server.wait_for_recording(camera_id, 4)
    at = datetime.fromisoformat(span["start"]) + timedelta(seconds=2.5)
    for path, parameters in (("snapshot.jpg", {}), ("frame.jpg", {"at": at.isoformat()})):
        answer = server.client.get(f"/cameras/{camera_id}/{path}", params=parameters)
        assert answer.status_code == 200, answer.text
        assert answer.content[:3] == b"\xff\xd8\xff"
    nothing = server.client.get(f"/cameras/{camera_id}/frame.jpg", params={"at": (at - timedelta(days=2)).isoformat()})
    assert nothing.status_code in (404, 409)


def test_export_is_whole_and_hashed(server: RunningServer, cameras: SimulatedCameras, tmp_path: Path) -> None:
    camera_id = server.add_camera("export", cameras.url(0))
    (span,) = server.wait_for_recording(camera_id, 6)
    for format_ in ("mp4", "zip", "mkv"):
        answer = server.client.post(
            "/exports",
            json={"camera_ids": [camera_id], "start": span["start"], "end": span["end"], "format": format_},
        )
        assert answer.status_code == 202, answer.text
        job = answer.json()
        deadline = time.monotonic() + 30
        while job["state"] not in ("done", "failed") and time.monotonic() < deadline:
            time.sleep(0.1)
            job = server.get(f"/exports/{job['id']}")
        assert job["state"] == "done", job
        assert job["progress"] == 1.0
        download = server.client.get(f"/exports/{job['id']}/download")
        assert download.status_code == 200
        assert hashlib.sha256(download.content).hexdigest() == job["sha256"]
        path = tmp_path / f"export.{format_}"
        path.write_bytes(download.content)
        if format_ != "zip":
            assert presented(path).count > 100
        assert server.client.delete(f"/exports/{job['id']}").status_code == 204
        assert server.client.get(f"/exports/{job['id']}").status_code == 404


def test_parameter_change_starts_a_new_file(server: RunningServer, cameras: SimulatedCameras, data_dir: Path) -> None:
    camera_id = server.add_camera("change", cameras.url(0))
    (span,) = server.wait_for_recording(camera_id, 3)
    cameras.fault(0, switch_source=1)
    server.wait_for_recording(camera_id, 8)
    answer = server.client.get(
        f"/cameras/{camera_id}/playback.mp4",
        params={
            "start": span["start"],
            "end": (datetime.fromisoformat(span["start"]) + timedelta(minutes=5)).isoformat(),
        },
    )
    assert answer.status_code == 200
    assert "vms-next-start" in answer.headers
    server.stop()
    sizes = {probe(path)["streams"][0]["width"] for path in data_dir.rglob("video_*.mp4")}
    assert sizes == {320, 256}


def test_reconnection_leaves_a_gap_and_goes_on(server: RunningServer, cameras: SimulatedCameras) -> None:
    camera_id = server.add_camera("gap", cameras.url(0))
    server.wait_for_recording(camera_id, 3)
    cameras.fault(0, disconnect=True)
    deadline = time.monotonic() + 15
    while server.get(f"/cameras/{camera_id}/status")["reconnects"] == 0:
        assert time.monotonic() < deadline, "it never reconnected"
        time.sleep(0.1)
    ranges = server.wait_for_recording(camera_id, 7)
    assert len(ranges) == 2, ranges
