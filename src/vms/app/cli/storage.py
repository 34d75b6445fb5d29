"""`vms storage`."""

from __future__ import annotations

import typer

from vms.app.cli import options
from vms.app.cli.client import connected
from vms.domain.errors import Failure

app = typer.Typer(help="The archive and its disk.", no_args_is_help=True)


@app.command("usage")
def usage(
    url: options.Url = options.DEFAULT_URL,
    login: options.Login = options.DEFAULT_LOGIN,
    password: options.Password = None,
    token: options.Token = None,
    ca: options.CertificateFile = None,
    insecure: options.Insecure = False,
    as_json: options.Json = False,
) -> None:
    """Shows what recordings take."""
    with connected(url, login, password, token, ca, insecure) as server:
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
