"""Integrity over the interface and by the command line, with a server and without one."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.memory_installation import MemoryInstallation, problem_code
from tests.recorded_site import CAMERA, DAY, GOLDEN, RecordedSite, index_of
from vms.adapters.tokens import JwtSigner
from vms.app import integrity as app_integrity
from vms.app.cli import main
from vms.app.cli.client import Server
from vms.app.cli.connection import Connection
from vms.app.data_dir import DataDir
from vms.domain.errors import Failure

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def site(tmp_path: Path) -> RecordedSite:
    return RecordedSite(tmp_path)


@pytest.fixture
def server(tmp_path: Path, token_signer: JwtSigner, site: RecordedSite) -> Iterator[MemoryInstallation]:
    installation = MemoryInstallation(tmp_path / "exports", token_signer, integrity=site.service)
    yield installation
    site.service.stop(5)
    installation.close()


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def call(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main(list(arguments))
        written = capsys.readouterr()
        assert isinstance(ended.value.code, int)
        return ended.value.code, written.out, written.err

    return call


@pytest.fixture
def online(run: Run, server: MemoryInstallation, monkeypatch: pytest.MonkeyPatch) -> Run:
    token = server.log_in()["access_token"]

    @contextmanager
    def opened(_: Connection) -> Iterator[Server]:
        yield Server(server.anonymous, "admin", None, token)  # type: ignore[arg-type]  # asks as httpx does

    monkeypatch.setattr(Connection, "open", opened)
    return run


def _spoil(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def _followed(server: MemoryInstallation, location: str) -> dict[str, Any]:
    while True:
        work: dict[str, Any] = server.client.get(location).json()
        if work["state"] != "running":
            return work


def test_a_verification_is_ordered_followed_and_told(server: MemoryInstallation, site: RecordedSite) -> None:
    name = site.record(8)
    site.catalogue_now()
    answer = server.client.post("/api/v1/storage/verifications", json={})
    assert answer.status_code == 202
    assert _followed(server, answer.headers["location"])["damaged"] is False
    _spoil(site.path(name))
    answer = server.client.post("/api/v1/storage/verifications", json={"camera_id": CAMERA, "max_mb_per_s": 1000})
    work = _followed(server, answer.headers["location"])
    assert work["damaged"] is True
    assert work["findings"][0]["kind"] == "altered"
    assert work["findings"][0]["at"].endswith("Z")
    status = server.client.get("/api/v1/storage/integrity").json()
    assert (status["files_damaged"], status["files_verified"], status["heads"][0]["number"]) == (1, 1, 1)
    assert "vms_storage_damaged_files 1" in server.client.get("/metrics").text
    assert server.client.get("/api/v1/storage/integrity-key").text == site.signer.public_pem()
    rebuilt = server.client.post("/api/v1/storage/rebuilds", json={"indexes": True})
    assert _followed(server, rebuilt.headers["location"])["indexes_rebuilt"] == 1
    assert server.client.delete(rebuilt.headers["location"]).status_code == 204


def test_orders_that_make_no_sense(server: MemoryInstallation, vms: MemoryInstallation) -> None:
    for body, code in (
        ({"camera_id": "../x"}, "camera-not-found"),
        ({"jobs": 0}, "validation"),
        ({"max_mb_per_s": 0}, "validation"),
        ({"start": "2026-01-02T00:00:00Z", "end": "2026-01-01T00:00:00Z"}, "span-reversed"),
        ({"files": []}, "validation"),
    ):
        assert problem_code(server.client.post("/api/v1/storage/verifications", json=body)) == code
    assert problem_code(server.client.get("/api/v1/storage/verifications/x")) == "work-not-found"
    assert problem_code(vms.client.get("/api/v1/storage/integrity")) == "unavailable"
    operator = server.as_user("ola", "operator")
    assert operator.get("/api/v1/storage/integrity").status_code == 200
    assert operator.post("/api/v1/storage/verifications", json={}).status_code == 403
    assert server.as_user("vera", "viewer").get("/api/v1/storage/integrity").status_code == 403


def test_the_commands_on_a_running_server(online: Run, site: RecordedSite) -> None:
    name = site.record(8)
    site.catalogue_now()
    assert online("storage", "key")[1] == site.signer.public_pem()
    status, out, _ = online("storage", "verify")
    assert (status, out.splitlines()[-1].startswith("verification done: 1 files")) == (0, True)
    _spoil(site.path(name))
    status, out, _ = online("storage", "verify", "--jobs", "1", "--start", "2020-01-01T00:00:00Z")
    assert status == 1
    assert f"DAMAGE  altered  {CAMERA} {name}" in out
    status, out, _ = online("storage", "verify", "--json")
    assert (status, json.loads(out)["damaged"]) == (1, True)
    status, out, _ = online("storage", "rebuild")
    assert (status, out.splitlines()[-1].startswith("rebuild done")) == (0, True)
    assert online("storage", "verify", "--start", "yesterday")[0] == 1
    assert online("storage", "verify", "--volume", "a=b")[0] == 1


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    with DataDir(tmp_path / "data") as directory:
        day = directory.path / "storage" / "cameras" / CAMERA / DAY
        day.mkdir(parents=True)
        shutil.copy(GOLDEN / "recording.mp4", day / "video_10.mp4")
        shutil.copy(GOLDEN / "index.vms-idx", day / index_of("video_10.mp4"))
        summed = subprocess.run(["sha256sum", "video_10.mp4"], cwd=day, capture_output=True, check=True)
        (day / "checksum_10.sha256").write_bytes(summed.stdout)
    return tmp_path / "data"


def test_the_commands_while_no_server_runs(run: Run, data_dir: Path) -> None:
    offline = ("--data-dir", str(data_dir))
    # An archive from before there were chains: nothing says that it was recorded, until it is taken over.
    status, out, _ = run("storage", "verify", *offline)
    assert (status, "unchained" in out) == (1, True)
    assert run("storage", "rebuild", *offline)[0] == 0
    status, out, _ = run("storage", "verify", *offline)
    assert (status, "notice  adopted" in out) == (0, True)
    assert "BEGIN PUBLIC KEY" in run("storage", "key", *offline)[1]
    _spoil(data_dir / "storage" / "cameras" / CAMERA / DAY / "video_10.mp4")
    assert run("storage", "verify", "--camera", CAMERA, *offline)[0] == 1
    status, _, err = run("storage", "rebuild", "--indexes", *offline)
    assert (status, "media core" in err) == (1, True)
    with DataDir(data_dir):
        status, _, err = run("storage", "verify", *offline)
        assert (status, "in use by another process" in err) == (1, True)
    assert run("storage", "verify", "--data-dir", str(data_dir / "nothing"))[0] == 1
    assert run("storage", "verify", *offline, "--volume", "x=/no/such")[0] == 1
    assert run("storage", "verify", *offline, "--camera", "Gate")[0] == 1


def test_a_catalogue_that_cannot_be_opened_costs_no_start(
    run: Run, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    offline = ("--data-dir", str(data_dir))
    assert run("storage", "rebuild", *offline)[0] == 0
    for part in (data_dir / "catalogue").iterdir():
        part.write_bytes(b"garbage")
    status, out, _ = run("storage", "verify", *offline)
    assert (status, "no damage" in out) == (0, True)
    shutil.rmtree(data_dir / "catalogue")
    (data_dir / "catalogue").write_text("a file in its place")
    assert run("storage", "verify", *offline)[0] == 0

    def refused(_: Path) -> None:
        raise Failure("unavailable", "the disk refuses")

    monkeypatch.setattr(app_integrity, "RocksCatalogue", refused)
    assert run("storage", "verify", *offline)[0] == 0
