"""Opening the database and bringing its schema up to date."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import alembic.command
import alembic.config
import alembic.util
from sqlalchemy import Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import ArgumentError, IntegrityError, SQLAlchemyError

from vms.domain.errors import Failure

_MIGRATIONS = Path(__file__).parent / "migrations"


def open_database(url: str) -> Engine:
    """The database at an SQLAlchemy URL (`sqlite:////path/vms.db`), its schema at the newest revision.

    Raises Failure(unavailable) when it cannot be opened, is no database, or was written by a newer version.
    """
    try:
        parsed = make_url(url)
        sqlite = parsed.get_backend_name() == "sqlite"
        # Statements of SQLite begin on their own; a write waits for another one's end rather than failing.
        engine = create_engine(parsed, connect_args={"timeout": 10} if sqlite else {})
    except (ArgumentError, ImportError) as error:
        raise Failure("unavailable", "the database's URL cannot be used") from error
    if sqlite:
        event.listen(engine, "connect", _prepare_sqlite)
    try:
        _migrate(engine)
    except (SQLAlchemyError, alembic.util.CommandError) as error:
        engine.dispose()
        reason = str(getattr(error, "orig", None) or error).splitlines()[0]
        raise Failure("unavailable", f"the database {parsed.database} cannot be used: {reason}") from error
    return engine


def check(engine: Engine) -> None:
    """Raises Failure(unavailable) when the database does not answer."""
    with reading(engine) as connection:
        connection.execute(text("SELECT 1"))


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """A connection to read from."""
    try:
        with engine.connect() as connection:
            yield connection
    except SQLAlchemyError as error:
        raise _unavailable(error) from error


@contextmanager
def writing(engine: Engine, *, is_cache: bool = False) -> Iterator[Connection]:
    """A transaction: all that is done in it lasts, or nothing. What is a cache of something safe need not be safe at
    once: a power cut may undo the newest transactions then, in the order in which they came.

    Raises Failure(conflict, name-taken) where a rule of the schema is broken: names are the only such rule that
    callers can break.
    """
    try:
        with engine.connect() as connection, _synchronous(connection, is_cache), connection.begin():
            yield connection
    except IntegrityError as error:
        raise Failure("conflict", "another one has this name", code="name-taken") from error
    except SQLAlchemyError as error:
        raise _unavailable(error) from error


@contextmanager
def _synchronous(connection: Connection, is_cache: bool) -> Iterator[None]:
    if not (is_cache and connection.dialect.name == "sqlite"):
        yield
        return
    # Of the connection, and only outside of transactions; FULL again for whoever gets it next.
    connection.exec_driver_sql("PRAGMA synchronous=NORMAL")
    connection.rollback()
    try:
        yield
    finally:
        connection.exec_driver_sql("PRAGMA synchronous=FULL")


def _unavailable(error: SQLAlchemyError) -> Failure:
    reason = str(getattr(error, "orig", None) or type(error).__name__).splitlines()[0]
    return Failure("unavailable", f"the database does not work: {reason}")


def _prepare_sqlite(connection: Any, _: object) -> None:
    cursor = connection.cursor()
    # WAL: readers and the one writer do not wait for each other. FULL: what is acknowledged survives a power cut.
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "busy_timeout=10000"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _migrate(engine: Engine) -> None:
    config = alembic.config.Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        alembic.command.upgrade(config, "head")
