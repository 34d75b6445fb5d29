"""When cameras are recorded, for how long that is kept, and what nothing removes."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Adds the cameras' columns and the tables."""
    # Null: the mode of recording_mode alone, as rows of before have it.
    op.add_column("cameras", sa.Column("recording", sa.JSON))
    op.add_column("cameras", sa.Column("retention_min_days", sa.Integer))
    op.add_column("cameras", sa.Column("retention_main_days", sa.Integer))
    op.add_column("cameras", sa.Column("group_id", sa.String(36)))
    op.create_table(
        "camera_groups",
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("name_key", sa.Text, nullable=False, unique=True),
        sa.Column("retention", sa.JSON, nullable=False),
        sa.Column("created_us", sa.BigInteger, nullable=False),
        sa.Column("updated_us", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "former_cameras",
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("retention", sa.JSON, nullable=False),
        sa.Column("group_id", sa.String(36)),
        sa.Column("removed_us", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "recording_spans",
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("camera_id", sa.String(36), nullable=False),
        sa.Column("stream", sa.String(16), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("start_us", sa.BigInteger, nullable=False),
        sa.Column("end_us", sa.BigInteger),
        sa.Column("wanted", sa.JSON(none_as_null=True)),
        sa.Column("judged_us", sa.BigInteger, nullable=False),
    )
    op.create_index("ix_recording_spans_camera_id", "recording_spans", ["camera_id"])
    op.create_table(
        "manual_recordings",
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("camera_id", sa.String(36), nullable=False),
        sa.Column("start_us", sa.BigInteger, nullable=False),
        sa.Column("end_us", sa.BigInteger),
        sa.Column("started_by", sa.Text, nullable=False),
    )
    op.create_index("ix_manual_recordings_camera_id", "manual_recordings", ["camera_id"])
    op.create_table(
        "evidence_locks",
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("camera_ids", sa.JSON, nullable=False),
        sa.Column("start_us", sa.BigInteger, nullable=False),
        sa.Column("end_us", sa.BigInteger, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("owner", sa.Text, nullable=False),
        sa.Column("until_us", sa.BigInteger),
        sa.Column("created_us", sa.BigInteger, nullable=False),
        sa.Column("released_us", sa.BigInteger),
        sa.Column("released_by", sa.Text),
    )
