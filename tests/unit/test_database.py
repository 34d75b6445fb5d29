"""Opening and migrating the database."""

from __future__ import annotations

from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import text

from vms.adapters.sql import SqlCameraRepository, check, open_database
from vms.adapters.sql.schema import metadata
from vms.domain.errors import Failure


def test_migrations_lead_to_the_schema(tmp_path: Path) -> None:
    engine = open_database(f"sqlite:///{tmp_path / 'vms.sqlite3'}")
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
        assert connection.execute(text("PRAGMA journal_mode")).scalar() == "wal"
        assert connection.execute(text("PRAGMA synchronous")).scalar() == 2
        assert connection.execute(text("PRAGMA foreign_keys")).scalar() == 1
    check(engine)
    engine.dispose()
    open_database(f"sqlite:///{tmp_path / 'vms.sqlite3'}").dispose()


@pytest.mark.parametrize("url", ["sqlite:////no/such/place/vms.sqlite3", "nonsense", "nosuch://x/y"])
def test_databases_that_cannot_be_opened(url: str) -> None:
    with pytest.raises(Failure) as refused:
        open_database(url)
    assert refused.value.kind == "unavailable"
    assert "\n" not in refused.value.detail


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    path = tmp_path / "vms.sqlite3"
    path.write_bytes(b"recordings of great value" * 100)
    with pytest.raises(Failure, match="not a database"):
        open_database(f"sqlite:///{path}")
    assert path.read_bytes().startswith(b"recordings")


def test_a_database_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'vms.sqlite3'}"
    engine = open_database(url)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    engine.dispose()
    with pytest.raises(Failure, match="9999"):
        open_database(url)


def test_a_database_that_breaks_meanwhile(tmp_path: Path) -> None:
    engine = open_database(f"sqlite:///{tmp_path / 'vms.sqlite3'}")
    with engine.begin() as connection:
        connection.execute(text("DROP TABLE cameras"))
    with pytest.raises(Failure) as refused:
        SqlCameraRepository(engine).page(None, 1)
    assert refused.value.kind == "unavailable"
    with pytest.raises(Failure):
        SqlCameraRepository(engine).remove("x")
    engine.dispose()
