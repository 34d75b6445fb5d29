"""One device of the pool: a thread that takes jobs from its queue, runs them and answers."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

import structlog

from vms.ai.faults import BackOff, Suspects
from vms.ai.figures import LastMinute
from vms.ai.queues import DeviceQueue, Limits, Ticket
from vms.contracts.inference import DeviceFigures, DeviceInfo, InstalledModel, ModelShelf, Runner
from vms.domain.errors import Failure
from vms.domain.vision import Finding

log = structlog.get_logger(__name__)
# A model that cannot be loaded is tried again after so long: it may have been installed by then.
_REFUSED_FOR_US = 30_000_000
# How often it is looked whether another model of that name was installed.
_LOOKED_FOR_EVERY_US = 5_000_000
_WEIGHT = 0.2
# Pictures that a back-end fails at, one after the other, before its process is replaced.
_MOST_FAILED_IN_A_ROW = 10
# Runs that one job may cost a device.
_MOST_TRIES = 2


class Pool(Protocol):
    """What a device needs of the whole. All but `now_us` and `answer` with `lock` held."""

    lock: threading.Lock
    suspects: Suspects
    is_closed: bool

    def now_us(self) -> int: ...

    def opened(self, device: Device) -> None: ...

    def failed(self, device: Device, tickets: Sequence[Ticket]) -> list[TurnedAway]:
        """Its cameras move, and with them what waited. What is to be answered at once."""
        ...

    def took(self, device: Device, picture_us: float) -> None: ...

    def answer(self, ticket: Ticket, look: Look) -> None:
        """Never with `lock` held: listeners are called."""
        ...


@dataclass(frozen=True)
class Look:
    """What came of one ticket."""

    findings: tuple[Finding, ...] = ()
    device: str = ""
    # When it was taken up, and for how long.
    at_us: int | None = None
    took_us: int = 0
    dropped: bool = False
    reason: str | None = None


TurnedAway = tuple[Ticket, Look]


@dataclass(frozen=True)
class Refusal:
    """Why a device does not load a model, and until when that is believed."""

    until_us: int
    reason: str
    # It is the model's own fault: no other device would either.
    everywhere: bool


@dataclass(eq=False)
class Device:
    """A device and its thread. Everything but `_serve` and what it calls needs the pool's lock."""

    runner: Runner
    pool: Pool
    shelf: ModelShelf
    latency_budget_us: int
    limits: Limits
    state: Literal["starting", "ready", "failed", "drained"] = "starting"
    reason: str | None = None
    restarts: int = 0
    refusals: dict[str, Refusal] = field(default_factory=dict)
    last_minute: LastMinute = field(default_factory=LastMinute)

    def __post_init__(self) -> None:
        self.queue = DeviceQueue(self.limits)
        self.wake = threading.Condition(self.pool.lock)
        self._loaded: dict[str, InstalledModel] = {}
        self._look_for_us: dict[str, int] = {}
        self._run_us: dict[str, float] = {}
        self._failed_in_a_row = 0
        self._back_off = BackOff()
        self._thread = threading.Thread(target=self._serve, name=f"inference {self.id}", daemon=True)

    @property
    def not_before_us(self) -> int:
        """When it is tried again."""
        return self._back_off.not_before_us

    @property
    def info(self) -> DeviceInfo:
        return self.runner.device

    @property
    def id(self) -> str:
        return self.runner.device.id

    def start(self) -> None:
        self._thread.start()

    def join(self, timeout_s: float) -> None:
        """After the pool was closed. Ends a run that takes longer, with its process."""
        self._thread.join(timeout_s)
        if self._thread.is_alive():
            self.runner.close()
            self._thread.join(timeout_s)

    def figures(self, cameras: tuple[str, ...], now_us: int) -> DeviceFigures:
        return DeviceFigures(
            device=self.info,
            state=self.state,
            reason=self.reason,
            restarts=self.restarts,
            frames_per_second=self.last_minute.frames_per_second(now_us),
            busy=self.last_minute.busy(now_us),
            cameras=cameras,
            models=self.last_minute.models(self.queue.depth(), now_us),
        )

    def _serve(self) -> None:
        while not self.pool.is_closed:
            try:
                if self.state == "ready":
                    batch = self._next_batch()
                    if batch:
                        self._look(batch)
                else:
                    self._begin()
            except Exception as error:
                # The supervisor: whatever a device or the shelf throws, the thread goes on.
                log.exception("inference device", device=self.id)
                self._fail(f"an error that was not expected: {error}", [])
        with self.pool.lock:
            # What was put back after the pool had answered all that waited.
            left = self.queue.drain()
        self._answer_all(left, Look(dropped=True, reason="the server stops"))
        self.runner.close()

    def _begin(self) -> None:
        """Waits for its turn to be tried again, and tries."""
        with self.pool.lock:
            wait_us = self._back_off.not_before_us - self.pool.now_us()
            if self.pool.is_closed:
                return
            if wait_us > 0:
                self.wake.wait(wait_us / 1e6)
                return
        try:
            self.runner.restart()
        except Failure as failure:
            self._fail(failure.detail, [])
            return
        with self.pool.lock:
            self._loaded.clear()
            self._back_off.begin(self.pool.now_us())
            self.state, self.reason = "ready", None
            self.pool.opened(self)
        log.info("inference device is ready", device=self.id, backend=self.info.backend, reason=self.info.reason)

    def _fail(self, reason: str, retried: Sequence[Ticket]) -> None:
        with self.pool.lock:
            self._back_off.fail(self.pool.now_us())
            self.restarts += self.state == "ready"
            self.state, self.reason = "failed", reason
            self._loaded.clear()
            turned_away = self.pool.failed(self, [*retried, *self.queue.drain()])
        for ticket, look in turned_away:
            self.pool.answer(ticket, look)
        log.error("inference device failed", device=self.id, reason=reason, again_s=self._back_off.pause_us / 1e6)

    def _next_batch(self) -> list[Ticket]:
        with self.pool.lock:
            if self.pool.is_closed:
                # Since `_serve` looked: nobody wakes it any more.
                return []
            now_us = self.pool.now_us()
            ready_at_us = self.queue.ready_at_us(now_us)
            if ready_at_us is None:
                self.wake.wait()
            elif ready_at_us > now_us:
                self.wake.wait((ready_at_us - now_us) / 1e6)
            else:
                return self.queue.take(now_us)
        return []

    def _look(self, batch: list[Ticket]) -> None:
        began_us = self.pool.now_us()
        model = batch[0].job.model
        try:
            reason = self._load(model)
            if reason is not None:
                self._answer_all(batch, Look(device=self.id, at_us=began_us, reason=reason))
                return
            run_us = self.pool.now_us()
            found = self._run(model, batch)
        except Failure as failure:
            self._look_failed(batch, failure, began_us)
            return
        except Exception as error:
            self._answer_all(batch, Look(device=self.id, at_us=began_us, reason=f"model {model}: {error}"))
            raise
        self._failed_in_a_row = 0
        now_us = self.pool.now_us()
        took_us = now_us - run_us
        with self.pool.lock:
            self.last_minute.ran(model, len(batch), took_us, now_us)
            self.pool.took(self, took_us / len(batch))
            self.pool.suspects.succeeded(model, (ticket.job.frame.camera_id for ticket in batch))
            self._set_batch(model, took_us)
        for ticket, findings in zip(batch, found, strict=True):
            self.pool.answer(ticket, Look(tuple(findings), self.id, began_us, took_us))

    def _run(self, model: str, batch: Sequence[Ticket]) -> Sequence[tuple[Finding, ...]]:
        found = self.runner.run(model, [ticket.job for ticket in batch])
        if len(found) != len(batch):
            raise Failure("internal", f"{self.id} gave {len(found)} answers for {len(batch)} pictures")
        return found

    def _set_batch(self, model: str, took_us: int) -> None:
        """A batch waits for more as long as what it takes itself leaves of the budget."""
        known_us = self._run_us.get(model, took_us)
        self._run_us[model] = known_us + _WEIGHT * (took_us - known_us)
        largest = self.info.largest_batch if self._loaded[model].manifest.batch else 1
        self.queue.set_batch(model, largest, max(0, self.latency_budget_us - round(self._run_us[model])))

    def _look_failed(self, batch: list[Ticket], failure: Failure, began_us: int) -> None:
        model = batch[0].job.model
        if failure.kind != "unavailable":
            # A picture that cannot be looked at; of several nobody knows which.
            if len(batch) == 1:
                self.pool.answer(batch[0], Look(device=self.id, at_us=began_us, reason=failure.detail))
                self._count_failure(failure)
                return
            with self.pool.lock:
                for ticket in batch:
                    ticket.alone = True
                    self.queue.put(ticket, self.pool.now_us())
            return
        with self.pool.lock:
            # A model that ends the process when it is loaded did not need a picture for it.
            cameras = {ticket.job.frame.camera_id for ticket in batch} if model in self._loaded else set()
            self.pool.suspects.crashed(model, cameras, self.pool.now_us())
        retried: list[Ticket] = []
        for ticket in batch:
            ticket.tries += 1
            ticket.alone = True
            if ticket.tries < _MOST_TRIES:
                retried.append(ticket)
            else:
                reason = f"model {model} failed twice at this picture: {failure.detail}"
                self.pool.answer(ticket, Look(device=self.id, at_us=began_us, reason=reason))
        self._fail(failure.detail, retried)

    def _count_failure(self, failure: Failure) -> None:
        """A back-end may fail for good without its process ending, as CUDA does after one bad kernel."""
        self._failed_in_a_row += failure.kind == "internal"
        if self._failed_in_a_row >= _MOST_FAILED_IN_A_ROW:
            self._failed_in_a_row = 0
            self._fail(f"{_MOST_FAILED_IN_A_ROW} pictures in a row failed: {failure.detail}", [])

    def _load(self, model: str) -> str | None:
        """Makes the model ready. The reason where it is not to be had; raises Failure(unavailable) with the device."""
        if model in self._loaded and not self._is_replaced(model):
            return None
        try:
            installed = self.shelf.get(model)
            self.runner.load(installed)
        except Failure as failure:
            if failure.kind == "unavailable" and failure.code == "device-lost":
                raise
            everywhere = failure.kind != "unavailable"
            with self.pool.lock:
                self._loaded.pop(model, None)
                self.refusals[model] = Refusal(self.pool.now_us() + _REFUSED_FOR_US, failure.detail, everywhere)
            log.warning("model is not loaded", model=model, device=self.id, reason=failure.detail)
            return failure.detail
        with self.pool.lock:
            self._loaded[model] = installed
            self._set_batch(model, 0)
        log.info("model is loaded", model=model, device=self.id)
        return None

    def _is_replaced(self, model: str) -> bool:
        """Whether another was installed under that name since it was loaded, as when a camera's is trained anew."""
        now_us = self.pool.now_us()
        if now_us < self._look_for_us.get(model, 0):
            return False
        self._look_for_us[model] = now_us + _LOOKED_FOR_EVERY_US
        try:
            return self.shelf.get(model).manifest != self._loaded[model].manifest
        except Failure:
            # It was whole when it was loaded, and goes on as long as somebody asks for it.
            return False

    def _answer_all(self, batch: Sequence[Ticket], look: Look) -> None:
        for ticket in batch:
            self.pool.answer(ticket, look)


FindRunners = Callable[[], Sequence[Runner]]
