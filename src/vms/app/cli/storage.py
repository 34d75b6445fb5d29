"""`vms storage`."""

from __future__ import annotations

from typing import Any

import typer

from vms.app.cli import options
from vms.app.cli.connection import Connection, connecting
from vms.domain.errors import Failure

app = typer.Typer(help="The archive and its disk.", no_args_is_help=True)


@app.command("usage")
@connecting
def usage(
    *,
    connection: Connection,
    as_json: options.Json = False,
) -> None:
    """Shows what recordings take, by volume and camera, and how long the disk lasts."""
    with connection.open() as server:
        found = server.get("/storage")
        names = {} if as_json else {camera["id"]: camera["name"] for camera in server.every("/cameras")}
    if as_json:
        options.print_json(found)
        return
    options.print_table(
        ["RECORDED", "FREE", "DISK", "WRITING"],
        [
            [
                options.print_bytes(found["recorded_bytes"]),
                options.print_bytes(found["disk_free_bytes"]),
                options.print_bytes(found["disk_total_bytes"]),
                options.print_bytes(found["write_bytes_per_second"]) + "/s",
            ]
        ],
    )
    if found["volumes"]:
        print()
        options.print_table(
            ["VOLUME", "STATE", "RECORDED", "FREE", "SIZE", "A DAY", "OLDEST", "FORECAST"],
            [
                [
                    volume["name"],
                    volume["state"],
                    options.print_bytes(volume["recorded_bytes"]),
                    options.print_bytes(volume["free_bytes"]),
                    options.print_bytes(volume["total_bytes"]),
                    _a_day(volume),
                    _minute(volume["oldest"]),
                    _forecast(volume["forecast"]),
                ]
                for volume in found["volumes"]
            ],
        )
    if found["cameras"]:
        print()
        options.print_table(
            ["CAMERA", "RECORDED", "A DAY", "OLDEST", "NEWEST", "DAYS LEFT"],
            [
                [
                    names.get(camera["camera_id"], f"{camera['camera_id']} (removed)"),
                    options.print_bytes(camera["bytes"]),
                    _a_day(camera),
                    _minute(camera["oldest"]),
                    _minute(camera["newest"]),
                    "no limit" if camera["days_left"] is None else f"{camera['days_left']:.1f}",
                ]
                for camera in sorted(found["cameras"], key=lambda camera: -camera["bytes"])
            ],
        )


def _a_day(row: dict[str, Any]) -> str:
    return "-" if row["bytes_per_day"] is None else options.print_bytes(row["bytes_per_day"])


def _minute(time: str | None) -> str:
    return "-" if time is None else time[:16].replace("T", " ") + "Z"


def _forecast(forecast: dict[str, Any]) -> str:
    if forecast["days_left"] is None:
        return "-"
    what = "full in" if forecast["outcome"] == "full" else "held by retention in"
    return f"{what} {forecast['days_left']:.1f} days"


@app.command("verify")
def verify() -> None:
    """Checks the recordings against their checksums (not available yet)."""
    raise Failure("not_available_yet", "storage verify is not available yet")


@app.command("rebuild")
def rebuild() -> None:
    """Makes the catalogue of recordings anew from the files (not available yet)."""
    raise Failure("not_available_yet", "storage rebuild is not available yet; torn files are repaired at every start")
