"""`vms event`."""

from __future__ import annotations

import json
from itertools import islice
from typing import Annotated, Any

import typer

from vms.app.cli import options
from vms.app.cli.connection import Connection, connecting
from vms.domain.errors import Failure
from vms.domain.time import format_time, parse_time

app = typer.Typer(help="What happened at the cameras.", no_args_is_help=True)


@app.command("add")
@connecting
def add(
    camera: Annotated[str, typer.Argument(help="Name or identifier.")],
    event_type: Annotated[str, typer.Argument(metavar="TYPE", help="A dotted word such as door.opened.")],
    start: Annotated[str | None, typer.Option("--start", help="RFC 3339; now by default.")] = None,
    end: Annotated[str | None, typer.Option("--end", help="RFC 3339; without it the event goes on.")] = None,
    text: Annotated[str, typer.Option("--text", help="A sentence for people.")] = "",
    score: Annotated[float | None, typer.Option("--score", min=0, max=1, help="How sure it is.")] = None,
    data: Annotated[str, typer.Option("--data", help="A JSON object with whatever else is known.")] = "{}",
    event_id: Annotated[
        str | None, typer.Option("--id", help="The identifier of an open event closes it, with --start and --end.")
    ] = None,
    *,
    connection: Connection,
    as_json: options.Json = False,
) -> None:
    """Adds an event; prints its identifier once it is safe on the server's disk."""
    event: dict[str, Any] = {"type": event_type, "text": text, "data": _object(data)}
    optional = {"id": event_id, "score": score, "start": _time("start", start), "end": _time("end", end)}
    event |= {name: value for name, value in optional.items() if value is not None}
    with connection.open() as server:
        kept = server.post("/events", {**event, "camera_id": server.camera(camera)["id"]})
    if as_json:
        options.print_json(kept)
    else:
        print(kept["id"])


@app.command("list")
@connecting
def list_events(
    cameras: Annotated[list[str] | None, typer.Option("--camera", help="Name or identifier; repeatable.")] = None,
    types: Annotated[list[str] | None, typer.Option("--type", help="A type; repeatable.")] = None,
    start: Annotated[str | None, typer.Option("--start", help="RFC 3339.")] = None,
    end: Annotated[str | None, typer.Option("--end", help="RFC 3339.")] = None,
    words: Annotated[str | None, typer.Option("--search", help="Words in text or type.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="How many at most.")] = 100,
    *,
    connection: Connection,
    as_json: options.Json = False,
) -> None:
    """Lists events, newest first."""
    query = {"type": types or None, "start": _time("start", start), "end": _time("end", end), "q": words}
    with connection.open() as server:
        names = {camera["id"]: camera["name"] for camera in server.every("/cameras")}
        camera_ids = [server.camera(camera)["id"] for camera in cameras or []]
        events = list(islice(server.every("/events", camera_id=camera_ids or None, **query), limit))
    if as_json:
        options.print_json({"items": events, "next_cursor": None})
        return
    options.print_table(
        ["START", "END", "CAMERA", "TYPE", "SCORE", "SOURCE", "TEXT", "ID"],
        [
            [
                event["start"],
                event["end"] or "open",
                names.get(event["camera_id"], event["camera_id"]),
                event["type"],
                event["score"],
                event["source"],
                event["text"],
                event["id"],
            ]
            for event in events
        ],
    )


def _time(name: str, text: str | None) -> str | None:
    try:
        return None if text is None else format_time(parse_time(text))
    except ValueError as error:
        raise Failure("invalid", f"--{name}: {error}") from error


def _object(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError as error:
        raise Failure("invalid", f"--data is no JSON: {error}") from error
    if not isinstance(value, dict):
        raise Failure("invalid", "--data is a JSON object, such as {}")
    return value
