"""Metrics of analysis, for the page of metrics."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import accumulate
from typing import get_args

from vms.contracts.analysis import BOUNDS_MS, AnalysisFigures, CameraAnalysis
from vms.contracts.inference import PoolFigures

# The label that says which series of a histogram a sample is of; it is not written.
SERIES = "__name__"
Sample = tuple[Mapping[str, str], float]
Family = tuple[str, str, str, list[Sample]]
_STATES: tuple[str, ...] = get_args(CameraAnalysis.model_fields["state"].annotation)


def analysis_families(figures: AnalysisFigures) -> list[Family]:
    """Labels of a camera: `camera`; of a model on a device: `device` and `model`."""
    each: list[tuple[Mapping[str, str], CameraAnalysis]] = [
        ({"camera": camera_id}, status) for camera_id, status in sorted(figures.cameras.items())
    ]
    delays: list[Sample] = []
    for labels, status in each:
        delays.append(({**labels, "quantile": "0.5"}, status.delay_p50_ms))
        delays.append(({**labels, "quantile": "0.95"}, status.delay_p95_ms))
    return [
        ("vms_ai_inference_ms", "histogram", "How long a device took for pictures of a model, in ms.",
         _histogram(figures)),
        ("vms_ai_state", "gauge", "1 for the state that a camera's analysis is in, 0 for the others.",
         [({**labels, "state": state}, status.state == state) for labels, status in each for state in _STATES]),
        ("vms_ai_fps", "gauge", "Pictures of a camera that are understood per second.",
         [(labels, status.frames_per_second) for labels, status in each]),
        ("vms_ai_analysed_total", "counter", "Pictures of a camera that were understood.",
         [(labels, status.analysed) for labels, status in each]),
        ("vms_ai_dropped_total", "counter", "Pictures of a camera that were left out: no free device, or a newer one.",
         [(labels, status.dropped) for labels, status in each]),
        ("vms_ai_delay_ms", "gauge", "From a picture's arrival to its tracks, of the last minute.", delays),
        ("vms_ai_event_delay_ms", "gauge", "From a picture's arrival to its events on the disk, of the last minute.",
         [({"quantile": "0.5"}, figures.event_delay_p50_ms), ({"quantile": "0.95"}, figures.event_delay_p95_ms)]),
        *(_pool(figures.pool) if figures.pool is not None else ()),
    ]  # fmt: skip


def _pool(pool: PoolFigures) -> list[Family]:
    depths: list[Sample] = [
        ({"device": device.device.id, "model": model.model}, model.queue_depth)
        for device in pool.devices
        for model in device.models
    ]
    return [
        ("vms_ai_queue_depth", "gauge", "Pictures that wait for a device, by model.", depths),
        ("vms_ai_device_ready", "gauge", "1 while a device runs models, else 0.",
         [({"device": device.device.id}, device.state == "ready") for device in pool.devices]),
        ("vms_ai_device_busy", "gauge", "Share of the last minute in which a device ran.",
         [({"device": device.device.id}, device.busy) for device in pool.devices]),
        ("vms_ai_device_restarts_total", "counter", "Times that a device's process was started anew.",
         [({"device": device.device.id}, device.restarts) for device in pool.devices]),
        ("vms_ai_jobs_failed_total", "counter", "Pictures that no device could look at.", [({}, pool.failed)]),
        ("vms_ai_jobs_dropped_total", "counter", "Pictures that gave way to newer ones.", [({}, pool.dropped)]),
    ]  # fmt: skip


def _histogram(figures: AnalysisFigures) -> list[Sample]:
    samples: list[Sample] = []
    for times in figures.inference:
        labels = {"device": times.device, "model": times.model}
        bounds = [f"{bound:g}" for bound in BOUNDS_MS]
        for bound, count in zip([*bounds, "+Inf"], accumulate(times.counts), strict=True):
            samples.append(({SERIES: "_bucket", **labels, "le": bound}, count))
        samples.append(({SERIES: "_sum", **labels}, times.sum_ms))
        samples.append(({SERIES: "_count", **labels}, sum(times.counts)))
    return samples
