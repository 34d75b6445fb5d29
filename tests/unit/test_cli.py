"""The command line, against a real HTTP server over an installation in memory."""

from __future__ import annotations

import asyncio
import io
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import uvicorn
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tests.keeping_site import recorded_file
from tests.memory_installation import PASSWORD, MemoryInstallation
from vms.adapters.sql import SqlUserRepository, open_database
from vms.app.cli import main
from vms.app.data_dir import DataDir
from vms.domain.time import format_time

NOW_US = 1_795_428_780_000_000
Run = Callable[..., tuple[int, str, str]]


class _SendsFiles:
    """Does with Vms-Send-File what the front does."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path: str | None = None

        async def answer(message: Message) -> None:
            nonlocal path
            if message["type"] == "http.response.start":
                path = {name: value.decode() for name, value in message["headers"]}.get(b"vms-send-file")
            if path is None:
                await send(message)

        await self._app(scope, receive, answer)
        if path is not None:
            await Response(Path(path).read_bytes())(scope, receive, send)


@pytest.fixture
def url(vms: MemoryInstallation) -> Iterator[str]:
    config = uvicorn.Config(
        _SendsFiles(vms.rooms.application), port=0, log_config=None, lifespan="off", ws="none", loop="asyncio"
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=lambda: asyncio.run(server.serve()), daemon=True)
    thread.start()
    waited = threading.Event()
    while not server.started:
        assert thread.is_alive()
        waited.wait(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join(5)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    for name in os.environ:
        if name.startswith("VMS_"):
            monkeypatch.delenv(name)

    def call(*arguments: str, stdin: str = "") -> tuple[int, str, str]:
        monkeypatch.setattr("sys.stdin", io.StringIO(stdin))
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main(list(arguments))
        written = capsys.readouterr()
        assert isinstance(ended.value.code, int)
        return ended.value.code, written.out, written.err

    return call


@pytest.fixture
def online(run: Run, url: str, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("VMS_URL", url)
    monkeypatch.setenv("VMS_PASSWORD", PASSWORD)
    return run


COMMANDS = [
    "", "serve", "demo", "run", "camera", "camera add", "camera list", "camera discover", "camera remove",
    "camera record", "lock", "lock add", "lock list", "lock remove",
    "event", "event add", "event list",
    "storage", "storage verify", "storage rebuild", "storage usage", "export", "user", "user add", "user list",
    "user passwd", "simulate", "ai", "ai train-anomaly",
]  # fmt: skip


def test_bench_lists_its_benches() -> None:
    listing = subprocess.run(
        [sys.executable, "-m", "vms", "bench", "--help"], capture_output=True, text=True, timeout=60, check=False
    )
    assert listing.returncode == 0, listing.stderr
    assert "seek" in listing.stdout and "torture" in listing.stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(run: Run, command: str) -> None:
    status, out, err = run(*command.split(), "--help")
    assert status == 0
    assert "Usage: vms" in out
    assert err == ""


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["serve"],
        ["serve", "--data-dir", "x", "--port", "x"],
        ["serve", "--data-dir", "x", "--port", "99999"],
        ["serve", "--data-dir", "x", "--config", "/no/such/vms.toml"],
        ["serve", "--data-dir", "/proc/nothing"],
        ["run", "nonsense"],
        ["run", "ingest"],
        ["camera", "discover"],
        ["camera", "list"],
        ["camera", "list", "--url", "http://127.0.0.1:1", "--password", "x"],
        ["camera", "list", "--url", "http://[", "--password", "x"],
        ["camera", "list", "--ca", "/no/such.pem", "--password", "x"],
        ["camera", "add", "--name", "x"],
        ["event", "add", "gate", "motion", "--start", "then"],
        ["event", "add", "gate", "motion", "--data", "[]"],
        ["event", "add", "gate", "motion", "--data", "{"],
        ["event", "list", "--end", "then"],
        ["storage", "verify"],
        ["storage", "rebuild"],
        ["simulate", "--cameras", "0"],
        ["export", "c", "--start", "x", "--end", "y", "-o", "x.avi"],
        ["user", "list", "--data-dir", "/no/such"],
        ["user", "add", "x", "--role", "king"],
    ],
)
def test_errors_are_one_line_on_stderr(run: Run, arguments: list[str]) -> None:
    status, out, err = run(*arguments)
    assert status != 0
    assert out == ""
    assert err.startswith("vms: ")
    assert err.count("\n") == 1


def test_the_version(run: Run) -> None:
    status, out, _ = run("--version")
    assert status == 0
    assert out.startswith("vms ")


def test_cameras_are_added_listed_and_removed(online: Run, vms: MemoryInstallation) -> None:
    status, out, err = online(
        "camera", "add", "--name", "Gate", "--url", "rtsp://192.0.2.1/a", "--sub-url", "rtsp://192.0.2.1/b",
        "--transport", "udp", "--username", "viewer", "--password-stdin", "--recording", "off", stdin="hush\n",
    )  # fmt: skip
    assert (status, err) == (0, "")
    camera_id = out.strip()
    source = vms.media.sources[camera_id]
    assert source.password is not None
    assert (source.username, source.password.get_secret_value(), source.recording) == (
        "viewer",
        "hush",
        {"main": "off", "sub": "off"},
    )
    assert source.streams["sub"].transport == "udp"
    vms.show(camera_id)
    _, table, _ = online("camera", "list")
    assert "Gate" in table
    assert "h264 1920x1080 30/s" in table
    _, document, _ = online("camera", "list", "--json")
    (listed,) = json.loads(document)["items"]
    assert (listed["id"], listed["status"]["state"]) == (camera_id, "online")
    assert online("camera", "remove", "gate")[0] == 0
    assert vms.media.sources == {}
    status, _, err = online("camera", "remove", "gate")
    assert status == 1
    assert "no camera" in err
    _, _, err = online("camera", "add", "--name", "x", "--url", "http://192.0.2.1/")
    assert "scheme" in err
    _, _, err = online("camera", "add", "--name", "x", "--url", "rtsp://192.0.2.1/", "--password-stdin")
    assert "--username" in err
    _, document, _ = online("camera", "add", "--name", "x", "--url", "rtsp://192.0.2.1/", "--json")
    assert json.loads(document)["name"] == "x"


def test_events_are_added_and_listed(online: Run, vms: MemoryInstallation) -> None:
    vms.add_camera()
    other_id = vms.add_camera(name="Yard")["id"]
    now = format_time(vms.clock.now_us())
    status, out, err = online(
        "event", "add", "gate", "door.opened", "--start", now, "--end", now, "--text", "Back door", "--score", "0.5",
        "--data", '{"door":1}',
    )  # fmt: skip
    assert (status, err) == (0, "")
    event_id = out.strip()
    _, document, _ = online("event", "add", other_id, "motion", "--json")
    assert json.loads(document)["end"] is None
    _, table, _ = online("event", "list")
    newest, oldest = table.splitlines()[1:]
    assert "open" in newest and "Yard" in newest
    assert "Gate" in oldest and "door.opened" in oldest and "Back door" in oldest
    for arguments in (("--camera", "gate"), ("--type", "door.opened"), ("--search", "BACK door")):
        _, document, _ = online("event", "list", "--json", *arguments)
        (listed,) = json.loads(document)["items"]
        assert (listed["id"], listed["data"]) == (event_id, {"door": 1})
    _, document, _ = online("event", "list", "--limit", "1", "--json")
    assert [event["type"] for event in json.loads(document)["items"]] == ["motion"]
    status, _, err = online("event", "add", "gate", "Door")
    assert status == 1
    assert "dotted word" in err


def test_wrong_log_ins_are_told(run: Run, url: str, vms: MemoryInstallation) -> None:
    status, _, err = run("camera", "list", "--url", url, "--password", "wrong")
    assert status == 1
    assert "password is wrong" in err
    status, _, err = run("camera", "list", "--url", url, "--token", "wrong")
    assert status == 1
    token = vms.log_in()["access_token"]
    assert run("camera", "list", "--url", url, "--token", token)[0] == 0


def test_storage_usage(online: Run) -> None:
    _, table, _ = online("storage", "usage")
    assert "400 B" in table
    _, document, _ = online("storage", "usage", "--json")
    assert json.loads(document)["disk_total_bytes"] == 1000


def test_storage_by_volume_and_camera(online: Run, vms: MemoryInstallation) -> None:
    camera = vms.add_camera(retention={"days": 30})
    vms.files.put(recorded_file(camera["id"], vms.clock.now_us(), 3_600_000_000, size_bytes=1 << 26))
    vms.clock.advance(3600)
    _, table, _ = online("storage", "usage")
    assert "held by retention in 30.0 days" in table
    assert "Gate" in table
    assert "1.5 GiB" in table
    assert online("camera", "remove", "Gate")[0] == 0
    assert "(removed)" in online("storage", "usage")[1]


def test_locks_are_added_listed_and_released(online: Run, vms: MemoryInstallation) -> None:
    vms.add_camera()
    span = ["--start", "2026-11-23T08:00:00Z", "--end", "2026-11-23T09:00:00+01:00"]
    assert online("lock", "add", "gate", *span, "--reason", "x")[0] == 1
    span[3] = "2026-11-23T10:00:00+01:00"
    status, lock_id, err = online("lock", "add", "gate", *span, "--reason", "theft", "--until", "2030-01-01T00:00:00Z")
    assert (status, err) == (0, "")
    assert "theft" in online("lock", "list")[1]
    assert online("lock", "remove", lock_id.strip())[0] == 0
    assert "theft" not in online("lock", "list")[1]
    (lock,) = json.loads(online("lock", "list", "--all", "--json")[1])["items"]
    assert lock["released_by"] == "admin"
    for wrong in (["nobody", *span, "--reason", "x"], ["gate", "--start", "x", "--end", "y", "--reason", "x"]):
        assert online("lock", "add", *wrong)[0] == 1


def test_cameras_are_added_with_their_policy(online: Run, vms: MemoryInstallation, tmp_path: Path) -> None:
    vms.client.post("/api/v1/groups", json={"name": "Yard"})
    add = ["camera", "add", "--url", "rtsp://192.0.2.1/a", "--json"]
    rest = ["--recording", "motion", "--sub-url", "rtsp://192.0.2.1/b", "--sub-recording", "continuous"]
    limits = ["--pre-event", "90", "--days", "30", "--max-gib", "2", "--min-days", "3", "--group", "yard"]
    _, out, err = online(*add, "--name", "A", *rest, *limits)
    assert err == ""
    camera = json.loads(out)
    assert camera["recording"]["streams"]["sub"] == "continuous"
    assert camera["recording"]["pre_event_s"] == 90
    assert camera["retention"] == {"days": 30, "max_bytes": 2 << 30, "min_days": 3, "main_days": None}
    assert camera["group_id"] is not None
    policy = tmp_path / "policy.json"
    policy.write_text('{"mode": "schedule", "schedule": {"time_zone": "UTC"}}')
    assert json.loads(online(*add, "--name", "B", "--policy", str(policy))[1])["recording"]["mode"] == "schedule"
    policy.write_text("[]")
    assert "no JSON object" in online(*add, "--name", "C", "--policy", str(policy))[2]
    assert "no group" in online(*add, "--name", "C", "--group", "x")[2]


def test_recording_by_hand(online: Run, vms: MemoryInstallation) -> None:
    vms.add_camera(recording={"mode": "manual"})
    assert online("camera", "record", "Gate", "--seconds", "60")[1] == "main: continuous\n"
    assert online("camera", "record", "Gate", "--stop")[1] == "main: off\n"


def test_exports_are_downloaded_and_checked(
    online: Run, vms: MemoryInstallation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    camera_id = vms.add_camera()["id"]
    vms.record(camera_id, NOW_US - 60_000_000, NOW_US)
    span = ["--start", format_time(NOW_US - 30_000_000), "--end", format_time(NOW_US)]
    output = tmp_path / "gate.mp4"
    status, out, err = online("export", "Gate", *span, "-o", str(output))
    assert (status, err) == (0, "")
    assert "sha256" in out
    assert output.read_bytes().startswith(b"['")
    assert vms.client.get("/api/v1/exports").json()["items"] == []
    assert online("export", "Gate", *span, "-o", str(tmp_path / "gate.mkv"), "--keep", "--json")[0] == 0
    assert len(vms.client.get("/api/v1/exports").json()["items"]) == 1
    _, _, err = online("export", "Gate", *span, "-o", str(tmp_path / "no" / "x.mp4"))
    assert "no directory" in err
    _, _, err = online("export", "Gate", "--start", "x", "--end", "y", "-o", str(output))
    assert "--start" in err
    _, _, err = online("export", "Nothing", *span, "-o", str(output))
    assert "no camera" in err
    monkeypatch.setattr("hashlib.sha256", __import__("hashlib").sha1)
    other = tmp_path / "other.mp4"
    status, _, err = online("export", "Gate", *span, "-o", str(other))
    assert status == 1 or other.exists()


def test_users_online(online: Run) -> None:
    assert online("user", "add", "ana", "--role", "operator", "--new-password", "long enough")[0] == 0
    _, table, _ = online("user", "list")
    assert "ana" in table
    assert "operator" in table
    _, document, _ = online("user", "list", "--json")
    assert [user["name"] for user in json.loads(document)["items"]] == ["admin", "ana"]
    assert online("user", "passwd", "ana", stdin="another one\n")[0] == 0
    assert "8 characters" in online("user", "passwd", "ana", stdin="short\n")[2]
    assert "stdin" in online("user", "passwd", "ana", stdin="")[2]
    assert online("user", "passwd", "nobody", stdin="long enough\n")[0] == 1


def test_users_of_an_installation_that_does_not_run(run: Run, tmp_path: Path) -> None:
    with DataDir(tmp_path) as directory:
        open_database(directory.database_url).dispose()
        status, _, err = run("user", "list", "--data-dir", str(tmp_path))
        assert status == 1
        assert "in use" in err
    assert (
        run("user", "add", "ana", "--role", "administrator", "--data-dir", str(tmp_path), stdin="long enough\n")[0] == 0
    )
    _, table, _ = run("user", "list", "--data-dir", str(tmp_path))
    assert "administrator" in table
    database = open_database(f"sqlite:///{tmp_path / 'vms.sqlite3'}")
    before = SqlUserRepository(database).all()[0].password_hash
    assert run("user", "passwd", "ana", "--data-dir", str(tmp_path), stdin="another one\n")[0] == 0
    assert SqlUserRepository(database).all()[0].password_hash != before
    database.dispose()
