"""Whatever happens to an archive behind the server's back is found and named; what is by rule is not."""

from __future__ import annotations

import hashlib
import os
import shutil
import struct
import threading
from pathlib import Path

import pytest

from tests.recorded_site import CAMERA, DAY, GOLDEN, OTHER, RecordedSite, index_of
from vms.adapters.memory.catalogue import MemoryCatalogue
from vms.contracts.catalogue import CheckOrder, RebuildOrder
from vms.contracts.events import RebuildReport
from vms.contracts.files import FileChanges
from vms.domain.errors import Failure
from vms.storage.chain import FILE_NAME
from vms.storage.index_reading import checksums, first_bad_block, fragments
from vms.storage.pace import Pace
from vms.storage.verification import Progress


@pytest.fixture
def site(tmp_path: Path) -> RecordedSite:
    return RecordedSite(tmp_path)


def test_what_was_recorded_and_removed_by_rule_is_whole(site: RecordedSite) -> None:
    names = [site.record(hour) for hour in (8, 9)] + [site.record(10, OTHER, "second")]
    site.catalogue_now()
    row = site.catalogue.get(CAMERA, names[0])
    assert row is not None
    site.chain.on_removed(row.file, "older than a day", "retention")
    for path in site.path(names[0]).parent.glob("*_08.*"):
        path.unlink()
    work = site.verify()
    assert (work.findings, work.files_done, work.chain_lines, work.is_damaged) == ([], 2, 4, False)
    assert work.bytes_done == work.bytes_total > 0
    row = site.catalogue.get(OTHER, names[2])
    assert row is not None
    assert (row.verdict, row.verified_at_us is not None) == ("whole", True)
    status = site.service.status()
    assert (status.files_damaged, status.files_verified, len(status.heads)) == (0, 2, 2)


def test_a_byte_of_the_pictures_is_found_and_named(site: RecordedSite) -> None:
    name = site.record(8)
    site.catalogue_now()
    content = bytearray(site.path(name).read_bytes())
    content[-20] ^= 1
    site.path(name).write_bytes(content)
    work = site.verify()
    (finding,) = work.findings
    row = site.catalogue.get(CAMERA, name)
    assert row is not None
    assert (finding.kind, finding.camera_id, finding.name) == ("altered", CAMERA, name)
    assert (finding.at_us, finding.end_us) == (row.file.start_us, row.file.end_us)
    assert row.verdict == "damaged"
    assert (work.is_damaged, site.service.damaged_files()) == (True, 1)
    # Put right again, it stands no longer.
    content[-20] ^= 1
    site.path(name).write_bytes(content)
    assert site.found() == []
    assert site.service.damaged_files() == 0


def test_the_second_of_a_damaged_fragment_is_named(site: RecordedSite) -> None:
    name = site.record(8)
    site.catalogue_now()
    index = site.path(name).with_name(index_of("video_08.mp4")).read_bytes()
    whole = site.path(name).read_bytes()
    listed = list(fragments(index))
    for fragment in listed:
        for at in (4, 16, 46, 67, 83, fragment.moof_bytes - 1):
            content = bytearray(whole)
            content[fragment.offset + at] ^= 0x40
            if at in {16}:
                # The sequence number is told by the hash alone.
                continue
            site.path(name).write_bytes(content)
            (finding,) = site.verify().findings
            assert (finding.kind, finding.at_us) == ("altered", fragment.start_us), at
        for cut in (5, fragment.moof_bytes + 1):
            site.path(name).write_bytes(whole[: fragment.offset + cut])
            (finding,) = site.verify().findings
            assert finding.at_us == fragment.start_us
    site.path(name).write_bytes(b"\0" * 100 + whole[100:])
    (finding,) = site.verify().findings
    assert "head of the file" in finding.detail


def test_an_index_that_lies_about_heads_breaks_nothing(site: RecordedSite) -> None:
    name = site.record(8)
    site.catalogue_now()
    path = site.path(name).with_name(index_of("video_08.mp4"))
    index = bytearray(path.read_bytes())
    (first, *_) = fragments(bytes(index))
    struct.pack_into("<I", index, 64 + 44, 10)
    struct.pack_into("<I", index, 64 + 60, int(checksums(bytes(index))[1]))
    path.write_bytes(index)
    with site.path(name).open("ab") as file:
        file.write(b"x")
    (finding,) = site.verify().findings
    assert (finding.kind, finding.at_us) == ("altered", first.start_us)
    assert "cut off" in finding.detail


def test_missing_put_in_swapped_and_replaced_files_are_named(site: RecordedSite) -> None:
    names = [site.record(hour) for hour in (8, 9, 10, 11)]
    site.catalogue_now()
    site.path(names[0]).unlink()
    first, second = site.path(names[1]), site.path(names[2])
    swapped = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(swapped)
    put_in = site.path(f"{DAY}/video_12.mp4")
    shutil.copy(GOLDEN / "recording.mp4", put_in)
    shutil.copy(GOLDEN / "index.vms-idx", put_in.with_name(index_of(put_in.name)))
    # Another of equal length with the checksum beside it set right.
    replaced = site.path(names[3])
    content = bytearray(replaced.read_bytes())
    content[-1] ^= 1
    replaced.write_bytes(content)
    found = site.found()
    damage = [entry for entry in found if entry[0] not in {"orphan", "duplicate"}]
    assert damage == [
        ("altered", names[1]), ("altered", names[2]), ("altered", names[3]),
        ("missing", names[0]), ("unchained", f"{DAY}/video_12.mp4"),
    ]  # fmt: skip
    assert site.service.damaged_files() == 5


def test_a_checksum_that_was_set_to_another_file_helps_nobody(site: RecordedSite) -> None:
    name = site.record(8)
    site.catalogue_now()
    content = bytearray(site.path(name).read_bytes())
    content[-1] ^= 1
    site.path(name).write_bytes(content)
    checksum = site.path(f"{DAY}/checksum_08.sha256")
    checksum.write_text(f"{hashlib.sha256(content).hexdigest()}  video_08.mp4\n")
    site.start()
    site.catalogue_now()
    assert site.found() == [("altered", name)]
    content[-1] ^= 1
    site.path(name).write_bytes(content)
    assert site.found() == [("altered", name)]


def test_what_does_not_belong_there_is_told_and_left_alone(site: RecordedSite, tmp_path: Path) -> None:
    name = site.record(8)
    site.catalogue_now()
    day = site.path(name).parent
    for foreign in ("holiday.jpg", "video_9.mp4", "video_10.mkv"):
        (day / foreign).write_text("x")
    (day / "checksum_20.sha256").write_text("x")
    shutil.copy(GOLDEN / "index.vms-idx", day / "index_21.vms-idx")
    (site.root / "cameras" / ".hidden").mkdir()
    (site.root / "cameras" / CAMERA / "lost+found").mkdir()
    shutil.copytree(day, site.second / "cameras" / CAMERA / DAY, ignore=lambda *_: [*_FOREIGN])
    before = sorted(path for path in tmp_path.rglob("*"))
    work = site.verify()
    kinds = sorted(finding.kind for finding in work.findings)
    assert kinds == ["duplicate", "foreign", "foreign", "foreign", "foreign", "foreign", "orphan", "orphan"]
    assert not work.is_damaged
    assert sorted(path for path in tmp_path.rglob("*")) == before


_FOREIGN = ["holiday.jpg", "video_9.mp4", "video_10.mkv", "checksum_20.sha256", "index_21.vms-idx", FILE_NAME]


@pytest.mark.parametrize("linked", ["video", "day", "camera"])
def test_links_are_refused(site: RecordedSite, tmp_path: Path, linked: str) -> None:
    name = site.record(8)
    site.catalogue_now()
    path = {"video": site.path(name), "day": site.path(name).parent, "camera": site.path(name).parent.parent}[linked]
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    work = site.verify()
    kinds = {finding.kind for finding in work.findings}
    assert "link" in kinds
    assert work.is_damaged
    assert work.bytes_done == 0


def test_a_chain_that_names_a_path_outside_has_nothing_opened(
    site: RecordedSite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = site.record(8)
    site.catalogue_now()
    (tmp_path / "secret").write_text("x")
    row = site.catalogue.get(CAMERA, name)
    assert row is not None
    for outside in ("../../../../secret", "/etc/passwd", f"{DAY}/../../../../secret"):
        site.chain.sealed(row.file.model_copy(update={"name": outside}))
    opened: list[str] = []
    really = os.open

    def watched(path: str | Path, *rest: int, **more: int) -> int:
        opened.append(str(path))
        return really(path, *rest, **more)

    monkeypatch.setattr(os, "open", watched)
    kinds = [kind for kind, _ in site.found()]
    assert kinds.count("missing") == 3
    assert not any("secret" in path or "passwd" in path for path in opened)


def test_damaged_chains_are_found_beside_whole_files(site: RecordedSite) -> None:
    site.record(8)
    site.record(9)
    site.catalogue_now()
    path = next(site.root.glob(f"cameras/{CAMERA}/*/{FILE_NAME}"))
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[1] + lines[0])
    assert {kind for kind, _ in site.found()} == {"chain_broken", "chain_cut"}
    path.write_bytes(lines[0] + b"\xff\xfe\0garbage\n" + lines[1])
    assert "chain_unreadable" in {kind for kind, _ in site.found()}
    path.write_bytes(lines[0])
    assert "chain_cut" in {kind for kind, _ in site.found()}
    assert site.service.damaged_files() >= 1
    path.write_bytes(b"".join(lines))
    assert site.found() == []
    assert site.service.damaged_files() == 0
    path.unlink()
    path.symlink_to("/dev/null")
    assert "chain_unreadable" in {kind for kind, _ in site.found()}


def test_a_damaged_index_is_named_with_its_second(site: RecordedSite) -> None:
    name = site.record(8)
    site.catalogue_now()
    path = site.path(name).with_name(index_of("video_08.mp4"))
    whole = path.read_bytes()
    listed = list(fragments(whole))
    assert first_bad_block(whole) is None
    for block in range(len(whole) // 64):
        content = bytearray(whole)
        content[block * 64 + 9] ^= 4
        assert first_bad_block(bytes(content)) == block
        path.write_bytes(content)
        (finding,) = site.verify().findings
        assert finding.kind == "index_damaged"
        if 1 < block <= len(listed):
            assert finding.at_us == listed[block - 2].start_us
    path.unlink()
    assert site.found() == [("orphan", name)]


def test_golden_files_cut_or_flipped_anywhere_never_break_the_check(site: RecordedSite) -> None:
    name = site.record(8)
    site.catalogue_now()
    for path in (site.path(name), site.path(name).with_name(index_of("video_08.mp4"))):
        whole = path.read_bytes()
        for at in range(0, len(whole), max(1, len(whole) // 60)):
            for content in (whole[:at], whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :]):
                path.write_bytes(content)
                assert site.found() != [], (path.name, at)
        path.write_bytes(whole)
    assert site.found() == []


def test_one_camera_and_some_hours_alone(site: RecordedSite) -> None:
    first = site.record(8)
    site.record(9, OTHER)
    site.catalogue_now()
    assert site.verify(CheckOrder(camera_id=CAMERA)).files_done == 1
    row = site.catalogue.get(CAMERA, first)
    assert row is not None
    start_us, end_us = row.file.start_us, row.file.end_us
    assert site.verify(CheckOrder(start_us=end_us)).files_done == 0
    assert site.verify(CheckOrder(start_us=start_us, end_us=start_us + 1)).files_done == 2
    assert site.verify(CheckOrder(end_us=start_us)).files_done == 0


def test_an_interrupted_verification_goes_on_where_it_was(site: RecordedSite, monkeypatch: pytest.MonkeyPatch) -> None:
    for hour in range(8, 14):
        site.record(hour)
    site.catalogue_now()
    really = Progress.count

    def cancels_after_two(self: Progress, **more: int) -> None:
        really(self, **more)
        if self.work.files_done >= 2:
            self.cancelled.set()

    monkeypatch.setattr(Progress, "count", cancels_after_two)
    work = site.verify(CheckOrder(jobs=1))
    assert (work.state, work.files_done) == ("cancelled", 2)
    monkeypatch.setattr(Progress, "count", really)
    site.start()
    work = site.verify(CheckOrder(resume=True))
    assert (work.state, work.files_skipped, work.files_done) == ("done", 2, 4)
    # That one is complete: there is nothing to go on with.
    assert site.verify(CheckOrder(resume=True)).files_done == 6


def test_one_work_at_a_time(site: RecordedSite, monkeypatch: pytest.MonkeyPatch) -> None:
    may_end = threading.Event()
    monkeypatch.setattr(site.verification, "run", lambda order, progress: may_end.wait(10))
    work = site.service.verify(CheckOrder())
    with pytest.raises(Failure) as refused:
        site.service.rebuild(RebuildOrder())
    assert refused.value.kind == "conflict"
    may_end.set()
    assert site.service.wait(work.id, 10).state == "done"
    with pytest.raises(Failure):
        site.service.work("nothing")


def test_a_volume_that_is_out_is_no_damage(site: RecordedSite) -> None:
    site.record(8, volume="second")
    site.catalogue_now()
    del site.volumes["second"]
    work = site.verify()
    assert [finding.kind for finding in work.findings] == ["unreachable"]
    assert not work.is_damaged


def test_a_file_that_is_being_recorded_is_left_alone(site: RecordedSite) -> None:
    name = site.record(8)
    site.catalogue_now()
    index = site.path(name).with_name("index_09.vms-idx")
    index.write_bytes((GOLDEN / "index.vms-idx").read_bytes()[:-64])
    shutil.copy(GOLDEN / "recording.mp4", site.path(f"{DAY}/video_09.mp4"))
    assert site.found() == []


def test_the_scrub_reads_what_is_due_and_nothing_else(site: RecordedSite) -> None:
    name = site.record(8)
    site.record(9)
    site.catalogue_now()
    site.scrub.run(threading.Event())
    row = site.catalogue.get(CAMERA, name)
    assert row is not None
    first_us = row.verified_at_us
    assert first_us is not None
    content = bytearray(site.path(name).read_bytes())
    content[-1] ^= 1
    site.path(name).write_bytes(content)
    site.scrub.run(threading.Event())
    assert site.service.damaged_files() == 0
    site.clock.advance(31 * 86_400)
    site.scrub.run(threading.Event())
    assert site.service.damaged_files() == 1
    site.chain.removed(row.file, "space", "retention")
    assert site.service.damaged_files() == 0


def test_reading_keeps_to_its_rate() -> None:
    now = 0.0
    waited: list[float] = []

    class Stopping(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            nonlocal now
            waited.append(timeout or 0)
            now += timeout or 0
            return False

    pace = Pace(1000, lambda: now)
    for _ in range(5):
        pace.spend(500, Stopping())
    assert now == pytest.approx(2.5)
    now += 100
    pace.spend(1000, Stopping())
    assert waited[-1] == pytest.approx(1.0)


def test_a_rebuild_makes_rows_and_indexes_anew_and_reports(site: RecordedSite) -> None:
    names = [site.record(8), site.record(9)]
    site.catalogue_now()
    site.verify()
    (site.path(names[0]).parent / "foreign.txt").write_text("x")
    site.path(names[1]).unlink()
    site.catalogue = MemoryCatalogue()
    site.start()
    work = site.rebuild(RebuildOrder(indexes=True))
    assert (work.files_done, work.indexes_rebuilt, work.records_rebuilt) == (1, 1, 1)
    assert sorted(finding.kind for finding in work.findings) == ["foreign", "missing", "orphan"]
    row = site.catalogue.get(CAMERA, names[0])
    assert row is not None
    assert row.chain_number == 1
    assert [head.number for head in site.catalogue.heads()] == [2]


def test_a_rebuild_reads_the_events_anew_and_names_what_it_cannot_read(site: RecordedSite) -> None:
    site.service.rebuild_events_with(lambda: RebuildReport(hours=2, events=7, problems=["events_08.parquet is none"]))
    work = site.rebuild()
    assert (work.events_read, work.is_damaged) == (7, True)
    assert [finding.detail for finding in work.findings] == ["events_08.parquet is none"]


def test_a_rebuild_chains_nothing_twice(site: RecordedSite) -> None:
    names = [site.record(8), site.record(9)]
    site.catalogue_now()
    for rebuild in (True, False):
        if rebuild:
            site.rebuild()
        else:
            # Killed between forgetting the rows and making them anew.
            site.catalogue.clear()
            site.start()
            site.catalogue_now()
        row = site.catalogue.get(CAMERA, names[1])
        assert row is not None
        assert row.chain_number == 2
        assert site.chain.check(CAMERA).lines == 2
    assert row is not None
    site.chain.removed(row.file, "space", "retention")
    site.rebuild()
    site.chain.removed(row.file, "space", "retention")
    assert site.chain.check(CAMERA).lines == 3


def test_a_file_without_a_hash_is_hashed_later_and_chained(site: RecordedSite, monkeypatch: pytest.MonkeyPatch) -> None:
    name = site.record(8)
    site.path(f"{DAY}/checksum_08.sha256").unlink()
    site.catalogue_now()
    assert site.chain.check(CAMERA).lines == 0
    assert site.found() == []
    monkeypatch.setattr(site.files, "hash_file", lambda *_: "ab" * 32)
    site.cataloguing.hash_unknown(threading.Event())
    assert site.chain.check(CAMERA).files[name].sha256 == "ab" * 32
    site.catalogue_now()
    assert site.chain.check(CAMERA).lines == 1


def test_what_could_not_be_chained_is_chained_when_the_disk_lets_it(
    site: RecordedSite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.record(8)
    site.record(9, OTHER)
    chains = [site.root / "cameras" / camera / "2026-11-23" / FILE_NAME for camera in (CAMERA, OTHER)]
    site.clock.advance(-site.clock.now_us() / 1e6 + 1_795_428_780)
    asked: list[int] = []
    really = site.files.file_changes

    def changes(after_revision: int) -> FileChanges:
        asked.append(after_revision)
        return really(after_revision).model_copy(update={"revision": 5})

    monkeypatch.setattr(site.files, "file_changes", changes)
    for chain in chains:
        chain.symlink_to(tmp_path / "elsewhere")
    site.catalogue_now()
    chains[1].unlink()
    site.catalogue_now()
    # One camera's trouble is its own.
    assert site.chain.check(OTHER).lines == 1
    chains[0].unlink()
    site.catalogue_now()
    site.catalogue_now()
    # Everything is asked for until all of it is chained.
    assert asked == [0, 0, 0, 5]
    assert site.chain.check(CAMERA).lines == 1
    assert not (tmp_path / "elsewhere").exists()
