"""How cameras' pictures are understood, and counts of what was found."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Null: as every camera begins. Counts are a cache: they begin empty."""
    op.add_column("cameras", sa.Column("analysis", sa.JSON))
    op.create_table(
        "analysis_counts",
        sa.Column("camera_id", sa.String(36), primary_key=True),
        sa.Column("minute_us", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("kind", sa.String(16), primary_key=True),
        sa.Column("label", sa.String(64), primary_key=True),
        sa.Column("rule_id", sa.String(64), primary_key=True),
        sa.Column("direction", sa.String(8), primary_key=True),
        sa.Column("count", sa.Integer, nullable=False),
        sa.Column("total", sa.Float, nullable=False),
        sa.Column("samples", sa.Integer, nullable=False),
        sa.Column("peak", sa.Integer, nullable=False),
    )
    op.create_index("ix_analysis_counts_minute_us", "analysis_counts", ["minute_us"])
