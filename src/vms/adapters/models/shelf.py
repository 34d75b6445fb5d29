"""The shelf: directories with `NAME.json` (the manifest) and `NAME.HASH.onnx` beside it, written by `installing`."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from vms.adapters.models.manifests import DEFAULTS, catalogue, parse_manifest
from vms.contracts.inference import InstalledModel
from vms.domain.errors import Failure
from vms.domain.models import ModelManifest, ModelName, Task

_NAME: TypeAdapter[str] = TypeAdapter(ModelName)
_HASH_CHARACTERS = 16


@dataclass(frozen=True)
class Checked:
    """What `Shelf.verify` found: the model is what its manifest says where `problem` is None."""

    name: str
    directory: Path
    problem: str | None


class Shelf:
    """The models in several directories; of two with one name the one in the earlier directory counts.

    Files are read when asked for, so that what is installed while the server runs is there at once. Safe between
    threads.
    """

    def __init__(
        self,
        directories: Sequence[Path],
        *,
        commercial: bool = True,
        defaults: Mapping[Task, tuple[str, ...]] = DEFAULTS,
    ) -> None:
        """`commercial`: refuse models whose licence forbids commercial use."""
        self._directories = tuple(directories)
        self._commercial = commercial
        self._defaults = defaults
        self._hashes: dict[Path, tuple[tuple[int, int, int], str]] = {}
        self._lock = threading.Lock()

    def models(self) -> Sequence[InstalledModel]:
        """Those that are there, by name, whether or not they may be used; a broken one is left out (`verify` tells)."""
        found: dict[str, InstalledModel] = {}
        for directory in self._directories:
            for path in manifest_paths(directory):
                if path.stem not in found:
                    try:
                        found[path.stem] = read_installed(path)
                    except Failure:
                        continue
        return [found[name] for name in sorted(found)]

    def get(self, name: str) -> InstalledModel:
        """The model of that name, its file hashed unless it is the one that was hashed before."""
        path = self._manifest_path(name)
        if path is None:
            raise _missing(name)
        model = read_installed(path)
        self._permit(model.manifest)
        self._check_hashes(model)
        return model

    def default(self, task: Task) -> InstalledModel | None:
        """The first of the task's defaults that is there and may be used, else any other of the task. Its hash is
        checked by `get`."""
        usable = {
            model.manifest.name: model
            for model in self.models()
            if model.manifest.task == task and (model.manifest.commercial or not self._commercial)
        }
        for name in (*self._defaults.get(task, ()), *usable):
            if name in usable:
                return usable[name]
        return None

    def verify(self, names: Sequence[str] = ()) -> Sequence[Checked]:
        """Hashes the files of these models (of all, in every directory) anew. Raises Failure(not_found)."""
        if names:
            paths = []
            for name in names:
                path = self._manifest_path(name)
                if path is None:
                    raise _missing(name)
                paths.append(path)
        else:
            paths = [path for directory in self._directories for path in manifest_paths(directory)]
        found = []
        for path in paths:
            problem = None
            try:
                self._check_hashes(read_installed(path), anew=True)
            except Failure as failure:
                problem = failure.detail
            found.append(Checked(path.stem, path.parent, problem))
        return found

    def _manifest_path(self, name: str) -> Path | None:
        try:
            _NAME.validate_python(name)
        except ValidationError:
            return None
        paths = (directory / f"{name}.json" for directory in self._directories)
        return next((path for path in paths if path.is_file()), None)

    def _permit(self, manifest: ModelManifest) -> None:
        if self._commercial and not manifest.commercial:
            raise Failure(
                "forbidden",
                f"the model {manifest.name} is under {manifest.licence}, which is not for commercial use: "
                f"{manifest.notice} Choose another model, or set ai.commercial = false where the use is not commercial",
                code="model-licence",
            )

    def _check_hashes(self, model: InstalledModel, *, anew: bool = False) -> None:
        expected = (model.manifest.sha256, *model.manifest.source.sha256[1:])
        for path, sha256 in zip((model.path, *model.parts), expected, strict=False):
            if self._hash(path, anew=anew) != sha256:
                raise Failure(
                    "malformed",
                    f"the file {path} is not what the manifest of the model {model.manifest.name} says (SHA-256): "
                    f"install it again",
                    code="model-hash",
                )

    def _hash(self, path: Path, *, anew: bool) -> str:
        try:
            with path.open("rb") as file:
                status = path.stat()
                # A file that was written over has another of these; one that was changed on the disk itself is what
                # `verify` is for.
                identity = (status.st_mtime_ns, status.st_size, status.st_ino)
                with self._lock:
                    known = self._hashes.get(path)
                if known is not None and known[0] == identity and not anew:
                    return known[1]
                sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise Failure("unavailable", f"the file {path} of a model cannot be read: {error.strerror}") from error
        with self._lock:
            self._hashes[path] = (identity, sha256)
        return sha256


def manifest_paths(directory: Path) -> Sequence[Path]:
    """The manifests in a directory, which need not exist."""
    try:
        return sorted(path for path in directory.iterdir() if path.suffix == ".json" and not path.name.startswith("."))
    except OSError:
        return ()


def read_installed(path: Path) -> InstalledModel:
    """The model of a manifest on the shelf. Raises Failure(malformed) where that, or a file of it, is wrong."""
    try:
        text = path.read_bytes()
    except OSError as error:
        raise Failure("unavailable", f"the manifest {path} cannot be read: {error.strerror}") from error
    manifest = parse_manifest(text, str(path))
    if manifest.name != path.stem or not manifest.sha256:
        raise Failure("malformed", f"the manifest {path} is not one that `vms models install` wrote: install it again")
    further = manifest.source.sha256[1:] if manifest.source.conversion == "none" else ()
    model_path, *parts = (path.parent / file_name(manifest.name, sha256) for sha256 in (manifest.sha256, *further))
    for part in (model_path, *parts):
        if not part.is_file():
            raise Failure("malformed", f"the file {part} of the model {manifest.name} is missing: install it again")
    return InstalledModel(manifest, model_path, tuple(parts))


def file_name(name: str, sha256: str) -> str:
    """What the file of a model with this hash is called on the shelf."""
    return f"{name}.{sha256[:_HASH_CHARACTERS]}.onnx"


def _missing(name: str) -> Failure:
    if name in catalogue():
        return Failure(
            "not_found", f"the model {name} is not installed: vms models install {name}", code="model-missing"
        )
    return Failure(
        "not_found", f"there is no model {name}: `vms models list` shows those there are", code="model-missing"
    )
