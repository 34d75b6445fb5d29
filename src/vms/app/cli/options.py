"""Options that several commands share, and how they print."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

Url = Annotated[str, typer.Option("--server", "--url", envvar="VMS_URL", help="The server.", show_default=True)]
# Where --url is the camera's.
ServerOnly = Annotated[str, typer.Option("--server", envvar="VMS_URL", help="The server.", show_default=True)]
Token = Annotated[str | None, typer.Option("--token", envvar="VMS_TOKEN", help="An access token, instead of a log-in.")]
Login = Annotated[str, typer.Option("--login", envvar="VMS_USER", help="User to log in as.", show_default=True)]
Password = Annotated[
    str | None,
    typer.Option(
        "--password", envvar=["VMS_PASSWORD", "VMS_ADMIN_PASSWORD"], help="Its password; better in the environment."
    ),
]
CertificateFile = Annotated[
    Path | None, typer.Option("--ca", envvar="VMS_CA", help="PEM file with the server's (self-signed) certificate.")
]
Insecure = Annotated[bool, typer.Option("--insecure", help="Do not check the server's certificate.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]

DEFAULT_URL = "http://127.0.0.1:8080"
DEFAULT_LOGIN = "admin"


def print_json(value: Any) -> None:
    """The value as one JSON document."""
    print(json.dumps(value, ensure_ascii=False, indent=2))


def print_table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Columns as wide as they need to be."""
    table = [list(head), *[["" if cell is None else str(cell) for cell in row] for row in rows]]
    widths = [max(len(row[column]) for row in table) for column in range(len(head))]
    for row in table:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def print_bytes(size: float) -> str:
    """A size for people."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"
