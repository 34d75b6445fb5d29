"""How a command reaches the running server: six options that every such command takes as one `Connection`."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any

import httpx
import typer

from vms.app.cli.client import Server
from vms.domain.errors import Failure

_Url = Annotated[str, typer.Option("--server", "--url", envvar="VMS_URL", help="The server.", show_default=True)]
# Where --url is the camera's.
_ServerOnly = Annotated[str, typer.Option("--server", envvar="VMS_URL", help="The server.", show_default=True)]
_Login = Annotated[str, typer.Option("--login", envvar="VMS_USER", help="User to log in as.", show_default=True)]
_Password = Annotated[
    str | None,
    typer.Option(
        "--password", envvar=["VMS_PASSWORD", "VMS_ADMIN_PASSWORD"], help="Its password; better in the environment."
    ),
]
_Token = Annotated[
    str | None, typer.Option("--token", envvar="VMS_TOKEN", help="An access token, instead of a log-in.")
]
_CertificateFile = Annotated[
    Path | None, typer.Option("--ca", envvar="VMS_CA", help="PEM file with the server's (self-signed) certificate.")
]
_Insecure = Annotated[bool, typer.Option("--insecure", help="Do not check the server's certificate.")]
_ANNOTATIONS = {
    "url": _Url,
    "login": _Login,
    "password": _Password,
    "token": _Token,
    "ca": _CertificateFile,
    "insecure": _Insecure,
}


@dataclass(frozen=True)
class Connection:
    """Where the server is and as whom to talk to it."""

    url: str = "http://127.0.0.1:8080"
    login: str = "admin"
    password: str | None = None
    token: str | None = None
    ca: Path | None = None
    insecure: bool = False

    @contextmanager
    def open(self) -> Iterator[Server]:
        """The server for the length of a command. Raises Failure(invalid) for what can never work."""
        verify: Any = not self.insecure
        if self.ca is not None:
            import ssl

            try:
                verify = ssl.create_default_context(cafile=str(self.ca))
            except (OSError, ssl.SSLError) as error:
                raise Failure("invalid", f"the certificate file {self.ca} cannot be read") from error
        try:
            http = httpx.Client(base_url=self.url, verify=verify, timeout=30.0, trust_env=False)
        except (httpx.InvalidURL, ValueError) as error:
            raise Failure("invalid", f"not a server's URL: {self.url}") from error
        with http:
            yield Server(http, self.login, self.password, self.token)


def connecting(command: Callable[..., Any], *, url_is_taken: bool = False) -> Callable[..., Any]:
    """The command with its parameter `connection` as options. Typer reads options from a signature, so one is made:
    the command's own parameters, then those of `Connection`. `url_is_taken`: the command has a --url of its own."""
    own = inspect.signature(command, eval_str=True).parameters.values()
    annotations = {**_ANNOTATIONS, "url": _ServerOnly} if url_is_taken else _ANNOTATIONS
    parameters = [
        *(
            parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)
            for parameter in own
            if parameter.name != "connection"
        ),
        *(
            inspect.Parameter(
                field.name,
                inspect.Parameter.KEYWORD_ONLY,
                default=field.default,
                annotation=annotations[field.name],
            )
            for field in fields(Connection)
        ),
    ]

    def run(**arguments: Any) -> Any:
        connection = Connection(**{field.name: arguments.pop(field.name) for field in fields(Connection)})
        return command(connection=connection, **arguments)

    run.__name__ = command.__name__
    run.__doc__ = command.__doc__
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # what inspect.signature honours
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return run
