"""One camera whose pictures are understood: the order of its pictures, what is followed and found in them, how it goes.
Pure: time comes in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from vms.ai.counting import Counter
from vms.ai.delays import Delays
from vms.ai.geometry import Area
from vms.ai.regions import Extra, texts
from vms.ai.rules import Rules
from vms.ai.tracking import Tracker
from vms.contracts.analysis import CameraAnalysis, Count
from vms.contracts.frames import Frame
from vms.domain.analysis import AnalysisSettings, Anomaly
from vms.domain.vision import Finding, Occurrence, Scene, Track

# A picture older than the newest by more than this did not come late: the clock was set back.
_CLOCK_SET_BACK_US = 10_000_000
# Failures for so long, with nothing that succeeded, are told.
_FAILED_AFTER_US = 5_000_000
# What is read of things that are followed no more is forgotten.
_MOST_TEXTS = 256


@dataclass(frozen=True)
class Seen:
    """What pictures showed, and what that was the end of."""

    tracks: tuple[Track, ...] = ()
    occurrences: tuple[Occurrence, ...] = ()
    # Of minutes that are over.
    counts: tuple[Count, ...] = ()


class WatchedCamera:
    """Everything of one camera but the threads. `in_flight`, `dropped`, `lost`, `unusual` and `extras` are the
    service's to change. Tracks are numbered from `after` + 1 on."""

    def __init__(
        self,
        camera_id: str,
        settings: AnalysisSettings,
        detector: str,
        *,
        after: int = 0,
    ) -> None:
        self.camera_id = camera_id
        self.settings = settings
        self.detector = detector
        # The camera's own model of what is usual.
        self.unusual: str | None = None
        # The models that look closer, of those extras for which there is one.
        self.extras: dict[Extra, str] = {}
        self.in_flight = 0
        self.dropped = 0
        self.analysed = 0
        # Why there are no pictures at the moment.
        self.lost: str | None = None
        self._rules = Rules(settings)
        self._counter = Counter(camera_id, settings)
        self._tracker = Tracker(least_score=settings.least_score, after=after)
        self._aspect = 16 / 9
        self._mask = tuple(Area(polygon) for polygon in settings.mask)
        self._last_us: int | None = None
        self._delays = Delays()
        self._device = ""
        self._objects = 0
        self._failing: tuple[int, str] | None = None
        self._texts: dict[int, str] = {}

    @property
    def last_number(self) -> int:
        """The highest number of a track so far."""
        return self._tracker.last_number

    @property
    def unsure_score(self) -> float:
        """Findings below it are of no use."""
        return max(0.01, self._tracker.unsure_score)

    def relevant(self, findings: Sequence[Finding]) -> tuple[Finding, ...]:
        """What the settings want followed, and stands outside of what they leave out."""
        labels = self.settings.labels
        return tuple(
            finding
            for finding in findings
            if (not labels or finding.label in labels)
            and finding.score >= self.unsure_score
            and not self._is_masked(finding)
        )

    def _is_masked(self, finding: Finding) -> bool:
        box = finding.box
        return any(area.contains((box.left + box.right) / 2, box.bottom) for area in self._mask)

    def see(self, frame: Frame, findings: Sequence[Finding], unusual: Finding | None = None) -> Seen | None:
        """What a picture shows; None for one that comes after a newer one."""
        ended = Seen()
        if self._last_us is not None and frame.at_us <= self._last_us:
            if frame.at_us > self._last_us - _CLOCK_SET_BACK_US:
                return None
            ended = self.end()
        self._last_us = frame.at_us
        aspect = frame.width / frame.height if frame.height else 16 / 9
        if abs(aspect - self._aspect) > 0.01:
            # Another picture: nothing is where it was.
            self._aspect = aspect
            self._begin_tracks()
        tracks = self._tracker.see(findings, frame.at_us)
        self._objects = sum(track.seen for track in tracks)
        self._texts.update(texts(tracks, findings))
        while len(self._texts) > _MOST_TEXTS:
            del self._texts[next(iter(self._texts))]
        occurrences = self._rules.see(Scene(frame.at_us, tracks, aspect, frame.look, unusual))
        counts = self._counter.see(self._rules.scene, occurrences)
        found = tuple(self._told(occurrence) for occurrence in occurrences)
        return Seen(tracks, (*ended.occurrences, *found), (*ended.counts, *counts))

    def _told(self, occurrence: Occurrence) -> Occurrence:
        text = self._texts.get(occurrence.track) if occurrence.track is not None else None
        return occurrence if text is None else replace(occurrence, details={**occurrence.details, "text": text})

    def end(self) -> Seen:
        """What is open ends with the last picture: there are none any more."""
        if self._last_us is None:
            return Seen()
        ended = Seen((), tuple(self._rules.end(self._last_us)), tuple(self._counter.end()))
        self._last_us = None
        self._objects = 0
        return ended

    def change(self, settings: AnalysisSettings) -> Seen:
        """Goes on with other settings; what rules that changed had open ends."""
        ended = tuple(self._rules.change(settings, self._last_us or 0))
        counts = tuple(self._counter.change(settings))
        is_other = settings.least_score != self.settings.least_score
        self.settings = settings
        self._mask = tuple(Area(polygon) for polygon in settings.mask)
        if is_other:
            self._begin_tracks()
        return Seen((), ended, counts)

    def _begin_tracks(self) -> None:
        """Numbers go on: they never come twice."""
        least_score = self.settings.least_score
        self._tracker = Tracker(least_score=least_score, aspect=self._aspect, after=self.last_number)

    def took(self, delay_us: int, device: str, now_us: int) -> None:
        """A picture was understood so long after it had arrived."""
        self.analysed += 1
        self._device = device
        self._failing = None
        self._delays.add(max(0, delay_us), now_us)

    def failed(self, reason: str, now_us: int) -> None:
        """A picture could not be looked at."""
        since_us = self._failing[0] if self._failing is not None else now_us
        self._failing = (since_us, reason)

    def _lacking(self) -> str | None:
        """What of the settings cannot be had, while the rest goes on."""
        missing = [extra for extra in self.settings.extras if extra not in self.extras]
        if missing:
            return f"no model is installed for {', '.join(missing)}: see `vms models list`"
        if self.unusual is None and any(isinstance(rule, Anomaly) and rule.enabled for rule in self.settings.rules):
            return f"what is unusual is not told: no model anomaly-{self.camera_id} is installed"
        return None

    def status(self, now_us: int) -> CameraAnalysis:
        """How it goes."""
        is_failing = self._failing is not None and (not self.analysed or now_us - self._failing[0] >= _FAILED_AFTER_US)
        reason = self._failing[1] if is_failing and self._failing is not None else self.lost
        state: Literal["failed", "running", "starting"] = "running" if self.analysed else "starting"
        if reason is not None:
            state = "failed"
        return CameraAnalysis(
            state=state,
            reason=reason or self._lacking(),
            detector=self.detector,
            device=self._device,
            frames_per_second=self._delays.per_second(now_us),
            analysed=self.analysed,
            dropped=self.dropped,
            delay_p50_ms=self._delays.percentile_ms(0.5, now_us),
            delay_p95_ms=self._delays.percentile_ms(0.95, now_us),
            longest_ms=self._delays.percentile_ms(1.0, now_us),
            objects=self._objects,
        )
