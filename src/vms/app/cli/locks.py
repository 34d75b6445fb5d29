"""`vms lock`."""

from __future__ import annotations

from typing import Annotated

import typer

from vms.app.cli import options
from vms.app.cli.connection import Connection, connecting
from vms.domain.errors import Failure
from vms.domain.time import format_time, parse_time

app = typer.Typer(help="Evidence locks: recordings that nothing removes.", no_args_is_help=True)


@app.command("add")
@connecting
def add(
    cameras: Annotated[list[str], typer.Argument(help="Names or identifiers of cameras.")],
    start: Annotated[str, typer.Option("--start", help="From this time on (RFC 3339).")],
    end: Annotated[str, typer.Option("--end", help="Up to this time.")],
    reason: Annotated[str, typer.Option("--reason", help="Why, for whoever asks later.")],
    until: Annotated[str | None, typer.Option("--until", help="Until this time; else until it is released.")] = None,
    *,
    connection: Connection,
    as_json: options.Json = False,
) -> None:
    """Locks what cameras recorded within a time; prints the lock's identifier."""
    order: dict[str, object] = {"start": _time("start", start), "end": _time("end", end), "reason": reason}
    if until is not None:
        order["until"] = _time("until", until)
    with connection.open() as server:
        order["camera_ids"] = [server.camera(camera)["id"] for camera in cameras]
        lock = server.post("/evidence-locks", order)
    if as_json:
        options.print_json(lock)
    else:
        print(lock["id"])


@app.command("list")
@connecting
def list_locks(
    every: Annotated[bool, typer.Option("--all", help="Also those that ended or were released.")] = False,
    *,
    connection: Connection,
    as_json: options.Json = False,
) -> None:
    """Lists the locks that hold, newest first."""
    with connection.open() as server:
        locks = [lock for lock in server.every("/evidence-locks") if every or lock["active"]]
        names = {} if as_json else {camera["id"]: camera["name"] for camera in server.every("/cameras")}
    if as_json:
        options.print_json({"items": locks, "next_cursor": None})
        return
    options.print_table(
        ["ID", "CAMERAS", "START", "END", "BY", "UNTIL", "REASON", "RELEASED BY"],
        [
            [
                lock["id"],
                ", ".join(names.get(camera_id, camera_id) for camera_id in lock["camera_ids"]),
                lock["start"],
                lock["end"],
                lock["owner"],
                lock["until"] or "released",
                lock["reason"],
                lock["released_by"],
            ]
            for lock in locks
        ],
    )


@app.command("remove")
@connecting
def remove(
    lock: Annotated[str, typer.Argument(help="Identifier of the lock.")],
    *,
    connection: Connection,
) -> None:
    """Releases a lock; it stays listed with who released it."""
    with connection.open() as server:
        server.delete(f"/evidence-locks/{lock}")


def _time(name: str, text: str) -> str:
    try:
        return format_time(parse_time(text))
    except ValueError as error:
        raise Failure("invalid", f"--{name}: {error}") from error
