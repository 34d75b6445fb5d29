"""Decisions about exports."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from vms.contracts.media import ExportProgress
from vms.domain.errors import Failure, FieldFailure
from vms.domain.recordings import FINAL_EXPORT_STATES, Export, ExportFormat, Span

MAX_RUNNING = 4
MAX_CAMERAS = 64
# Of an export whose container is rewritten afterwards, what the rewriting counts for.
REMUX_SHARE = 0.3


def check_order(camera_ids: Sequence[str], export_format: ExportFormat, running: int) -> None:
    """Raises FieldFailure for an order that cannot be filled, Failure(exhausted) when enough are being filled."""
    if not camera_ids:
        raise FieldFailure("/camera_ids", "name at least one camera")
    if len(camera_ids) > MAX_CAMERAS:
        raise FieldFailure("/camera_ids", f"an export has at most {MAX_CAMERAS} cameras")
    if len(set(camera_ids)) != len(camera_ids):
        raise FieldFailure("/camera_ids", "a camera is named twice")
    if export_format != "zip" and len(camera_ids) > 1:
        raise FieldFailure("/format", f"{export_format} holds one camera; use zip for several")
    if running >= MAX_RUNNING:
        raise Failure("exhausted", f"{running} exports are running; wait for one to end", code="too-many-exports")


def core_format(export_format: ExportFormat) -> Literal["mp4", "zip"]:
    """What the media core is asked to write; Matroska is made from its MP4."""
    return "zip" if export_format == "zip" else "mp4"


def advanced(export: Export, progress: ExportProgress, now_us: int) -> Export:
    """The export after the media core's report. One that is rewritten afterwards is not done when the core is."""
    if export.state in FINAL_EXPORT_STATES:
        return export
    rewritten = export.format == "mkv"
    done = progress.state == "done" and not rewritten
    share = 1.0 - REMUX_SHARE if rewritten else 1.0
    return export.model_copy(
        update={
            "state": "running" if progress.state == "done" and rewritten else progress.state,
            "progress": 1.0 if done else min(1.0, max(export.progress, progress.progress * share)),
            "bytes_written": progress.bytes_written,
            "error": progress.error,
            "path": progress.path if done else None,
            "sha256": progress.sha256 if done else None,
            "files": progress.files if done else [],
            "updated_us": now_us,
        }
    )


def failed(export: Export, reason: str, now_us: int) -> Export:
    """The export, given up."""
    return export.model_copy(update={"state": "failed", "error": reason, "updated_us": now_us})


def clamp(span: Span, now_us: int) -> Span:
    """The span, not reaching into the future: what is not recorded yet cannot be exported."""
    if span.start_us >= now_us:
        raise FieldFailure("/start", "the span lies in the future", code="span-in-future")
    return Span(start_us=span.start_us, end_us=min(span.end_us, now_us))
