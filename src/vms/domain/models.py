"""Models: what a catalogue says of each. A manifest is JSON; with it any ONNX file becomes a model of the product."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

ModelName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Task = Literal["detect", "faces", "face_embedding", "pose", "text", "anomaly"]
# How the outputs are read: `src/vms/adapters/inference` has a module for each.
Reader = Literal["ssd", "nanodet", "detr", "yolo_world", "blazeface", "embedding", "movenet", "autoencoder", "ocr"]


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ModelInput(_Value):
    """The tensor that a picture becomes: (pixel − mean) ÷ deviation, per channel, in levels of 0–255."""

    name: str
    layout: Literal["nhwc", "nchw"] = "nhwc"
    width: Annotated[int, Field(ge=1, le=4096)]
    height: Annotated[int, Field(ge=1, le=4096)]
    type: Literal["float32", "float16", "uint8", "int32"] = "float32"
    colour: Literal["rgb", "bgr", "grey"] = "rgb"
    mean: tuple[float, ...] = (0.0,)
    deviation: tuple[float, ...] = (1.0,)
    # stretch: to the input's shape. letterbox: keeps the aspect, fills with `fill`.
    fit: Literal["stretch", "letterbox"] = "stretch"
    fill: Annotated[int, Field(ge=0, le=255)] = 114


class ModelSource(_Value):
    """Where it comes from. npm and pypi: a package, its version and files in it; url: a download by the user;
    file: brought by the user; trained: made by this installation."""

    kind: Literal["npm", "pypi", "url", "file", "trained"]
    package: str = ""
    version: str = ""
    files: tuple[str, ...] = ()
    url: str = ""
    # Of each file in `files`, or of the download; empty where it is not known before (then pinned at installing).
    sha256: tuple[Sha256, ...] = ()
    # How it becomes ONNX.
    conversion: Literal["none", "tfjs", "face_api"] = "none"


class ModelManifest(_Value):
    """One model."""

    name: ModelName
    version: str
    title: str
    task: Task
    reader: Reader
    source: ModelSource
    # SPDX, or a name; whether a commercial installation may use it, and what to say of that.
    licence: str
    commercial: bool
    notice: str = ""
    # Further inputs of the graph with their fixed values (RT-DETR's original sizes) are the reader's business.
    input: ModelInput
    # Role → the output's name in the graph: {"boxes": …, "scores": …}.
    outputs: dict[str, str] = {}
    labels: tuple[str, ...] = ()
    least_score: Annotated[float, Field(ge=0, le=1)] = 0.5
    # Of the ONNX file; empty in the catalogue where installing makes it.
    sha256: Sha256 | Literal[""] = ""
    size_bytes: int = 0
    # The batch dimension is free: pictures of several cameras go together.
    batch: bool = False
    precision: Literal["fp32", "fp16", "int8"] = "fp32"
