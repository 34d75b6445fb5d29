"""Manifests of models: those of the catalogue, and those that users bring. Format: docs/format/model-manifest.md."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from functools import cache
from importlib import resources
from pathlib import PurePosixPath
from urllib.parse import urlsplit

from pydantic import ValidationError

from vms.domain.errors import Failure, FieldFailure
from vms.domain.models import ModelInput, ModelManifest, ModelSource, Reader, Task

# What `make build` installs: a model for each task that needs no choice.
PACKAGED = ("coco-ssd", "nanodet", "blazeface", "face-embedding", "movenet-lightning")
# Of several models for a task the first that is installed is used, unless the configuration names one.
DEFAULTS: Mapping[Task, tuple[str, ...]] = {
    "detect": ("coco-ssd", "nanodet", "rt-detr-l"),
    "faces": ("blazeface",),
    "face_embedding": ("face-embedding",),
    "pose": ("movenet-lightning", "movenet-thunder"),
    "text": ("paddle-ocr",),
}
MAX_MANIFEST_BYTES = 1 << 20

_READERS: Mapping[Task, tuple[Reader, ...]] = {
    "detect": ("ssd", "nanodet", "detr", "yolo_world"),
    "faces": ("blazeface",),
    "face_embedding": ("embedding",),
    "pose": ("movenet",),
    "text": ("ocr",),
    "anomaly": ("autoencoder",),
}
_NPM_PACKAGE = re.compile(r"(@[a-z0-9][a-z0-9._-]*/)?[a-z0-9][a-z0-9._-]*")
_PYPI_PACKAGE = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?")
_VERSION = re.compile(r"[0-9A-Za-z][0-9A-Za-z.+-]*")


@cache
def catalogue() -> Mapping[str, ModelManifest]:
    """The manifests that the package brings, by name, in alphabetical order."""
    folder = resources.files(__package__) / "catalogue"
    found = {}
    for entry in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if entry.name.endswith(".json"):
            manifest = parse_manifest(entry.read_bytes(), entry.name)
            found[manifest.name] = manifest
    return found


def parse_manifest(text: bytes, origin: str) -> ModelManifest:
    """The manifest in `text`; `origin` says where that was, for people.

    Raises FieldFailure(malformed) that names every field with a mistake; its pointer is the first one's.
    """
    if len(text) > MAX_MANIFEST_BYTES:
        raise Failure("malformed", f"the manifest {origin} is larger than {MAX_MANIFEST_BYTES} bytes")
    try:
        manifest = ModelManifest.model_validate_json(text)
    except ValidationError as error:
        mistakes = [(tuple(map(str, one["loc"])), _in_words(one["type"], one["msg"])) for one in error.errors()]
    else:
        mistakes = [*_mistakes(manifest)]
    if mistakes:
        what = "; ".join(f"{'.'.join(place)}: {mistake}" if place else mistake for place, mistake in mistakes)
        raise FieldFailure(
            "".join(f"/{part}" for part in mistakes[0][0]),
            f"the manifest {origin}: {what}",
            kind="malformed",
            code="model-manifest",
        )
    return manifest


def _in_words(kind: str, message: str) -> str:
    match kind:
        case "extra_forbidden":
            return "there is no such field"
        case "missing":
            return "is missing"
        case _:
            return message


def _mistakes(manifest: ModelManifest) -> list[tuple[tuple[str, ...], str]]:
    """What types alone do not tell: field (as a path) and mistake."""
    found = [(("source", *place), mistake) for place, mistake in _source_mistakes(manifest.source)]
    found += [(("input", *place), mistake) for place, mistake in _input_mistakes(manifest.input)]
    if manifest.reader not in _READERS[manifest.task]:
        found.append((("reader",), f"{manifest.reader} does not read outputs of the task {manifest.task}"))
    if not manifest.outputs:
        found.append((("outputs",), "name at least one output of the graph"))
    if any(not name for name in manifest.outputs.values()):
        found.append((("outputs",), "an output's name is empty"))
    if manifest.task == "detect" and not any(manifest.labels):
        found.append((("labels",), "a detector needs the names of what it detects, in the order of its scores"))
    if not manifest.licence.strip():
        found.append((("licence",), "is empty"))
    if not manifest.commercial and not manifest.notice:
        found.append((("notice",), "say why commercial use is not allowed"))
    return found


def _source_mistakes(source: ModelSource) -> list[tuple[tuple[str, ...], str]]:
    found: list[tuple[tuple[str, ...], str]] = []
    if source.kind in {"npm", "pypi"}:
        pattern = _NPM_PACKAGE if source.kind == "npm" else _PYPI_PACKAGE
        if not pattern.fullmatch(source.package):
            found.append((("package",), f"not the name of a package: {source.package or 'it is empty'}"))
        if not _VERSION.fullmatch(source.version):
            found.append((("version",), f"not a version: {source.version or 'it is empty'}"))
        if not source.files:
            found.append((("files",), "name the files in the package"))
        found += [
            (("files", str(n)), f"not a path in a package: {f}") for n, f in enumerate(source.files) if _leaves(f)
        ]
        if len(source.sha256) != len(source.files):
            found.append((("sha256",), f"{len(source.sha256)} hashes for {len(source.files)} files"))
    elif source.kind == "url":
        if urlsplit(source.url).scheme != "https" or not urlsplit(source.url).hostname:
            found.append((("url",), "must begin with https://"))
        if len(source.sha256) > 1:
            found.append((("sha256",), "a download has one hash"))
    if source.conversion != "none" and source.kind not in {"npm", "pypi"}:
        found.append((("conversion",), f"a source of the kind {source.kind} is ONNX already: none"))
    return found


def _leaves(path: str) -> bool:
    """The path could lead out of a package."""
    return not path or "\\" in path or path.startswith("/") or ".." in PurePosixPath(path).parts


def _input_mistakes(entry: ModelInput) -> list[tuple[tuple[str, ...], str]]:
    found: list[tuple[tuple[str, ...], str]] = []
    channels = 1 if entry.colour == "grey" else 3
    for name, values in (("mean", entry.mean), ("deviation", entry.deviation)):
        if len(values) not in {1, channels}:
            found.append(((name,), f"{len(values)} values for {channels} channels: give 1 or {channels}"))
        if not all(map(math.isfinite, values)):
            found.append(((name,), "must be finite"))
    if not all(entry.deviation):
        found.append((("deviation",), "must not be 0: pixels are divided by it"))
    return found
