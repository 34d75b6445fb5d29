"""What waits for a device: nobody is forgotten, nobody is served twice, and everybody has turns."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from vms.ai.queues import DeviceQueue, Limits, Ticket
from vms.contracts.frames import Frame, FramePlace
from vms.contracts.inference import Job, Priority
from vms.domain.motion import Box
from vms.domain.vision import Look

_LOOK = Look(0.5, 0.1, 0.1)


def ticket(
    camera_id: str, at_us: int, *, model: str = "people", priority: Priority = "normal", picture: int | None = None
) -> Ticket:
    number = at_us if picture is None else picture
    frame = Frame(camera_id, "sub", number, number, 90_000, 4, 4, FramePlace("", 0), _LOOK, 4, 4)
    return Ticket(Job(frame, model, priority=priority), lambda _answer: None, at_us)


_steps = st.lists(
    st.tuples(
        st.sampled_from(["put", "put", "put", "take", "expire"]),
        st.sampled_from(["gate", "yard", "hall"]),
        st.sampled_from(["people", "faces"]),
        st.sampled_from(["low", "normal", "high"]),
        st.integers(0, 400_000),
        st.booleans(),
    ),
    max_size=80,
)


@given(_steps, st.integers(1, 8), st.integers(0, 200_000))
def test_every_ticket_leaves_once(
    steps: list[tuple[str, str, str, Priority, int, bool]], largest: int, hold_us: int
) -> None:
    limits = Limits()
    queue = DeviceQueue(limits)
    for model in ("people", "faces"):
        queue.set_batch(model, largest, hold_us)
    given_in: list[Ticket] = []
    left: list[Ticket] = []
    now_us = 0
    for what, camera_id, model, priority, later_us, alone in steps:
        now_us += later_us
        if what == "put":
            # Jobs of one instant would be regions of one picture.
            new = ticket(camera_id, now_us, model=model, priority=priority, picture=len(given_in))
            new.alone = alone and later_us % 7 == 0
            given_in.append(new)
            left += queue.put(new, now_us)
        elif what == "expire":
            expired = queue.expire(now_us)
            assert all(now_us - each.since_us >= limits.longest_wait_us for each in expired)
            left += expired
        else:
            batch = queue.take(now_us)
            assert len(batch) <= largest
            assert len({each.job.model for each in batch}) <= 1
            left += batch
        waiting = Counter((each.job.frame.camera_id, each.job.model) for each in given_in if each not in left)
        alone_waiting = sum(each.alone for each in given_in if each not in left)
        assert all(count <= limits.most_waiting + alone_waiting for count in waiting.values())
        assert len(queue) == sum(waiting.values()) == sum(queue.depth().values())
        ready_at_us = queue.ready_at_us(now_us)
        assert (ready_at_us is None) == (len(queue) == 0)
    left += queue.drain()
    assert Counter(map(id, left)) == Counter(map(id, given_in))


@given(st.integers(2, 12), st.integers(1, 6), st.integers(10, 60))
def test_cameras_that_want_all_get_the_same(cameras: int, largest: int, rounds: int) -> None:
    """Whatever the first ones do: no camera is a turn ahead of another."""
    queue = DeviceQueue()
    queue.set_batch("people", largest, 0)
    served: Counter[str] = Counter({str(number): 0 for number in range(cameras)})
    for turn in range(rounds):
        now_us = turn * 30_000
        for number in range(cameras):
            # The first camera floods.
            for each in range(5 if number == 0 else 1):
                queue.put(ticket(str(number), now_us + each), now_us)
        batch = queue.take(now_us)
        served.update(each.job.frame.camera_id for each in batch)
        assert len(batch) == largest or len(batch) == len(queue) + len(batch)
        if largest <= cameras:
            assert max(served.values()) - min(served.values()) <= 1


@given(st.integers(1, 8), st.integers(1, 20), st.integers(5_000, 60_000))
def test_a_low_priority_waits_for_a_bounded_time(busy: int, lows: int, run_us: int) -> None:
    """High ones that always want more: a low one has a turn within its patience and one turn of everybody."""
    limits = Limits()
    queue = DeviceQueue(limits)
    last_us = {f"low {number}": 0 for number in range(lows)}
    for turn in range(200):
        now_us = turn * run_us
        for number in range(busy):
            queue.put(ticket(f"high {number}", now_us, priority="high"), now_us)
        for number in range(lows):
            queue.put(ticket(f"low {number}", now_us, priority="low"), now_us)
        for each in queue.take(now_us):
            if each.job.priority == "low":
                last_us[each.job.frame.camera_id] = now_us
        bound_us = limits.patience_us + (busy + lows + 1) * run_us
        assert all(now_us - served_us <= bound_us for served_us in last_us.values())


def test_high_goes_before_normal_before_low() -> None:
    queue = DeviceQueue()
    for camera_id, priority in (("a", "low"), ("b", "normal"), ("c", "high")):
        queue.put(ticket(camera_id, 0, priority=priority), 0)  # type: ignore[arg-type]
    assert [queue.take(0)[0].job.frame.camera_id for _ in range(3)] == ["c", "b", "a"]


def test_a_camera_with_two_models_has_no_more_turns_than_one_with_one() -> None:
    queue = DeviceQueue()
    served: Counter[str] = Counter()
    for turn in range(40):
        now_us = turn * 10_000
        for model in ("people", "faces"):
            queue.put(ticket("two", now_us, model=model), now_us)
        queue.put(ticket("one", now_us), now_us)
        served.update(each.job.frame.camera_id for each in queue.take(now_us))
    assert served == {"two": 20, "one": 20}


def test_a_third_picture_drops_the_oldest() -> None:
    queue = DeviceQueue()
    first, second, third = (ticket("gate", at_us) for at_us in (1, 2, 3))
    assert queue.put(first, 1) == []
    assert queue.put(second, 2) == []
    assert queue.put(third, 3) == [first]
    assert queue.take(3) == [second]


def test_the_regions_of_a_picture_stay_together() -> None:
    queue = DeviceQueue()
    regions = [ticket("gate", 1) for _ in range(5)]
    for each in regions:
        each.job = Job(each.job.frame, "people", region=Box(0, 0, 0.5, 0.5))
        assert queue.put(each, 1) == []
    assert queue.put(ticket("gate", 2), 2) == []
    assert queue.put(ticket("gate", 3), 3) == regions


def test_the_regions_of_a_picture_are_bounded() -> None:
    queue = DeviceQueue()
    dropped = [old for _ in range(100) for old in queue.put(ticket("gate", 1), 1)]
    assert len(dropped) == 68
    assert len(queue) == 32


def test_a_batch_waits_until_it_is_full_or_out_of_time() -> None:
    queue = DeviceQueue()
    queue.set_batch("people", 3, 20_000)
    for camera_id in ("a", "b", "c", "d"):
        queue.put(ticket(camera_id, 0), 0)
    assert len(queue.take(0)) == 3
    # One is left, and others asked lately: they may come.
    assert queue.take(1_000) == []
    assert queue.ready_at_us(1_000) == 20_000
    assert len(queue.take(20_000)) == 1


def test_nobody_waits_for_cameras_that_are_there_or_silent() -> None:
    queue = DeviceQueue()
    queue.set_batch("people", 8, 20_000)
    queue.put(ticket("a", 0), 0)
    assert len(queue.take(0)) == 1
    queue.put(ticket("b", 10), 10)
    assert queue.take(10) == []
    queue.put(ticket("a", 20), 20)
    assert len(queue.take(20)) == 2
    # Camera b has been silent for more than a second.
    queue.put(ticket("a", 1_100_000), 1_100_000)
    assert len(queue.take(1_100_000)) == 1


def test_a_ticket_that_goes_alone_has_no_company() -> None:
    queue = DeviceQueue()
    queue.set_batch("people", 8, 0)
    suspect = ticket("a", 0)
    suspect.alone = True
    for each in (ticket("a", 1), suspect, ticket("b", 1)):
        queue.put(each, 1)
    assert queue.take(1) == [suspect]
    assert len(queue.take(1)) == 2


def test_a_queue_forgets_cameras_that_are_gone() -> None:
    queue = DeviceQueue()
    queue.put(ticket("a", 0), 0)
    queue.take(0)
    queue.expire(31_000_000)
    assert queue._lanes == {}
    assert queue._served == {}
