"""A device's process: what ends it, stops it or cannot be loaded by it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.inference_double import COMMAND, DEADLY, SIDE, STOPPED, STOPPING, THROWING, Pictures, colour_model, processor
from vms.adapters.inference.backends import Entry
from vms.adapters.inference.input_tensor import InputTensor
from vms.adapters.inference.loaded_model import check_inputs
from vms.adapters.inference.runner import WorkerRunner
from vms.contracts.inference import InstalledModel, Job
from vms.domain.errors import Failure
from vms.domain.models import ModelInput
from vms.domain.motion import Box


@pytest.fixture(scope="module")
def runner() -> Iterator[WorkerRunner]:
    made = WorkerRunner(processor(), command=COMMAND, runs_within_s=20)
    made.restart()
    yield made
    made.close()


@pytest.fixture
def pictures(tmp_path: Path) -> Pictures:
    return Pictures(tmp_path)


def _works(runner: WorkerRunner, pictures: Pictures, model: InstalledModel) -> bool:
    runner.load(model)
    return len(runner.run("colour", [Job(pictures.frame(7), "colour")])) == 1


def test_a_process_that_ends_is_named_and_replaced(runner: WorkerRunner, pictures: Pictures, tmp_path: Path) -> None:
    model = colour_model(tmp_path)
    assert _works(runner, pictures, model)
    with pytest.raises(Failure) as failure:
        runner.run("colour", [Job(pictures.frame(DEADLY), "colour")])
    assert (failure.value.kind, failure.value.code) == ("unavailable", "device-lost")
    assert "SIGSEGV" in failure.value.detail
    assert "model colour looked at a picture of gate" in failure.value.detail
    assert runner.pid is None
    runner.restart()
    assert _works(runner, pictures, model)


def test_a_model_that_ends_the_process_when_it_is_loaded(
    runner: WorkerRunner, pictures: Pictures, tmp_path: Path
) -> None:
    with pytest.raises(Failure) as failure:
        runner.load(colour_model(tmp_path, "deadly"))
    assert failure.value.code == "device-lost"
    assert "SIGABRT while model deadly was loaded" in failure.value.detail
    runner.restart()
    assert _works(runner, pictures, colour_model(tmp_path))


def test_a_process_that_hangs_is_ended(pictures: Pictures, tmp_path: Path) -> None:
    runner = WorkerRunner(processor(), command=COMMAND, runs_within_s=0.5)
    try:
        runner.restart()
        runner.load(colour_model(tmp_path))
        pid = runner.pid
        with pytest.raises(Failure) as failure:
            runner.run("colour", [Job(pictures.frame(STOPPING), "colour")])
        assert "did not answer for 0.5 s" in failure.value.detail
        assert pid is not None
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
    finally:
        runner.close()


def test_what_a_back_end_throws_costs_one_answer(runner: WorkerRunner, pictures: Pictures, tmp_path: Path) -> None:
    runner.load(colour_model(tmp_path))
    pid = runner.pid
    with pytest.raises(Failure, match="model colour: RuntimeError: out of memory on the device") as failure:
        runner.run("colour", [Job(pictures.frame(THROWING), "colour")])
    assert failure.value.kind == "internal"
    assert _works(runner, pictures, colour_model(tmp_path))
    assert runner.pid == pid


def test_the_process_ends_with_its_server(tmp_path: Path) -> None:
    """Also in the middle of a run that does not end."""
    script = """
import sys
from pathlib import Path
from typing import Any
from tests.inference_double import *
from vms.adapters.inference.runner import WorkerRunner
from vms.contracts.inference import Job
runner = WorkerRunner(processor(), command=COMMAND)
runner.restart()
runner.load(colour_model(Path(sys.argv[1])))
print(runner.pid, flush=True)
runner.run("colour", [Job(Pictures(Path(sys.argv[1])).frame(STOPPING), "colour")])
"""
    stopped = tmp_path / "stopped"
    environment = {**os.environ, STOPPED: str(stopped)}
    command = [sys.executable, "-c", script, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as server:
        assert server.stdout is not None
        pid = int(server.stdout.readline())
        _until(stopped.exists)
        server.send_signal(signal.SIGKILL)
    try:
        _until(lambda: not _runs(pid))
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.01)


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_a_process_that_cannot_begin() -> None:
    runner = WorkerRunner(processor(), command=("/nowhere/python",))
    with pytest.raises(Failure, match="cannot be started") as failure:
        runner.restart()
    assert failure.value.kind == "unavailable"


def test_a_process_that_talks_nonsense() -> None:
    script = "import socket; s = socket.socket(fileno=0); s.sendall(b'\\xff' * 4096); s.recv(1)"
    runner = WorkerRunner(processor(), command=(sys.executable, "-c", script))
    with pytest.raises(Failure) as failure:
        runner.restart()
    assert failure.value.kind == "unavailable"
    assert runner.pid is None


def test_a_closed_one_stays_closed() -> None:
    runner = WorkerRunner(processor(), command=COMMAND)
    runner.close()
    with pytest.raises(Failure, match="closed"):
        runner.restart()


@pytest.mark.parametrize("device_id", ["cpu", "openvino:CPU"])
def test_a_file_that_is_no_model(device_id: str, pictures: Pictures, tmp_path: Path) -> None:
    if device_id != "cpu":
        pytest.importorskip("openvino")
    runner = WorkerRunner(processor(device_id), command=COMMAND)
    try:
        runner.restart()
        model = colour_model(tmp_path)
        content = model.path.read_bytes()
        for bad in (b"", b"not a model", content[: len(content) // 2]):
            model.path.write_bytes(bad)
            with pytest.raises(Failure) as failure:
                runner.load(model)
            assert failure.value.kind == "malformed"
            assert "model colour" in failure.value.detail
        model.path.write_bytes(content)
        assert _works(runner, pictures, model)
    finally:
        runner.close()


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"input": ModelInput(name="picture", width=SIDE, height=SIDE)}, "has no input 'picture': it has x"),
        ({"input": ModelInput(name="x", width=SIDE, height=5)}, r"takes \[n, 4, 4, 3\] as 'x'.*says \[n, 5, 4, 3\]"),
        ({"input": ModelInput(name="x", width=SIDE, height=SIDE, layout="nchw")}, r"says \[n, 3, 4, 4\]"),
        ({"input": ModelInput(name="x", width=SIDE, height=SIDE, type="uint8")}, "takes float32 .* says uint8"),
        ({"outputs": {"boxes": "where"}}, r"has no output 'where' \(boxes\): it has mean"),
        ({"input": ModelInput(name="x", width=SIDE, height=SIDE, mean=(1.0, 2.0))}, "2 means or deviations"),
    ],
)
def test_a_model_of_the_wrong_shape(
    runner: WorkerRunner, pictures: Pictures, tmp_path: Path, changed: dict[str, Any], says: str
) -> None:
    with pytest.raises(Failure, match=says) as failure:
        runner.load(colour_model(tmp_path, **changed))
    assert failure.value.kind == "malformed"
    assert _works(runner, pictures, colour_model(tmp_path))


def test_inputs_that_no_reader_fills(tmp_path: Path) -> None:
    manifest = colour_model(tmp_path).manifest
    picture = Entry(("n", SIDE, SIDE, 3), "float32")
    size = Entry(("n", 2), "int64")
    check_inputs(manifest, {"x": picture, "size": size}, frozenset({"size"}))
    with pytest.raises(Failure, match="has an input 'size'"):
        check_inputs(manifest, {"x": picture, "size": size}, frozenset())
    with pytest.raises(Failure, match="has no input 'size'"):
        check_inputs(manifest, {"x": picture}, frozenset({"size"}))


def test_batches_that_a_graph_does_not_take(tmp_path: Path) -> None:
    manifest = colour_model(tmp_path).manifest
    fixed = {"x": Entry((1, SIDE, SIDE, 3), "float32")}
    with pytest.raises(Failure, match="takes 1 pictures at once"):
        check_inputs(manifest, fixed, frozenset())
    single = manifest.model_copy(update={"batch": False})
    check_inputs(single, fixed, frozenset())
    with pytest.raises(Failure, match="takes 4 pictures at once, not one"):
        check_inputs(single, {"x": Entry((4, SIDE, SIDE, 3), "float32")}, frozenset())


def test_a_picture_lies_between_bars() -> None:
    entry = ModelInput(name="x", width=20, height=20, layout="nchw", fit="letterbox", mean=(14.0,), deviation=(100.0,))
    maker = InputTensor(entry)
    picture = np.full((36, 64, 3), 214, np.uint8)
    tensor = maker.tensor(1)
    placement = maker.put(picture, None, tensor[0])
    rows = tensor[0, 0, :, 10]
    assert placement.within == Box(0.0, 4 / 20, 1.0, 16 / 20)
    assert placement.box(0.0, 4 / 20, 1.0, 16 / 20) == Box(0, 0, 1, 1)
    assert rows[4:16] == pytest.approx(2.0, abs=0.02)
    assert np.delete(rows, range(4, 16)) == pytest.approx(1.0, abs=0.001)


@pytest.mark.parametrize(("colour", "expected"), [("rgb", (200, 100, 50)), ("bgr", (50, 100, 200)), ("grey", (124,))])
def test_colours_come_in_the_models_order(colour: str, expected: tuple[int, ...]) -> None:
    entry = ModelInput.model_validate({"name": "x", "width": 5, "height": 7, "type": "uint8", "colour": colour})
    maker = InputTensor(entry)
    picture = np.empty((30, 40, 3), np.uint8)
    picture[:] = (200, 100, 50)
    maker.put(picture, None, maker.tensor(1)[0])
    assert maker.tensor(1).shape == (1, 7, 5, len(expected))
    assert maker.tensor(1)[0, 3, 2] == pytest.approx(expected, abs=1)
