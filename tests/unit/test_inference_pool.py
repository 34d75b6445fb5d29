"""The pool over simulated devices, and over a real process that pictures end."""

from __future__ import annotations

import queue
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.inference_double import COMMAND, DEADLY, Pictures, colour_model, processor
from vms.adapters.clock import SystemClock
from vms.adapters.inference.runner import WorkerRunner
from vms.adapters.memory.inference import MemoryShelf, SimulatedRunner
from vms.ai.pool import DevicePool
from vms.ai.queues import Limits
from vms.ai.serving import Device
from vms.contracts.inference import Answer, DeviceKind, InstalledModel, Job, PoolFigures, Priority, Runner
from vms.domain.errors import Failure
from vms.domain.motion import Box
from vms.domain.vision import Finding

_FOUND = (Finding("person", 0.9, Box(0, 0, 1, 1)),)
_PATIENT = Limits(longest_wait_us=30_000_000)


class _Site:
    """A pool, and what it answered."""

    def __init__(self, pool: DevicePool, pictures: Pictures) -> None:
        self.pool = pool
        self.pictures = pictures
        self.answers: queue.Queue[Answer] = queue.Queue()

    def ask(
        self, camera_id: str = "gate", red: int = 1, *, model: str = "colour", priority: Priority = "normal"
    ) -> Job:
        job = Job(self.pictures.frame(red, camera_id=camera_id), model, priority=priority)
        self.pool.submit(job, self.answers.put)
        return job

    def answer(self) -> Answer:
        return self.answers.get(timeout=30)

    def until(self, holds: Callable[[PoolFigures], bool]) -> PoolFigures:
        for _ in range(3000):
            figures = self.pool.figures()
            if holds(figures):
                return figures
            threading.Event().wait(0.01)
        raise AssertionError(f"it did not come to pass: {self.pool.figures()}")

    def until_ready(self, count: int = 1) -> PoolFigures:
        return self.until(lambda figures: [device.state for device in figures.devices].count("ready") >= count)


@pytest.fixture
def pictures(tmp_path: Path) -> Pictures:
    return Pictures(tmp_path)


@pytest.fixture
def shelf(tmp_path: Path) -> MemoryShelf:
    models = [colour_model(tmp_path), colour_model(tmp_path, "other"), colour_model(tmp_path, "deadly")]
    return MemoryShelf({model.manifest.name: model for model in models})


@contextmanager
def _site(
    runners: Sequence[Runner],
    shelf: MemoryShelf,
    pictures: Pictures,
    *,
    limits: Limits = _PATIENT,
    kinds: dict[str, DeviceKind] | None = None,
    latency_budget_us: int = 20_000,
) -> Iterator[_Site]:
    pool = DevicePool(
        lambda: runners, shelf, SystemClock(), limits=limits, kinds=kinds, latency_budget_us=latency_budget_us
    )
    pool.start()
    site = _Site(pool, pictures)
    try:
        site.until_ready(min(1, len(runners)))
        yield site
    finally:
        pool.close()


class _Gate:
    """Holds whoever comes until it is opened."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.reached = threading.Event()

    def __call__(self, _seconds: float) -> None:
        self.reached.set()
        self.open.wait(30)


def test_a_job_is_answered_with_what_was_found(shelf: MemoryShelf, pictures: Pictures) -> None:
    with _site([SimulatedRunner(find=lambda _job: _FOUND)], shelf, pictures) as site:
        job = site.ask()
        answer = site.answer()
        assert answer.job is job
        assert answer.findings == _FOUND
        assert (answer.device, answer.reason, answer.dropped) == ("simulated:0", None, False)
        figures = site.pool.figures()
        assert (figures.answered, figures.dropped, figures.failed) == (1, 0, 0)
        assert figures.devices[0].cameras == ("gate",)
        assert figures.devices[0].models[0].frames == 1


def test_the_oldest_is_dropped_and_the_rest_answered_once(shelf: MemoryShelf, pictures: Pictures) -> None:
    gate = _Gate()
    with _site([SimulatedRunner(picture_s=1, wait=gate)], shelf, pictures) as site:
        jobs = [site.ask()]
        assert gate.reached.wait(30)
        jobs += [site.ask() for _ in range(5)]
        dropped = [site.answer() for _ in range(3)]
        gate.open.set()
        looked_at = [site.answer() for _ in range(3)]
        assert [answer.job for answer in dropped] == jobs[1:4]
        assert all(answer.dropped and answer.reason for answer in dropped)
        assert [answer.job for answer in looked_at] == [jobs[0], *jobs[4:]]
        assert site.answers.empty()
        assert site.pool.figures().dropped == 3


def test_no_picture_waits_longer_than_it_may_while_the_device_is_busy(shelf: MemoryShelf, pictures: Pictures) -> None:
    gate = _Gate()
    limits = Limits(longest_wait_us=100_000)
    with _site([SimulatedRunner(picture_s=1, wait=gate)], shelf, pictures, limits=limits) as site:
        site.ask()
        assert gate.reached.wait(30)
        waiting = site.ask("yard")
        answer = site.answer()
        assert (answer.job, answer.dropped) == (waiting, True)
        assert answer.reason is not None
        assert "waited too long" in answer.reason
        gate.open.set()
        assert not site.answer().dropped


def test_pictures_of_several_cameras_go_together(shelf: MemoryShelf, pictures: Pictures) -> None:
    gate = _Gate()
    runner = SimulatedRunner(picture_s=1, wait=gate, largest_batch=4)
    with _site([runner], shelf, pictures) as site:
        site.ask("first")
        assert gate.reached.wait(30)
        for number in range(6):
            site.ask(f"camera {number}")
        gate.open.set()
        for _ in range(7):
            assert site.answer().reason is None
        assert max(len(jobs) for _, jobs in runner.batches) == 4
        assert all(len({job.frame.camera_id for job in jobs}) == len(jobs) for _, jobs in runner.batches)


def test_a_model_without_batches_gets_one_picture_at_a_time(tmp_path: Path, pictures: Pictures) -> None:
    single = MemoryShelf({"colour": colour_model(tmp_path, batch=False)})
    gate = _Gate()
    runner = SimulatedRunner(picture_s=1, wait=gate, largest_batch=4)
    with _site([runner], single, pictures) as site:
        for number in range(5):
            site.ask(f"camera {number}")
        gate.open.set()
        for _ in range(5):
            site.answer()
        assert {len(jobs) for _, jobs in runner.batches} == {1}


def test_the_cameras_of_a_failing_device_move_and_it_comes_back(shelf: MemoryShelf, pictures: Pictures) -> None:
    one, two = SimulatedRunner("simulated:1"), SimulatedRunner("simulated:2")
    cameras = [f"camera {number}" for number in range(6)]
    with _site([one, two], shelf, pictures) as site:
        site.until_ready(2)
        for camera_id in cameras:
            site.ask(camera_id)
        before = Counter(site.answer().device for _ in cameras)
        assert set(before) == {"simulated:1", "simulated:2"}
        one.broken = "the cable is out"
        for camera_id in cameras:
            site.ask(camera_id)
        after = [site.answer() for _ in cameras]
        assert {answer.device for answer in after} == {"simulated:2"}
        assert all(answer.reason is None for answer in after)
        figures = site.until(lambda figures: figures.devices[0].state == "failed")
        assert figures.devices[0].reason == "the cable is out"
        assert figures.devices[0].cameras == ()
        assert len(figures.devices[1].cameras) == 6
        one.broken = None
        site.until_ready(2)
        for number in range(20):
            site.ask(f"new {number}")
        assert "simulated:1" in {site.answer().device for _ in range(20)}
        assert site.pool.figures().devices[0].restarts == 1


def test_a_slow_device_does_not_hold_up_the_other(shelf: MemoryShelf, pictures: Pictures) -> None:
    gate = _Gate()
    slow, fast = SimulatedRunner("simulated:slow", picture_s=1, wait=gate), SimulatedRunner("simulated:fast")
    with _site([slow, fast], shelf, pictures) as site:
        site.until_ready(2)
        for number in range(4):
            site.ask(f"camera {number}")
        answers = [site.answer() for _ in range(2)]
        assert {answer.device for answer in answers} == {"simulated:fast"}
        gate.open.set()
        assert {site.answer().device for _ in range(2)} == {"simulated:slow"}


def test_without_a_device_pictures_are_dropped_and_it_is_said_why(shelf: MemoryShelf, pictures: Pictures) -> None:
    def find() -> Sequence[Runner]:
        raise Failure("unavailable", "no driver")

    pool = DevicePool(find, shelf, SystemClock())
    site = _Site(pool, pictures)
    site.ask()
    assert site.answer().dropped
    pool.start()
    try:
        while True:
            site.ask()
            answer = site.answer()
            assert answer.dropped
            if "no driver" in (answer.reason or ""):
                break
    finally:
        pool.close()


def test_a_model_that_is_not_there_is_refused(shelf: MemoryShelf, pictures: Pictures) -> None:
    with _site([SimulatedRunner()], shelf, pictures) as site:
        for _ in range(2):
            site.ask(model="unknown")
            answer = site.answer()
            assert answer.reason == "model unknown is not installed: vms models install unknown"
            assert not answer.dropped
        site.ask()
        assert site.answer().reason is None
        assert site.pool.figures().failed == 2


def test_a_model_that_was_installed_anew_is_loaded_anew(shelf: MemoryShelf, pictures: Pictures) -> None:
    loaded: list[str] = []

    class Loading(SimulatedRunner):
        def load(self, model: InstalledModel) -> None:
            super().load(model)
            loaded.append(model.manifest.version)

    with _site([Loading(find=lambda _job: _FOUND)], shelf, pictures) as site:
        site.ask()
        assert site.answer().findings == _FOUND
        shelf.add(shelf.get("colour").manifest.model_copy(update={"version": "2"}))
        site.ask()
        assert site.answer().findings == _FOUND
        assert loaded == ["1", "2"]


def test_a_model_goes_where_it_can_be_run(shelf: MemoryShelf, pictures: Pictures) -> None:
    runners = [SimulatedRunner("simulated:1", refused=frozenset({"other"})), SimulatedRunner("simulated:2")]
    with _site(runners, shelf, pictures) as site:
        site.until_ready(2)
        devices = []
        for number in range(8):
            site.ask(f"camera {number}", model="other")
            devices.append(site.answer())
        looked_at = {answer.device for answer in devices if answer.reason is None}
        assert looked_at == {"simulated:2"}
        # It is found out once.
        assert sum(answer.reason is not None for answer in devices) <= 1


def test_a_model_is_bound_to_a_kind_of_device(shelf: MemoryShelf, pictures: Pictures) -> None:
    with _site([SimulatedRunner()], shelf, pictures, kinds={"other": "cuda", "colour": "simulated"}) as site:
        site.ask(model="other")
        assert site.answer().reason == "model other is bound to devices of kind cuda, and there is none"
        site.ask()
        assert site.answer().reason is None


def test_a_picture_that_cannot_be_looked_at_costs_itself_alone(shelf: MemoryShelf, pictures: Pictures) -> None:
    def find(job: Job) -> tuple[Finding, ...]:
        if job.frame.camera_id == "bad":
            raise Failure("malformed", "a torn picture")
        return _FOUND

    gate = _Gate()
    runner = SimulatedRunner(find=find, picture_s=1, wait=gate, largest_batch=4)
    with _site([runner], shelf, pictures) as site:
        site.ask("first")
        assert gate.reached.wait(30)
        for camera_id in ("gate", "bad", "yard"):
            site.ask(camera_id)
        gate.open.set()
        answers = {answer.job.frame.camera_id: answer for answer in (site.answer() for _ in range(4))}
        assert answers["bad"].reason == "a torn picture"
        assert [answers[camera_id].reason for camera_id in ("gate", "yard")] == [None, None]
        assert site.pool.figures().devices[0].restarts == 0


def test_a_back_end_that_fails_at_everything_is_replaced(shelf: MemoryShelf, pictures: Pictures) -> None:
    runner = SimulatedRunner()

    def find(_job: Job) -> tuple[Finding, ...]:
        # What its driver does after one bad kernel, until its process is another.
        if runner.starts == 1:
            raise Failure("internal", "an illegal memory access was encountered")
        return _FOUND

    runner._find = find
    with _site([runner], shelf, pictures) as site:
        site.until_ready(1)
        for _ in range(10):
            site.ask("gate")
            assert site.answer().reason == "an illegal memory access was encountered"
        site.until(lambda _: runner.starts == 2)
        site.until_ready(1)
        site.ask("gate")
        assert site.answer().reason is None
        assert site.pool.figures().devices[0].restarts == 1


def test_a_device_that_throws_what_it_should_not(shelf: MemoryShelf, pictures: Pictures) -> None:
    def find(job: Job) -> tuple[Finding, ...]:
        if job.frame.camera_id == "bad":
            raise ZeroDivisionError("division by zero")
        return _FOUND

    with _site([SimulatedRunner(find=find)], shelf, pictures) as site:
        site.ask("bad")
        assert site.answer().reason == "model colour: division by zero"
        site.ask("gate")
        assert site.answer().reason is None


def test_a_listener_that_throws_costs_nothing(shelf: MemoryShelf, pictures: Pictures) -> None:
    def throw(_answer: Answer) -> None:
        raise ValueError("a listener's own")

    with _site([SimulatedRunner()], shelf, pictures) as site:
        site.pool.submit(Job(pictures.frame(1), "colour"), throw)
        site.ask()
        assert site.answer().reason is None
        figures = site.pool.figures()
        assert (figures.answered, figures.devices[0].restarts) == (2, 0)


def test_a_listener_may_ask_again(shelf: MemoryShelf, pictures: Pictures) -> None:
    with _site([SimulatedRunner()], shelf, pictures) as site:

        def ask_again(_answer: Answer) -> None:
            site.ask("second", model="other")

        site.pool.submit(Job(pictures.frame(1), "colour"), ask_again)
        assert site.answer().job.model == "other"


def test_what_waits_at_the_end_is_answered_as_dropped(shelf: MemoryShelf, pictures: Pictures) -> None:
    gate = _Gate()
    with _site([SimulatedRunner(picture_s=1, wait=gate)], shelf, pictures) as site:
        site.ask()
        assert gate.reached.wait(30)
        waiting = site.ask("yard")
        threading.Thread(target=site.pool.close).start()
        answer = site.answer()
        assert (answer.job, answer.dropped) == (waiting, True)
        gate.open.set()
        assert not site.answer().dropped
        site.ask()
        assert site.answer().reason == "the server stops"


def test_a_model_that_ends_every_process_is_set_aside(shelf: MemoryShelf, pictures: Pictures) -> None:
    def find(job: Job) -> tuple[Finding, ...]:
        if job.model == "other":
            raise Failure("unavailable", "its process ended by SIGSEGV", code="device-lost")
        return _FOUND

    runners = [SimulatedRunner(f"simulated:{number}", find=find) for number in range(2)]
    with _site(runners, shelf, pictures) as site:
        site.until_ready(2)
        reasons = []
        for number in range(3):
            site.ask(f"camera {number}", model="other")
            reasons.append(site.answer().reason or "")
        assert "model other failed twice at this picture: its process ended by SIGSEGV" in reasons[0]
        assert "model other ended its process 3 times in a row" in reasons[-1]
        site.ask()
        assert site.answer().findings == _FOUND


def test_a_picture_that_ends_a_real_process(shelf: MemoryShelf, pictures: Pictures) -> None:
    """The process dies by a signal; the picture is named, the others are looked at."""
    with _site([WorkerRunner(processor(), command=COMMAND)], shelf, pictures) as site:
        site.ask("gate", 10)
        assert site.answer().reason is None
        site.ask("poison", DEADLY)
        for number in range(3):
            site.ask(f"camera {number}", 20 + number)
        answers = {answer.job.frame.camera_id: answer for answer in (site.answer() for _ in range(4))}
        poison = answers.pop("poison")
        assert poison.reason is not None
        assert "model colour failed twice at this picture" in poison.reason
        assert "SIGSEGV" in poison.reason
        assert [answer.reason for answer in answers.values()] == [None, None, None]
        assert site.pool.figures().devices[0].restarts == 2


def test_a_model_that_ends_a_real_process_when_it_is_loaded(shelf: MemoryShelf, pictures: Pictures) -> None:
    with _site([WorkerRunner(processor(), command=COMMAND)], shelf, pictures) as site:
        site.ask("gate", model="deadly")
        reason = site.answer().reason
        assert reason is not None
        assert "SIGABRT while model deadly was loaded" in reason
        site.ask("gate", 10)
        assert site.answer().reason is None


def test_a_device_that_ends_meanwhile_waits_for_nothing(shelf: MemoryShelf) -> None:
    # The pool closed after the device's thread had looked and before it waits.
    pool = DevicePool(list, shelf, SystemClock())
    device = Device(SimulatedRunner(), pool, shelf, 1000, Limits())
    pool.close()
    waiting = threading.Thread(target=device._next_batch, daemon=True)
    waiting.start()
    waiting.join(5)
    assert not waiting.is_alive()


def test_pictures_that_are_tried_by_themselves_at_the_end_are_answered(shelf: MemoryShelf, pictures: Pictures) -> None:
    closing, entered = threading.Event(), threading.Event()

    def find(_: Job) -> tuple[Finding, ...]:
        entered.set()
        assert closing.wait(10)
        raise Failure("malformed", "nobody can look at that")

    runner = SimulatedRunner(find=find, largest_batch=8)
    with _site([runner], shelf, pictures, latency_budget_us=200_000) as site:
        runner._find = lambda _: ()
        for camera_id in ("gate", "yard"):
            site.ask(camera_id)
        for _ in range(2):
            site.answer()
        runner._find = find
        for camera_id in ("gate", "yard"):
            site.ask(camera_id)
        assert entered.wait(10)
        ending = threading.Thread(target=site.pool.close)
        ending.start()
        while not site.pool.is_closed:
            threading.Event().wait(0.01)
        closing.set()
        ending.join(10)
        assert {site.answer().job.frame.camera_id for _ in range(2)} == {"gate", "yard"}
        assert site.answers.empty()
