"""All devices: who looks at which picture, and what came of it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence

import structlog

from vms.ai.devices import Shares, is_processor
from vms.ai.faults import Suspects
from vms.ai.figures import LastWaits
from vms.ai.queues import Limits, Ticket
from vms.ai.serving import Device, FindRunners, Look, TurnedAway
from vms.contracts.clock import Clock
from vms.contracts.inference import Answer, DeviceKind, Job, ModelShelf, PoolFigures
from vms.domain.errors import Failure

log = structlog.get_logger(__name__)
_TICK_S = 0.1
_REBALANCED_EVERY_US = 5_000_000
_FOUND_AGAIN_AFTER_US = 60_000_000
_CLOSED_WITHIN_S = 1.5


class DevicePool:
    """Satisfies `vms.contracts.inference.InferencePool`: a thread per device, and one that watches over the waiting.

    `find_runners` is called on the latter, because asking a machine for its devices takes seconds. `kinds` binds models
    to a kind of device.
    """

    def __init__(
        self,
        find_runners: FindRunners,
        shelf: ModelShelf,
        clock: Clock,
        *,
        latency_budget_us: int = 50_000,
        limits: Limits | None = None,
        kinds: Mapping[str, DeviceKind] | None = None,
    ) -> None:
        self.lock = threading.Lock()
        self.suspects = Suspects()
        self.is_closed = False
        self._find_runners = find_runners
        self._shelf = shelf
        self._clock = clock
        self._latency_budget_us = latency_budget_us
        self._limits = limits or Limits()
        self._kinds = dict(kinds or {})
        self._devices: dict[str, Device] = {}
        self._not_found = "the devices are being looked for"
        self._shares = Shares()
        self._waits = LastWaits()
        self._answered = self._dropped = self._failed = 0
        self._ticking = threading.Condition(self.lock)
        self._keeper = threading.Thread(target=self._keep, name="inference pool", daemon=True)

    def start(self) -> None:
        self._keeper.start()

    def submit(self, job: Job, done: Callable[[Answer], None]) -> None:
        ticket = Ticket(job, done, self.now_us())
        with self.lock:
            turned_away = self._hand(ticket)
        for dropped, look in turned_away:
            self.answer(dropped, look)

    def figures(self) -> PoolFigures:
        with self.lock:
            now_us = self.now_us()
            return PoolFigures(
                devices=tuple(
                    device.figures(self._shares.cameras(device.id), now_us) for device in self._devices.values()
                ),
                answered=self._answered,
                dropped=self._dropped,
                failed=self._failed,
                waited_p95_ms=self._waits.p95_ms(now_us),
            )

    def close(self) -> None:
        with self.lock:
            self.is_closed = True
            devices = list(self._devices.values())
            waiting = [ticket for device in devices for ticket in device.queue.drain()]
            for device in devices:
                device.wake.notify_all()
            self._ticking.notify_all()
        for ticket in waiting:
            self.answer(ticket, _dropped("the server stops"))
        for device in devices:
            device.join(_CLOSED_WITHIN_S)
        if self._keeper.is_alive() and self._keeper is not threading.current_thread():
            self._keeper.join(_CLOSED_WITHIN_S)

    # What devices call.

    def now_us(self) -> int:
        return round(self._clock.monotonic_s() * 1e6)

    def opened(self, device: Device) -> None:
        self._shares.open(device.id)

    def failed(self, device: Device, tickets: Sequence[Ticket]) -> list[TurnedAway]:
        self._shares.close(device.id)
        return [away for ticket in tickets for away in self._hand(ticket)]

    def took(self, device: Device, picture_us: float) -> None:
        self._shares.took(device.id, picture_us)

    def answer(self, ticket: Ticket, look: Look) -> None:
        now_us = self.now_us()
        waited_us = (look.at_us if look.at_us is not None else now_us) - ticket.since_us
        with self.lock:
            if look.dropped:
                self._dropped += 1
            elif look.reason is not None:
                self._failed += 1
            else:
                self._answered += 1
            if look.at_us is not None:
                self._waits.waited(waited_us, now_us)
        answer = Answer(
            ticket.job, look.findings, look.device, waited_us, look.took_us, dropped=look.dropped, reason=look.reason
        )
        try:
            ticket.done(answer)
        except Exception:
            # Whatever a listener does, the device goes on.
            log.exception("a listener failed", camera_id=ticket.job.frame.camera_id, model=ticket.job.model)

    # With the lock held.

    def _hand(self, ticket: Ticket) -> list[TurnedAway]:
        """To a device; what is to be answered instead, and what is dropped for it."""
        now_us = self.now_us()
        job = ticket.job
        if self.is_closed:
            return [(ticket, _dropped("the server stops"))]
        if not self._devices:
            return [(ticket, _dropped(f"no device is ready: {self._not_found}"))]
        reason = self.suspects.reason_aside(job.model, job.frame.camera_id, now_us)
        if reason is not None:
            return [(ticket, Look(reason=reason))]
        able, reason = self._able(job.model, now_us)
        if not able:
            return [(ticket, Look(reason=reason))]
        chosen = self._shares.device_for((job.frame.camera_id, "|".join(able)), able, now_us)
        # Where none is open it waits for the one that is tried first, as long as anything waits.
        device = self._devices[chosen or min(able, key=lambda device_id: self._devices[device_id].not_before_us)]
        dropped = device.queue.put(ticket, now_us)
        device.wake.notify()
        return [(old, _dropped("a newer picture took its place")) for old in dropped]

    def _able(self, model: str, now_us: int) -> tuple[list[str], str]:
        """The devices that look at pictures with this model; a reason where there are none."""
        kind = self._kinds.get(model)
        bound = [device for device in self._devices.values() if kind is None or device.info.kind == kind]
        reason = f"model {model} is bound to devices of kind {kind}, and there is none"
        able: list[str] = []
        for device in bound:
            refusal = device.refusals.get(model)
            if refusal is None or now_us >= refusal.until_us:
                able.append(device.id)
            else:
                reason = refusal.reason
                if refusal.everywhere:
                    return [], reason
        return able, reason

    # The keeper's thread.

    def _keep(self) -> None:
        find_at_us = rebalanced_us = self.now_us()
        while not self.is_closed:
            try:
                now_us = self.now_us()
                if not self._devices and now_us >= find_at_us:
                    self._find()
                    find_at_us = self.now_us() + _FOUND_AGAIN_AFTER_US
                self._expire()
                if now_us - rebalanced_us >= _REBALANCED_EVERY_US:
                    rebalanced_us = now_us
                    self._rebalance(now_us)
            except Exception:
                # The supervisor: whatever one turn meets, the next comes.
                log.exception("inference pool")
            with self.lock:
                if not self.is_closed:
                    self._ticking.wait(_TICK_S)

    def _find(self) -> None:
        try:
            runners = self._find_runners()
        except Failure as failure:
            log.error("no device runs models", reason=failure.detail)
            with self.lock:
                self._not_found = failure.detail
            return
        with self.lock:
            devices = [Device(runner, self, self._shelf, self._latency_budget_us, self._limits) for runner in runners]
            has_accelerator = any(not is_processor(device.info) for device in devices)
            for device in devices:
                self._shares.add(device.id, device.info.kind, reserve=has_accelerator and is_processor(device.info))
                self._devices[device.id] = device
            is_closed = self.is_closed
        for device in devices:
            if is_closed:
                device.runner.close()
            else:
                device.start()

    def _expire(self) -> None:
        with self.lock:
            now_us = self.now_us()
            expired = [(ticket, device) for device in self._devices.values() for ticket in device.queue.expire(now_us)]
            reasons = {device.id: device.reason for device in self._devices.values()}
        for ticket, device in expired:
            why = reasons[device.id]
            self.answer(ticket, _dropped("it waited too long" + (f": {why}" if why else "")))

    def _rebalance(self, now_us: int) -> None:
        with self.lock:
            moved = self._shares.rebalance(now_us)
        if moved is not None:
            log.info("a camera is looked at by another device", camera_id=moved[0])


def _dropped(reason: str) -> Look:
    return Look(dropped=True, reason=reason)
