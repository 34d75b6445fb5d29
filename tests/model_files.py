"""Small models for tests: an ONNX graph of a few bytes, a manifest that fits it, packages around them."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import onnx
from onnx import TensorProto, helper

from vms.domain.models import ModelManifest


def tiny_onnx(
    *,
    shape: Sequence[int | str] = ("n", 3, 4, 4),
    element: int = TensorProto.FLOAT,
    operator: str = "ReduceMean",
    outputs: Sequence[str] = ("scores",),
    bias: float = 0.0,
    bias_is_input: bool = False,
) -> bytes:
    """input `x` → the mean over the last two axes plus `bias` (n × 3), under each name of `outputs`."""
    nodes = [helper.make_node(operator, ["x"], ["mean"], axes=[2, 3], keepdims=0)]
    nodes += [helper.make_node("Add", ["mean", "bias"], [name]) for name in outputs]
    inputs = [helper.make_tensor_value_info("x", element, shape)]
    if bias_is_input:
        inputs.append(helper.make_tensor_value_info("bias", element, [1]))
    graph = helper.make_graph(
        nodes,
        "tiny",
        inputs,
        [helper.make_tensor_value_info(name, element, [*shape[:2]]) for name in outputs],
        [] if bias_is_input else [helper.make_tensor("bias", element, [1], [bias])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return model.SerializeToString()


def with_weights_elsewhere(model: bytes, location: str) -> bytes:
    """The model with its constant said to lie in another file."""
    loaded = onnx.load_model_from_string(model)
    tensor = loaded.graph.initializer[0]
    tensor.ClearField("float_data")
    tensor.data_location = TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", location
    return loaded.SerializeToString()


def manifest_document(**changes: Any) -> dict[str, Any]:
    """A manifest that fits `tiny_onnx()`; `input` and `source` are changed member by member."""
    document: dict[str, Any] = {
        "name": "tiny",
        "version": "1",
        "title": "A small one",
        "task": "detect",
        "reader": "ssd",
        "source": {"kind": "file"},
        "licence": "Apache-2.0",
        "commercial": True,
        "input": {"name": "x", "layout": "nchw", "width": 4, "height": 4},
        "outputs": {"scores": "scores"},
        "labels": ["person"],
        "batch": True,
    }
    for name in ("input", "source"):
        document[name] = {**document[name], **changes.pop(name, {})}
    return {**document, **changes}


def embedding_document(**changes: Any) -> dict[str, Any]:
    """One whose outputs can be read: three numbers of a face."""
    outputs = {"vector": "scores"}
    task = {"task": "face_embedding", "reader": "embedding", "labels": [], "outputs": outputs}
    return manifest_document(**{**task, **changes})


def manifest(**changes: Any) -> ModelManifest:
    """As an object."""
    return ModelManifest.model_validate_json(json.dumps(manifest_document(**changes)))


def npm_source(files: Mapping[str, bytes]) -> dict[str, Any]:
    """The `source` of a package with these files."""
    return {
        "kind": "npm",
        "package": "@maker/models",
        "version": "1.0.0",
        "files": list(files),
        "sha256": [sha256(content).hexdigest() for content in files.values()],
    }


def write_package(path: Path, files: Mapping[str, bytes], folder: str = "package/") -> Path:
    """A .tgz as npm makes it."""
    with tarfile.open(path, "w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(f"{folder}{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path
