"""`vms serve` and `vms run`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from vms.domain.errors import Failure

SERVICES = ("ingest", "storage", "stream", "api", "gateway", "ai", "rules")
DataDir = Annotated[Path, typer.Option("--data-dir", help="Where recordings, keys and the catalogue are kept.")]
ConfigFile = Annotated[Path | None, typer.Option("--config", help="The configuration, vms.toml.")]
Host = Annotated[str | None, typer.Option("--host", help="Address to listen on [default: 127.0.0.1].")]
PortOption = Annotated[
    int | None, typer.Option("--port", min=0, max=65_535, help="TCP port [default: 8080]; 0 takes a free one.")
]


def serve(data_dir: DataDir, config: ConfigFile = None, host: Host = None, port: PortOption = None) -> int:
    """Runs everything in one process.

    Listens on 127.0.0.1 unless told otherwise; beyond this machine with TLS by a certificate of its own making.
    """
    from vms.app import all_in_one
    from vms.app.config import load

    http: dict[str, Any] = {}
    if host is not None:
        http["host"] = host
    if port is not None:
        http["port"] = port
    settings = load(config, **({"http": http} if http else {}))
    return all_in_one.serve(settings, data_dir)


def run(
    service: Annotated[str, typer.Argument(help=f"One of {', '.join(SERVICES)}, all.")],
    data_dir: Annotated[
        Path | None, typer.Option("--data-dir", help="Where the service keeps what is its own.")
    ] = None,
    config: ConfigFile = None,
) -> int:
    """Runs one service in a process of its own: `storage` so far, for a `vms serve` whose storage.address names it."""
    if service not in {*SERVICES, "all"}:
        raise Failure("invalid", f"no service is called {service}; there are {', '.join(SERVICES)}")
    if service != "storage":
        raise Failure(
            "not_available_yet", f"the service {service} does not run apart yet; `vms serve --data-dir DIR` runs all"
        )
    if data_dir is None:
        raise Failure("invalid", "the storage service needs --data-dir")
    from vms.app import storage_node
    from vms.app.config import load

    return storage_node.run(load(config), data_dir)
