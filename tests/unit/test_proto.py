"""`vms.v1` stays what it is: numbers and types of fields never change, so that peers of different age understand each
other."""

from __future__ import annotations

import json
import pkgutil
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from vms.adapters.grpc import generated
from vms.adapters.grpc.generated import archive_pb2, files_pb2, ingest_pb2, picture_pb2
from vms.adapters.grpc.messages import fill, read
from vms.contracts import files, media
from vms.domain import cameras, recordings
from vms.domain.errors import Failure

GOLDEN = Path(__file__).parents[1] / "golden" / "proto" / "vms.v1.json"


def _package() -> dict[str, Any]:
    """Every message's fields, enumeration's values and service's calls, by name."""
    found: dict[str, Any] = {}

    def add(message: Any) -> None:
        found[message.full_name] = {
            field.name: [field.number, field.type, field.is_repeated] for field in message.fields
        }
        for nested in message.nested_types:
            add(nested)

    for module in pkgutil.iter_modules(generated.__path__):
        if not module.name.endswith("_pb2"):
            continue
        file = import_module(f"{generated.__name__}.{module.name}").DESCRIPTOR
        for message in file.message_types_by_name.values():
            add(message)
        for enum in file.enum_types_by_name.values():
            found[enum.full_name] = {value.name: value.number for value in enum.values}
        for service in file.services_by_name.values():
            for method in service.methods:
                found[f"{service.full_name}/{method.name}"] = [
                    method.input_type.full_name,
                    method.output_type.full_name,
                    method.server_streaming,
                ]
    return found


def test_nothing_that_was_there_has_changed() -> None:
    """Additions are fine: write them down with `python -m tests.unit.test_proto`."""
    kept: dict[str, Any] = json.loads(GOLDEN.read_text())
    package = _package()
    for name, entry in kept.items():
        assert name in package, f"{name} is gone: reserve its number and say so in the golden file"
        if isinstance(entry, list):
            assert package[name] == entry, name
            continue
        for field, value in entry.items():
            assert package[name].get(field) == value, f"{name}.{field}"
    added = [f"{name}.{field}" for name in package for field in package[name] if field not in kept.get(name, ())]
    assert added == [], "write them down with `python -m tests.unit.test_proto`"


PAIRS: list[tuple[Any, type[BaseModel], set[str]]] = [
    (ingest_pb2.CameraSource, media.CameraSource, set()),
    (ingest_pb2.StreamSource, cameras.StreamSource, set()),
    (ingest_pb2.CameraStatus, cameras.CameraStatus, set()),
    (ingest_pb2.StreamStatus, cameras.StreamStatus, set()),
    (picture_pb2.Picture, media.Picture, set()),
    (archive_pb2.Timeline, recordings.Timeline, set()),
    (archive_pb2.RecordedRange, recordings.RecordedRange, set()),
    (archive_pb2.Gap, recordings.Gap, set()),
    # The way from one process's path to the other's is not a field.
    (archive_pb2.ExportProgress, media.ExportProgress, {"name", "path"}),
    (archive_pb2.ExportFile, recordings.ExportFile, {"separate"}),
    (archive_pb2.StartExportRequest, media.ExportOrder, {"export_id", "directory"}),
    (archive_pb2.MediaMetrics, media.MediaMetrics, set()),
    (archive_pb2.WebRtcFigures, media.WebRtcFigures, set()),
    (archive_pb2.TapFigures, media.TapFigures, set()),
    (archive_pb2.DelayFigures, media.DelayFigures, set()),
    (archive_pb2.RepairReport, media.RepairReport, set()),
    (files_pb2.RecordedFile, files.RecordedFile, set()),
    (files_pb2.RemovedFile, files.RemovedFile, set()),
    (files_pb2.FileChanges, files.FileChanges, set()),
    (files_pb2.FileReport, files.FileReport, set()),
    (files_pb2.VolumeStatus, files.VolumeStatus, set()),
]


@pytest.mark.parametrize(("message", "model", "apart"), PAIRS, ids=lambda entry: getattr(entry, "__name__", ""))
def test_messages_have_the_fields_of_the_contracts(message: Any, model: type[BaseModel], apart: set[str]) -> None:
    """A field that is in a contract alone would be lost on the way."""
    assert {field.name for field in message.DESCRIPTOR.fields} ^ set(model.model_fields) == apart


def test_values_come_back_as_they_were() -> None:
    source = media.CameraSource.model_validate(
        {
            "streams": {"main": {"url": "rtsp://é/", "transport": "udp"}, "sub": {"url": "rtsp://h/s"}},
            "username": "",
            "password": "s3crét",
            "recording": {"main": "buffered", "sub": "off"},
        }
    )
    message = fill(ingest_pb2.CameraSource(), source)
    assert read(ingest_pb2.CameraSource.FromString(message.SerializeToString()), media.CameraSource) == source
    bare = media.CameraSource(streams={})
    assert read(fill(ingest_pb2.CameraSource(), bare), media.CameraSource) == bare
    status = cameras.CameraStatus(
        state="unauthorized", last_frame_us=0, clock_offset_us=-5, streams={"sub": cameras.StreamStatus(fps=29.97)}
    )
    assert read(fill(ingest_pb2.CameraStatus(), status), cameras.CameraStatus) == status
    metrics = media.MediaMetrics(recorded_bytes=2**50, webrtc=media.WebRtcFigures(viewers=3))
    assert read(fill(archive_pb2.MediaMetrics(), metrics), media.MediaMetrics) == metrics
    assert read(fill(archive_pb2.MediaMetrics(), media.MediaMetrics()), media.MediaMetrics).webrtc is None


def test_messages_that_carry_no_value_are_refused() -> None:
    unset = ingest_pb2.CameraStatus()
    newer = ingest_pb2.CameraStatus(state=99)  # type: ignore[arg-type]  # a word that a newer peer knows
    for message in (unset, newer):
        with pytest.raises(Failure, match="CameraStatus") as refused:
            read(message, cameras.CameraStatus)
        assert refused.value.kind == "malformed"


if __name__ == "__main__":
    GOLDEN.write_text(json.dumps(_package(), indent=1, sort_keys=True) + "\n")
