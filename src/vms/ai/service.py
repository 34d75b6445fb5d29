"""Understanding pictures: frames go to the pool, findings become tracks, occurrences, events and boxes.

A frame is held from its arrival to the end of `_finish` (or where it is turned away) and released exactly once. What
cameras are about is touched by one thread alone, the service's own: whoever calls from another one leaves word in its
queue. Events and stills, which wait for a disk and an encoder, have threads of their own.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import structlog

from vms.ai.ageing import drop_old
from vms.ai.best_stills import BestStills, Wanted
from vms.ai.camera_analysis import Seen, WatchedCamera
from vms.ai.delays import Histogram
from vms.ai.event_desk import EventDesk
from vms.ai.heat import Heat
from vms.ai.live_boxes import LiveBoxes
from vms.ai.model_choice import ModelChoice
from vms.ai.occurrence_events import EventBook, end_left_open, event_ids
from vms.ai.regions import Extra, RegionWanted, joined, regions
from vms.ai.still_keeper import StillKeeper
from vms.contracts.analysis import (
    AnalysedFrame,
    AnalysisFigures,
    AnalysisLog,
    CameraAnalysis,
    Count,
    CountRepository,
    EventStill,
    HeatMap,
    InferenceTimes,
    KnownModel,
    LiveListener,
)
from vms.contracts.clock import Clock
from vms.contracts.events import EventLog
from vms.contracts.frames import Frame, FrameSource, Sampling
from vms.contracts.inference import Answer, InferencePool, Job, ModelShelf, PoolFigures
from vms.contracts.stills import JpegMaker
from vms.domain.analysis import AnalysisSettings
from vms.domain.errors import Failure
from vms.domain.models import ModelManifest
from vms.domain.recordings import Span
from vms.domain.vision import Finding

log = structlog.get_logger(__name__)
PERIOD_S = 2.0
AGE_S = 3600.0
# Frames of one camera at a time: one is being looked at, one waits, and a third takes the place of the one that waits.
MOST_IN_FLIGHT = 3
# Of those that a heat map is made of: about an hour's.
FRAMES_AT_ONCE = 20_000
# Without a picture for so long, and three times as long as they may be apart: there are none.
_SILENT_US = 15_000_000


@dataclass(frozen=True)
class Parts:
    """What the service stands on. `cameras` tells the settings of each camera that is to be looked at;
    `recorded_until_us` when the last recording of a camera within a span ends, `recorded_since_us` when its first
    begins."""

    frames: FrameSource
    pool: InferencePool
    shelf: ModelShelf
    events: EventLog
    log: AnalysisLog
    counts: CountRepository
    stills: JpegMaker
    clock: Clock
    cameras: Callable[[], Mapping[str, AnalysisSettings]]
    recorded_until_us: Callable[[str, Span], int | None] = lambda _camera_id, _span: None
    recorded_since_us: Callable[[str], int | None] = lambda _camera_id: None
    # Models that can be installed.
    catalogue: Callable[[], Sequence[ModelManifest]] = tuple
    # By name; None: the shelf's.
    detector: str | None = None


@dataclass
class _Underway:
    """A frame that is being looked at."""

    frame: Frame
    camera: WatchedCamera
    findings: tuple[Finding, ...] = ()
    unusual: Finding | None = None
    is_seen: bool = False
    device: str = ""
    # Answers that are still to come.
    awaited: int = 0
    looked: list[tuple[RegionWanted, Sequence[Finding]]] = field(default_factory=list)


_Work = Callable[[], None]


class AnalysisService:
    """Satisfies `vms.contracts.analysis.Analysis`."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._frames = parts.frames
        self._clock = parts.clock
        self._work: queue.SimpleQueue[_Work | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="analysis", daemon=True)
        self._desk = EventDesk(parts.events, parts.clock)
        self._choice = ModelChoice(parts.shelf, parts.detector)
        self._keeper = StillKeeper(parts.stills, parts.log)
        self._live = LiveBoxes()
        self._book = EventBook(event_ids(parts.clock))
        # Of _watched, the cameras' in_flight and dropped, _failed and _heard_us.
        self._lock = threading.Lock()
        self._watched: dict[str, WatchedCamera] = {}
        self._failed: dict[str, str] = {}
        self._heard_us: dict[str, int] = {}
        self._sampled: dict[str, Sampling] = {}
        self._last_numbers: dict[str, int] = {}
        self._best: dict[str, BestStills] = {}
        self._times: dict[tuple[str, str], Histogram] = {}
        self._is_stopping = False
        self._has_pool = False
        self._complained: str | None = None

    # Its life.

    def start(self) -> None:
        """Ends what an earlier run left open, and begins."""
        try:
            end_left_open(self._parts.events, self._clock, self._parts.recorded_until_us)
        except Failure as failure:
            log.warning("events of analysis of an earlier run are not ended", reason=failure.detail)
        self._keeper.start()
        self._thread.start()
        self._desk.start()
        self._frames.start(self._arrived)

    def stop(self, timeout_s: float) -> None:
        """No picture is looked at any more; what is open ends. Also for one that was not started.

        What is to last comes first: ending processes may take longer than whoever stops the server has time for.
        """
        with self._lock:
            self._is_stopping = True
            watched = list(self._watched.values())
        for camera in watched:
            self._work.put(partial(self._end, camera))
        self._work.put(self._desk.end)
        self._desk.join(timeout_s)
        self._keeper.close(timeout_s)
        self._parts.log.close()
        self._frames.close()
        self._parts.pool.close()
        self._work.put(None)
        if self._thread.is_alive():
            self._thread.join(timeout_s)

    def _start_pool(self) -> None:
        """Looking for devices takes a process and seconds: nothing of that where nobody wants them."""
        with self._lock:
            starts = not self._has_pool and not self._is_stopping
            self._has_pool = True
        if starts:
            self._parts.pool.start()

    def refresh(self, _: threading.Event) -> None:
        """A turn of the chore: follows the cameras' settings, tries again what failed, ends what is lost."""
        wanted = dict(self._parts.cameras())
        if wanted:
            self._start_pool()
        with self._lock:
            known = dict(self._watched)
            self._failed = {camera_id: why for camera_id, why in self._failed.items() if camera_id in wanted}
        for camera_id in known.keys() - wanted.keys():
            self._forget(known[camera_id])
        for camera_id, settings in wanted.items():
            self._follow_settings(camera_id, settings, known.get(camera_id))
        self._note_lost()
        self._desk.retry()

    def _follow_settings(self, camera_id: str, settings: AnalysisSettings, known: WatchedCamera | None) -> None:
        try:
            detector = self._choice.detector(settings)
        except Failure as failure:
            with self._lock:
                told = self._failed.get(camera_id)
                self._failed[camera_id] = failure.detail
            if told != failure.detail:
                log.warning("camera is not analysed", camera_id=camera_id, reason=failure.detail)
            if known is not None:
                self._forget(known)
            return
        with self._lock:
            self._failed.pop(camera_id, None)
        if known is not None and known.detector != detector:
            # Another model sees other things in other places.
            self._forget(known)
            known = None
        unusual, extras = self._choice.unusual(camera_id, settings), self._choice.extras(settings)
        if known is None:
            known = WatchedCamera(camera_id, settings, detector, after=self._last_numbers.get(camera_id, 0))
            known.unusual, known.extras = unusual, extras
            with self._lock:
                self._watched[camera_id] = known
                self._heard_us[camera_id] = self._now_us()
        else:
            self._work.put(partial(self._change, known, settings, unusual, extras))
        sampling = Sampling(
            least_fps=settings.least_fps, most_fps=settings.most_fps, key_frames_only=settings.key_frames_only
        )
        if self._sampled.get(camera_id) != sampling:
            self._sampled[camera_id] = sampling
            self._frames.watch(camera_id, sampling)

    def _forget(self, camera: WatchedCamera) -> None:
        with self._lock:
            self._watched.pop(camera.camera_id, None)
            self._heard_us.pop(camera.camera_id, None)
        # What is watched again later goes on counting.
        self._last_numbers[camera.camera_id] = camera.last_number
        self._sampled.pop(camera.camera_id, None)
        self._frames.forget(camera.camera_id)
        self._work.put(partial(self._end, camera))

    def _note_lost(self) -> None:
        figures = self._frames.figures()
        now_us = self._now_us()
        with self._lock:
            watched, heard_us = list(self._watched.values()), dict(self._heard_us)
        for camera in watched:
            found = figures.get(camera.camera_id)
            lost = found.lost if found is not None else None
            silent_us = now_us - heard_us.get(camera.camera_id, now_us)
            if lost is None and silent_us > _SILENT_US + 3_000_000 / camera.settings.least_fps:
                lost = "the camera sends no pictures"
            camera.lost = lost
            if lost is not None:
                self._work.put(partial(self._end, camera))

    def age(self, stopping: threading.Event) -> None:
        """A turn of the chore: what analysis kept goes with the recordings, or where there are none after a month."""
        parts = self._parts
        drop_old(parts.log, parts.counts, parts.recorded_since_us, self._clock.now_us(), stopping)

    # Frames in and answers back, on threads of others.

    def _arrived(self, frame: Frame) -> None:
        with self._lock:
            camera = self._watched.get(frame.camera_id)
            takes = camera is not None and camera.in_flight < MOST_IN_FLIGHT and not self._is_stopping
            if camera is not None:
                self._heard_us[frame.camera_id] = self._now_us()
                if takes:
                    camera.in_flight += 1
                else:
                    camera.dropped += 1
        if camera is None or not takes:
            self._frames.release(frame)
            return
        underway = _Underway(frame, camera, awaited=1)
        if camera.unusual is not None:
            underway.awaited += 1
            self._submit(Job(frame, camera.unusual, priority="low"), partial(self._measured, underway))
        job = Job(frame, camera.detector, priority=camera.settings.priority, least_score=camera.unsure_score)
        self._submit(job, partial(self._detected, underway))

    def _submit(self, job: Job, done: Callable[[Answer], None]) -> None:
        def answered(answer: Answer) -> None:
            self._work.put(partial(done, answer))

        try:
            self._parts.pool.submit(job, answered)
        except Failure as failure:
            answered(Answer(job, reason=failure.detail))

    # What the service's own thread does.

    def _run(self) -> None:
        while (work := self._work.get()) is not None:
            try:
                work()
            except Exception:
                # The supervisor of what cameras are about: one bad picture must not end the others.
                log.exception("analysis failed")

    def _detected(self, underway: _Underway, answer: Answer) -> None:
        try:
            if self._is_answered(underway, answer):
                underway.is_seen = True
                underway.device = answer.device
                underway.findings = underway.camera.relevant(answer.findings)
                self._look_closer(underway)
        finally:
            self._one_less(underway)

    def _look_closer(self, underway: _Underway) -> None:
        camera, frame = underway.camera, underway.frame
        if not camera.extras or self._is_stopping:
            return
        least_score = camera.settings.least_score
        for region in regions(underway.findings, tuple(camera.extras), least_score, frame.width, frame.height):
            underway.awaited += 1
            job = Job(frame, camera.extras[region.extra], region.region, camera.settings.priority)
            self._submit(job, partial(self._looked_closer, underway, region))

    def _looked_closer(self, underway: _Underway, region: RegionWanted, answer: Answer) -> None:
        try:
            if self._is_answered(underway, answer):
                underway.looked.append((region, answer.findings))
        finally:
            self._one_less(underway)

    def _measured(self, underway: _Underway, answer: Answer) -> None:
        try:
            if self._is_answered(underway, answer) and answer.findings:
                underway.unusual = answer.findings[0]
        finally:
            self._one_less(underway)

    def _is_answered(self, underway: _Underway, answer: Answer) -> bool:
        if answer.reason is not None or answer.dropped:
            underway.camera.failed(answer.reason or "the devices are busy with newer pictures", self._now_us())
            return False
        key = (answer.device, answer.job.model)
        self._times.setdefault(key, Histogram()).add(answer.took_us / 1000)
        return True

    def _one_less(self, underway: _Underway) -> None:
        underway.awaited -= 1
        if underway.awaited:
            return
        camera = underway.camera
        is_kept = False
        try:
            # Pictures of a camera that was forgotten meanwhile are of no use, and those after the end would begin anew
            # what it ended.
            is_wanted = self._watched.get(camera.camera_id) is camera and not self._is_stopping
            if underway.is_seen and is_wanted:
                is_kept = self._finish(underway)
        finally:
            self._frames.release(underway.frame)
            with self._lock:
                camera.in_flight -= 1
                camera.dropped += not is_kept

    def _finish(self, underway: _Underway) -> bool:
        """What a picture means; False for one that came after a newer one."""
        camera, frame = underway.camera, underway.frame
        findings = joined(underway.findings, underway.looked)
        seen = camera.see(frame, findings, underway.unusual)
        if seen is None:
            return False
        wanted = self._write(camera, seen, frame.at_us)
        best = self._best_of(camera)
        better, over = best.see(seen.tracks)
        if wanted or better:
            # Before it is said which events are over: their pictures are on their way then.
            pixels = bytes(self._frames.pixels(frame))
            self._keeper.make(camera.camera_id, [*wanted, *better], frame.at_us, frame.width, frame.height, pixels)
        # Of what concerns no track nothing better comes.
        for event_id in (*over, *(still.event_id for still in wanted if still.event_id not in best)):
            self._keeper.over(event_id)
        analysed = AnalysedFrame(
            frame.camera_id,
            frame.stream,
            frame.at_us,
            frame.pts,
            frame.clock_rate,
            frame.sent_width,
            frame.sent_height,
            seen.tracks,
        )
        self._keep(analysed)
        now_us = self._now_us()
        camera.took(self._clock.now_us() - frame.at_us, underway.device, now_us)
        self._live.tell(analysed)
        return True

    def _write(self, camera: WatchedCamera, seen: Seen, at_us: int | None = None) -> list[Wanted]:
        """Events and counts of what was seen; the stills that these events want of the picture at hand."""
        wanted: list[Wanted] = []
        shown = {track.number: track for track in seen.tracks}
        best = self._best_of(camera)
        names = {rule.id: rule.name for rule in camera.settings.rules}
        for occurrence in seen.occurrences:
            rule_name = names.get(occurrence.rule_id, "")
            for writing in self._book.write(camera.camera_id, occurrence, rule_name, self._clock.now_us()):
                self._desk.hand_in(writing, at_us)
                event = writing.event
                if not writing.is_new:
                    if best.end(event.id):
                        self._keeper.over(event.id)
                    continue
                if at_us is None:
                    continue
                wanted.append(Wanted(event.id, event.start_us, occurrence.box))
                if occurrence.track is not None:
                    for left_out in best.begin(event.id, event.start_us, occurrence.track, shown.get(occurrence.track)):
                        self._keeper.over(left_out)
        if seen.counts:
            self._add_counts(seen.counts)
        return wanted

    def _best_of(self, camera: WatchedCamera) -> BestStills:
        return self._best.setdefault(camera.camera_id, BestStills())

    def _end(self, camera: WatchedCamera) -> None:
        """There are no pictures of it any more, or not for now."""
        self._write(camera, camera.end())
        for event_id in self._best.pop(camera.camera_id, BestStills()).open_events():
            self._keeper.over(event_id)

    def _change(
        self, camera: WatchedCamera, settings: AnalysisSettings, unusual: str | None, extras: dict[Extra, str]
    ) -> None:
        camera.unusual, camera.extras = unusual, extras
        if camera.settings != settings:
            self._write(camera, camera.change(settings))

    def _keep(self, frame: AnalysedFrame) -> None:
        """A disk that does not take it holds nothing up; it is said once."""
        try:
            self._parts.log.append(frame)
        except Failure as failure:
            if failure.detail != self._complained:
                log.warning("analysis is not kept", camera_id=frame.camera_id, reason=failure.detail)
            self._complained = failure.detail

    def _add_counts(self, counts: Sequence[Count]) -> None:
        try:
            self._parts.counts.add(counts)
        except Failure as failure:
            log.warning("counts are not kept", camera_id=counts[0].camera_id, reason=failure.detail)

    # What others ask.

    def status(self, camera_id: str) -> CameraAnalysis:
        with self._lock:
            camera, failed = self._watched.get(camera_id), self._failed.get(camera_id)
        if camera is not None:
            return camera.status(self._now_us())
        return CameraAnalysis(state="failed", reason=failed) if failed is not None else CameraAnalysis()

    def follow(self, camera_id: str, listener: LiveListener) -> Callable[[], None]:
        return self._live.follow(camera_id, listener)

    def frames(self, camera_id: str, span: Span, limit: int) -> Sequence[AnalysedFrame]:
        return self._parts.log.frames(camera_id, span, limit)

    def counts(self, camera_ids: Sequence[str] | None, span: Span, step_us: int) -> Sequence[Count]:
        return self._parts.counts.counts(camera_ids, span, step_us)

    def heat_map(self, camera_id: str, span: Span) -> HeatMap:
        heat = Heat()
        # A day of a crowd does not fit into memory at once.
        begin_us = span.start_us
        while begin_us < span.end_us:
            left = Span(start_us=begin_us, end_us=span.end_us)
            frames = self._parts.log.frames(camera_id, left, FRAMES_AT_ONCE)
            for frame in frames:
                heat.see(frame.at_us, frame.tracks)
            if len(frames) < FRAMES_AT_ONCE:
                break
            begin_us = frames[-1].at_us + 1
        return heat.map()

    def event_still(self, event_id: str) -> EventStill:
        held = self._keeper.held(event_id)
        if held is not None:
            return held
        event = self._parts.events.get(event_id)
        return self._parts.log.still(event.camera_id, event.id, event.start_us)

    def pool(self) -> PoolFigures:
        self._start_pool()
        return self._parts.pool.figures()

    def models(self) -> Sequence[KnownModel]:
        return self._choice.known(self._parts.catalogue())

    def figures(self) -> AnalysisFigures:
        with self._lock:
            cameras = dict(self._watched)
            now_us = self._now_us()
            return AnalysisFigures(
                cameras={camera_id: camera.status(now_us) for camera_id, camera in cameras.items()},
                inference=tuple(
                    InferenceTimes(device, model, tuple(times.counts), times.sum_ms)
                    for (device, model), times in sorted(self._times.copy().items())
                ),
                event_delay_p50_ms=self._desk.delay_ms(0.5, now_us),
                event_delay_p95_ms=self._desk.delay_ms(0.95, now_us),
                pool=self._parts.pool.figures() if self._has_pool else None,
            )

    def _now_us(self) -> int:
        return round(self._clock.monotonic_s() * 1e6)
