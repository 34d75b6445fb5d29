"""Which device looks at which camera, and what is left out."""

from __future__ import annotations

from collections import Counter

from vms.ai.devices import Shares, is_processor
from vms.ai.faults import BackOff, Suspects
from vms.ai.figures import LastMinute, LastWaits
from vms.contracts.inference import DeviceInfo

_S = 1_000_000


def _shares(**costs_us: float) -> Shares:
    shares = Shares()
    for device_id, cost_us in costs_us.items():
        shares.add(device_id, "cuda", reserve=device_id == "cpu")
        shares.open(device_id)
        for _ in range(200):
            shares.took(device_id, cost_us)
    return shares


def _who(shares: Shares, cameras: int, among: tuple[str, ...], now_us: int = 0) -> Counter[str | None]:
    return Counter(shares.device_for((f"{number:02}", ""), among, now_us) for number in range(cameras))


def test_a_slow_device_gets_fewer_cameras() -> None:
    shares = _shares(fast=5_000, slow=20_000)
    assert _who(shares, 20, ("fast", "slow")) == {"fast": 16, "slow": 4}


def test_a_camera_stays_with_its_device() -> None:
    shares = _shares(one=5_000, two=5_000)
    before = {number: shares.device_for((str(number), ""), ("one", "two"), 0) for number in range(9)}
    for _ in range(100):
        shares.took("one", 50_000)
    assert before == {number: shares.device_for((str(number), ""), ("one", "two"), _S) for number in range(9)}


def test_cameras_of_a_failed_device_move_and_new_ones_come_when_it_is_back() -> None:
    shares = _shares(one=5_000, two=5_000)
    _who(shares, 8, ("one", "two"))
    shares.close("one")
    assert _who(shares, 8, ("one", "two"), _S) == {"two": 8}
    assert shares.cameras("one") == ()
    shares.close("two")
    assert shares.device_for(("00", ""), ("one", "two"), _S) is None
    shares.open("one")
    assert shares.device_for(("00", ""), ("one", "two"), _S) == "one"


def test_the_processor_is_a_reserve_beside_an_accelerator() -> None:
    shares = _shares(gpu=10_000, cpu=30_000)
    assert _who(shares, 10, ("gpu", "cpu")) == {"gpu": 10}
    for second in range(1, 30):
        for _ in range(12):
            _who(shares, 10, ("gpu", "cpu"), second * _S)
    assert shares.load("gpu", 29 * _S) > 1
    assert shares.device_for(("new", ""), ("gpu", "cpu"), 29 * _S) == "cpu"
    shares.close("gpu")
    assert _who(shares, 10, ("gpu", "cpu"), 30 * _S) == {"cpu": 10}
    shares.open("gpu")
    assert _who(shares, 10, ("gpu", "cpu"), 90 * _S) == {"gpu": 10}


def test_cameras_move_from_a_busy_device_to_an_idle_one() -> None:
    shares = _shares(one=20_000, two=20_000)
    shares.close("two")
    for second in range(20):
        for _ in range(5):
            _who(shares, 8, ("one", "two"), second * _S)
    shares.open("two")
    now_us = 20 * _S
    moves = 0
    while shares.rebalance(now_us) is not None:
        moves += 1
        assert moves < 8
    assert len(shares.cameras("one")) in {4, 5}
    assert len(shares.cameras("two")) in {3, 4}


def test_a_camera_does_not_move_to_a_device_that_cannot_look_at_it() -> None:
    shares = _shares(one=50_000, two=5_000)
    for second in range(20):
        for _ in range(5):
            _who(shares, 8, ("one",), second * _S)
    assert shares.rebalance(20 * _S) is None


def test_nothing_moves_where_little_is_to_do() -> None:
    shares = _shares(one=20_000, two=20_000)
    _who(shares, 4, ("one",))
    assert shares.rebalance(0) is None


def test_what_a_processor_is() -> None:
    assert is_processor(DeviceInfo(id="cpu", kind="cpu"))
    assert is_processor(DeviceInfo(id="openvino:CPU", kind="openvino"))
    assert not is_processor(DeviceInfo(id="openvino:GPU.0", kind="openvino"))


def test_a_model_is_set_aside_after_three_processes_in_a_row() -> None:
    suspects = Suspects()
    for number in range(3):
        assert suspects.reason_aside("people", "gate", 0) is None
        suspects.crashed("people", [f"camera {number}", "gate"], 0)
    reason = suspects.reason_aside("people", "hall", 299 * _S)
    assert reason is not None
    assert "model people" in reason
    assert suspects.reason_aside("faces", "hall", 0) is None
    assert suspects.reason_aside("people", "hall", 301 * _S) is None
    # One more, and it is set aside anew; a success forgives.
    suspects.crashed("people", ["gate"], 301 * _S)
    assert suspects.reason_aside("people", "hall", 302 * _S) is not None
    suspects.succeeded("people", ["hall"])
    assert suspects.reason_aside("people", "hall", 302 * _S) is None


def test_a_camera_whose_pictures_are_poison_is_left_out_alone() -> None:
    suspects = Suspects()
    for _ in range(3):
        suspects.crashed("people", ["gate"], 0)
        suspects.succeeded("people", ["hall"])
    reason = suspects.reason_aside("people", "gate", 0)
    assert reason is not None
    assert "its pictures" in reason
    assert suspects.reason_aside("people", "hall", 0) is None
    assert suspects.reason_aside("people", "gate", 61 * _S) is None


def test_a_device_is_tried_less_and_less_often() -> None:
    back_off = BackOff()
    pauses = []
    for _ in range(12):
        back_off.begin(0)
        back_off.fail(_S)
        pauses.append(back_off.pause_us // _S)
    assert pauses == [0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]
    back_off.begin(0)
    back_off.fail(121 * _S)
    assert back_off.pause_us == 0


def test_figures_are_of_the_last_minute() -> None:
    minute = LastMinute()
    assert minute.frames_per_second(0) == 0
    for second in range(1, 121):
        minute.ran("people", 4, 500_000 if second == 120 else 250_000, second * _S)
    now_us = 120 * _S
    assert 3.9 <= minute.frames_per_second(now_us) <= 4.1
    assert 0.24 <= minute.busy(now_us) <= 0.27
    (people,) = minute.models({"people": 3}, now_us)
    assert (people.p50_ms, people.p95_ms, people.queue_depth) == (250, 250, 3)
    assert [figures.model for figures in minute.models({"faces": 1}, now_us)] == ["faces", "people"]
    waits = LastWaits()
    for number in range(100):
        waits.waited(number * 1000, now_us)
    assert waits.p95_ms(now_us) == 94
    assert waits.p95_ms(now_us + 61 * _S) == 0
