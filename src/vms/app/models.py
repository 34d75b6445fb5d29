"""Where models lie, and how those that packages carry become ONNX."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from vms.adapters.inference.placement import OutputReader
from vms.adapters.inference.readers import READERS, reader_for
from vms.adapters.models import Shelf
from vms.domain.models import ModelManifest


def installation_directory() -> Path:
    """The models of this installation, whatever data directory it works on."""
    return Path(sys.prefix) / "share" / "vms" / "models"


def shelf_directories(data_dir: Path | None, models_dir: Path | None = None) -> Sequence[Path]:
    """Where to look for models, the first first; `models_dir` takes the place of the data directory's own."""
    own = models_dir or (data_dir / "models" if data_dir is not None else None)
    return [*([own] if own is not None else []), installation_directory()]


def open_shelf(data_dir: Path | None, models_dir: Path | None = None, *, commercial: bool = True) -> Shelf:
    """The models that are installed."""
    return Shelf(shelf_directories(data_dir, models_dir), commercial=commercial)


def convert(manifest: ModelManifest, files: Sequence[bytes]) -> bytes:
    """The ONNX file of a model whose package carries it in another form."""
    # What writes ONNX weighs 30 MB: only who installs a model needs it.
    from vms.adapters import tfjs
    from vms.adapters.models.graphs import input_shape

    graph, *shards = files
    if manifest.source.conversion == "face_api":
        return tfjs.convert_face_api(graph, shards)
    # 0: the number of pictures stays free.
    shape = input_shape(manifest.input, 0 if manifest.batch else 1)
    return tfjs.convert(graph, shards, inputs={manifest.input.name: shape}, outputs=list(manifest.outputs.values()))


def reader_of(manifest: ModelManifest) -> OutputReader | None:
    """What reads the outputs of a model; None where its task does that itself."""
    return reader_for(manifest) if manifest.reader in READERS else None
