"""Decisions about exports and throughput."""

from __future__ import annotations

import pytest

from vms.contracts.media import ExportProgress
from vms.domain.errors import Failure, FieldFailure
from vms.domain.recordings import Export, Span
from vms.storage import exports
from vms.storage.throughput import Throughput


def _export(**fields: object) -> Export:
    base = {
        "id": "e", "camera_ids": ["c"], "span": Span(start_us=0, end_us=1), "format": "mp4", "state": "running",
        "owner": "o", "created_us": 0, "updated_us": 0,
    }  # fmt: skip
    return Export.model_validate({**base, **fields})


def test_progress_never_goes_back_and_ends_at_one() -> None:
    half = exports.advanced(_export(), ExportProgress(state="running", progress=0.5), 1)
    back = exports.advanced(half, ExportProgress(state="running", progress=0.2), 2)
    assert (half.progress, back.progress, back.updated_us) == (0.5, 0.5, 2)
    done = exports.advanced(back, ExportProgress(state="done", progress=0.9, path="/p", sha256="s"), 3)
    assert (done.state, done.progress, done.path, done.sha256) == ("done", 1.0, "/p", "s")
    assert exports.advanced(done, ExportProgress(state="failed"), 4) is done


def test_matroska_is_not_done_when_the_core_is() -> None:
    export = exports.advanced(_export(format="mkv"), ExportProgress(state="done", progress=1.0, path="/p.mp4"), 1)
    assert (export.state, export.progress, export.path) == ("running", 0.7, None)
    failed = exports.advanced(_export(format="mkv"), ExportProgress(state="failed", error="disk full"), 1)
    assert (failed.state, failed.error) == ("failed", "disk full")


def test_orders() -> None:
    exports.check_order(["a", "b"], "zip", 0)
    for camera_ids, form in (
        ([], "mp4"),
        (["a", "b"], "mp4"),
        (["a", "a"], "zip"),
        ([str(n) for n in range(65)], "zip"),
    ):
        with pytest.raises(FieldFailure):
            exports.check_order(camera_ids, form, 0)  # type: ignore[arg-type]  # both are formats
    with pytest.raises(Failure, match="4 exports are running"):
        exports.check_order(["a"], "mp4", 4)


def test_exports_do_not_reach_into_the_future() -> None:
    assert exports.clamp(Span(start_us=0, end_us=10), 5) == Span(start_us=0, end_us=5)
    with pytest.raises(FieldFailure, match="future"):
        exports.clamp(Span(start_us=5, end_us=10), 5)


def test_throughput_is_of_the_window_alone() -> None:
    throughput = Throughput(window_s=10)
    assert throughput.bytes_per_second() == 0
    for second in range(0, 21, 2):
        throughput.read(second, second * 100)
    assert throughput.bytes_per_second() == 100
    for second in range(22, 40, 2):
        throughput.read(second, 2000)
    assert throughput.bytes_per_second() == 0
    throughput.read(40, 5)
    assert throughput.bytes_per_second() == 0
    throughput.read(42, 25)
    assert throughput.bytes_per_second() == 10
