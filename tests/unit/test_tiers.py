"""Moves are made one after the other, compared, and begun again after an interruption."""

from __future__ import annotations

import hashlib
import threading
from datetime import UTC
from pathlib import Path

import pytest

from vms.adapters.memory.accounts import ManualClock
from vms.adapters.memory.files import MemoryFiles
from vms.adapters.memory.objects import MemoryObjects
from vms.contracts.files import RecordedFile, VolumeStatus
from vms.storage.tiering import DAY_US, TieringRules, Window
from vms.storage.tiers import Tiers, object_key

CONTENT = bytes(range(256)) * 10_000
RULES = TieringRules(slow_after_days=7, object_after_days=30, max_bytes_per_s=1_000_000)


class Site:
    """A volume with one recording of 40 days ago, an object storage, and what was slept."""

    def __init__(self, directory: Path, rules: TieringRules = RULES) -> None:
        self.clock = ManualClock()
        volume = VolumeStatus(
            name="ssd", path=str(directory), weight=1, tier="fast", reserve_bytes=0, state="ok", free_bytes=1 << 40
        )
        self.files = MemoryFiles([volume])
        self.objects = MemoryObjects()
        self.slept_s = 0.0
        end_us = self.clock.now_us() - 40 * DAY_US
        self.file = RecordedFile(
            camera_id="camera", stream="main", name="day/video_10.mp4", volume="ssd", start_us=end_us - 1,
            end_us=end_us, size_bytes=len(CONTENT), sealed=True, sha256=hashlib.sha256(CONTENT).hexdigest(),
        )  # fmt: skip
        self.path = directory / "cameras" / "camera" / self.file.name
        self.path.parent.mkdir(parents=True)
        self.path.write_bytes(CONTENT)
        self.files.put(self.file)
        self.key = object_key(self.file)
        self.stopping = threading.Event()
        self.tiers = Tiers(self.files, self.objects, rules, self.clock, time_zone=UTC, sleep=self._sleep)

    def _sleep(self, seconds: float) -> None:
        self.slept_s += seconds

    def is_away(self) -> bool:
        return self.files.files["camera", self.file.name].object_key == self.key


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def test_an_old_recording_goes_to_the_object_storage_at_the_rate_allowed(site: Site) -> None:
    site.tiers.run(site.stopping)
    assert site.is_away()
    assert site.objects.objects[site.key] == CONTENT
    assert site.slept_s == pytest.approx(2 * len(CONTENT) / 1_000_000), "up, and back to compare"
    assert (site.tiers.figures().moved_files_total, site.tiers.figures().moved_bytes_total) == (1, len(CONTENT))
    site.tiers.run(site.stopping)
    assert (site.tiers.figures().moved_files_total, site.tiers.figures().object_bytes) == (1, len(CONTENT))
    assert site.files.reader is not None
    assert site.files.reader(site.key, 5, 3) == CONTENT[5:8]


def test_a_recording_that_is_damaged_here_stays_and_leaves_no_object(site: Site) -> None:
    site.path.write_bytes(b"x" + CONTENT[1:])
    site.tiers.run(site.stopping)
    assert not site.is_away()
    assert site.objects.objects == {}
    assert "does not match its checksum" in (site.tiers.figures().last_failure or "")


def test_a_short_file_is_not_uploaded(site: Site) -> None:
    site.path.write_bytes(CONTENT[:-1])
    site.tiers.run(site.stopping)
    assert (site.is_away(), site.objects.objects) == (False, {})


def test_an_object_that_is_damaged_there_is_not_trusted(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(site.objects, "read", lambda key, offset, length: bytes(length))
    site.tiers.run(site.stopping)
    assert (site.is_away(), site.objects.objects) == (False, {})
    assert site.tiers.figures().failures_total == 1


def test_what_was_uploaded_before_a_kill_is_compared_and_used(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.objects.objects[site.key] = CONTENT
    monkeypatch.setattr(site.objects, "put", lambda *_: pytest.fail("uploaded again"))
    site.tiers.run(site.stopping)
    assert site.is_away()


def test_half_an_object_is_uploaded_anew(site: Site) -> None:
    site.objects.objects[site.key] = CONTENT[: len(CONTENT) // 2]
    site.tiers.run(site.stopping)
    assert site.is_away()
    assert site.objects.objects[site.key] == CONTENT


def test_a_storage_that_is_down_is_tried_again_later(site: Site) -> None:
    site.objects.down = True
    site.tiers.run(site.stopping)
    assert (site.is_away(), site.tiers.figures().failures_total) == (False, 1)
    site.objects.down = False
    site.tiers.run(site.stopping)
    assert site.is_away()


def test_nothing_moves_in_a_closed_window(tmp_path: Path) -> None:
    site = Site(tmp_path, TieringRules(object_after_days=30, windows=(Window(0, 24 * 60, 0),)))
    site.tiers.run(site.stopping)
    assert (site.is_away(), site.slept_s) == (False, 0.0)


def test_a_stop_ends_an_upload_without_a_complaint(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(site.tiers, "_sleep", lambda _: site.stopping.set())
    site.tiers.run(site.stopping)
    assert (site.is_away(), site.objects.objects, site.tiers.figures().failures_total) == (False, {}, 0)


def test_old_recordings_go_to_a_slow_volume(site: Site) -> None:
    slow = site.files.volume_states["ssd"].model_copy(update={"name": "hdd", "tier": "slow"})
    site.files.volume_states["hdd"] = slow
    tiers = Tiers(site.files, None, RULES, site.clock, sleep=site._sleep)
    tiers.run(site.stopping)
    assert site.files.files["camera", site.file.name].volume == "hdd"
