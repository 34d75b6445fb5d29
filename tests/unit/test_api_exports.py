"""Exports, from the order to the file."""

from __future__ import annotations

import hashlib
import threading
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

from tests.memory_installation import MemoryInstallation, problem_code
from vms.contracts.media import ExportProgress
from vms.domain.errors import Failure
from vms.domain.recordings import ExportFile
from vms.domain.time import format_time

NOW_US = 1_795_428_780_000_000
MINUTE_US = 60_000_000


@pytest.fixture
def camera_id(vms: MemoryInstallation) -> str:
    identifier = str(vms.add_camera(name='Tür "1"')["id"])
    vms.record(identifier, NOW_US - 10 * MINUTE_US, NOW_US)
    return identifier


def _order(*camera_ids: str, **fields: Any) -> dict[str, Any]:
    span = {"start": format_time(NOW_US - 5 * MINUTE_US), "end": format_time(NOW_US)}
    return {"camera_ids": list(camera_ids), **span, "format": "mp4", **fields}


def _made(vms: MemoryInstallation, order: dict[str, Any]) -> dict[str, Any]:
    answer = vms.client.post("/api/v1/exports", json=order)
    assert answer.status_code == 202, answer.text
    made: dict[str, Any] = answer.json()
    assert answer.headers["location"] == f"/api/v1/exports/{made['id']}"
    return made


def _ended(vms: MemoryInstallation, export_id: str) -> dict[str, Any]:
    deadline = time.monotonic() + 10
    while True:
        export: dict[str, Any] = vms.client.get(f"/api/v1/exports/{export_id}").json()
        if export["state"] not in {"queued", "running"}:
            return export
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_an_export_is_made_and_downloaded(vms: MemoryInstallation, camera_id: str) -> None:
    made = _made(vms, _order(camera_id))
    assert made["state"] == "running"
    assert made["progress"] == 0
    done = _ended(vms, made["id"])
    assert done["state"] == "done"
    assert done["progress"] == 1
    assert (done["start"], done["end"]) == (made["start"], made["end"])
    answer = vms.client.get(f"/api/v1/exports/{made['id']}/download")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "video/mp4"
    path = Path(answer.headers["vms-send-file"])
    assert hashlib.sha256(path.read_bytes()).hexdigest() == done["sha256"]
    disposition = answer.headers["content-disposition"]
    assert 'filename="T_r _1_' in disposition
    assert unquote(disposition.partition("UTF-8''")[2]).startswith('Tür "1" 2026-')
    assert vms.client.delete(f"/api/v1/exports/{made['id']}").status_code == 204
    assert not path.parent.exists()
    assert vms.client.get(f"/api/v1/exports/{made['id']}").status_code == 404


def test_a_download_link_needs_no_header_and_ends(vms: MemoryInstallation, camera_id: str) -> None:
    made = _made(vms, _order(camera_id))
    early = vms.client.post(f"/api/v1/exports/{made['id']}/link")
    assert early.status_code in {200, 409}
    _ended(vms, made["id"])
    link = vms.client.post(f"/api/v1/exports/{made['id']}/link").json()["url"]
    assert vms.anonymous.get(link).status_code == 200
    token = urlsplit(link).query
    assert vms.anonymous.get(f"/api/v1/cameras/{camera_id}/snapshot.jpg?{token}").status_code == 403
    assert vms.anonymous.get(link + "x").status_code == 401
    assert vms.anonymous.get(f"/api/v1/exports/{made['id']}/download").status_code == 401
    vms.clock.advance(301)
    assert vms.anonymous.get(link).status_code == 401


def test_matroska_is_made_from_the_core_s_mp4(vms: MemoryInstallation, camera_id: str) -> None:
    done = _ended(vms, _made(vms, _order(camera_id, format="mkv"))["id"])
    assert done["state"] == "done"
    answer = vms.client.get(f"/api/v1/exports/{done['id']}/download")
    assert answer.headers["content-type"] == "video/x-matroska"
    path = Path(answer.headers["vms-send-file"])
    assert path.suffix == ".mkv"
    assert hashlib.sha256(path.read_bytes()).hexdigest() == done["sha256"]
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_matroska_of_several_files_is_one_zip(
    vms: MemoryInstallation, camera_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def two_files(export_id: str) -> ExportProgress:
        directory = Path(vms.media.exports[export_id][0].directory)
        files = []
        for name in ("1.mp4", "2.mp4"):
            if not (directory / name).with_suffix(".mkv").exists():
                (directory / name).write_bytes(name.encode())
            files.append(ExportFile(name=name, size_bytes=5))
        return ExportProgress(state="done", progress=1.0, files=files)

    monkeypatch.setattr(vms.media, "export_progress", two_files)
    done = _ended(vms, _made(vms, _order(camera_id, format="mkv"))["id"])
    assert done["state"] == "done", done
    answer = vms.client.get(f"/api/v1/exports/{done['id']}/download")
    assert answer.headers["content-type"] == "application/zip"
    with zipfile.ZipFile(answer.headers["vms-send-file"]) as archive:
        assert {name: archive.read(name) for name in archive.namelist()} == {"1.mkv": b"1.mp4", "2.mkv": b"2.mp4"}


def test_an_export_that_fails_tells_why_and_leaves_nothing(
    vms: MemoryInstallation, camera_id: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise Failure("malformed", "the file cannot be rewritten")

    monkeypatch.setattr(type(vms.rooms.storage._remuxer), "remux", fail)
    failed = _ended(vms, _made(vms, _order(camera_id, format="mkv"))["id"])
    assert (failed["state"], failed["error"]) == ("failed", "the file cannot be rewritten")
    assert list((tmp_path / "exports").iterdir()) == []
    answer = vms.client.get(f"/api/v1/exports/{failed['id']}/download")
    assert answer.status_code == 409
    assert problem_code(answer) == "export-not-done"

    monkeypatch.setattr(vms.media, "export_progress", lambda _: 1 / 0)
    broken = _ended(vms, _made(vms, _order(camera_id))["id"])
    assert broken["state"] == "failed"
    assert "division" not in broken["error"]


def test_a_running_export_is_cancelled(vms: MemoryInstallation, camera_id: str, tmp_path: Path) -> None:
    vms.media.finish_exports = False
    made = _made(vms, _order(camera_id))
    assert vms.client.get(f"/api/v1/exports/{made['id']}/download").status_code == 409
    assert vms.client.delete(f"/api/v1/exports/{made['id']}").status_code == 204
    assert vms.media.exports[made["id"]][1].state == "cancelled"
    assert vms.client.get(f"/api/v1/exports/{made['id']}").status_code == 404
    assert list((tmp_path / "exports").iterdir()) == []


def test_a_rewriting_that_does_not_end_in_time_stays_cancelled(
    vms: MemoryInstallation, camera_id: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    begun, go_on = threading.Event(), threading.Event()
    was_cancelled: list[bool] = []

    def slow(_: object, source: Path, target: Path, *, cancelled: Callable[[], bool], **__: object) -> None:
        begun.set()
        assert go_on.wait(10)
        was_cancelled.append(cancelled())
        target.write_bytes(source.read_bytes())

    monkeypatch.setattr(type(vms.rooms.storage._remuxer), "remux", slow)
    monkeypatch.setattr("vms.storage.service.CANCEL_WAIT_S", 0.01)
    made = _made(vms, _order(camera_id, format="mkv"))
    assert begun.wait(10)
    following = vms.rooms.storage._running[made["id"]]
    assert vms.client.delete(f"/api/v1/exports/{made['id']}").status_code == 204
    assert vms.client.get(f"/api/v1/exports/{made['id']}").status_code == 404
    go_on.set()
    following.join(10)
    assert was_cancelled == [True]
    assert list((tmp_path / "exports").iterdir()) == []
    assert vms.rooms.storage._cancelled == set()


def test_exports_that_cannot_be(vms: MemoryInstallation, camera_id: str) -> None:
    unknown = "01890a5d-ac96-774b-bcce-b302099a8057"
    other = vms.add_camera(name="empty")["id"]

    def post(*camera_ids: str, **fields: Any) -> str:
        answer = vms.client.post("/api/v1/exports", json=_order(*camera_ids, **fields))
        assert answer.status_code in {404, 422}, answer.text
        return problem_code(answer)

    assert post() == "validation"
    assert post(camera_id, format="avi") == "validation"
    assert post(camera_id, extra=1) == "validation"
    assert post(camera_id, start="x") == "validation"
    assert post(camera_id, end=format_time(NOW_US - 6 * MINUTE_US)) == "span-reversed"
    assert post(camera_id, start="2025-01-01T00:00:00Z") == "span-too-long"
    later = format_time(NOW_US + 600 * MINUTE_US)
    assert post(camera_id, start=format_time(NOW_US + 500 * MINUTE_US), end=later) == "span-in-future"
    assert post(unknown) == "camera-not-found"
    assert post("../../etc") == "camera-not-found"
    assert post(camera_id, other, format="mkv") == "invalid"
    assert post(camera_id, camera_id, format="zip") == "invalid"
    assert post(other) == "nothing-recorded"
    for export_id in (unknown, "..%2f"):
        assert vms.client.get(f"/api/v1/exports/{export_id}").status_code == 404
        assert vms.client.delete(f"/api/v1/exports/{export_id}").status_code == 404
        assert vms.client.get(f"/api/v1/exports/{export_id}/download").status_code == 404


def test_so_many_at_once(vms: MemoryInstallation, camera_id: str) -> None:
    vms.media.finish_exports = False
    for _ in range(4):
        _made(vms, _order(camera_id))
    answer = vms.client.post("/api/v1/exports", json=_order(camera_id))
    assert answer.status_code == 503
    assert problem_code(answer) == "too-many-exports"
    vms.media.finish_exports = True


def test_pages_of_exports_begin_with_the_newest(vms: MemoryInstallation, camera_id: str) -> None:
    made = []
    for _ in range(3):
        made.append(_made(vms, _order(camera_id))["id"])
        _ended(vms, made[-1])
    first = vms.client.get("/api/v1/exports", params={"limit": 2}).json()
    assert [export["id"] for export in first["items"]] == [made[2], made[1]]
    second = vms.client.get("/api/v1/exports", params={"limit": 2, "cursor": first["next_cursor"]}).json()
    assert [export["id"] for export in second["items"]] == [made[0]]
    assert second["next_cursor"] is None


def test_what_an_earlier_run_left_unfinished_is_given_up(vms: MemoryInstallation, camera_id: str) -> None:
    done = _ended(vms, _made(vms, _order(camera_id))["id"])
    catalogue = vms.rooms.storage._catalogue
    catalogue.replace(catalogue.get(done["id"]).model_copy(update={"state": "running"}))
    vms.rooms.storage.stop(1.0)
    vms.rooms.storage.start()
    given_up = vms.client.get(f"/api/v1/exports/{done['id']}").json()
    assert (given_up["state"], given_up["error"]) == ("failed", "the server stopped meanwhile")


def test_a_file_that_is_gone(vms: MemoryInstallation, camera_id: str) -> None:
    done = _ended(vms, _made(vms, _order(camera_id))["id"])
    vms.rooms.storage.export_file(done["id"]).unlink()
    answer = vms.client.get(f"/api/v1/exports/{done['id']}/download")
    assert answer.status_code == 404
    assert problem_code(answer) == "export-file-gone"
