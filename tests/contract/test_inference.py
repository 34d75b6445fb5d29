"""`vms.contracts.inference.Runner` on every device that this machine has, and on simulated ones."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime  # type: ignore[import-untyped]
import pytest

from tests.inference_double import COMMAND, ColourReader, Pictures, colour_model, processor
from vms.adapters.inference.backends import WorkerOptions
from vms.adapters.inference.framing import read_order, write_job
from vms.adapters.inference.input_tensor import InputTensor
from vms.adapters.inference.pictures import SharedPictures
from vms.adapters.inference.runner import WorkerRunner
from vms.adapters.memory.inference import SimulatedRunner
from vms.contracts.inference import DeviceInfo, Job, Runner
from vms.domain.errors import Failure
from vms.domain.models import ModelInput
from vms.domain.motion import Box
from vms.domain.vision import Finding

_CUDA = WorkerOptions(
    device=DeviceInfo(id="cuda:0", kind="cuda", backend="onnxruntime CUDAExecutionProvider", largest_batch=4)
)


def _subjects() -> dict[str, WorkerOptions | None]:
    """Those that are there: another machine has others."""
    found: dict[str, WorkerOptions | None] = {"simulated": None, "onnxruntime CPU": processor()}
    if importlib.util.find_spec("openvino") is not None:
        found["openvino CPU"] = processor("openvino:CPU")
    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        found["onnxruntime CUDA"] = _CUDA
    return found


def _colour(job: Job) -> tuple[Finding, ...]:
    """What the model sees, found without it."""
    picture = SharedPictures().picture(read_order(write_job(job)))
    entry = InputTensor(ModelInput(name="x", width=4, height=4))
    placement = entry.put(picture, job.region, entry.tensor(1)[0])
    mean = entry.tensor(1).mean(axis=(1, 2))[0]
    return ColourReader().read({"mean": mean}, placement, job.least_score or 0.0)


@pytest.fixture(params=list(_subjects().items()), ids=lambda subject: str(subject[0]), scope="module")
def runner(request: pytest.FixtureRequest) -> Iterator[Runner]:
    options: WorkerOptions | None = request.param[1]
    made: Runner = (
        SimulatedRunner(find=_colour, largest_batch=4) if options is None else WorkerRunner(options, command=COMMAND)
    )
    made.restart()
    yield made
    made.close()


@pytest.fixture
def pictures(tmp_path: Path) -> Pictures:
    return Pictures(tmp_path)


def test_it_finds_what_is_in_a_picture(runner: Runner, pictures: Pictures, tmp_path: Path) -> None:
    runner.load(colour_model(tmp_path))
    ((found,),) = runner.run("colour", [Job(pictures.frame(200, 100, 50), "colour")])
    assert found.vector == pytest.approx((200, 100, 50), abs=1)
    assert found.box == Box(0, 0, 1, 1)


def test_the_findings_of_several_come_in_their_order(runner: Runner, pictures: Pictures, tmp_path: Path) -> None:
    runner.load(colour_model(tmp_path))
    for count in range(1, runner.device.largest_batch + 1):
        jobs = [Job(pictures.frame(40 * (number + 1)), "colour") for number in range(count)]
        found = runner.run("colour", jobs)
        assert [round(each.vector[0] / 40) for (each,) in found] == list(range(1, count + 1))


def test_a_region_is_looked_at_by_itself(runner: Runner, pictures: Pictures, tmp_path: Path) -> None:
    picture = np.zeros((40, 80, 3), np.uint8)
    picture[20:40, 40:80] = (10, 180, 90)
    runner.load(colour_model(tmp_path))
    frame = pictures.frame_of(picture)
    ((found,),) = runner.run("colour", [Job(frame, "colour", region=Box(0.5, 0.5, 1.0, 1.0))])
    assert found.vector == pytest.approx((10, 180, 90), abs=1)
    assert found.box == Box(0.5, 0.5, 1.0, 1.0)


def test_the_least_score_is_the_jobs(runner: Runner, pictures: Pictures, tmp_path: Path) -> None:
    runner.load(colour_model(tmp_path))
    frame = pictures.frame(100)
    assert [len(found) for found in runner.run("colour", [Job(frame, "colour", least_score=0.3)])] == [1]
    assert [len(found) for found in runner.run("colour", [Job(frame, "colour", least_score=0.5)])] == [0]


@pytest.mark.parametrize("region", [Box(0.5, 0.5, 0.5, 0.9), Box(float("nan"), 0, 1, 1), Box(1.2, 0, 1.4, 1)])
def test_a_region_without_pixels(runner: Runner, pictures: Pictures, tmp_path: Path, region: Box) -> None:
    runner.load(colour_model(tmp_path))
    with pytest.raises(Failure) as failure:
        runner.run("colour", [Job(pictures.frame(9), "colour", region=region)])
    assert failure.value.kind == "malformed"
    assert runner.run("colour", [Job(pictures.frame(9), "colour")])


@pytest.mark.parametrize(
    "changed",
    [{"width": 0}, {"height": -1}, {"width": 1 << 30}, {"height": 1000}],
    ids=["no width", "a height below nothing", "too wide", "past the end"],
)
def test_a_picture_that_does_not_lie_there(
    runner: Runner, pictures: Pictures, tmp_path: Path, changed: dict[str, int]
) -> None:
    runner.load(colour_model(tmp_path))
    frame = pictures.frame(9)
    with pytest.raises(Failure) as failure:
        runner.run("colour", [Job(replace(frame, **changed), "colour")])  # type: ignore[arg-type]
    assert failure.value.kind == "malformed"
    assert runner.run("colour", [Job(frame, "colour")])


def test_memory_that_is_gone(runner: Runner, pictures: Pictures, tmp_path: Path) -> None:
    runner.load(colour_model(tmp_path))
    frame = pictures.frame(9)
    Path(frame.place.path).unlink()
    with pytest.raises(Failure) as failure:
        runner.run("colour", [Job(frame, "colour")])
    assert failure.value.kind == "malformed"


def test_memory_of_another_process_under_the_same_name(runner: Runner, pictures: Pictures, tmp_path: Path) -> None:
    runner.load(colour_model(tmp_path))
    before = pictures.frame(200)
    runner.run("colour", [Job(before, "colour")])
    (tmp_path / "new").mkdir()
    after = Pictures(tmp_path / "new").frame(30)
    Path(after.place.path).rename(before.place.path)
    ((found,),) = runner.run("colour", [Job(replace(after, place=before.place), "colour")])
    assert found.vector[0] == pytest.approx(30, abs=1)


def test_a_model_that_was_not_loaded(runner: Runner, pictures: Pictures) -> None:
    with pytest.raises(Failure):
        runner.run("other", [Job(pictures.frame(9), "other")])


def test_it_begins_anew_with_nothing_loaded(runner: Runner, pictures: Pictures, tmp_path: Path) -> None:
    runner.load(colour_model(tmp_path))
    runner.restart()
    with pytest.raises(Failure):
        runner.run("colour", [Job(pictures.frame(9), "colour")])
    runner.load(colour_model(tmp_path))
    assert runner.run("colour", [Job(pictures.frame(9), "colour")])


def test_the_word_unavailable_is_the_devices(runner: Runner, pictures: Pictures, tmp_path: Path) -> None:
    runner.load(colour_model(tmp_path))
    runner.close()
    with pytest.raises(Failure) as failure:
        runner.run("colour", [Job(pictures.frame(9), "colour")])
    assert (failure.value.kind, failure.value.code) == ("unavailable", "device-lost")
