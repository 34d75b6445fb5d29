"""The shelf: which models there are, and that they are what was installed."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.model_files import manifest, tiny_onnx
from vms.adapters.models import Shelf
from vms.adapters.models.installing import Installer, remove
from vms.domain.errors import Failure
from vms.domain.models import ModelManifest, ModelSource


def _no_fetching(_source: ModelSource) -> Sequence[bytes]:
    raise AssertionError


def _no_converting(_manifest: ModelManifest, _files: Sequence[bytes]) -> bytes:
    raise AssertionError


def put(directory: Path, bias: float = 0.0, **changes: Any) -> Path:
    """A model on the shelf; its file."""
    installer = Installer(directory, fetch=_no_fetching, convert=_no_converting)
    return installer.install(manifest(**changes), [tiny_onnx(bias=bias)]).path


def test_of_two_directories_the_first_counts(tmp_path: Path) -> None:
    own, shared = tmp_path / "own", tmp_path / "shared"
    first = put(own, 1.0)
    put(shared, 2.0)
    other = put(shared, 3.0, name="other")
    shelf = Shelf([own, shared, tmp_path / "not-there"])
    assert [(model.manifest.name, model.path) for model in shelf.models()] == [("other", other), ("tiny", first)]
    assert shelf.get("tiny").path == first
    assert shelf.get("other").manifest.size_bytes == other.stat().st_size


def test_what_is_installed_while_it_is_open_is_there(tmp_path: Path) -> None:
    shelf = Shelf([tmp_path])
    assert shelf.models() == []
    path = put(tmp_path)
    assert shelf.get("tiny").path == path
    remove(tmp_path, "tiny")
    assert shelf.models() == []
    assert [entry.name for entry in tmp_path.iterdir()] == [".lock"]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("coco-ssd", "the model coco-ssd is not installed: vms models install coco-ssd"),
        ("nothing", "there is no model nothing"),
        ("../tiny", "there is no model ../tiny"),
        ("", "there is no model "),
    ],
)
def test_a_model_that_is_not_there(tmp_path: Path, name: str, said: str) -> None:
    put(tmp_path)
    (tmp_path / "below").mkdir()
    shelf = Shelf([tmp_path / "below"])
    for ask in (shelf.get, lambda name: shelf.verify([name])):
        with pytest.raises(Failure) as failed:
            ask(name)
        assert failed.value.kind == "not_found"
        assert said in failed.value.detail


def test_a_file_that_was_changed_is_refused(tmp_path: Path) -> None:
    path = put(tmp_path)
    shelf = Shelf([tmp_path])
    shelf.get("tiny")
    path.write_bytes(tiny_onnx(bias=9.0))
    with pytest.raises(Failure) as failed:
        shelf.get("tiny")
    assert (failed.value.kind, failed.value.code) == ("malformed", "model-hash")
    assert str(path) in failed.value.detail


def test_a_file_is_hashed_once_but_verified_anew(tmp_path: Path) -> None:
    path = put(tmp_path)
    shelf = Shelf([tmp_path])
    shelf.get("tiny")
    status = path.stat()
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    with path.open("r+b") as file:
        file.write(content)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    # As a disk that loses a bit: only reading it tells.
    shelf.get("tiny")
    (checked,) = shelf.verify()
    assert checked.problem is not None
    with pytest.raises(Failure):
        shelf.get("tiny")


def test_a_further_file_is_checked_too(tmp_path: Path) -> None:
    installer = Installer(tmp_path, fetch=_no_fetching, convert=_no_converting)
    files = [tiny_onnx(), tiny_onnx(bias=1.0)]
    model = installer.install(manifest(), files)
    shelf = Shelf([tmp_path])
    assert [path.read_bytes() for path in (model.path, *model.parts)] == files
    assert shelf.get("tiny").parts == model.parts
    model.parts[0].write_bytes(b"else")
    with pytest.raises(Failure, match="SHA-256"):
        shelf.get("tiny")


def test_commercial_mode_refuses_what_its_licence_forbids(tmp_path: Path) -> None:
    put(tmp_path, licence="CC-BY-NC-4.0", commercial=False, notice="Ask the makers.")
    shelf = Shelf([tmp_path])
    with pytest.raises(Failure) as failed:
        shelf.get("tiny")
    assert (failed.value.kind, failed.value.code) == ("forbidden", "model-licence")
    for said in ("tiny", "CC-BY-NC-4.0", "Ask the makers.", "ai.commercial = false"):
        assert said in failed.value.detail
    assert shelf.default("detect") is None
    assert [model.manifest.name for model in shelf.models()] == ["tiny"]
    free = Shelf([tmp_path], commercial=False)
    assert free.get("tiny") == free.default("detect")


def test_the_default_is_the_first_of_its_task_that_is_there(tmp_path: Path) -> None:
    put(tmp_path, name="a-custom-one")
    put(tmp_path, name="nanodet")
    shelf = Shelf([tmp_path])
    chosen = shelf.default("detect")
    assert chosen is not None
    assert chosen.manifest.name == "nanodet"
    assert shelf.default("pose") is None
    remove(tmp_path, "nanodet")
    other = shelf.default("detect")
    assert other is not None
    assert other.manifest.name == "a-custom-one"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"tiny.json": b"{"}, "the manifest"),
        ({"tiny.json": None}, "no model tiny"),
        ({"onnx": None}, "is missing: install it again"),
    ],
)
def test_a_broken_model_hides_no_other(tmp_path: Path, change: Mapping[str, bytes | None], said: str) -> None:
    path = put(tmp_path)
    put(tmp_path, name="whole")
    for name, content in change.items():
        target = path if name == "onnx" else tmp_path / name
        target.unlink() if content is None else target.write_bytes(content)
    shelf = Shelf([tmp_path])
    assert [model.manifest.name for model in shelf.models()] == ["whole"]
    with pytest.raises(Failure, match=said):
        shelf.get("tiny")
    problems = {checked.name: checked.problem for checked in shelf.verify()}
    assert problems["whole"] is None
    assert problems.get("tiny", said) is not None


@pytest.mark.parametrize("changes", [{"name": "other"}, {"sha256": ""}])
def test_a_manifest_that_was_copied_by_hand_is_not_taken(tmp_path: Path, changes: dict[str, str]) -> None:
    put(tmp_path)
    path = tmp_path / "tiny.json"
    text = manifest(**{"sha256": "0" * 64, **changes}).model_dump_json()
    path.write_text(text)
    with pytest.raises(Failure, match="not one that `vms models install` wrote"):
        Shelf([tmp_path]).get("tiny")


def test_a_file_that_cannot_be_read_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = put(tmp_path)
    shelf = Shelf([tmp_path])
    real = Path.open

    def refused(self: Path, *arguments: Any, **options: Any) -> Any:
        if self == path:
            raise PermissionError(13, "Permission denied")
        return real(self, *arguments, **options)

    monkeypatch.setattr(Path, "open", refused)
    with pytest.raises(Failure, match="cannot be read: Permission denied"):
        shelf.get("tiny")
