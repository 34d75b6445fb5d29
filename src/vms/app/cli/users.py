"""`vms user`: on the running server, or with --data-dir on an installation that does not run."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Protocol

import typer

from vms.app.cli import options
from vms.app.cli.client import Server
from vms.app.cli.connection import Connection, connecting
from vms.domain.errors import Failure
from vms.domain.permissions import Role
from vms.domain.time import format_time

app = typer.Typer(help="Adds and lists users, and sets passwords.", no_args_is_help=True)
Offline = Annotated[
    Path | None,
    typer.Option("--data-dir", help="Work on this data directory while no server runs on it (a forgotten password)."),
]
NewPassword = Annotated[
    str | None,
    typer.Option("--new-password", envvar="VMS_NEW_PASSWORD", help="Else asked for, or read from stdin."),
]


class _Accounts(Protocol):
    def users(self) -> list[dict[str, Any]]: ...
    def add(self, name: str, password: str, role: Role) -> dict[str, Any]: ...
    def set_password(self, name: str, password: str) -> None: ...


class _Online:
    def __init__(self, server: Server) -> None:
        self._server = server

    def users(self) -> list[dict[str, Any]]:
        return list(self._server.get("/users")["items"])

    def add(self, name: str, password: str, role: Role) -> dict[str, Any]:
        added: dict[str, Any] = self._server.post("/users", {"name": name, "password": password, "role": role.value})
        return added

    def set_password(self, name: str, password: str) -> None:
        self._server.put(f"/users/{name}/password", {"password": password})


class _InDirectory:
    def __init__(self, data_dir: Path) -> None:
        from vms.app.offline import access

        self._access = access(data_dir)

    def users(self) -> list[dict[str, Any]]:
        with self._access as access:
            return [
                {"id": user.id, "name": user.name, "role": user.role.value, "created_at": format_time(user.created_us)}
                for user in access.users()
            ]

    def add(self, name: str, password: str, role: Role) -> dict[str, Any]:
        with self._access as access:
            user = access.add_user(name, password, role)
        return {"id": user.id, "name": user.name, "role": user.role.value, "created_at": format_time(user.created_us)}

    def set_password(self, name: str, password: str) -> None:
        with self._access as access:
            access.set_password(name, password)


@contextmanager
def _accounts(
    data_dir: Path | None,
    connection: Connection,
) -> Iterator[_Accounts]:
    if data_dir is not None:
        yield _InDirectory(data_dir)
        return
    with connection.open() as server:
        yield _Online(server)


@app.command("list")
@connecting
def list_users(
    data_dir: Offline = None,
    *,
    connection: Connection,
    as_json: options.Json = False,
) -> None:
    """Lists the users."""
    with _accounts(data_dir, connection) as accounts:
        users = accounts.users()
    if as_json:
        options.print_json({"items": users, "next_cursor": None})
    else:
        options.print_table(
            ["NAME", "ROLE", "SINCE"], [[user["name"], user["role"], user["created_at"]] for user in users]
        )


@app.command("add")
@connecting
def add(
    name: Annotated[str, typer.Argument()],
    role: Annotated[Role, typer.Option("--role")] = Role.VIEWER,
    new_password: NewPassword = None,
    data_dir: Offline = None,
    *,
    connection: Connection,
) -> None:
    """Adds a user."""
    chosen = _chosen(new_password)
    with _accounts(data_dir, connection) as accounts:
        print(accounts.add(name, chosen, role)["id"])


@app.command("passwd")
@connecting
def set_password(
    name: Annotated[str, typer.Argument()],
    new_password: NewPassword = None,
    data_dir: Offline = None,
    *,
    connection: Connection,
) -> None:
    """Sets a user's password and ends that user's sessions."""
    chosen = _chosen(new_password)
    with _accounts(data_dir, connection) as accounts:
        accounts.set_password(name, chosen)


def _chosen(new_password: str | None) -> str:
    if new_password is not None:
        return new_password
    if sys.stdin.isatty():
        return str(typer.prompt("New password", hide_input=True, confirmation_prompt=True))
    line = sys.stdin.readline().rstrip("\n")
    if not line:
        raise Failure("invalid", "give the new password on stdin, by --new-password or VMS_NEW_PASSWORD")
    return line
