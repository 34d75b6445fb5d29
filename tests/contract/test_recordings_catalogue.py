"""RecordingsCatalogue."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from rocksdict import Options, Rdict

from vms.adapters.memory.catalogue import MemoryCatalogue
from vms.adapters.rocksdb import RocksCatalogue
from vms.contracts.catalogue import CatalogueRow, ChainHead, Finding, RecordingsCatalogue
from vms.contracts.files import RecordedFile
from vms.domain.errors import Failure

HOUR_US = 3_600_000_000


def _row(camera_id: str, stream: str, hour: int, **fields: object) -> CatalogueRow:
    suffix = "" if stream == "main" else f"_{stream}"
    file = RecordedFile(
        camera_id=camera_id,
        stream=stream,
        name=f"1970-01-01/video_{hour:02}{suffix}.mp4",
        volume="main",
        start_us=hour * HOUR_US,
        end_us=(hour + 1) * HOUR_US,
        size_bytes=7,
        sealed=True,
    )
    return CatalogueRow(file=file).model_copy(update=fields)


@pytest.fixture(params=["memory", "rocksdb"])
def catalogue(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[RecordingsCatalogue]:
    made: RecordingsCatalogue = (
        MemoryCatalogue() if request.param == "memory" else RocksCatalogue(tmp_path / "catalogue")
    )
    yield made
    made.close()


def test_a_row_comes_back_and_goes(catalogue: RecordingsCatalogue) -> None:
    row = _row("a", "main", 3, chain_number=9, verified_at_us=2**53 + 1, verdict="damaged", seen_open=True)
    catalogue.put([row])
    assert catalogue.get("a", row.file.name) == row
    assert catalogue.get("b", row.file.name) is None
    catalogue.remove("a", [row.file.name, "never"])
    assert catalogue.get("a", row.file.name) is None
    assert list(catalogue.everything()) == []


def test_a_row_that_begins_elsewhere_replaces_the_old_one(catalogue: RecordingsCatalogue) -> None:
    row = _row("a", "main", 3)
    moved = row.model_copy(update={"file": row.file.model_copy(update={"start_us": 5 * HOUR_US, "volume": "b"})})
    catalogue.put([row])
    catalogue.put([moved])
    assert list(catalogue.everything()) == [moved]
    catalogue.put([row, moved])
    assert list(catalogue.everything()) == [moved]


def test_a_file_that_changes_keeps_what_is_known_of_it(catalogue: RecordingsCatalogue) -> None:
    file = _row("a", "main", 3).file
    begun = file.model_copy(update={"sealed": False, "size_bytes": 3})
    catalogue.put_files([begun])
    assert catalogue.update("a", file.name, verdict="whole", chain_number=4)
    assert not catalogue.update("a", "never", verdict="whole")
    catalogue.put_files([file.model_copy(update={"sha256": "a" * 64})])
    catalogue.put_files([file])
    row = catalogue.get("a", file.name)
    assert row is not None
    assert (row.seen_open, row.verdict, row.chain_number, row.file.sha256) == (True, "whole", 4, "a" * 64)
    catalogue.put_files([file.model_copy(update={"size_bytes": 8})])
    row = catalogue.get("a", file.name)
    assert row is not None
    assert row.file.sha256 is None


def test_spans_find_the_files_that_touch_them(catalogue: RecordingsCatalogue) -> None:
    catalogue.put([_row(camera, stream, hour) for camera in "ab" for stream in ("sub", "main") for hour in range(9)])

    def hours(stream: str | None, start_us: int, end_us: int) -> list[tuple[str, int]]:
        rows = catalogue.between("a", stream, start_us, end_us)
        return [(row.file.stream, row.file.start_us // HOUR_US) for row in rows]

    assert hours("sub", 2 * HOUR_US, 4 * HOUR_US) == [("sub", 2), ("sub", 3)]
    assert hours("main", 2 * HOUR_US - 1, 2 * HOUR_US + 1) == [("main", 1), ("main", 2)]
    assert hours(None, 8 * HOUR_US, 99 * HOUR_US) == [("main", 8), ("sub", 8)]
    assert hours("main", 99 * HOUR_US, 100 * HOUR_US) == []
    assert hours("su", 0, 99 * HOUR_US) == []
    assert hours(None, -(2**62), 1) == [("main", 0), ("sub", 0)]


def test_everything_goes_on_behind_a_row(catalogue: RecordingsCatalogue) -> None:
    rows = [_row(camera, "main", hour) for camera in ("a", "b") for hour in range(3)]
    catalogue.put(reversed(rows))
    assert list(catalogue.everything()) == rows
    assert list(catalogue.everything(("a", rows[1].file.name))) == rows[2:]
    assert list(catalogue.everything(("b", rows[5].file.name))) == []


def test_heads_findings_and_notes_outlive_the_rows(catalogue: RecordingsCatalogue) -> None:
    head = ChainHead(camera_id="a", day="1970-01-01", number=4, line_sha256="f" * 64)
    catalogue.put_head(head)
    catalogue.put_head(head.model_copy(update={"number": 5}))
    of_file = Finding(kind="altered", detail="ä", camera_id="a", name="n", at_us=-1)
    of_chain = Finding(kind="chain_cut", detail="c", camera_id="a", day="1970-01-01", line=2)
    for finding in (of_file, of_chain, of_file):
        catalogue.put_finding(finding)
    catalogue.note("scrub", "here")
    catalogue.put([_row("a", "main", 1)])
    catalogue.clear()
    assert list(catalogue.everything()) == []
    assert catalogue.get("a", _row("a", "main", 1).file.name) is None
    assert [found.number for found in catalogue.heads()] == [5]
    assert sorted(found.kind for found in catalogue.findings()) == ["altered", "chain_cut"]
    catalogue.remove_findings("a", "n")
    assert list(catalogue.findings()) == [of_chain]
    catalogue.remove_findings("a")
    assert list(catalogue.findings()) == []
    assert catalogue.noted("scrub") == "here"
    catalogue.note("scrub", None)
    assert catalogue.noted("scrub") is None


def test_what_was_put_is_there_after_a_restart(tmp_path: Path) -> None:
    first = RocksCatalogue(tmp_path / "catalogue")
    assert first.is_new
    first.put([_row("a", "main", 1)])
    with pytest.raises(Failure) as refused:
        RocksCatalogue(tmp_path / "catalogue")
    assert refused.value.kind == "conflict"
    first.close()
    again = RocksCatalogue(tmp_path / "catalogue")
    assert not again.is_new
    assert list(again.everything()) == [_row("a", "main", 1)]
    again.close()


@pytest.mark.parametrize("written", [b"vms-catalogue 2", b"vms-catalogue 0", None])
def test_a_catalogue_of_another_version_is_set_aside(tmp_path: Path, written: bytes | None) -> None:
    made = Rdict(str(tmp_path / "catalogue"), Options(raw_mode=True))
    made.put(b"r\0x", b"what a later version means by it")
    if written is not None:
        made.put(b"m\0format", written)
    made.close()
    opened = RocksCatalogue(tmp_path / "catalogue")
    assert opened.is_new
    assert list(opened.everything()) == []
    opened.put([_row("a", "main", 1)])
    opened.close()
    assert (tmp_path / "catalogue.set-aside").is_dir()
    again = RocksCatalogue(tmp_path / "catalogue")
    assert not again.is_new
    again.close()


def test_a_damaged_catalogue_is_set_aside_at_every_file_of_it(tmp_path: Path) -> None:
    directory = tmp_path / "catalogue"
    for attempt in range(20):
        made = RocksCatalogue(directory)
        made.put(_row("a", "main", hour) for hour in range(20))
        made.close()
        # RocksDB does without its log, its options and its identity.
        parts = sorted(path for path in directory.iterdir() if path.name.startswith(("CURRENT", "MANIFEST", "0")))
        if attempt >= len(parts):
            break
        whole = parts[attempt].read_bytes()
        parts[attempt].write_bytes(bytes(byte ^ 0x5A for byte in whole))
        opened = RocksCatalogue(directory)
        opened.put([_row("b", "main", 1)])
        assert [row.file.camera_id for row in opened.everything()][-1] == "b"
        opened.close()


def test_a_byte_of_the_rows_that_the_disk_changed_is_noticed_at_the_start(tmp_path: Path) -> None:
    directory = tmp_path / "catalogue"
    made = RocksCatalogue(directory)
    made.put(_row("a", "main", hour) for hour in range(3000))
    made._database.flush()
    made.close()
    (table,) = (path for path in directory.glob("*.sst") if b"video" in path.read_bytes())
    content = bytearray(table.read_bytes())
    content[len(content) // 2] ^= 1
    table.write_bytes(content)
    opened = RocksCatalogue(directory)
    assert opened.is_new
    assert list(opened.everything()) == []
    opened.close()


def test_a_row_that_cannot_be_read_is_left_out(tmp_path: Path) -> None:
    made = RocksCatalogue(tmp_path / "catalogue")
    made.put([_row("a", "main", 1), _row("a", "main", 2)])
    made._database.put(b"r\0a\0main\0" + bytes(8) + b"x", b'{"file": 3}')
    assert len(list(made.everything())) == 2
    made.close()
