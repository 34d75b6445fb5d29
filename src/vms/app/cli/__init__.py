"""The command line `vms`."""

from __future__ import annotations

import os
import sys
from importlib import metadata
from typing import Annotated

import typer

from vms.app.cli import cameras, demo, events, exports, locks, models, serve, simulate, storage, users
from vms.app.logging import configure
from vms.domain.errors import Failure

app = typer.Typer(
    name="vms",
    help="VMS Enterprise: a video management system.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"vms {metadata.version('vms')}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """VMS Enterprise: a video management system."""


app.command("serve")(serve.serve)
app.command("demo")(demo.demo)
app.command("run")(serve.run)
app.add_typer(cameras.app, name="camera")
app.add_typer(events.app, name="event")
app.add_typer(storage.app, name="storage")
app.add_typer(locks.app, name="lock")
app.add_typer(models.app, name="models")
app.command("export")(exports.export)
app.add_typer(users.app, name="user")
app.command("simulate")(simulate.simulate)
# The benches have a command line of their own, --help included.
app.command(
    "bench", add_help_option=False, context_settings={"allow_extra_args": True, "ignore_unknown_options": True}
)(simulate.bench)


def main(arguments: list[str] | None = None) -> None:
    """Runs a command; errors are one line on stderr and a non-zero exit."""
    # Services log at work in this process too (`vms user --data-dir`); stdout is the command's alone.
    configure("warning", "console")
    try:
        status = app(arguments, standalone_mode=False, prog_name="vms")
    except typer.TyperException as error:
        _end(error.format_message(), getattr(error, "exit_code", 2))
    except (typer.Abort, KeyboardInterrupt):
        _end("interrupted", 130)
    except Failure as failure:
        _end(failure.detail, 1)
    except BrokenPipeError:
        # Whoever read our output has gone; nothing is left to say, not even at the interpreter's end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    sys.stdout.flush()
    sys.exit(status if isinstance(status, int) else 0)


def _end(message: str, status: int) -> None:
    line = " ".join(message.split())
    sys.stderr.write(f"vms: {line}\n")
    sys.exit(status or 1)
