"""An installation that does not run, opened for a command."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vms.adapters.clock import SystemClock
from vms.adapters.passwords import Argon2Hasher
from vms.adapters.sql import SqlSessionRepository, SqlUserRepository, open_database
from vms.app.data_dir import DataDir
from vms.contracts.access import Access
from vms.contracts.accounts import TokenClaims
from vms.contracts.grants import Grant
from vms.domain.errors import Failure
from vms.gateway.service import AccessService


class _NoSigner:
    """Nobody logs in to an installation that does not run."""

    def sign(self, claims: TokenClaims | Grant, now_us: int = 0) -> str:
        raise Failure("unavailable", "nothing is signed while no server runs")

    def verify(self, token: str, now_us: int = 0) -> TokenClaims:
        raise Failure("unauthorized", "nobody is logged in while no server runs")


class _NoGrants:
    def sign(self, grant: Grant) -> str:
        raise Failure("unavailable", "nothing is signed while no server runs")

    def verify(self, token: str) -> Grant:
        raise Failure("unauthorized", "no link is good while no server runs")


@contextmanager
def access(data_dir: Path) -> Iterator[Access]:
    """The users of an installation. Raises Failure(conflict) while a server runs on it."""
    if not (data_dir / "vms.sqlite3").is_file():
        raise Failure("not_found", f"{data_dir} is no data directory of a server")
    with DataDir(data_dir) as directory:
        database = open_database(directory.database_url)
        try:
            yield AccessService(
                users=SqlUserRepository(database),
                session_repository=SqlSessionRepository(database),
                hasher=Argon2Hasher(),
                tokens=_NoSigner(),
                grants=_NoGrants(),
                clock=SystemClock(),
            )
        finally:
            database.dispose()
