"""Catalogues in SQL: SQLAlchemy Core over SQLite (and, with the same schema, PostgreSQL); Alembic migrates."""

from vms.adapters.sql.accounts import SqlSessionRepository, SqlUserRepository
from vms.adapters.sql.analysis import SqlCounts
from vms.adapters.sql.catalog import SqlCameraRepository, SqlExportRepository
from vms.adapters.sql.database import check, open_database
from vms.adapters.sql.events import SqlEventRepository
from vms.adapters.sql.keeping import (
    SqlFormerCameraRepository,
    SqlGroupRepository,
    SqlLockRepository,
    SqlRecordingHistory,
)

__all__ = [
    "SqlCameraRepository",
    "SqlCounts",
    "SqlEventRepository",
    "SqlExportRepository",
    "SqlFormerCameraRepository",
    "SqlGroupRepository",
    "SqlLockRepository",
    "SqlRecordingHistory",
    "SqlSessionRepository",
    "SqlUserRepository",
    "check",
    "open_database",
]
