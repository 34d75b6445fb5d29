"""`vms camera`."""

from __future__ import annotations

import json
import os
import sys
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from vms.app.cli import options
from vms.app.cli.client import Server
from vms.app.cli.connection import Connection, connecting
from vms.domain.errors import Failure
from vms.domain.recording_policy import RecordingMode

app = typer.Typer(help="Adds, lists and removes cameras of the running server.", no_args_is_help=True)


_PolicyFile = Annotated[
    Path | None, typer.Option("--policy", help="JSON file with the whole recording policy, in place of --recording.")
]


class Transports(StrEnum):
    """How media travels."""

    TCP = "tcp"
    UDP = "udp"


@app.command("add")
@partial(connecting, url_is_taken=True)
def add(
    name: Annotated[str, typer.Option("--name", help="What to call it.")],
    camera_url: Annotated[str, typer.Option("--url", help="The camera's main stream, rtsp:// or rtsps://.")],
    sub_url: Annotated[str | None, typer.Option("--sub-url", help="Its sub stream.")] = None,
    transport: Annotated[Transports, typer.Option("--transport", help="How media travels.")] = Transports.TCP,
    username: Annotated[str | None, typer.Option("--username", help="What the camera asks for.")] = None,
    password_stdin: Annotated[
        bool, typer.Option("--password-stdin", help="Read the camera's password from stdin (or VMS_CAMERA_PASSWORD).")
    ] = False,
    recording: Annotated[RecordingMode, typer.Option("--recording", help="When to record it.")] = (
        RecordingMode.CONTINUOUS
    ),
    policy_file: _PolicyFile = None,
    sub_recording: Annotated[
        RecordingMode | None, typer.Option("--sub-recording", help="When to record the sub stream, where that differs.")
    ] = None,
    pre_event_s: Annotated[
        int | None, typer.Option("--pre-event", min=0, max=600, help="Seconds kept from before an event (60).")
    ] = None,
    post_event_s: Annotated[
        int | None, typer.Option("--post-event", min=0, max=3600, help="Seconds kept from after it (30).")
    ] = None,
    days: Annotated[int | None, typer.Option("--days", min=1, help="Remove recordings after so many days.")] = None,
    max_gib: Annotated[int | None, typer.Option("--max-gib", min=1, help="Keep within so many GiB.")] = None,
    min_days: Annotated[
        int | None, typer.Option("--min-days", min=1, help="Guaranteed: nothing younger goes for want of space.")
    ] = None,
    main_days: Annotated[
        int | None, typer.Option("--main-days", min=1, help="Keep only the sub stream after so many days.")
    ] = None,
    group: Annotated[str | None, typer.Option("--group", help="Name or identifier of its group.")] = None,
    *,
    connection: Connection,
    as_json: options.Json = False,
) -> None:
    """Adds a camera."""
    streams: dict[str, Any] = {"main": {"url": camera_url, "transport": transport.value}}
    if sub_url is not None:
        streams["sub"] = {"url": sub_url, "transport": transport.value}
    draft: dict[str, Any] = {
        "name": name,
        "streams": streams,
        "recording": _policy(policy_file, recording),
        "retention": {
            "days": days,
            "max_bytes": None if max_gib is None else max_gib << 30,
            "min_days": min_days,
            "main_days": main_days,
        },
    }
    for key, value in (("pre_event_s", pre_event_s), ("post_event_s", post_event_s)):
        if value is not None:
            draft["recording"][key] = value
    if sub_recording is not None:
        draft["recording"]["streams"] = {"sub": sub_recording.value}
    if username is not None:
        draft["credentials"] = {"username": username, "password": _camera_password(password_stdin)}
    elif password_stdin:
        raise Failure("invalid", "--password-stdin goes with --username")
    with connection.open() as server:
        if group is not None:
            draft["group_id"] = _group_id(server, group)
        camera = server.post("/cameras", draft)
    if as_json:
        options.print_json(camera)
    else:
        print(camera["id"])


def _policy(policy_file: Path | None, mode: RecordingMode) -> dict[str, Any]:
    """The policy of a file, or the mode alone."""
    if policy_file is None:
        return {"mode": mode.value}
    try:
        policy = json.loads(policy_file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise Failure("invalid", f"the policy {policy_file} cannot be read: {error}") from error
    if not isinstance(policy, dict):
        raise Failure("invalid", f"the policy {policy_file} is no JSON object")
    return policy


def _group_id(server: Server, name_or_id: str) -> str:
    for group in server.every("/groups"):
        if name_or_id == group["id"] or name_or_id.casefold() == group["name"].casefold():
            return str(group["id"])
    raise Failure("not_found", f"no group has the name or identifier {name_or_id}")


@app.command("record")
@connecting
def record(
    camera: Annotated[str, typer.Argument(help="Name or identifier.")],
    stop: Annotated[bool, typer.Option("--stop", help="Stop what was started by hand.")] = False,
    seconds: Annotated[int | None, typer.Option("--seconds", min=1, help="End by itself after so long.")] = None,
    *,
    connection: Connection,
) -> None:
    """Starts (or stops) recording by hand."""
    if stop and seconds is not None:
        raise Failure("invalid", "--seconds goes with a start")
    order: dict[str, Any] = {"state": "stop" if stop else "start"}
    if seconds is not None:
        order["seconds"] = seconds
    with connection.open() as server:
        state = server.post(f"/cameras/{server.camera(camera)['id']}/recording", order)
    print(", ".join(f"{stream}: {recording}" for stream, recording in state["streams"].items()))


def _camera_password(from_stdin: bool) -> str | None:
    if not from_stdin:
        return os.environ.get("VMS_CAMERA_PASSWORD")
    if sys.stdin.isatty():
        return str(typer.prompt("Camera's password", hide_input=True))
    return sys.stdin.readline().rstrip("\n")


@app.command("list")
@connecting
def list_cameras(
    *,
    connection: Connection,
    as_json: options.Json = False,
) -> None:
    """Lists the cameras with their state."""
    with connection.open() as server:
        cameras = [
            {**camera, "status": server.get(f"/cameras/{camera['id']}/status")} for camera in server.every("/cameras")
        ]
    if as_json:
        options.print_json({"items": cameras, "next_cursor": None})
        return
    options.print_table(
        ["ID", "NAME", "STATE", "PICTURE", "RATE", "RECORDING", "URL", "REASON"],
        [
            [
                camera["id"],
                camera["name"],
                camera["status"]["state"],
                _picture(camera["status"]),
                f"{camera['status']['bitrate_bps'] / 1e6:.2f} Mbit/s",
                "yes" if camera["status"]["recording"] else "no",
                camera["streams"]["main"]["url"],
                camera["status"]["reason"],
            ]
            for camera in cameras
        ],
    )


def _picture(status: dict[str, Any]) -> str:
    if not status["codec"]:
        return "-"
    return f"{status['codec']} {status['width']}x{status['height']} {status['fps']:.4g}/s"


@app.command("remove")
@connecting
def remove(
    camera: Annotated[str, typer.Argument(help="Name or identifier.")],
    *,
    connection: Connection,
) -> None:
    """Removes a camera; its recordings stay on the disk."""
    with connection.open() as server:
        server.delete(f"/cameras/{server.camera(camera)['id']}")


@app.command("discover")
def discover(as_json: options.Json = False) -> None:  # noqa: ARG001
    """Finds cameras on the network (not available yet)."""
    raise Failure("not_available_yet", "finding cameras on the network is not available yet; use `vms camera add`")
