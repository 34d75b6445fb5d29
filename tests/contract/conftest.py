"""Each contract is tried on every adapter that claims to satisfy it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from vms.adapters.sql import open_database


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Engine]:
    engine = open_database(f"sqlite:///{tmp_path / 'vms.sqlite3'}")
    yield engine
    engine.dispose()
