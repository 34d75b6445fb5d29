"""The packaged models' files, as `make build` keeps them, and what their conversions are asked for."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from hashlib import sha256
from pathlib import Path

from vms.adapters.tfjs import convert, convert_face_api

# Files by their SHA-256: what `vms models install --packaged --cache` fetched.
_KEPT = Path(__file__).parents[1] / ".cache" / "models"


@dataclass(frozen=True)
class Packaged:
    """A model in a package: SHA-256 of its JSON and of its shards."""

    files: tuple[str, ...]
    inputs: Mapping[str, Sequence[int]] = field(default_factory=dict)
    outputs: tuple[str, ...] = ()


MODELS = {
    "coco-ssd": Packaged(
        (
            "3770b2528339b1e3340cb74360e1e40401816b009779aeb8d0cce3a4353ea3a9",
            "0e7af0f713e98521252321f7f84892c31cefccccec3ac64c84e5065b75ed5646",
            "74cc6cfc2c4510c9cd81b8ad4cebf6f6a8f305119bb365ce0eb96276da38519a",
            "50383033f893eae136392a403e8f70ade5efd90867df5695c4ca5ac640e14f38",
            "d856dc534c780068bbf6c666ce1516df2c8433d87578aa31fcdf197de7058cc2",
            "3d356f1fb6dfca6af78c56db34d9326706d0196e303f9de6b04f236ca79ed309",
        ),
        {"Preprocessor/sub:0": (0, 300, 300, 3)},
        ("Postprocessor/ExpandDims_1:0", "Postprocessor/Slice:0"),
    ),
    "nanodet": Packaged(
        (
            "4495eb0ec74bd33ee40a79aa06ebc1ccd7e28be1bf7355d93ffb570b8d77f45d",
            "5d0e4f8c4eded666287330be03017d494787d35f523fd77ca23f59db984a4ad9",
        ),
        {"input_1:0": (0, 3, 416, 416)},
        (),
    ),
    "blazeface": Packaged(
        (
            "1bdef3b5bfef3132ad5b625eca3493af01a373df4a3b2584fa250e5da16ed960",
            "5c3f885a2fd36cb36a6e8bf96a902d9702d486dc76454536e7c15ba73c4e5b42",
        ),
        {},
        ("Identity:0",),
    ),
    "movenet-lightning": Packaged(
        (
            "df8cbde44d00f533ccc4916a7c6ebc17316532fb3fadad114ec667fef22872e9",
            "bf97bc10d9c8a11200b0190ed64ce039b6252f1aff7cb552aca99b3d191c2f34",
        )
    ),
    "face-embedding": Packaged(
        (
            "cbaffa501b0b9275a12b63357a6843e7e30c054e1c9151e1a5f879b26e32986b",
            "b413e420d6840b2775fba32008db6f3cddb07d485967fb42cfcf379c16a8c589",
        )
    ),
}


@cache
def converted(name: str) -> bytes:
    """The ONNX file of a packaged model. Fails, not skips, where its files are missing."""
    model = MODELS[name]
    graph, *shards = packaged(name)
    if name == "face-embedding":
        return convert_face_api(graph, shards)
    return convert(graph, shards, model.inputs or None, model.outputs or None)


def packaged(name: str) -> list[bytes]:
    """Its JSON and its shards."""
    return [_kept(name, digest) for digest in MODELS[name].files]


def _kept(name: str, digest: str) -> bytes:
    directory = Path(os.environ.get("VMS_TEST_MODELS", _KEPT))
    path = directory / digest
    assert path.is_file(), f"{path} of the model {name} is missing: `make build` fetches it"
    content = path.read_bytes()
    assert sha256(content).hexdigest() == digest, f"{path} of the model {name} is damaged"
    return content
