"""From cameras' frames to tracks, events, boxes and stills, with devices that answer as the test wants."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from tests.analysis_doubles import HeldPool, PlainJpegs, StrictFrames, manifest, person
from tests.unit.test_motion_service import Events as MotionEvents
from vms.adapters.memory.accounts import ManualClock
from vms.adapters.memory.analysis import MemoryAnalysisLog, MemoryCounts
from vms.adapters.memory.inference import MemoryShelf
from vms.ai.best_stills import Wanted
from vms.ai.delays import Delays
from vms.ai.event_desk import EventDesk
from vms.ai.occurrence_events import EventBook, EventWriter, Writing, event_ids
from vms.ai.service import MOST_IN_FLIGHT, AnalysisService, Parts
from vms.ai.still_keeper import StillKeeper
from vms.contracts.analysis import MINUTE_US, AnalysedFrame, Count
from vms.contracts.events import EventPosition, EventQuery
from vms.contracts.frames import Frame
from vms.contracts.inference import Answer
from vms.domain.analysis import AnalysisSettings
from vms.domain.errors import Failure
from vms.domain.events import Event
from vms.domain.ids import make_id
from vms.domain.motion import Box
from vms.domain.recordings import Span
from vms.domain.vision import Finding, KeyPoint, Look, Occurrence

NEVER = threading.Event()
CAMERA, OTHER = make_id(1, b"\0" * 8), make_id(2, b"\0" * 8)
ON = AnalysisSettings(enabled=True)
WIRE = {"kind": "tripwire", "id": "door", "name": "Door", "line": [[0.5, 0.0], [0.5, 1.0]]}
ZONE = {"kind": "zone", "id": "hall", "zone": [[0.4, 0.0], [1.0, 0.0], [1.0, 1.0], [0.4, 1.0]]}


class Events(MotionEvents):
    def page(self, query: EventQuery, before: EventPosition | None, limit: int) -> list[Event]:
        return [event for event in self.kept.values() if not query.is_open or event.end_us is None][:limit]


@dataclass
class Site:
    """A service with everything around it; its own thread does not run: `work` does what it would."""

    clock: ManualClock = field(default_factory=ManualClock)
    frames: StrictFrames = field(default_factory=StrictFrames)
    pool: HeldPool = field(default_factory=HeldPool)
    shelf: MemoryShelf = field(default_factory=MemoryShelf)
    log: MemoryAnalysisLog = field(default_factory=MemoryAnalysisLog)
    counts: MemoryCounts = field(default_factory=MemoryCounts)
    jpegs: PlainJpegs = field(default_factory=PlainJpegs)
    wanted: dict[str, AnalysisSettings] = field(default_factory=lambda: {CAMERA: ON})
    recorded_since_us: int | None = None

    def __post_init__(self) -> None:
        self.events = Events(self.clock)
        self.shelf.add(manifest("coco-ssd"))
        self.service = AnalysisService(
            Parts(
                frames=self.frames,
                pool=self.pool,
                shelf=self.shelf,
                events=self.events,
                log=self.log,
                counts=self.counts,
                stills=self.jpegs,
                clock=self.clock,
                cameras=lambda: dict(self.wanted),
                recorded_since_us=lambda _: self.recorded_since_us,
            )
        )
        self.boxes: list[AnalysedFrame] = []
        self.service.follow(CAMERA, self.boxes.append)
        self.frames.start(self.service._arrived)

    def refresh(self) -> None:
        self.service.refresh(NEVER)
        self.work()

    def work(self) -> None:
        while not self.service._work.empty():
            work = self.service._work.get()
            assert work is not None
            try:
                work()
            except ZeroDivisionError:
                # What the service's own thread would log.
                continue
        desk = self.service._desk
        while not desk._due.empty():
            due = desk._due.get()
            assert due is not None
            desk._writer.write(due.writing)
        keeper = self.service._keeper
        while not keeper._todo.empty():
            picture = keeper._todo.get()
            assert picture is not None
            keeper._make(picture)
        keeper._write_over()

    def answer(self, number: int = 0, *findings: Finding, **answer: Any) -> None:
        job, done = self.pool.waiting.pop(number)
        done(Answer(job, tuple(findings), device="cpu", took_us=5000, **answer))
        self.work()

    def picture(self, *findings: Finding, step_us: int = 500_000, camera_id: str = CAMERA) -> Frame:
        """A picture that is taken and looked at."""
        self.clock.advance(step_us / 1e6)
        frame = self.frames.give(camera_id, self.clock.now_us())
        self.answer(-1, *findings)
        return frame

    def walk(self, start: float, end: float, steps: int = 8) -> None:
        """Somebody goes from left to right."""
        for number in range(steps):
            self.picture(person(start + (end - start) * number / (steps - 1)))


@pytest.fixture
def site() -> Iterator[Site]:
    site = Site()
    site.refresh()
    yield site
    assert not site.frames.held or site.pool.waiting, "frames that nobody released"


def test_pictures_become_tracks_that_are_kept_and_told(site: Site) -> None:
    site.walk(0.1, 0.4)
    assert {frame.camera_id for frame in site.boxes} == {CAMERA}
    assert [track.label for track in site.boxes[-1].tracks] == ["person"]
    assert (site.boxes[-1].width, site.boxes[-1].height) == (640, 360), "as the camera sent it"
    kept = site.service.frames(CAMERA, Span(start_us=0, end_us=2**60), 100)
    assert list(kept) == site.boxes
    status = site.service.status(CAMERA)
    assert (status.state, status.analysed, status.dropped, status.objects) == ("running", 8, 0, 1)
    assert (status.detector, status.device) == ("coco-ssd", "cpu")
    assert site.frames.released == 8


def test_who_crosses_a_line_makes_an_event_with_a_still(site: Site) -> None:
    site.wanted[CAMERA] = AnalysisSettings.model_validate({"enabled": True, "rules": [WIRE]})
    site.refresh()
    site.walk(0.2, 0.8, steps=12)
    (event,) = site.events.kept.values()
    assert (event.type, event.source, event.end_us) == ("line.crossed", "ai", event.start_us)
    assert event.data["rule"] == "door"
    assert event.data["rule_name"] == "Door"
    assert (event.data["label"], event.data["direction"]) == ("person", "left")
    assert len(event.data["box"]) == 4
    still = site.service.event_still(event.id)
    assert still.jpeg.startswith(b"jpeg")
    # It is written once its track is gone, and found there.
    for _ in range(8):
        site.picture()
    assert site.service._keeper.held(event.id) is None
    assert site.service.event_still(event.id) == still
    site.clock.advance(120)
    site.picture()
    counted = site.service.counts(None, Span(start_us=0, end_us=2**60), 2**59)
    assert {(count.kind, count.label, count.count) for count in counted} >= {("crossed", "person", 1)}
    assert sum(site.service.heat_map(CAMERA, Span(start_us=0, end_us=2**60)).seconds) > 1


def test_what_lasts_is_open_until_it_ends(site: Site) -> None:
    site.wanted[CAMERA] = AnalysisSettings.model_validate({"enabled": True, "rules": [ZONE]})
    site.refresh()
    site.walk(0.2, 0.7)
    (event,) = site.events.kept.values()
    assert (event.type, event.end_us) == ("zone.entered", None)
    for _ in range(12):
        site.picture()
    ended = site.events.kept[event.id]
    assert ended.end_us is not None
    assert event.start_us < ended.end_us < site.clock.now_us()
    # Known at the end only, beside what the beginning said.
    assert "dwell_s" not in event.data
    assert ended.data["dwell_s"] > 0
    assert ended.data["rule"] == event.data["rule"]


def _with_anomaly_rule(site: Site) -> str:
    name = f"anomaly-{CAMERA}"
    rule = {"kind": "anomaly", "id": "odd", "name": "Odd", "after_s": 1.0}
    site.wanted[CAMERA] = AnalysisSettings.model_validate({"enabled": True, "rules": [rule]})
    site.shelf.add(manifest(name, "anomaly"))
    site.refresh()
    return name


def _scene(site: Site, name: str, score: float, **answer: Any) -> None:
    """A picture that both models look at."""
    site.clock.advance(0.5)
    site.frames.give(CAMERA, site.clock.now_us())
    jobs = {job.model: number for number, (job, _) in enumerate(site.pool.waiting)}
    assert set(jobs) == {"coco-ssd", name}
    assert site.pool.waiting[jobs[name]][0].priority == "low"
    site.answer(jobs[name], Finding("unusual", score, Box(0.25, 0.25, 0.5, 0.5)), **answer)
    site.answer()


def test_a_picture_unlike_what_the_cameras_own_model_learned_is_told(site: Site) -> None:
    name = _with_anomaly_rule(site)
    for _ in range(4):
        _scene(site, name, 0.2)
    assert not site.events.kept
    for _ in range(6):
        _scene(site, name, 0.8)
    (event,) = site.events.kept.values()
    assert (event.type, event.end_us, event.data["rule"]) == ("scene.unusual", None, "odd")
    assert event.data["box"] == [0.25, 0.25, 0.5, 0.5]
    for _ in range(8):
        _scene(site, name, 0.2)
    assert site.events.kept[event.id].end_us is not None


def test_a_model_of_what_is_usual_that_fails_holds_nothing_up(site: Site) -> None:
    name = _with_anomaly_rule(site)
    for _ in range(6):
        _scene(site, name, 0.9, reason="the model is damaged")
    assert not site.events.kept
    assert len(site.boxes) == 6


def test_without_a_rule_or_a_model_nobody_is_asked_what_is_usual(site: Site) -> None:
    site.shelf.add(manifest(f"anomaly-{OTHER}", "anomaly"))
    rule = {"kind": "anomaly", "id": "odd"}
    site.wanted = {OTHER: ON, CAMERA: AnalysisSettings.model_validate({"enabled": True, "rules": [rule]})}
    site.refresh()
    site.picture()
    site.picture(camera_id=OTHER)
    assert not site.pool.waiting


def _in_zone(site: Site) -> Event:
    site.wanted[CAMERA] = AnalysisSettings.model_validate({"enabled": True, "rules": [ZONE]})
    site.refresh()
    site.walk(0.6, 0.7)
    (event,) = site.events.kept.values()
    assert event.end_us is None
    return event


@pytest.mark.parametrize("how", ["camera lost", "camera removed", "rule removed", "camera silent"])
def test_what_is_open_ends_with_the_pictures_or_the_rule(site: Site, how: str) -> None:
    event = _in_zone(site)
    last_us = site.clock.now_us()
    if how == "camera lost":
        site.frames.lost[CAMERA] = "no route to the camera"
    elif how == "camera removed":
        del site.wanted[CAMERA]
    elif how == "rule removed":
        site.wanted[CAMERA] = ON
    else:
        site.clock.advance(60)
    site.refresh()
    assert site.events.kept[event.id].end_us == pytest.approx(last_us, abs=1000)
    status = site.service.status(CAMERA)
    if how == "camera lost":
        assert (status.state, status.reason) == ("failed", "no route to the camera")
    elif how == "camera removed":
        assert status.state == "off"
        assert CAMERA not in site.frames.watched
    elif how == "camera silent":
        assert status.reason == "the camera sends no pictures"


def test_answers_out_of_order_are_put_in_order(site: Site) -> None:
    site.picture(person(0.3))
    first = site.frames.give(CAMERA, site.clock.now_us() + 1)
    second = site.frames.give(CAMERA, site.clock.now_us() + 2)
    site.answer(1, person(0.3))
    site.answer(0, person(0.9))
    assert [frame.at_us for frame in site.boxes[1:]] == [second.at_us]
    assert first.at_us < second.at_us
    assert site.service.status(CAMERA).dropped == 1


def test_a_camera_that_floods_holds_few_frames(site: Site) -> None:
    for number in range(100):
        site.frames.give(CAMERA, site.clock.now_us() + number)
    assert len(site.pool.waiting) == len(site.frames.held) == MOST_IN_FLIGHT
    assert site.service.status(CAMERA).dropped == 100 - MOST_IN_FLIGHT
    while site.pool.waiting:
        site.answer()


def test_pictures_of_nobody_s_camera_are_released(site: Site) -> None:
    site.frames.give(OTHER, site.clock.now_us())
    assert not site.frames.held
    assert not site.pool.waiting


def test_what_a_device_says_is_told_until_it_works_again(site: Site) -> None:
    site.clock.advance(1)
    site.frames.give(CAMERA, site.clock.now_us())
    site.answer(0, reason="cuda:0 has failed")
    assert site.service.status(CAMERA).state == "failed"
    assert site.service.status(CAMERA).reason == "cuda:0 has failed"
    site.picture()
    assert site.service.status(CAMERA).state == "running"
    # One picture that fails is nothing; if it goes on it is.
    for _ in range(12):
        site.clock.advance(0.5)
        site.frames.give(CAMERA, site.clock.now_us())
        site.answer(0, reason="cuda:0 has failed again")
    assert site.service.status(CAMERA).reason == "cuda:0 has failed again"


def test_without_a_model_it_is_said_what_to_do() -> None:
    site = Site()
    site.shelf._models.clear()
    site.refresh()
    status = site.service.status(CAMERA)
    assert status.state == "failed"
    assert status.reason is not None
    assert "vms models install" in status.reason
    assert CAMERA not in site.frames.watched
    site.wanted[CAMERA] = AnalysisSettings(enabled=True, detector="rt-detr-l")
    site.refresh()
    assert site.service.status(CAMERA).reason == "model rt-detr-l is not installed: vms models install rt-detr-l"
    site.shelf.add(manifest("rt-detr-l"))
    site.refresh()
    assert site.service.status(CAMERA).state == "starting"
    assert CAMERA in site.frames.watched


def test_a_model_that_is_no_detector_detects_nothing(site: Site) -> None:
    site.shelf.add(manifest("blazeface", "faces"))
    site.wanted[CAMERA] = AnalysisSettings(enabled=True, detector="blazeface")
    with capture_logs() as logged:
        site.refresh()
        site.refresh()
    assert [line["reason"] for line in logged if line["event"] == "camera is not analysed"] == [
        "the model blazeface is for faces, it is no detector"
    ], "said once"
    status = site.service.status(CAMERA)
    assert (status.state, status.reason) == ("failed", "the model blazeface is for faces, it is no detector")
    assert CAMERA not in site.frames.watched


def test_a_rule_of_what_is_unusual_says_that_it_lacks_its_model(site: Site) -> None:
    rule = {"kind": "anomaly", "id": "odd"}
    site.wanted[CAMERA] = AnalysisSettings.model_validate({"enabled": True, "rules": [rule]})
    site.refresh()
    site.walk(0.2, 0.8, steps=2)
    status = site.service.status(CAMERA)
    assert status.reason == f"what is unusual is not told: no model anomaly-{CAMERA} is installed"
    assert status.state == "running", "the rest goes on"


def test_devices_are_looked_for_when_somebody_wants_them() -> None:
    site = Site(wanted={})
    site.refresh()
    assert site.pool.started == 0
    site.wanted[CAMERA] = ON
    site.refresh()
    site.refresh()
    assert site.pool.started == 1


def test_settings_are_followed(site: Site) -> None:
    assert site.frames.watched[CAMERA].most_fps == 5.0
    site.wanted[CAMERA] = AnalysisSettings(enabled=True, most_fps=2, labels=("car",), priority="high", least_score=0.8)
    site.refresh()
    assert site.frames.watched[CAMERA].most_fps == 2.0
    site.frames.give(CAMERA, site.clock.now_us())
    job = site.pool.waiting[0][0]
    assert (job.priority, job.model) == ("high", "coco-ssd")
    assert job.least_score == pytest.approx(0.32), "what keeps a track alive, too"
    site.answer(0)
    site.walk(0.1, 0.2)
    assert not site.boxes[-1].tracks


def test_what_stands_in_a_mask_does_not_count(site: Site) -> None:
    mask = [[[0.0, 0.7], [0.5, 0.7], [0.5, 1.0], [0.0, 1.0]]]
    site.wanted[CAMERA] = AnalysisSettings.model_validate({"enabled": True, "mask": mask})
    site.refresh()
    for _ in range(4):
        site.picture(person(0.2), person(0.8))
    assert [round(track.box.left, 1) for track in site.boxes[-1].tracks] == [0.8]


def test_numbers_never_come_twice(site: Site) -> None:
    site.walk(0.1, 0.2)
    first = site.boxes[-1].tracks[0].number
    site.wanted[CAMERA] = AnalysisSettings(enabled=True, least_score=0.6)
    site.refresh()
    site.walk(0.1, 0.2)
    assert site.boxes[-1].tracks[0].number > first


def test_a_clock_that_is_set_back_does_not_stop_analysis(site: Site) -> None:
    event = _in_zone(site)
    last_us = site.clock.now_us()
    for number in range(4):
        site.frames.give(CAMERA, last_us - 3_600_000_000 + number * 500_000)
        site.answer(0, person(0.2))
    assert site.events.kept[event.id].end_us == pytest.approx(last_us, abs=1000)
    assert len(site.boxes[-1].tracks) == 1


def test_extras_are_looked_at_closer(site: Site) -> None:
    for name, task in (("blazeface", "faces"), ("movenet", "pose")):
        site.shelf.add(manifest(name, task))
    site.wanted[CAMERA] = AnalysisSettings(enabled=True, extras=("faces", "pose", "text"))
    site.refresh()
    for _ in range(3):
        site.clock.advance(0.5)
        site.frames.give(CAMERA, site.clock.now_us(), width=640, height=360)
        site.answer(0, *[person(0.1 + 0.1 * number) for number in range(8)], person(0.95, label="car"))
        jobs = [job for job, _ in site.pool.waiting]
        assert [job.model for job in jobs] == ["blazeface"] * 4 + ["movenet"] * 4, "bounded, the largest"
        assert all(job.region is not None and job.region.right <= 1 for job in jobs)
        assert len(site.frames.held) == 1, "the frame is held while regions of it are looked at"
        site.answer(0, Finding("face", 0.9, Box(0.09, 0.41, 0.11, 0.45)))
        for number in range(7):
            points = (KeyPoint(0.1, 0.5, 0.9),) * 17
            site.answer(0, *([Finding("person", 0.9, Box(0, 0, 1, 1), points=points)] if number >= 3 else []))
    labels = [track.label for track in site.boxes[-1].tracks]
    assert (labels.count("person"), labels.count("face")) == (8, 1)
    assert sum(len(track.points) == 17 for track in site.boxes[-1].tracks) == 4
    assert site.service.status(CAMERA).reason == "no model is installed for text: see `vms models list`"


def test_what_is_read_on_a_car_is_in_its_events(site: Site) -> None:
    site.shelf.add(manifest("ocr", "text"))
    rule = {**WIRE, "labels": ["car"]}
    site.wanted[CAMERA] = AnalysisSettings.model_validate({"enabled": True, "extras": ["text"], "rules": [rule]})
    site.refresh()
    for number in range(8):
        site.clock.advance(0.5)
        site.frames.give(CAMERA, site.clock.now_us(), width=640, height=360)
        site.answer(0, person(0.2 + 0.08 * number, label="car"))
        site.answer(0, Finding("text", 0.9, Box(0, 0, 1, 1), text="AB 123"))
    (event,) = site.events.kept.values()
    assert event.data["text"] == "AB 123"


def test_events_that_are_refused_are_written_later(site: Site) -> None:
    site.wanted[CAMERA] = AnalysisSettings.model_validate({"enabled": True, "rules": [WIRE, ZONE]})
    site.refresh()
    site.events.refuses = Failure("unavailable", "the disk is full")
    site.walk(0.2, 0.8, steps=12)
    assert not site.events.kept
    for _ in range(12):
        site.picture()
    site.refresh()
    assert not site.events.kept
    site.events.refuses = None
    site.refresh()
    assert sorted((event.type, event.end_us is not None) for event in site.events.kept.values()) == [
        ("line.crossed", True),
        ("zone.entered", True),
    ]
    site.refresh()
    assert len(site.events.kept) == 2


def test_what_a_crash_left_open_ends_with_the_recording() -> None:
    site = Site()
    now_us = site.clock.now_us()
    left_open = Event(
        id=make_id(1, b"\7" * 8),
        camera_id=CAMERA,
        type="zone.entered",
        start_us=now_us - 600_000_000,
        source="ai",
        created_us=now_us,
    )
    others = left_open.model_copy(update={"id": make_id(2, b"\7" * 8), "source": "api:door"})
    for event in (left_open, others):
        site.events.kept[event.id] = event
    site.service.start()
    site.service.stop(5)
    assert site.events.kept[left_open.id].end_us == left_open.start_us + 60_000_000
    assert site.events.kept[others.id].end_us is None


def test_a_log_that_refuses_holds_nothing_up(site: Site) -> None:
    def refuse(frame: AnalysedFrame) -> None:
        raise Failure("exhausted", "the disk is too slow")

    site.log.append = refuse  # type: ignore[method-assign]
    site.walk(0.1, 0.2)
    assert len(site.boxes) == 8
    assert site.service.status(CAMERA).analysed == 8


def test_a_viewer_that_fails_takes_nothing_from_others(site: Site) -> None:
    site.service.follow(CAMERA, lambda _: 1 / 0 and None)  # type: ignore[arg-type]
    seen: list[AnalysedFrame] = []
    end = site.service.follow(CAMERA, seen.append)
    site.walk(0.1, 0.2)
    assert len(seen) == len(site.boxes) == 8
    end()
    site.picture()
    assert len(seen) == 8


def test_old_analysis_goes_with_the_recordings(site: Site) -> None:
    day_us = 86_400_000_000
    now_us = site.clock.now_us()
    for days in (40, 20, 0):
        site.log.append(AnalysedFrame(CAMERA, "sub", now_us - days * day_us, 0, 90_000, 640, 360))
    span = Span(start_us=0, end_us=2**60)
    site.service.age(NEVER)
    assert len(site.service.frames(CAMERA, span, 9)) == 2, "nothing is recorded: a month"
    site.recorded_since_us = now_us - 10 * day_us
    site.service.age(NEVER)
    assert [frame.at_us for frame in site.service.frames(CAMERA, span, 9)] == [now_us]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.booleans())
def test_every_frame_is_released_once_whatever_happens(seed: int, crashes: bool) -> None:
    chance = random.Random(seed)  # noqa: S311 (a test's dice)
    site = Site(wanted={CAMERA: AnalysisSettings(enabled=True, extras=("pose",)), OTHER: ON})
    site.shelf.add(manifest("movenet", "pose"))
    site.refresh()
    given_frames = 0
    for _ in range(60):
        match chance.randrange(7):
            case 0 | 1 | 2:
                site.clock.advance(0.1)
                site.frames.give(chance.choice([CAMERA, OTHER]), site.clock.now_us(), width=640, height=360)
                given_frames += 1
            case 3 | 4 if site.pool.waiting:
                number = chance.randrange(len(site.pool.waiting))
                answers: list[dict[str, Any]] = [{}, {"dropped": True}, {"reason": "failed"}]
                findings = [person(chance.random()) for _ in range(3)]
                if crashes:
                    findings.append(Finding("person", float("nan"), Box(float("nan"), 0, 0, 0)))
                site.answer(number, *findings, **chance.choice(answers))
            case 5:
                site.wanted.pop(OTHER, None)
                if chance.random() < 0.5:
                    site.wanted[OTHER] = ON
                site.refresh()
            case 6:
                site.pool.refuses = chance.choice([None, Failure("unavailable", "closed")])
    site.pool.refuses = None
    while site.pool.waiting:
        site.answer(chance.randrange(len(site.pool.waiting)), person(0.5))
    site.work()
    assert not site.frames.held
    assert site.frames.released == given_frames
    assert all(camera.in_flight == 0 for camera in site.service._watched.values())


def test_a_rule_that_crashes_loses_no_frame(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    camera = site.service._watched[CAMERA]
    monkeypatch.setattr(camera, "see", lambda *_: 1 / 0)
    site.picture(person(0.5))
    assert not site.frames.held
    assert camera.in_flight == 0


def test_it_runs_on_threads_of_its_own() -> None:
    site = Site()
    site.wanted[CAMERA] = AnalysisSettings.model_validate({"enabled": True, "rules": [ZONE]})
    came = threading.Event()
    site.service.follow(CAMERA, lambda _: came.set())
    site.service.start()
    site.service.refresh(NEVER)
    for number in range(4):
        came.clear()
        site.frames.give(CAMERA, site.clock.now_us() + number * 500_000)
        job, done = site.pool.waiting.pop()
        done(Answer(job, (person(0.7),), device="cpu"))
        assert came.wait(5)
    site.clock.advance(2)
    site.service.stop(5)
    (event,) = site.events.kept.values()
    assert event.end_us is not None, "the end of the server is the end of what it sees"
    assert site.service.event_still(event.id).jpeg
    assert not site.frames.held


def test_one_that_was_never_started_stops() -> None:
    # The server stops it after whatever kept it from starting, which is to be told.
    Site().service.stop(1)


def test_what_is_open_ends_before_devices_are_waited_for() -> None:
    site = Site()
    site.wanted[CAMERA] = AnalysisSettings.model_validate({"enabled": True, "rules": [ZONE]})
    ends: list[int | None] = []

    class Slow(HeldPool):
        def close(self) -> None:
            ends.extend(event.end_us for event in site.events.kept.values())
            super().close()

    site.pool = Slow()
    site.service._parts = replace(site.service._parts, pool=site.pool)
    site.service.start()
    site.service.refresh(NEVER)
    came = threading.Event()
    site.service.follow(CAMERA, lambda _: came.set())
    for number in range(4):
        came.clear()
        site.frames.give(CAMERA, site.clock.now_us() + number * 500_000)
        job, done = site.pool.waiting.pop()
        done(Answer(job, (person(0.7),), device="cpu"))
        assert came.wait(5)
    site.clock.advance(2)
    late = site.frames.give(CAMERA, site.clock.now_us())
    assert late.place.offset in site.frames.held
    site.service.stop(5)
    assert len(ends) == 1
    assert ends[0] is not None, "whoever is killed now has written what it saw"
    assert not site.frames.held
    assert len(site.events.kept) == 1


def test_an_end_that_comes_while_older_events_are_retried_stays() -> None:
    clock = ManualClock()
    events = Events(clock)
    writer = EventWriter(events)
    book = EventBook(event_ids(clock))
    at_us = clock.now_us()
    writings = [
        book.write(CAMERA, Occurrence(rule, "1", "zone.entered", "began", at_us), "", at_us)[0] for rule in ("a", "b")
    ]
    (ended,) = book.write(CAMERA, Occurrence("b", "1", "zone.entered", "ended", at_us + 1), "", at_us)
    events.refuses = Failure("unavailable", "the disk is full")
    for writing in writings:
        assert not writer.write(writing)
    events.refuses = None
    add = events.add

    def end_meanwhile(event: Event, *, fresh: bool = False) -> Any:
        if event.id == writings[0].event.id:
            writer.write(ended)
        return add(event, fresh=fresh)

    events.add = end_meanwhile  # type: ignore[method-assign]
    writer.retry()
    assert len(events.kept) == 2
    assert events.kept[ended.event.id].end_us is not None


def test_numbers_of_tracks_are_not_used_again_where_analysis_is_switched_off_and_on(site: Site) -> None:
    def numbers() -> set[int]:
        return {
            track.number
            for frame in site.log.frames(CAMERA, Span(start_us=0, end_us=2**60), 1000)
            for track in frame.tracks
        }

    site.walk(0.2, 0.5)
    before = numbers()
    assert before
    settings = site.wanted.pop(CAMERA)
    site.refresh()
    site.wanted[CAMERA] = settings
    site.refresh()
    site.clock.advance(60)
    site.walk(0.2, 0.5)
    assert len(numbers()) == 2 * len(before)


def test_an_event_that_crashes_costs_no_other(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    event = Event(id=make_id(3, b"1" * 8), camera_id=CAMERA, type="x", start_us=1, source="ai", created_us=1)
    kept: list[Event] = []
    broken = [1]

    def write(writing: Writing) -> bool:
        assert not broken.pop() if broken else True
        kept.append(writing.event)
        return True

    desk = EventDesk(site.events, site.clock)
    monkeypatch.setattr(desk._writer, "write", write)
    for _ in range(2):
        desk.hand_in(Writing(event, is_new=True), 1)
    desk.end()
    desk.start()
    desk.join(10)
    assert kept == [event]


def test_a_still_that_crashes_costs_no_other() -> None:
    log = MemoryAnalysisLog()

    class Broken(PlainJpegs):
        def jpeg(self, pixels: bytes, width: int, height: int, *, widest: int, largest_bytes: int) -> bytes:
            assert self.made != 0 or pixels != b"bad"
            return super().jpeg(pixels, width, height, widest=widest, largest_bytes=largest_bytes)

    keeper = StillKeeper(Broken(), log)
    event_id = make_id(4, b"1" * 8)
    for pixels in (b"bad", bytes(12)):
        keeper.make(CAMERA, [Wanted(event_id, 1, None)], 1, 2, 2, pixels)
    keeper._todo.put(None)
    keeper._run()
    assert log.still(CAMERA, event_id, 1).jpeg


def test_how_it_goes_is_told_while_pictures_come() -> None:
    delays = Delays()

    class Meanwhile(int):
        """A picture comes while delays are compared."""

        def __gt__(self, other: object) -> bool:
            delays.add(3000, 2)
            return super().__gt__(int(str(other)))

        def __lt__(self, other: object) -> bool:
            delays.add(3000, 2)
            return super().__lt__(int(str(other)))

    for _ in range(3):
        delays.add(Meanwhile(1000), Meanwhile(1))
    assert delays.per_second(2) > 0
    assert delays.percentile_ms(0.5, 2) > 0
    assert delays.percentile_ms(1.0, 70_000_000) == 0.0, "a minute later"


def test_the_still_of_what_concerns_no_track_is_written_at_once(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.wanted[CAMERA] = AnalysisSettings.model_validate(
        {"enabled": True, "rules": [{"kind": "tampering", "id": "seal", "after_s": 1.0}]}
    )
    site.refresh()
    # The keeper's thread is quick: it has looked at what is over before the picture comes.
    over = site.service._keeper.over

    def quickly(event_id: str) -> None:
        over(event_id)
        site.service._keeper._write_over()

    monkeypatch.setattr(site.service._keeper, "over", quickly)
    cells = tuple(0.2 + 0.6 * (number % 5) / 4 for number in range(96))
    for number in range(60):
        site.clock.advance(0.5)
        look = Look(0.5, 0.3, 0.1, cells) if number < 40 else Look(0.02, 0.001, 0.001, (0.02,) * 96)
        site.frames.give(CAMERA, site.clock.now_us(), look=look)
        site.answer(-1)
    (event,) = site.events.kept.values()
    assert event.type == "camera.covered"
    assert site.log.still(CAMERA, event.id, event.start_us).jpeg


def test_one_camera_s_disk_keeps_no_other_from_growing_old(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    remove, asked = site.log.remove_before, []

    def refused(camera_id: str, before_us: int) -> int:
        asked.append(camera_id)
        if camera_id == CAMERA:
            raise Failure("unavailable", "read-only file system")
        return remove(camera_id, before_us)

    monkeypatch.setattr(site.log, "remove_before", refused)
    monkeypatch.setattr(site.log, "cameras", lambda: [CAMERA, OTHER])
    old_us = site.clock.now_us() - 401 * 86_400_000_000
    gone = make_id(9, b"\0" * 8)
    for camera_id in (CAMERA, gone):
        site.counts.add([Count(camera_id=camera_id, start_us=old_us, kind="seen", label="person", count=1)])
    site.service.age(NEVER)
    assert asked == [CAMERA, OTHER]
    assert not site.service.counts(None, Span(start_us=0, end_us=2**60), MINUTE_US), "also of cameras without files"


def test_a_heat_map_is_made_of_few_frames_at_a_time(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    frames = site.log.frames

    def noted(camera_id: str, span: Span, limit: int) -> Sequence[AnalysedFrame]:
        found = frames(camera_id, span, limit)
        asked.append(len(found))
        return found

    site.walk(0.1, 0.4)
    span = Span(start_us=0, end_us=2**60)
    whole = site.service.heat_map(CAMERA, span)
    monkeypatch.setattr(site.log, "frames", noted)
    monkeypatch.setattr("vms.ai.service.FRAMES_AT_ONCE", 3)
    assert site.service.heat_map(CAMERA, span) == whole
    assert sum(whole.seconds) > 2
    assert asked == [3, 3, 2]
