"""What an archive of many files costs: its start, following its changes, checksums, an index made anew."""

from __future__ import annotations

import json
import subprocess
import tempfile
import time
from pathlib import Path

from benchmarks.archive import make_archive
from benchmarks.report import Figure
from vms.adapters.media import MediaEngine
from vms.contracts.media import EngineSettings, WebRtcSettings

REPOSITORY = Path(__file__).parents[1]
START_TARGET_S = 5.0
HASH_TARGET_PERCENT = 0.03
REBUILD_TARGET_MB_PER_S = 500.0


def measure(cameras: int = 20, days: float = 30) -> list[Figure]:
    """Opens `cameras` x `days` of sealed files of an hour, twice; the second time counts beside the first."""
    with tempfile.TemporaryDirectory() as directory:
        data_dir = Path(directory)
        made = make_archive(data_dir, [f"camera-{number}" for number in range(cameras)], days=days)
        starts_s = []
        for _ in range(2):
            began = time.perf_counter()
            engine = MediaEngine(data_dir, EngineSettings(webrtc=WebRtcSettings(udp_port=0)))
            starts_s.append(time.perf_counter() - began)
            report = engine.repair_report()
            assert (report.files_checked, report.files_repaired, report.problems) == (made.files, 0, [])
            began = time.perf_counter()
            changes = engine.file_changes(0)
            listing_ms = (time.perf_counter() - began) * 1000
            began = time.perf_counter()
            engine.file_changes(changes.revision)
            nothing_new_ms = (time.perf_counter() - began) * 1000
            if len(starts_s) == 1:
                engine.close(1)
                # It holds the archive's lock as long as it is there.
                del engine
        file = changes.files[0]
        engine.rebuild_index(file.camera_id, file.name)
        began = time.perf_counter()
        rebuilt = engine.rebuild_index(file.camera_id, file.name)
        rebuild_s = time.perf_counter() - began
        engine.close(1)
    hashing = _hash_rate()
    return [
        Figure(f"start with {made.files} files", max(starts_s), "s", START_TARGET_S),
        Figure("… once more", min(starts_s), "s"),
        Figure("all files listed", listing_ms, "ms"),
        Figure("nothing new", nothing_new_ms, "ms"),
        Figure(f"index of {rebuilt.records} records made anew", rebuild_s * 1000, "ms"),
        Figure("… video walked", file.size_bytes / 1e6 / rebuild_s, "MB/s", REBUILD_TARGET_MB_PER_S, at_least=True),
        Figure("SHA-256", hashing["bytes_per_s"] / 1e6, "MB/s"),
        Figure("… of 4 Mbit/s", hashing["percent_of_a_core"], "% of a core", HASH_TARGET_PERCENT),
    ]


def _hash_rate() -> dict[str, float]:
    run = subprocess.run(
        ["cargo", "run", "--quiet", "--release", "--locked", "-p", "media-io", "--example", "hash_rate"],
        cwd=REPOSITORY,
        check=True,
        capture_output=True,
        text=True,
    )
    return {name: value for name, value in json.loads(run.stdout).items() if isinstance(value, float | int)}
