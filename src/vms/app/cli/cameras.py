"""`vms camera`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from vms.app.cli import options
from vms.app.cli.client import connected
from vms.domain.errors import Failure

app = typer.Typer(help="Adds, lists and removes cameras of the running server.", no_args_is_help=True)


@app.command("add")
def add(
    name: Annotated[str, typer.Argument(help="What to call it.")],
    main_url: Annotated[str, typer.Argument(metavar="URL", help="rtsp:// or rtsps:// of the main stream.")],
    sub_url: Annotated[str | None, typer.Option("--sub", help="URL of the sub stream.")] = None,
    transport: Annotated[str, typer.Option("--transport", help="tcp or udp.")] = "tcp",
    camera_username: Annotated[str | None, typer.Option("--camera-username", help="What the camera asks for.")] = None,
    camera_password: Annotated[
        str | None,
        typer.Option("--camera-password", envvar="VMS_CAMERA_PASSWORD", help="Better in the environment."),
    ] = None,
    record: Annotated[bool, typer.Option("--record/--no-record", help="Whether to record it.")] = True,
    url: options.Url = options.DEFAULT_URL,
    login: options.Login = options.DEFAULT_LOGIN,
    password: options.Password = None,
    token: options.Token = None,
    ca: options.CertificateFile = None,
    insecure: options.Insecure = False,
    as_json: options.Json = False,
) -> None:
    """Adds a camera."""
    streams: dict[str, Any] = {"main": {"url": main_url, "transport": transport}}
    if sub_url is not None:
        streams["sub"] = {"url": sub_url, "transport": transport}
    draft: dict[str, Any] = {
        "name": name,
        "streams": streams,
        "recording": {"mode": "continuous" if record else "off"},
    }
    if camera_username is not None:
        draft["credentials"] = {"username": camera_username, "password": camera_password}
    with connected(url, login, password, token, ca, insecure) as server:
        camera = server.post("/cameras", draft)
    if as_json:
        options.print_json(camera)
    else:
        print(camera["id"])


@app.command("list")
def list_cameras(
    url: options.Url = options.DEFAULT_URL,
    login: options.Login = options.DEFAULT_LOGIN,
    password: options.Password = None,
    token: options.Token = None,
    ca: options.CertificateFile = None,
    insecure: options.Insecure = False,
    as_json: options.Json = False,
) -> None:
    """Lists the cameras with their state."""
    with connected(url, login, password, token, ca, insecure) as server:
        cameras = [
            {**camera, "status": server.get(f"/cameras/{camera['id']}/status")} for camera in server.every("/cameras")
        ]
    if as_json:
        options.print_json({"items": cameras, "next_cursor": None})
        return
    options.print_table(
        ["ID", "NAME", "STATE", "PICTURE", "RATE", "RECORDING", "URL"],
        [
            [
                camera["id"],
                camera["name"],
                camera["status"]["state"],
                _picture(camera["status"]),
                f"{camera['status']['bitrate_bps'] / 1e6:.2f} Mbit/s",
                "yes" if camera["status"]["recording"] else "no",
                camera["streams"]["main"]["url"],
            ]
            for camera in cameras
        ],
    )


def _picture(status: dict[str, Any]) -> str:
    if not status["codec"]:
        return "-"
    return f"{status['codec']} {status['width']}x{status['height']} {status['fps']:.4g}/s"


@app.command("remove")
def remove(
    camera: Annotated[str, typer.Argument(help="Name or identifier.")],
    url: options.Url = options.DEFAULT_URL,
    login: options.Login = options.DEFAULT_LOGIN,
    password: options.Password = None,
    token: options.Token = None,
    ca: options.CertificateFile = None,
    insecure: options.Insecure = False,
) -> None:
    """Removes a camera; its recordings stay on the disk."""
    with connected(url, login, password, token, ca, insecure) as server:
        server.delete(f"/cameras/{server.camera(camera)['id']}")


@app.command("discover")
def discover(as_json: options.Json = False) -> None:  # noqa: ARG001
    """Finds cameras on the network (not available yet)."""
    raise Failure("not_available_yet", "finding cameras on the network is not available yet; use `vms camera add`")
