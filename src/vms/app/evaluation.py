"""How well this installation understands a clip whose truth is known: the product's own way from the picture to the
event, but for cameras and clocks."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from vms.adapters.evaluation import (
    DetectionScores,
    EventScores,
    FoundEvent,
    Seen,
    TrackingScores,
    Truth,
    pictures,
    read_truth,
    score_detection,
    score_events,
    score_tracking,
)
from vms.adapters.inference.backends import WorkerOptions
from vms.adapters.inference.runner import WorkerRunner
from vms.ai.camera_analysis import WatchedCamera
from vms.ai.tiles import merged, tiles
from vms.contracts.frames import Frame, FramePlace
from vms.contracts.inference import DeviceInfo, InstalledModel, Job
from vms.domain.analysis import AnalysisSettings
from vms.domain.errors import Failure
from vms.domain.vision import Finding, Look, Occurrence

# Average precision counts what a model is unsure of too.
_LEAST_SCORE = 0.05
_START_US = 1_700_000_000_000_000
_LOOK = Look(0.5, 0.2, 0.05)


@dataclass(frozen=True)
class Looked:
    """What a model found in every `step`-th picture, and how long it took for one."""

    findings: Mapping[int, tuple[Finding, ...]]
    step: int
    ms: float


@dataclass(frozen=True)
class Evaluation:
    """`events`: a line for each rule."""

    clip: str
    model: str
    fps: float
    tiles: int
    pictures: int
    ms_per_picture: float
    detection: DetectionScores
    tracking: TrackingScores
    events: tuple[EventScores, ...]

    @property
    def false_events(self) -> int:
        return sum(scores.false for scores in self.events)


def truth_of(clip: str, directory: Path | None = None) -> Truth:
    """The truth of a clip by name; `directory` holds those of other clips than these sources bring."""
    root = directory or Path(__file__).parents[3] / "evaluation"
    if not (root / clip).is_dir():
        known = ", ".join(sorted(path.name for path in root.glob("*/"))) or "none"
        raise Failure("not_found", f"there is no ground truth of a clip {clip!r} in {root}: {known}")
    return read_truth(root / clip)


def look(truth: Truth, model: InstalledModel, *, fps: float, across: int = 1, threads: int = 1) -> Looked:
    """Runs a model over a clip in a process of its own, as cameras' pictures are. `across`: tiles side by side."""
    clip = truth.clip
    step = round(clip.fps / fps)
    if step < 1 or abs(clip.fps / step - fps) > 0.01:
        raise Failure("invalid", f"{clip.path.name} has {clip.fps} pictures a second: {fps:g} do not divide them")
    device = DeviceInfo(id="cpu", kind="cpu", backend="onnxruntime CPUExecutionProvider")
    runner = WorkerRunner(WorkerOptions(device=device, threads=threads))
    regions = tiles(across, clip.width / clip.height)
    found: dict[int, tuple[Finding, ...]] = {}
    taken_s = 0.0
    try:
        runner.restart()
        runner.load(model)
        with tempfile.NamedTemporaryFile(prefix="vms-eval-") as memory:
            for number, picture in pictures(clip, step):
                memory.seek(0)
                memory.write(picture.tobytes())
                memory.flush()
                frame = _frame(truth, number, Path(memory.name))
                began = time.perf_counter()
                of_each = [
                    runner.run(model.manifest.name, [Job(frame, model.manifest.name, region, least_score=_LEAST_SCORE)])
                    for region in regions
                ]
                found[number] = merged([(r, one[0]) for r, one in zip(regions, of_each, strict=True)])
                taken_s += time.perf_counter() - began
    finally:
        runner.close()
    return Looked(found, step, 1000 * taken_s / max(1, len(found)))


def evaluate(truth: Truth, model: str, looked: Looked, *, across: int = 1) -> Evaluation:
    """Follows what was found and lets the clip's rules see it, with the settings that cameras have unless somebody
    changes them."""
    clip = truth.clip
    settings = AnalysisSettings(enabled=True, labels=(truth.label,), rules=truth.rules)
    camera = WatchedCamera("evaluation", settings, model)
    tracks: dict[int, list[Seen]] = {}
    occurrences: list[Occurrence] = []
    for number, findings in looked.findings.items():
        seen = camera.see(_frame(truth, number, Path()), camera.relevant(findings))
        if seen is not None:
            tracks[number] = [Seen(track.number, track.box, track.score) for track in seen.tracks if track.seen]
            occurrences += seen.occurrences
    measured = {number: truth.at(number) for number in looked.findings}
    wanted = {
        number: [Seen(0, finding.box, finding.score) for finding in findings if finding.label == truth.label]
        for number, findings in looked.findings.items()
    }
    events = [_event(occurrence) for occurrence in occurrences if occurrence.phase != "ended"]
    return Evaluation(
        clip=clip.path.name,
        model=model,
        fps=clip.fps / looked.step,
        tiles=across,
        pictures=len(looked.findings),
        ms_per_picture=looked.ms,
        detection=score_detection(clip, measured, wanted),
        tracking=score_tracking(measured, tracks),
        events=tuple(score_events(rule.id, clip.fps, truth.events, events) for rule in truth.rules),
    )


def _frame(truth: Truth, number: int, memory: Path) -> Frame:
    clip = truth.clip
    return Frame(
        camera_id="evaluation",
        stream="sub",
        at_us=_START_US + number * 1_000_000 // clip.fps,
        pts=number * 90_000 // clip.fps,
        clock_rate=90_000,
        width=clip.width,
        height=clip.height,
        place=FramePlace(str(memory), 0),
        look=_LOOK,
        sent_width=clip.width,
        sent_height=clip.height,
    )


def _event(occurrence: Occurrence) -> FoundEvent:
    direction = str(occurrence.details.get("direction", ""))
    return FoundEvent(occurrence.rule_id, (occurrence.at_us - _START_US) / 1e6, direction)
