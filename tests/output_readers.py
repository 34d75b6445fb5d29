"""Manifests and outputs of models, made up, for the readers' tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from vms.domain.models import ModelInput, ModelManifest, ModelSource, Reader, Task

_NAMES = (
    "person,bicycle,car,motorcycle,airplane,bus,train,truck,boat,traffic light,fire hydrant,,stop sign,parking meter,"
    "bench,bird,cat,dog,horse,sheep,cow,elephant,bear,zebra,giraffe,,backpack,umbrella,,,handbag,tie,suitcase,frisbee,"
    "skis,snowboard,sports ball,kite,baseball bat,baseball glove,skateboard,surfboard,tennis racket,bottle,,wine glass,"
    "cup,fork,knife,spoon,bowl,banana,apple,sandwich,orange,broccoli,carrot,hot dog,pizza,donut,cake,chair,couch,"
    "potted plant,bed,,dining table,,,toilet,,tv,laptop,mouse,remote,keyboard,cell phone,microwave,oven,toaster,sink,"
    "refrigerator,,book,clock,vase,scissors,teddy bear,hair drier,toothbrush"
)
COCO_90 = tuple(_NAMES.split(","))
COCO_80 = tuple(label for label in COCO_90 if label)
_TASKS: Mapping[str, Task] = {"blazeface": "faces", "embedding": "face_embedding", "movenet": "pose"}


def manifest(reader: Reader, outputs: Mapping[str, str], labels: Sequence[str] = (), **entry: Any) -> ModelManifest:
    return ModelManifest(
        name="tried",
        version="1",
        title="Tried",
        task=_TASKS.get(reader, "detect"),
        reader=reader,
        source=ModelSource(kind="file"),
        licence="Apache-2.0",
        commercial=True,
        input=ModelInput.model_validate({"name": "x", "width": 64, "height": 64} | entry),
        outputs=dict(outputs),
        labels=tuple(labels),
    )
