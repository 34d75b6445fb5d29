"""The tables as they are now; `migrations/` leads there. Times are µs since the Unix epoch."""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
)

metadata = MetaData()

cameras = Table(
    "cameras",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("name", Text, nullable=False),
    # The name without regard to case, which SQL's own functions only know for ASCII.
    Column("name_key", Text, nullable=False, unique=True),
    Column("streams", JSON, nullable=False),
    Column("username", Text),
    Column("sealed_password", LargeBinary),
    Column("recording_mode", String(16), nullable=False),
    Column("retention_days", Integer),
    Column("retention_max_bytes", BigInteger),
    # The whole policy; null: the mode of recording_mode alone.
    Column("recording", JSON(none_as_null=True)),
    # Null: as every camera begins.
    Column("motion", JSON(none_as_null=True)),
    Column("analysis", JSON(none_as_null=True)),
    Column("retention_min_days", Integer),
    Column("retention_main_days", Integer),
    Column("group_id", String(36)),
    Column("created_us", BigInteger, nullable=False),
    Column("updated_us", BigInteger, nullable=False),
)

camera_groups = Table(
    "camera_groups",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("name", Text, nullable=False),
    Column("name_key", Text, nullable=False, unique=True),
    Column("retention", JSON, nullable=False),
    Column("created_us", BigInteger, nullable=False),
    Column("updated_us", BigInteger, nullable=False),
)

# Removed cameras: the limits under which their recordings stay.
former_cameras = Table(
    "former_cameras",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("name", Text, nullable=False),
    Column("retention", JSON, nullable=False),
    Column("group_id", String(36)),
    Column("removed_us", BigInteger, nullable=False),
)

recording_spans = Table(
    "recording_spans",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("camera_id", String(36), nullable=False),
    Column("stream", String(16), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("start_us", BigInteger, nullable=False),
    Column("end_us", BigInteger),
    Column("wanted", JSON(none_as_null=True)),
    Column("judged_us", BigInteger, nullable=False),
    Index("ix_recording_spans_camera_id", "camera_id"),
)

manual_recordings = Table(
    "manual_recordings",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("camera_id", String(36), nullable=False),
    Column("start_us", BigInteger, nullable=False),
    Column("end_us", BigInteger),
    Column("started_by", Text, nullable=False),
    Index("ix_manual_recordings_camera_id", "camera_id"),
)

evidence_locks = Table(
    "evidence_locks",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("camera_ids", JSON, nullable=False),
    Column("start_us", BigInteger, nullable=False),
    Column("end_us", BigInteger, nullable=False),
    Column("reason", Text, nullable=False),
    Column("owner", Text, nullable=False),
    Column("until_us", BigInteger),
    Column("created_us", BigInteger, nullable=False),
    Column("released_us", BigInteger),
    Column("released_by", Text),
)

exports = Table(
    "exports",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("camera_ids", JSON, nullable=False),
    Column("start_us", BigInteger, nullable=False),
    Column("end_us", BigInteger, nullable=False),
    Column("format", String(8), nullable=False),
    Column("state", String(16), nullable=False, index=True),
    Column("progress", Float, nullable=False),
    Column("bytes_written", BigInteger, nullable=False),
    Column("error", Text),
    Column("path", Text),
    Column("sha256", String(64)),
    Column("files", JSON, nullable=False),
    Column("owner", Text, nullable=False),
    Column("created_us", BigInteger, nullable=False),
    Column("updated_us", BigInteger, nullable=False),
)

users = Table(
    "users",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("name", Text, nullable=False),
    Column("name_key", Text, nullable=False, unique=True),
    Column("role", String(16), nullable=False),
    Column("password_hash", Text, nullable=False),
    Column("created_us", BigInteger, nullable=False),
)

sessions = Table(
    "sessions",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("user_id", String(36), ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
    Column("generation", Integer, nullable=False),
    Column("created_us", BigInteger, nullable=False),
    Column("expires_us", BigInteger, nullable=False),
    Column("revoked", Boolean, nullable=False),
    Index("ix_sessions_user_id", "user_id"),
    Index("ix_sessions_expires_us", "expires_us"),
)

# A cache of the event log's files.
events = Table(
    "events",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("camera_id", String(36), nullable=False),
    Column("type", String(64), nullable=False),
    Column("start_us", BigInteger, nullable=False),
    Column("end_us", BigInteger),
    Column("source", String(128), nullable=False),
    Column("score", Float),
    Column("text", Text, nullable=False),
    Column("data", JSON, nullable=False),
    Column("created_us", BigInteger, nullable=False),
    # Type and text without regard to case, which SQL's own functions only know for ASCII.
    Column("search_key", Text, nullable=False),
    Index("ix_events_start_us", "start_us", "id"),
    Index("ix_events_camera_id", "camera_id", "start_us", "id"),
)

# Counts by the minute of what analysis found; a minute's mean is total ÷ samples.
analysis_counts = Table(
    "analysis_counts",
    metadata,
    Column("camera_id", String(36), primary_key=True),
    Column("minute_us", BigInteger, primary_key=True, autoincrement=False),
    Column("kind", String(16), primary_key=True),
    Column("label", String(64), primary_key=True),
    Column("rule_id", String(64), primary_key=True),
    Column("direction", String(8), primary_key=True),
    Column("count", Integer, nullable=False),
    Column("total", Float, nullable=False),
    Column("samples", Integer, nullable=False),
    Column("peak", Integer, nullable=False),
    Index("ix_analysis_counts_minute_us", "minute_us"),
)

# Up to where the files of each camera and hour are in `events`.
event_hours = Table(
    "event_hours",
    metadata,
    Column("camera_id", String(36), primary_key=True),
    Column("hour_us", BigInteger, primary_key=True, autoincrement=False),
    Column("journal_bytes", BigInteger, nullable=False),
    Column("parquet_bytes", BigInteger, nullable=False),
    Column("parquet_modified_ns", BigInteger, nullable=False),
)
