"""An hour of events as a Parquet file (docs/format/events.md), bytes in and out."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from vms.domain.errors import Failure
from vms.domain.events import Event, data_json

FORMAT_KEY = b"vms.events"
FORMAT_VERSION = b"1"
# Event's fields and the columns that keep them, in their order.
_COLUMNS = {
    "id": "id",
    "camera_id": "camera_id",
    "type": "type",
    "start": "start_us",
    "end": "end_us",
    "source": "source",
    "score": "score",
    "text": "text",
    "data": "data",
    "created": "created_us",
}


def _schema() -> Any:
    # Loading Arrow takes a third of a second and 40 MB: only what reads or writes such files needs it.
    import pyarrow as pa  # type: ignore[import-untyped]  # noqa: PLC0415

    time = pa.timestamp("us", tz="UTC")
    return pa.schema(
        [
            pa.field("id", pa.string(), nullable=False),
            pa.field("camera_id", pa.string(), nullable=False),
            pa.field("type", pa.string(), nullable=False),
            pa.field("start", time, nullable=False),
            pa.field("end", time),
            pa.field("source", pa.string(), nullable=False),
            pa.field("score", pa.float64()),
            pa.field("text", pa.string(), nullable=False),
            pa.field("data", pa.string(), nullable=False),
            pa.field("created", time, nullable=False),
        ]
    )


def encode(events: Iterable[Event]) -> bytes:
    """The file of these events, in the order of their starts."""
    import pyarrow as pa  # noqa: PLC0415
    from pyarrow import parquet  # noqa: PLC0415

    ordered = sorted(events, key=lambda event: (event.start_us, event.id))
    schema = _schema()
    rows = [{**event.model_dump(), "data": data_json(event.data)} for event in ordered]
    arrays = [
        pa.array([row[name] for row in rows], type=pa.int64()).cast(schema.field(column).type)
        if pa.types.is_timestamp(schema.field(column).type)
        else pa.array([row[name] for row in rows], type=schema.field(column).type)
        for column, name in _COLUMNS.items()
    ]
    sink = pa.BufferOutputStream()
    with parquet.ParquetWriter(
        sink,
        schema,
        compression="zstd",
        use_dictionary=["camera_id", "type", "source"],
        write_page_checksum=True,
        store_schema=False,
    ) as writer:
        writer.write_table(pa.Table.from_arrays(arrays, schema=schema))
        writer.add_key_value_metadata({FORMAT_KEY: FORMAT_VERSION})
    return bytes(sink.getvalue())


def decode(data: bytes) -> list[Event]:
    """The events of a file. Raises Failure(malformed) for bytes that are none, or of a version we do not know."""
    import pyarrow as pa  # noqa: PLC0415
    from pyarrow import parquet  # noqa: PLC0415

    try:
        file = parquet.ParquetFile(pa.BufferReader(data), page_checksum_verification=True)
        version = (file.metadata.metadata or {}).get(FORMAT_KEY)
        if version != FORMAT_VERSION:
            raise Failure("malformed", f"its version is {version!r}, not {FORMAT_VERSION!r}")
        table = file.read(columns=list(_COLUMNS))
        columns: dict[str, list[Any]] = {}
        for column, name in _COLUMNS.items():
            values = table.column(column)
            if pa.types.is_timestamp(values.type):
                values = values.cast(pa.timestamp("us", tz="UTC")).cast(pa.int64())
            columns[name] = values.to_pylist()
        columns["data"] = [json.loads(text) for text in columns["data"]]
        return [Event(**dict(zip(columns, row, strict=True))) for row in zip(*columns.values(), strict=True)]
    except (pa.ArrowException, OSError, ValueError, KeyError, TypeError) as error:
        raise Failure("malformed", f"it is no Parquet file of events: {str(error).splitlines()[0]}") from error
