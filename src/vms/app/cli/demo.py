"""`vms demo`: simulated cameras with real footage, recorded, and a live wall."""

from __future__ import annotations

import os
import select
import subprocess
import sys
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from vms.app.cli.serve import ConfigFile, Host, PortOption
from vms.app.cli.simulate import DEFAULT_PORT
from vms.contracts.ingest import Cameras
from vms.domain.camera_drafts import CameraDraft
from vms.domain.errors import Failure

# The first run transcodes the footage.
_FOOTAGE_S = 180.0
# People and vehicles are followed, and counted where they cross the middle of the picture.
_ANALYSIS = {
    "enabled": True,
    "rules": [
        {"kind": "tripwire", "id": "middle", "name": "Middle", "line": [[0.05, 0.6], [0.95, 0.6]], "labels": []},
    ],
}


def demo(
    cameras: Annotated[int, typer.Option("--cameras", min=1, max=64, help="How many.")] = 4,
    data_dir: Annotated[Path, typer.Option("--data-dir", help="Where the demo keeps its data.")] = Path("demo-data"),
    config: ConfigFile = None,
    host: Host = None,
    port: PortOption = None,
    rtsp_port: Annotated[
        int, typer.Option("--rtsp-port", min=0, max=65_535, help="Of the simulated cameras.")
    ] = DEFAULT_PORT,
) -> int:
    """Shows the system at work: simulated cameras with real footage, recorded, and a live wall.

    The administrator is admin; the password is VMS_ADMIN_PASSWORD, or is made up and printed at the first run.
    """
    from vms.adapters.footage import demo_footage
    from vms.app import all_in_one
    from vms.app.config import load

    http: dict[str, Any] = {}
    if host is not None:
        http["host"] = host
    if port is not None:
        http["port"] = port
    settings = load(config, cameras={"allow_loopback": True}, **({"http": http} if http else {}))
    cache_dir = data_dir / "footage"
    try:
        cache_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Failure("unavailable", f"the data directory {data_dir} cannot be used: {error.strerror}") from error
    sys.stderr.write("preparing footage (the first run takes a moment)\n")
    titles = [footage.title for footage in demo_footage(cache_dir, cameras)]
    simulator, urls = _start_simulator(cameras, rtsp_port, cache_dir)
    if settings.admin_password is None and (data_dir / "vms.sqlite3").exists():
        sys.stderr.write(
            "log in as admin with the password of the first run; "
            f"a new one: vms user passwd admin --data-dir {data_dir} (while the demo does not run)\n"
        )
    names = [titles[number] if number < len(titles) else _again(titles, number) for number in range(cameras)]
    try:
        return all_in_one.serve(
            settings, data_dir, prepare=lambda catalogue: _set_up(catalogue, dict(zip(names, urls, strict=True)))
        )
    finally:
        simulator.terminate()
        try:
            simulator.wait(1.0)
        except subprocess.TimeoutExpired:
            simulator.kill()


def _again(titles: list[str], number: int) -> str:
    return f"{titles[number % len(titles)]} {number // len(titles) + 1}"


def _set_up(catalogue: Cameras, wanted: dict[str, str]) -> None:
    """Makes the demo's cameras, or leads those of an earlier run to the simulator's present port. Cameras that
    somebody added stay as they are."""
    known = {}
    after: str | None = None
    while page := catalogue.page(after, 500):
        known.update({camera.name: camera for camera in page})
        after = page[-1].id
    for name, url in wanted.items():
        camera = known.get(name)
        if camera is None:
            draft = {"name": name, "streams": {"main": {"url": url}}, "analysis": _ANALYSIS}
            catalogue.create(CameraDraft.model_validate(draft))
        elif camera.streams["main"].url != url:
            catalogue.patch(camera.id, {"streams": {"main": {"url": url}}})


def _start_simulator(cameras: int, port: int, cache_dir: Path) -> tuple[subprocess.Popen[bytes], list[str]]:
    """The simulator in a process of its own, at `port` or where that is taken at a free one, and its URLs."""
    for candidate in dict.fromkeys((port, 0)):
        command = [sys.executable, "-m", "vms", "simulate", "--cameras", str(cameras), "--port", str(candidate)]
        command += ["--cache-dir", str(cache_dir), "--until-stdin-closes"]
        # Of its own group, so that Ctrl-C reaches the server first; it ends when its stdin (this process) does.
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True)
        urls = _read_lines(process, cameras)
        if len(urls) == cameras:
            return process, urls
        process.kill()
        process.wait()
    raise Failure("unavailable", "the simulated cameras did not start")


def _read_lines(process: subprocess.Popen[bytes], count: int) -> list[str]:
    assert process.stdout is not None  # noqa: S101 (a pipe)
    deadline = time.monotonic() + _FOOTAGE_S
    content = b""
    while content.count(b"\n") < count:
        ready, _, _ = select.select([process.stdout], [], [], max(0.0, deadline - time.monotonic()))
        piece = os.read(process.stdout.fileno(), 65_536) if ready else b""
        if not piece:
            break
        content += piece
    return content.decode(errors="replace").splitlines()
