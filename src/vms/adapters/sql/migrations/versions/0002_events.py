"""Events, and the files that they were read from."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Makes the tables."""
    op.create_table(
        "events",
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("camera_id", sa.String(36), nullable=False),
        sa.Column("type", sa.String(64), nullable=False),
        sa.Column("start_us", sa.BigInteger, nullable=False),
        sa.Column("end_us", sa.BigInteger),
        sa.Column("source", sa.String(128), nullable=False),
        sa.Column("score", sa.Float),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("data", sa.JSON, nullable=False),
        sa.Column("created_us", sa.BigInteger, nullable=False),
        sa.Column("search_key", sa.Text, nullable=False),
    )
    op.create_index("ix_events_start_us", "events", ["start_us", "id"])
    op.create_index("ix_events_camera_id", "events", ["camera_id", "start_us", "id"])
    op.create_table(
        "event_hours",
        sa.Column("camera_id", sa.String(36), primary_key=True),
        sa.Column("hour_us", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("journal_bytes", sa.BigInteger, nullable=False),
        sa.Column("parquet_bytes", sa.BigInteger, nullable=False),
        sa.Column("parquet_modified_ns", sa.BigInteger, nullable=False),
    )


def downgrade() -> None:
    """Drops them."""
    for table in ("event_hours", "events"):
        op.drop_table(table)
