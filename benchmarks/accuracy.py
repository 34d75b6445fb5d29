"""How well pictures are understood: a detector and the rules against what was drawn by eye (`evaluation/`), and the
tracker beside the library `trackers`, both on the same findings."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from benchmarks.report import Figure, percentile
from vms.adapters.evaluation import Seen, TrackingScores, Truth, score_tracking
from vms.ai.tracking import Tracker
from vms.app.evaluation import Looked, evaluate, look, truth_of
from vms.app.models import open_shelf
from vms.domain.errors import Failure
from vms.domain.motion import Box
from vms.domain.vision import Finding

# As cameras have them unless somebody changes it.
LEAST_SCORE = 0.5
_Follow = Callable[[Sequence[Finding], float], list[Seen]]


def measure(model: str | None = None, *, across: int = 1, data_dir: Path | None = None) -> list[Figure]:
    """At 10, 5 and 2 pictures a second."""
    truth = truth_of("vtest")
    shelf = open_shelf(data_dir)
    default = shelf.default("detect")
    if model is None and default is None:
        raise Failure("not_found", "no detector is installed")
    found = shelf.get(model or (default.manifest.name if default is not None else ""))
    every = look(truth, found, fps=truth.clip.fps, across=across)
    figures: list[Figure] = []
    for fps in (10, 5, 2):
        step = truth.clip.fps // fps
        findings = {number: seen for number, seen in every.findings.items() if number % step == 0}
        result = evaluate(truth, found.manifest.name, Looked(findings, step, every.ms), across=across)
        road = next(scores for scores in result.events if scores.rule == "road")
        off_percent = 100 * abs(road.found - road.true) / road.true
        figures += [
            Figure(f"{fps}/s: AP50", result.detection.ap50, ""),
            Figure(f"{fps}/s: AP", result.detection.ap, ""),
            Figure(f"{fps}/s: crossings found ({road.true} are true)", road.found, ""),
            Figure(f"{fps}/s: count of crossings off by", off_percent, "%", target=10),
            Figure(f"{fps}/s: false events in 80 s", result.false_events, "", target=2),
        ]
        for name, follow in (("ours", _ours(truth)), ("trackers", _library(truth, fps))):
            scores, ms = _run(truth, findings, follow)
            figures += [
                Figure(f"{fps}/s, {name}: IDF1", scores.idf1, ""),
                Figure(f"{fps}/s, {name}: HOTA", scores.hota, ""),
                Figure(f"{fps}/s, {name}: MOTA", scores.mota, ""),
                Figure(f"{fps}/s, {name}: a picture, P50", ms, "ms"),
            ]
    return figures


def _run(truth: Truth, findings: Mapping[int, Sequence[Finding]], follow: _Follow) -> tuple[TrackingScores, float]:
    tracks: dict[int, list[Seen]] = {}
    times_ms: list[float] = []
    for number, found in findings.items():
        wanted = [finding for finding in found if finding.label == truth.label and finding.score >= 0.4 * LEAST_SCORE]
        began = time.perf_counter()
        tracks[number] = follow(wanted, number / truth.clip.fps)
        times_ms.append(1000 * (time.perf_counter() - began))
    return score_tracking({number: truth.at(number) for number in findings}, tracks), percentile(times_ms, 0.5)


def _ours(truth: Truth) -> _Follow:
    tracker = Tracker(least_score=LEAST_SCORE, aspect=truth.clip.width / truth.clip.height)

    def follow(findings: Sequence[Finding], at_s: float) -> list[Seen]:
        tracks = tracker.see(findings, round((1 + at_s) * 1e6))
        return [Seen(track.number, track.box) for track in tracks if track.seen]

    return follow


def _library(truth: Truth, fps: float) -> _Follow:
    """With our thresholds: its own are for another detector."""
    import supervision
    from trackers import ByteTrackTracker

    warnings.simplefilter("ignore")
    tracker = ByteTrackTracker(
        frame_rate=fps,
        track_activation_threshold=LEAST_SCORE,
        high_conf_det_threshold=LEAST_SCORE,
        lost_track_buffer=60,
    )
    width, height = truth.clip.width, truth.clip.height

    def follow(findings: Sequence[Finding], at_s: float) -> list[Seen]:
        boxes = [(f.box.left * width, f.box.top * height, f.box.right * width, f.box.bottom * height) for f in findings]
        detections = supervision.Detections(
            xyxy=np.array(boxes, dtype=float).reshape(-1, 4),
            confidence=np.array([finding.score for finding in findings]),
            class_id=np.zeros(len(findings), dtype=int),
        )
        tracks = tracker.update(detections, timestamp=at_s)
        numbers: list[int] = [] if tracks.tracker_id is None else tracks.tracker_id.tolist()
        return [
            Seen(number, Box(left / width, top / height, right / width, bottom / height))
            for (left, top, right, bottom), number in zip(tracks.xyxy.tolist(), numbers, strict=True)
            if number >= 0
        ]

    return follow
