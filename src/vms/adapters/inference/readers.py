"""The reader of a model's outputs, by what its manifest says."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from vms.adapters.inference.blazeface import BlazefaceReader
from vms.adapters.inference.detr import DetrReader
from vms.adapters.inference.embedding import EmbeddingReader
from vms.adapters.inference.movenet import MovenetReader
from vms.adapters.inference.nanodet import NanodetReader
from vms.adapters.inference.placement import OutputReader
from vms.adapters.inference.ssd import SsdReader
from vms.adapters.inference.yolo_world import YoloWorldReader
from vms.domain.errors import Failure
from vms.domain.models import ModelManifest, Reader

READERS: Mapping[Reader, Callable[[ModelManifest], OutputReader]] = {
    "ssd": SsdReader,
    "nanodet": NanodetReader,
    "detr": DetrReader,
    "yolo_world": YoloWorldReader,
    "blazeface": BlazefaceReader,
    "embedding": EmbeddingReader,
    "movenet": MovenetReader,
}


def reader_for(manifest: ModelManifest) -> OutputReader:
    """Raises Failure(malformed) where the manifest does not name the outputs that its reader wants, and
    Failure(unsupported) for a model whose outputs are not read here."""
    reader = READERS.get(manifest.reader)
    if reader is None:
        raise Failure("unsupported", f"the outputs of {manifest.name} ({manifest.reader}) cannot be read as findings")
    return reader(manifest)
