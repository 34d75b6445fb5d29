"""Reading text in a device's process: what is written is told, what is not there is not, and nothing is fetched."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper

from tests.inference_double import Pictures, processor
from vms.adapters.inference.framing import Order
from vms.adapters.inference.pictures import SharedPictures
from vms.adapters.inference.runner import WorkerRunner
from vms.adapters.inference.text_model import TextModel
from vms.adapters.models import Shelf, catalogue
from vms.adapters.models.installing import Installer
from vms.app.models import convert, reader_of
from vms.contracts.inference import InstalledModel, Job
from vms.domain.errors import Failure
from vms.domain.models import ModelSource
from vms.domain.motion import Box
from vms.domain.vision import Finding

PLATE = "ABC1D23"


def _never_fetches(source: ModelSource) -> Sequence[bytes]:
    raise AssertionError(source)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> InstalledModel:
    """As it is installed, from the files that the library's package carries."""
    package = find_spec("rapidocr")
    assert package is not None and package.origin is not None, "the tests need rapidocr: pip install vms[text]"
    manifest = catalogue()["paddle-ocr"]
    directory = Path(package.origin).parents[1]
    files = [(directory / name).read_bytes() for name in manifest.source.files]
    shelf = tmp_path_factory.mktemp("models")
    Installer(shelf, fetch=_never_fetches, convert=convert, reader_of=reader_of).install(manifest, files)
    return Shelf([shelf]).get("paddle-ocr")


@pytest.fixture(scope="module")
def runner(model: InstalledModel) -> Iterator[WorkerRunner]:
    """The real process."""
    made = WorkerRunner(processor())
    made.restart()
    made.load(model)
    yield made
    made.close()


@pytest.fixture
def pictures(tmp_path: Path) -> Pictures:
    return Pictures(tmp_path)


def _written(text: str, width: int = 320, height: int = 240) -> NDArray[np.uint8]:
    """White on blue, in the lower right quarter."""
    picture = np.zeros((height, width, 3), np.uint8)
    picture[:] = (30, 60, 140)
    where = (width * 54 // 100, height * 80 // 100)
    cv2.putText(picture, text, where, cv2.FONT_HERSHEY_SIMPLEX, width / 400, (255, 255, 255), 2, cv2.LINE_AA)
    return picture


def _look(runner: WorkerRunner, pictures: Pictures, picture: NDArray[np.uint8], **job: object) -> tuple[Finding, ...]:
    (found,) = runner.run("paddle-ocr", [Job(pictures.frame_of(picture), "paddle-ocr", **job)])  # type: ignore[arg-type]
    return found


def test_what_is_written_is_read_where_it_is(runner: WorkerRunner, pictures: Pictures) -> None:
    (found,) = _look(runner, pictures, _written(PLATE))
    assert (found.label, found.text) == ("text", PLATE)
    assert found.score > 0.9
    assert 0.5 < found.box.left < 0.6 and 0.65 < found.box.top < 0.75
    assert 0.8 < found.box.right <= 1.0 and 0.78 < found.box.bottom < 0.88


def test_of_a_region_the_place_is_that_in_the_whole_picture(runner: WorkerRunner, pictures: Pictures) -> None:
    picture = _written(PLATE)
    (whole,) = _look(runner, pictures, picture)
    (part,) = _look(runner, pictures, picture, region=Box(0.5, 0.5, 1.0, 1.0))
    assert part.text == PLATE
    sides = ("left", "top", "right", "bottom")
    assert [getattr(part.box, side) for side in sides] == pytest.approx(
        [getattr(whole.box, side) for side in sides], abs=0.03
    )
    assert _look(runner, pictures, picture, region=Box(0.0, 0.0, 0.5, 0.5)) == ()


def test_where_nothing_is_written_nothing_is_found(runner: WorkerRunner, pictures: Pictures) -> None:
    noise = np.random.default_rng(3).integers(90, 110, (240, 320, 3)).astype(np.uint8)
    assert _look(runner, pictures, noise) == ()
    assert _look(runner, pictures, np.zeros((240, 320, 3), np.uint8)) == ()


def test_what_is_less_sure_than_asked_is_left_out(runner: WorkerRunner, pictures: Pictures) -> None:
    assert _look(runner, pictures, _written(PLATE), least_score=1.0) == ()


def test_lines_come_in_the_order_of_reading(runner: WorkerRunner, pictures: Pictures) -> None:
    picture = np.full((200, 320, 3), 200, np.uint8)
    for row, text in enumerate(("NORTH GATE", "STREET 24")):
        cv2.putText(picture, text, (40, 60 + 80 * row), cv2.FONT_HERSHEY_SIMPLEX, 1.0, (0, 0, 0), 2, cv2.LINE_AA)
    found = _look(runner, pictures, picture)
    assert [finding.text.replace(" ", "") for finding in found] == ["NORTHGATE", "STREET24"]


@pytest.mark.parametrize(("width", "height"), [(3000, 1), (1, 1), (7, 400), (9000, 30), (9, 3000)])
def test_strips_that_cannot_be_read_are_not_tried(
    model: InstalledModel, pictures: Pictures, width: int, height: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("it would be enlarged for many seconds")

    reading = TextModel(model.manifest, (model.path, *model.parts), processor())
    monkeypatch.setattr(reading, "_engine", refuse)
    frame = pictures.frame_of(np.full((height, width, 3), 99, np.uint8))
    order = Order(frame.place.path, frame.place.offset, width, height, None, None)
    assert reading.look([order], SharedPictures()) == [()]


@pytest.mark.parametrize(("width", "height"), [(2000, 8), (8, 2000), (8, 8)])
def test_long_and_small_pictures(runner: WorkerRunner, pictures: Pictures, width: int, height: int) -> None:
    assert _look(runner, pictures, np.full((height, width, 3), 99, np.uint8)) == ()


def test_a_large_picture_is_made_smaller_first(runner: WorkerRunner, pictures: Pictures) -> None:
    (found,) = _look(runner, pictures, _written(PLATE, 4800, 3600))
    assert found.text == PLATE
    assert 0.5 < found.box.left < 0.6


def test_a_region_without_pixels_is_refused(runner: WorkerRunner, pictures: Pictures) -> None:
    with pytest.raises(Failure, match="a region without pixels") as failure:
        _look(runner, pictures, _written(PLATE), region=Box(0.5, 0.5, 0.5, 0.6))
    assert failure.value.kind == "malformed"


def test_without_the_library_it_says_what_to_install(model: InstalledModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rapidocr", None)
    with pytest.raises(Failure, match=r"paddle-ocr needs the package rapidocr: pip install vms\[text\]") as failure:
        TextModel(model.manifest, (model.path, *model.parts), processor())
    assert failure.value.kind == "unavailable"


def test_files_that_are_missing_are_named(runner: WorkerRunner, model: InstalledModel) -> None:
    with pytest.raises(Failure, match=r"takes 3 files \(detection, recognition, direction\).* has 1") as failure:
        runner.load(InstalledModel(model.manifest, model.path))
    assert failure.value.kind == "malformed"


def _identity(path: Path, letters: str | None) -> Path:
    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, 2, 2])
    out = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 3, 2, 2])
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "none", [value], [out])
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    if letters is not None:
        helper.set_model_props(made, {"character": letters})
    onnx.save(made, str(path))
    return path


def test_networks_that_are_others_are_refused_and_nothing_is_fetched(
    runner: WorkerRunner, model: InstalledModel, pictures: Pictures, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recognition, direction = model.parts
    no_letters = _identity(tmp_path / "no-letters.onnx", None)
    no_network = tmp_path / "no-network.onnx"
    no_network.write_bytes(b"nothing")
    other = _identity(tmp_path / "other.onnx", "a\nb")
    for path, parts, says in (
        (model.path, (no_letters, direction), "no-letters.onnx .* which letters"),
        (model.path, (no_network, direction), "no-network.onnx .* no ONNX"),
        (model.path, (tmp_path / "gone.onnx", direction), "gone.onnx .* no ONNX"),
        (model.path, (other, direction), "does not read text"),
        (no_network, (recognition, direction), "does not read text"),
        (model.path, (recognition, tmp_path / "gone.onnx"), "does not read text"),
    ):
        with pytest.raises(Failure, match=says) as failure:
            runner.load(InstalledModel(model.manifest, path, parts))
        assert failure.value.kind == "malformed"
    assert _look(runner, pictures, _written(PLATE))[0].text == PLATE

    def refuse(*_: object) -> None:
        raise AssertionError("the library fetches")

    from rapidocr.utils.download_file import DownloadFile  # noqa: PLC0415

    monkeypatch.setattr(DownloadFile, "run", refuse)
    TextModel(model.manifest, (model.path, *model.parts), processor()).warm_up()
