"""`vms storage`."""

from __future__ import annotations

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
    """Shows what recordings take."""
    with connection.open() as server:
        found = server.get("/storage")
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


@app.command("verify")
def verify() -> None:
    """Checks the recordings against their checksums (not available yet)."""
    raise Failure("not_available_yet", "storage verify is not available yet")


@app.command("rebuild")
def rebuild() -> None:
    """Makes the catalogue of recordings anew from the files (not available yet)."""
    raise Failure("not_available_yet", "storage rebuild is not available yet; torn files are repaired at every start")
