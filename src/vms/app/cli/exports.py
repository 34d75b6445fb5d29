"""`vms export`."""

from __future__ import annotations

import hashlib
import sys
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from vms.app.cli import options
from vms.app.cli.client import Server
from vms.app.cli.connection import Connection, connecting
from vms.domain.errors import Failure
from vms.domain.time import format_time, parse_time

_POLL_S = 0.3


@connecting
def export(
    cameras: Annotated[list[str], typer.Argument(metavar="CAMERA...", help="Names or identifiers.")],
    start: Annotated[str, typer.Option("--start", help="RFC 3339.")],
    end: Annotated[str, typer.Option("--end", help="RFC 3339.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="File to write.")],
    form: Annotated[str | None, typer.Option("--format", help="mp4, mkv or zip; else by the file's suffix.")] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Keep the export on the server too.")] = False,
    *,
    connection: Connection,
    as_json: options.Json = False,
) -> None:
    """Exports recordings into a file, and checks its SHA-256."""
    chosen = form or output.suffix.lstrip(".").lower()
    if chosen not in {"mp4", "mkv", "zip"}:
        raise Failure("invalid", f"{output} does not end in .mp4, .mkv or .zip; give --format")
    if not output.absolute().parent.is_dir():
        raise Failure("invalid", f"there is no directory {output.absolute().parent}")
    order = {"start": _time("start", start), "end": _time("end", end), "format": chosen}
    with connection.open() as server:
        camera_ids = [server.camera(camera)["id"] for camera in cameras]
        made = server.post("/exports", {"camera_ids": camera_ids, **order})
        try:
            made = _finished(server, made)
            _download(server, made, output)
        finally:
            if not keep:
                server.delete(f"/exports/{made['id']}")
    if as_json:
        options.print_json({**made, "output": str(output)})
    else:
        print(f"{output}  {options.print_bytes(output.stat().st_size)}  sha256 {made['sha256']}")


def _time(name: str, text: str) -> str:
    try:
        return format_time(parse_time(text))
    except ValueError as error:
        raise Failure("invalid", f"--{name}: {error}") from error


def _finished(server: Server, made: dict[str, Any]) -> dict[str, Any]:
    shown = sys.stderr.isatty()
    while made["state"] in {"queued", "running"}:
        time.sleep(_POLL_S)
        made = server.get(f"/exports/{made['id']}")
        if shown:
            sys.stderr.write(f"\r{made['progress']:6.1%}")
    if shown:
        sys.stderr.write("\r        \r")
    if made["state"] != "done":
        raise Failure("unavailable", f"the export {made['state']}: {made['error'] or 'no reason given'}")
    return made


def _download(server: Server, made: dict[str, Any], output: Path) -> None:
    draft = output.with_name(f".{output.name}.part")
    digest = hashlib.sha256()
    try:
        with server.download(f"/exports/{made['id']}/download") as response, draft.open("wb") as file:
            for piece in response.iter_bytes():
                digest.update(piece)
                file.write(piece)
        if made["sha256"] is not None and digest.hexdigest() != made["sha256"]:
            raise Failure("malformed", "what was downloaded is not what the server exported (SHA-256 differs)")
        draft.replace(output)
    except OSError as error:
        raise Failure("unavailable", f"{output} cannot be written: {error.strerror or error}") from error
    finally:
        draft.unlink(missing_ok=True)
