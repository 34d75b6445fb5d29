"""What a recorder has to live through: kills, power cuts, full, failing and slow disks, clocks that jump.

After each blow the archive is read by docs/format alone (`archive_check`), losses are counted by the sender's own frame
numbers and send times, and everything that the server had acknowledged (events answered with 201, the durable end of a
timeline) has to be there.
"""

from __future__ import annotations

import errno
import json
import os
import random
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx

from benchmarks.archive_check import check
from benchmarks.power_cut import PowerCutDisk
from benchmarks.recorded_stamps import stamps_of_file
from benchmarks.report import Figure, percentile
from benchmarks.running_server import RunningServer
from benchmarks.simulated_cameras import SimulatedCameras

CLIP = {"width": 640, "height": 360, "fps": 30, "bitrate_bps": 1_000_000, "gop_seconds": 1.0}
LIBFAKETIME = Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1")


@dataclass
class Toll:
    """What a series of blows cost."""

    blows: int = 0
    losses_s: list[float] = field(default_factory=list)
    starts_s: list[float] = field(default_factory=list)
    events_acknowledged: int = 0
    events_lost: int = 0
    footage_acknowledged_lost: int = 0
    files: int = 0
    records: int = 0
    unreadable: list[str] = field(default_factory=list)
    wrong_records: list[str] = field(default_factory=list)

    def add(self, other: Toll) -> None:
        """Takes over what another series cost."""
        self.blows += other.blows
        self.losses_s += other.losses_s
        self.starts_s += other.starts_s
        self.events_acknowledged += other.events_acknowledged
        self.events_lost += other.events_lost
        self.footage_acknowledged_lost += other.footage_acknowledged_lost
        self.files += other.files
        self.records += other.records
        self.unreadable += other.unreadable
        self.wrong_records += other.wrong_records

    def figures(self, name: str, most_lost_s: float) -> list[Figure]:
        for problem in [*self.unreadable, *self.wrong_records][:20]:
            print(problem, flush=True)
        return [
            Figure(
                f"{name}: lost per camera, worst of {self.blows}", max(self.losses_s, default=99.0), "s", most_lost_s
            ),
            Figure(f"{name}: lost per camera, median", percentile(self.losses_s, 0.5), "s"),
            Figure(f"{name}: acknowledged footage lost", self.footage_acknowledged_lost, "cameras", 0),
            Figure(f"{name}: acknowledged events lost, of {self.events_acknowledged}", self.events_lost, "events", 0),
            Figure(f"{name}: files unreadable, of {self.files}", len(self.unreadable), "files", 0),
            Figure(f"{name}: index records wrong, of {self.records}", len(self.wrong_records), "records", 0),
            Figure(f"{name}: start until ready, P95", percentile(self.starts_s, 0.95), "s"),
        ]


class Witness:
    """Posts events and asks for timelines as fast as it is answered, and remembers what it was told."""

    def __init__(self, server: RunningServer, camera_ids: list[str]) -> None:
        self.events: dict[str, str] = {}
        self.durable_to: dict[str, datetime] = {}
        self._ids = camera_ids
        self._client = httpx.Client(base_url=server.client.base_url, headers=server.client.headers, timeout=5)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(10)
        self._client.close()

    def _watch(self) -> None:
        turn = 0
        while not self._stop.is_set():
            camera_id = self._ids[turn % len(self._ids)]
            turn += 1
            now = datetime.now(UTC)
            try:
                answer = self._client.post(
                    "/events", json={"camera_id": camera_id, "type": "torture.blow", "start": now.isoformat()}
                )
                if answer.status_code == 201:
                    self.events[answer.json()["id"]] = camera_id
                answer = self._client.get(
                    f"/cameras/{camera_id}/timeline",
                    params={"start": (now - timedelta(hours=1)).isoformat(), "end": now.isoformat()},
                )
                if answer.status_code == 200 and answer.json()["ranges"]:
                    self.durable_to[camera_id] = datetime.fromisoformat(answer.json()["ranges"][-1]["end"])
            except (httpx.HTTPError, ValueError):
                # The blow: what was not answered is not acknowledged.
                self._stop.wait(0.02)


Blow = Callable[[], None]


def _series(data_dir: Path, simulator: SimulatedCameras, blows: int, chance: random.Random, after_kill: Blow) -> Toll:
    """Kills the server again and again while it records; `after_kill` makes it worse."""
    toll = Toll(blows=blows)
    server = RunningServer(data_dir)
    ids: list[str] = []
    witness: Witness | None = None
    struck_us = 0
    for blow in range(blows + 1):
        server.start()
        toll.starts_s.append(server.start_s)
        if not ids:
            ids = [server.add_camera(f"camera {n}", simulator.url(n)) for n in range(simulator.cameras)]
        if witness is not None:
            _take_stock(toll, server, data_dir, ids, witness, struck_us)
        if blow == blows:
            break
        for camera_id in ids:
            server.wait_for_state(camera_id, "online", timeout_s=30)
        witness = Witness(server, ids)
        # The first fragment must have been cut and synced, or there is nothing that could be lost.
        time.sleep(1.8 + chance.random() * 2)
        server.process.send_signal(signal.SIGKILL)  # type: ignore[union-attr]  # it has just been started
        struck_us = time.time_ns() // 1000
        witness.stop()
        server.kill()
        after_kill()
    server.stop()
    found = check(data_dir / "storage")
    toll.files, toll.records = found.files, found.records
    toll.unreadable, toll.wrong_records = found.unreadable, found.wrong_records
    return toll


def _take_stock(
    toll: Toll, server: RunningServer, data_dir: Path, ids: list[str], witness: Witness, struck_us: int
) -> None:
    now = datetime.now(UTC)
    for camera_id in ids:
        toll.losses_s.append(_lost_s(data_dir, camera_id, struck_us))
        acknowledged = witness.durable_to.get(camera_id)
        if acknowledged is not None:
            ranges = server.get(
                f"/cameras/{camera_id}/timeline",
                start=(acknowledged - timedelta(seconds=1)).isoformat(),
                end=(now + timedelta(minutes=1)).isoformat(),
            )["ranges"]
            kept = any(datetime.fromisoformat(r["start"]) <= acknowledged for r in ranges) and any(
                datetime.fromisoformat(r["end"]) >= acknowledged for r in ranges
            )
            toll.footage_acknowledged_lost += not kept
    for event_id in witness.events:
        toll.events_acknowledged += 1
        toll.events_lost += server.client.get(f"/events/{event_id}").status_code != 200


def _lost_s(data_dir: Path, camera_id: str, struck_us: int) -> float:
    """From the newest recorded frame that was sent before the blow to the blow."""
    files = sorted(
        (data_dir / "storage" / "cameras" / camera_id).rglob("video_*.mp4"),
        key=lambda path: (path.parent.name, path.stem.split("_")[1], _number(path)),
    )
    for path in reversed(files[-3:]):
        sent = [stamp.sent_us for stamp in stamps_of_file(path) if stamp.sent_us <= struck_us]
        if sent:
            return (struck_us - max(sent)) / 1e6
    return 99.0


def _number(path: Path) -> int:
    last = path.stem.rsplit("_", 1)[-1]
    return int(last) if path.stem.count("_") > 1 and last.isdigit() else 1


def kills(count: int = 500, cameras: int = 4, *, servers: int = 2, seed: int = 1) -> list[Figure]:
    """SIGKILL at random instants, on `servers` servers beside one another."""
    toll = Toll()

    def run(number: int) -> Toll:
        with tempfile.TemporaryDirectory() as directory:
            return _series(
                Path(directory) / "data",
                simulator,
                count // servers + (number < count % servers),
                random.Random(seed + number),
                lambda: None,
            )

    with SimulatedCameras(cameras, stamp=True, clips=[CLIP]) as simulator, ThreadPoolExecutor(servers) as pool:
        for part in pool.map(run, range(servers)):
            toll.add(part)
    return toll.figures("kills", 0.6)


def power_cuts(count: int = 100, cameras: int = 4, *, seed: int = 1) -> list[Figure]:
    """The power goes: what was not synced is lost, or kept in part by chance."""
    chance = random.Random(seed)
    lost_pages = 0
    with (
        tempfile.TemporaryDirectory() as directory,
        SimulatedCameras(cameras, stamp=True, clips=[CLIP]) as simulator,
        PowerCutDisk(Path(directory) / "data" / "storage") as disk,
    ):

        def cut() -> None:
            nonlocal lost_pages
            # Nothing unsynced kept; half of the pages; nearly all: each tears files in another way.
            lost_pages += disk.cut(chance.getrandbits(32), chance.choice((0, 50, 95))).pages

        toll = _series(Path(directory) / "data", simulator, count, chance, cut)
    return [*toll.figures("power cuts", 2.0), Figure("power cuts: unsynced pages lost", lost_pages, "pages")]


@contextmanager
def _recording(cameras: int, **environment: str) -> Iterator[tuple[RunningServer, PowerCutDisk, list[str]]]:
    with (
        tempfile.TemporaryDirectory() as directory,
        SimulatedCameras(cameras, stamp=True, clips=[CLIP]) as simulator,
        PowerCutDisk(Path(directory) / "data" / "storage") as disk,
        RunningServer(Path(directory) / "data", environment=environment) as server,
    ):
        ids = [server.add_camera(f"camera {n}", simulator.url(n)) for n in range(cameras)]
        for camera_id in ids:
            server.wait_for_recording(camera_id, 2)
        yield server, disk, ids


def _is_recording(server: RunningServer, camera_id: str) -> bool:
    return bool(server.get(f"/cameras/{camera_id}/status")["recording"])


def _until(condition: Callable[[], bool], timeout_s: float) -> float:
    """How long it took, s; `timeout_s` when it did not come about."""
    began = time.monotonic()
    while not condition():
        if time.monotonic() - began > timeout_s:
            return timeout_s
        time.sleep(0.02)
    return time.monotonic() - began


def _gaps(server: RunningServer, camera_id: str, since: datetime) -> list[tuple[float, str]]:
    """Length (s) and cause of each gap."""
    timeline = server.get(
        f"/cameras/{camera_id}/timeline",
        start=since.isoformat(),
        end=(datetime.now(UTC) + timedelta(hours=1)).isoformat(),
    )
    return [
        ((datetime.fromisoformat(g["end"]) - datetime.fromisoformat(g["start"])).total_seconds(), g["cause"])
        for g in timeline["gaps"]
    ]


def refusing_disk(reason: int, cameras: int = 2, *, refused_s: float = 3) -> list[Figure]:
    """A disk that refuses every write and sync for a while, with errno `reason`."""
    name = errno.errorcode[reason]
    began = datetime.now(UTC)
    with _recording(cameras) as (server, disk, ids):
        if reason == errno.ENOSPC:
            disk.resize(disk.used_bytes())
        else:
            disk.refuse(reason)
        noticed_s = max(_until(lambda c=c: not _is_recording(server, c), 10) for c in ids)  # type: ignore[misc]
        why = server.get(f"/cameras/{ids[0]}/status")["recording_reason"] or ""
        time.sleep(refused_s)
        disk.resize(2 << 30)
        disk.heal()
        resumed_s = max(_until(lambda c=c: _is_recording(server, c), 20) for c in ids)  # type: ignore[misc]
        for camera_id in ids:
            server.wait_for_recording(camera_id, 4)
        time.sleep(2)
        causes = {cause for camera_id in ids for _, cause in _gaps(server, camera_id, began)}
        server.stop()
        found = check(server.data_dir / "storage")
    print(f"{name}: {why}; gaps: {sorted(causes)}", flush=True)
    return [
        Figure(f"{name}: said within", noticed_s, "s", 3.0),
        Figure(f"{name}: recording again after it was healed", resumed_s, "s", 3.0),
        Figure(f"{name}: gaps of another cause than disk", len(causes - {"disk"}), "causes", 0),
        Figure(f"{name}: files unreadable, of {found.files}", len(found.unreadable), "files", 0),
        Figure(f"{name}: index records wrong, of {found.records}", len(found.wrong_records), "records", 0),
    ]


def failing_volume(cameras: int = 2, *, hangs: bool = False) -> list[Figure]:
    """Of two volumes one fails, or hangs: recording goes on on the other."""
    name = "hanging volume" if hangs else "failing volume"
    with (
        tempfile.TemporaryDirectory() as directory,
        SimulatedCameras(cameras, stamp=True, clips=[CLIP]) as simulator,
        PowerCutDisk(Path(directory) / "bad") as disk,
    ):
        volumes = [
            {"name": "bad", "path": f"{directory}/bad/vms", "weight": 1000, "reserve_bytes": 0},
            {"name": "good", "path": f"{directory}/good", "weight": 1, "reserve_bytes": 0},
        ]
        server = RunningServer(Path(directory) / "data", environment={"VMS_STORAGE__VOLUMES": json.dumps(volumes)})
        server.start()
        ids = [server.add_camera(f"camera {n}", simulator.url(n)) for n in range(cameras)]
        for camera_id in ids:
            server.wait_for_recording(camera_id, 3)
        if hangs:
            disk.slow_down(60_000)
        else:
            disk.refuse(errno.EIO)
        struck = datetime.now(UTC)
        # What is durable on the other volume shows at the timeline's end.
        gone_on_s = max(_until(lambda c=c: _recorded_after(server, c, struck), 30) for c in ids)  # type: ignore[misc]
        time.sleep(3)
        since = struck - timedelta(minutes=1)
        lost_s = max((length for c in ids for length, _ in _gaps(server, c, since)), default=0.0)
        disk.heal()
        time.sleep(1)
        status = server.stop(30)
    return [
        Figure(f"{name}: footage of after the blow is durable elsewhere within", gone_on_s, "s"),
        Figure(f"{name}: not recorded, longest", lost_s, "s", 2.0),
        Figure(f"{name}: exit status", status, "", 0),
    ]


def _recorded_after(server: RunningServer, camera_id: str, instant: datetime) -> bool:
    ranges = server.get(
        f"/cameras/{camera_id}/timeline",
        start=instant.isoformat(),
        end=(instant + timedelta(minutes=5)).isoformat(),
    )["ranges"]
    return bool(ranges)


def slow_disk(delay_ms: int = 200, cameras: int = 2, *, slow_s: float = 10) -> list[Figure]:
    """A disk on which every write and sync takes long for a while: nothing may be lost."""
    began = datetime.now(UTC)
    with _recording(cameras) as (server, disk, ids):
        disk.slow_down(delay_ms)
        time.sleep(slow_s)
        disk.heal()
        time.sleep(4)
        gaps = [gap for camera_id in ids for gap in _gaps(server, camera_id, began)]
        server.stop()
        found = check(server.data_dir / "storage")
    return [
        Figure(f"disk with {delay_ms} ms per operation: gaps", len(gaps), "gaps", 0),
        Figure("slow disk: files unreadable", len(found.unreadable), "files", 0),
        Figure("slow disk: index records wrong", len(found.wrong_records), "records", 0),
    ]


def clock_jumps(cameras: int = 2) -> list[Figure]:
    """The clock jumps an hour ahead, then two back, while recording; by libfaketime, which must be installed."""
    if not LIBFAKETIME.exists():
        raise RuntimeError(f"{LIBFAKETIME} is missing: `make tools` installs Debian's faketime")
    with tempfile.TemporaryDirectory() as directory:
        offset = Path(directory) / "clock"
        offset.write_text("+0\n")
        data_dir = Path(directory) / "data"
        environment = {
            "LD_PRELOAD": str(LIBFAKETIME),
            "FAKETIME_TIMESTAMP_FILE": str(offset),
            "FAKETIME_CACHE_DURATION": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }
        with SimulatedCameras(cameras, stamp=True, clips=[CLIP]) as simulator:
            server = RunningServer(data_dir, environment=environment)
            server.start()
            ids = [server.add_camera(f"camera {n}", simulator.url(n)) for n in range(cameras)]
            for camera_id in ids:
                server.wait_for_recording(camera_id, 2)
            for jump in ("+3600\n", "-3600\n", "+0\n"):
                offset.write_text(jump)
                time.sleep(5)
            status = server.stop()
        found = check(data_dir / "storage")
        hours = {path.stem.split("_")[1] for path in data_dir.rglob("video_*.mp4")}
        if len(hours) < 3:
            raise RuntimeError(f"the clock did not jump: recorded in the hours {sorted(hours)}")
        missing = 0
        for camera_id in ids:
            frames = sorted(
                {
                    stamp.frame
                    for path in (data_dir / "storage" / "cameras" / camera_id).rglob("video_*.mp4")
                    for stamp in stamps_of_file(path)
                }
            )
            missing += frames[-1] - frames[0] + 1 - len(frames)
    return [
        Figure("clock jumps: frames missing", missing, "frames", 0),
        Figure("clock jumps: exit status", status, "", 0),
        Figure("clock jumps: files unreadable", len(found.unreadable), "files", 0),
        Figure("clock jumps: index records wrong", len(found.wrong_records), "records", 0),
    ]


def measure(kill_count: int = 500, cut_count: int = 100) -> list[Figure]:
    """Everything. The long form takes about half an hour."""
    if os.geteuid() != 0:
        raise RuntimeError("the disks of these tests have to be mounted: run as root")
    parts: list[Callable[[], list[Figure]]] = [
        lambda: kills(kill_count),
        lambda: power_cuts(cut_count),
        lambda: refusing_disk(errno.ENOSPC),
        lambda: refusing_disk(errno.EIO),
        failing_volume,
        lambda: failing_volume(hangs=True),
        slow_disk,
        clock_jumps,
    ]
    figures: list[Figure] = []
    for part in parts:
        figures += part()
    return figures
