"""Which devices are chosen, and why."""

from __future__ import annotations

import sys

import pytest

from vms.adapters.inference.detection import Facts, Tried, ask, choose
from vms.domain.errors import Failure

_PLAIN = Facts(
    onnxruntime="1.32.0",
    providers=("CPUExecutionProvider",),
    openvino_absent="openvino is not installed (pip install vms[openvino])",
)
_NVIDIA = Facts(
    onnxruntime="1.32.0",
    providers=("TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"),
    tried=(
        Tried(kind="tensorrt", index="0", runs=False, why="its driver or libraries are missing"),
        Tried(kind="cuda", index="0", runs=True),
        Tried(kind="cuda", index="1", runs=True),
    ),
    openvino_absent="openvino is not installed (pip install vms[openvino])",
)


def _ids(facts: Facts, wanted: list[str] | None = None, *needed: str) -> list[str]:
    return [device.id for device in choose(facts, wanted, needed).devices]


def test_the_processor_serves_where_there_is_nothing_else() -> None:
    (device,) = choose(_PLAIN).devices
    assert (device.id, device.kind, device.largest_batch) == ("cpu", "cpu", 1)
    assert "CUDAExecutionProvider" in device.reason
    assert "not in this build of onnxruntime (1.32.0)" in device.reason
    assert "openvino is not installed" in device.reason


def test_openvino_runs_the_processor_where_it_is_installed() -> None:
    facts = _PLAIN.model_copy(update={"openvino": {"CPU": "Xeon", "GPU.0": "Arc"}, "openvino_absent": ""})
    assert _ids(facts) == ["openvino:CPU", "openvino:GPU.0"]
    assert _ids(facts, ["cpu"]) == ["cpu"]
    assert _ids(facts, ["openvino:GPU.0"]) == ["openvino:GPU.0"]
    # A model is bound to it.
    assert _ids(facts, None, "cpu") == ["openvino:CPU", "openvino:GPU.0", "cpu"]


def test_every_accelerator_is_used_and_the_processor_beside_them() -> None:
    assert _ids(_NVIDIA) == ["cuda:0", "cuda:1", "cpu"]
    assert _ids(_NVIDIA, ["cuda:1"]) == ["cuda:1"]
    assert _ids(_NVIDIA, ["cuda"]) == ["cuda:0", "cuda:1"]


def test_tensorrt_hides_cuda_on_the_same_accelerator() -> None:
    tried = (
        Tried(kind="tensorrt", index="0", runs=True),
        Tried(kind="cuda", index="0", runs=True),
        Tried(kind="cuda", index="1", runs=True),
    )
    facts = _NVIDIA.model_copy(update={"tried": tried})
    assert _ids(facts) == ["tensorrt:0", "cuda:1", "cpu"]
    assert _ids(facts, ["cuda:0"]) == ["cuda:0"]


def test_a_provider_without_its_driver_is_named() -> None:
    cpu = choose(_NVIDIA).devices[-1]
    assert "TensorrtExecutionProvider does not run: its driver or libraries are missing" in cpu.reason


@pytest.mark.parametrize(
    ("facts", "asked", "why"),
    [
        (_PLAIN, "cuda", "CUDAExecutionProvider is not in this build of onnxruntime (1.32.0)"),
        (_PLAIN, "openvino:GPU.0", "openvino is not installed (pip install vms[openvino])"),
        (_PLAIN, "abacus", "there are no devices of kind abacus"),
        (_NVIDIA, "tensorrt", "TensorrtExecutionProvider does not run: its driver or libraries are missing"),
        (_NVIDIA, "cuda:7", "this machine has no cuda:7"),
    ],
)
def test_what_is_asked_for_and_is_not_there(facts: Facts, asked: str, why: str) -> None:
    found = choose(facts, [asked])
    assert found.devices == ()
    assert found.missing == {asked: why}


def test_this_machine_has_a_processor() -> None:
    facts = ask()
    assert "CPUExecutionProvider" in facts.providers
    assert choose(facts).devices


@pytest.mark.parametrize("script", ["import os; os.abort()", "print('nonsense')", ""])
def test_asking_that_goes_wrong(script: str) -> None:
    with pytest.raises(Failure) as failure:
        ask([sys.executable, "-c", script])
    assert failure.value.kind == "unavailable"
