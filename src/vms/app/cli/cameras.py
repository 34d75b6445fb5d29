"""`vms camera`."""

from __future__ import annotations

import os
import sys
from enum import StrEnum
from functools import partial
from typing import Annotated, Any

import typer

from vms.app.cli import options
from vms.app.cli.connection import Connection, connecting
from vms.domain.errors import Failure
from vms.domain.recording_policy import RecordingMode

app = typer.Typer(help="Adds, lists and removes cameras of the running server.", no_args_is_help=True)


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
        "recording": {"mode": recording.value},
    }
    if username is not None:
        draft["credentials"] = {"username": username, "password": _camera_password(password_stdin)}
    elif password_stdin:
        raise Failure("invalid", "--password-stdin goes with --username")
    with connection.open() as server:
        camera = server.post("/cameras", draft)
    if as_json:
        options.print_json(camera)
    else:
        print(camera["id"])


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
