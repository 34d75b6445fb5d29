"""The chains on the disk: what is written, what a crash leaves, what somebody else did."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from vms.adapters.memory.accounts import ManualClock
from vms.adapters.memory.catalogue import MemoryCatalogue
from vms.adapters.signing import Ed25519Signer, load_or_make_signer
from vms.contracts.files import RecordedFile
from vms.domain.errors import Failure
from vms.storage import archive_paths
from vms.storage.chain import FILE_NAME, Chain
from vms.storage.chain_lines import read_line

CAMERA = "0190aaaa-0000-7000-8000-000000000001"
DAY_S = 86_400


class Site:
    """A chain over a directory, a clock and a catalogue that outlive it."""

    def __init__(self, directory: Path) -> None:
        self.root = directory / "storage"
        self.root.mkdir()
        self.clock = ManualClock()
        self.catalogue = MemoryCatalogue()
        self.signer = Ed25519Signer.generate()
        self.chain = self.restarted()

    def restarted(self) -> Chain:
        self.chain = Chain(self.root, self.signer, self.catalogue, self.clock)
        return self.chain

    def file(self, hour: int, *, day: str = "2026-11-23") -> RecordedFile:
        file = RecordedFile(
            camera_id=CAMERA,
            stream="main",
            name=f"{day}/video_{hour:02}.mp4",
            volume="main",
            start_us=hour,
            end_us=hour + 1,
            size_bytes=hour,
            sealed=True,
            sha256=f"{hour:064x}",
        )
        self.catalogue.put_files([file.model_copy(update={"sealed": False})])
        self.catalogue.put_files([file])
        return file

    def path(self) -> Path:
        return sorted(self.root.glob(f"cameras/{CAMERA}/*/{FILE_NAME}"))[-1]

    def kinds(self) -> list[str]:
        return [found.kind for found in self.chain.check(CAMERA).findings]


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def test_files_are_chained_once_and_removed_once(site: Site) -> None:
    first, second = site.file(1), site.file(2)
    site.chain.sealed(first)
    assert site.chain.sealed_all([second, first]) == 1
    site.chain.on_removed(first, "older than 30 days", "retention")
    site.chain.on_removed(first, "older than 30 days", "retention")
    site.chain.sealed(first)
    result = site.chain.check(CAMERA)
    assert (result.lines, result.findings) == (3, [])
    assert result.files[first.name].removed == "older than 30 days (retention)"
    assert result.files[second.name].removed is None
    assert not result.files[second.name].adopted
    row = site.catalogue.get(CAMERA, second.name)
    assert row is not None
    assert row.chain_number == 2
    site.restarted().sealed(second)
    assert site.chain.check(CAMERA).lines == 3


def test_a_file_that_is_not_closed_or_hashed_is_not_chained(site: Site) -> None:
    file = site.file(1)
    site.chain.sealed(file.model_copy(update={"sha256": None}))
    site.chain.sealed(file.model_copy(update={"sealed": False}))
    assert site.chain.check(CAMERA).lines == 0


def test_what_nobody_saw_being_recorded_is_marked(site: Site) -> None:
    file = site.file(1)
    site.catalogue.clear()
    site.catalogue.put_files([file])
    site.chain.sealed(file)
    assert site.chain.check(CAMERA).files[file.name].adopted


def test_days_end_with_a_root_and_follow_each_other(site: Site) -> None:
    site.chain.sealed(site.file(1))
    site.chain.close_days()
    assert site.chain.check(CAMERA).lines == 1
    site.clock.advance(DAY_S)
    site.chain.close_days()
    site.chain.close_days()
    assert site.chain.check(CAMERA).lines == 2
    site.chain.sealed(site.file(2))
    site.clock.advance(DAY_S)
    site.restarted().sealed(site.file(3))
    # The clock is set back over a day that is closed: lines go on, days never go back.
    site.clock.advance(DAY_S)
    site.chain.close_days()
    site.clock.advance(-5 * DAY_S)
    site.chain.sealed(site.file(4))
    result = site.chain.check(CAMERA)
    assert (result.findings, result.lines, len(result.files)) == ([], 7, 4)
    assert [day for day, _ in site.chain.days(CAMERA)] == sorted(day for day, _ in site.chain.days(CAMERA))
    assert len(site.chain.days(CAMERA)) == 4


def test_a_torn_line_is_cut_off_and_written_again(site: Site) -> None:
    first, second = site.file(1), site.file(2)
    site.chain.sealed(first)
    head = site.catalogue.heads()[0]
    whole = site.path().read_bytes()
    site.chain.sealed(second)
    both = site.path().read_bytes()
    for length in range(len(whole), len(both)):
        site.path().write_bytes(both[:length])
        # As the kill left it: the catalogue learns of a line only after the disk has it.
        site.catalogue.put_head(head)
        site.catalogue.update(CAMERA, second.name, chain_number=None)
        site.restarted().catch_up(CAMERA)
        assert site.path().read_bytes() == whole
        site.chain.sealed(second)
        assert site.kinds() == []


def test_a_line_that_the_catalogue_has_not_seen_is_not_written_twice(site: Site) -> None:
    first, second = site.file(1), site.file(2)
    site.chain.sealed(first)
    head = site.catalogue.heads()[0]
    site.chain.sealed(second)
    site.catalogue.put_head(head)
    site.catalogue.update(CAMERA, second.name, chain_number=None)
    site.restarted().sealed(second)
    assert (site.chain.check(CAMERA).lines, site.kinds()) == (2, [])
    # The whole catalogue is lost.
    site.catalogue = MemoryCatalogue()
    site.catalogue.put_files([first, second])
    site.restarted().sealed_all([first, second])
    assert (site.chain.check(CAMERA).lines, site.kinds()) == (2, [])
    assert site.catalogue.heads()[0].number == 2


def test_a_tail_that_somebody_cut_off_shows_for_good(site: Site) -> None:
    site.chain.sealed_all([site.file(1), site.file(2), site.file(3)])
    lines = site.path().read_bytes().splitlines(keepends=True)
    site.path().write_bytes(b"".join(lines[:2]))
    assert site.kinds() == ["chain_cut"]
    site.restarted().sealed(site.file(4))
    assert [found.kind for found in site.catalogue.findings()] == ["chain_cut"]
    found = site.chain.check(CAMERA).findings
    assert [(finding.kind, finding.line, finding.detail) for finding in found] == [
        ("chain_broken", 4, "lines 3 to 3 are missing before it")
    ]


def test_a_chain_that_is_gone_altogether_shows_for_good(site: Site) -> None:
    site.chain.sealed_all([site.file(1), site.file(2)])
    site.path().unlink()
    assert site.kinds() == ["chain_cut"]
    site.restarted().sealed(site.file(3))
    assert site.kinds() == ["chain_cut"]


def test_garbage_in_a_chain_does_not_stop_it(site: Site) -> None:
    site.chain.sealed(site.file(1))
    with site.path().open("ab") as file:
        file.write(b"\0\xff garbage\n")
    site.restarted().sealed(site.file(2))
    assert [(found.kind, found.line) for found in site.chain.check(CAMERA).findings] == [("chain_unreadable", 2)]


def test_another_key_is_named(site: Site) -> None:
    site.chain.sealed(site.file(1))
    site.signer = Ed25519Signer.generate()
    site.restarted().sealed(site.file(2))
    found = site.chain.check(CAMERA).findings
    assert [(finding.kind, finding.line) for finding in found] == [("chain_foreign_key", 1)]


@pytest.mark.parametrize("linked", ["file", "day", "camera"])
def test_links_in_the_way_of_a_chain_are_not_followed(site: Site, tmp_path: Path, linked: str) -> None:
    site.chain.sealed(site.file(1))
    path = {"file": site.path(), "day": site.path().parent, "camera": site.path().parent.parent}[linked]
    elsewhere = tmp_path / "elsewhere"
    path.rename(elsewhere)
    path.symlink_to(elsewhere)
    before = elsewhere.read_bytes() if linked == "file" else b""
    with pytest.raises(Failure, match=r"cannot be (read|written)"):
        site.restarted().sealed(site.file(2))
    if linked == "file":
        assert elsewhere.read_bytes() == before


def test_names_that_climb_out_are_never_opened(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("x")
    root = tmp_path / "root"
    (root / "a").mkdir(parents=True)
    for parts in (("..", "secret"), ("a", "..", "..", "secret"), ("a/../..", "secret"), ("", "x")):
        with pytest.raises(OSError, match=r"name|file"):
            os.close(archive_paths.open_below(root, parts))
    os.mkfifo(root / "a" / "pipe")
    with pytest.raises(archive_paths.NoPlainFileError):
        archive_paths.open_below(root, ("a", "pipe"))
    assert not archive_paths.is_video("2026-11-23/../../etc/passwd")
    assert not archive_paths.is_video("2026-11-23/video_10.mp4\n")
    assert archive_paths.is_video("2026-11-23/video_10_sub_2.mp4")
    with pytest.raises(Failure):
        Chain(root, Ed25519Signer.generate(), MemoryCatalogue(), ManualClock()).catch_up("../x")


def test_a_line_is_in_one_form_alone(site: Site) -> None:
    site.chain.sealed(site.file(1))
    raw = site.path().read_bytes().rstrip(b"\n")
    assert read_line(raw) is not None
    for other in (raw.replace(b":", b": ", 1), raw + b" ", raw.replace(b'"v":1', b'"v":2'), raw[:-1] + b',"x":1}'):
        assert read_line(other) is None


def test_the_key_is_made_once_and_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "integrity.pem"
    made = load_or_make_signer(path)
    assert path.stat().st_mode & 0o777 == 0o600
    again = load_or_make_signer(path)
    assert (again.key_id, again.public_pem()) == (made.key_id, made.public_pem())
    assert again.holds(b"x", made.sign(b"x"))
    assert not again.holds(b"y", made.sign(b"x"))
    path.chmod(0o640)
    with pytest.raises(Failure, match="others can read"):
        load_or_make_signer(path)
    path.chmod(0o600)
    path.write_text("no key")
    with pytest.raises(Failure, match="no Ed25519"):
        load_or_make_signer(path)
