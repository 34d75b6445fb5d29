"""Putting models on the shelf: fetched, compared with the catalogue's hashes, made ONNX, checked, and then there."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from pathlib import Path

from vms.adapters.models.disk import locked, write_whole
from vms.adapters.models.graphs import GraphReader, check_graph, check_loads
from vms.adapters.models.shelf import file_name, manifest_paths, read_installed
from vms.contracts.inference import InstalledModel
from vms.domain.errors import Failure
from vms.domain.models import ModelManifest, ModelSource

Fetch = Callable[[ModelSource], Sequence[bytes]]
# The files of a source in its order → ONNX.
Convert = Callable[[ModelManifest, Sequence[bytes]], bytes]
# None for outputs that are read elsewhere. Raises Failure(malformed) where the manifest does not name what it wants.
ReaderOf = Callable[[ModelManifest], GraphReader | None]


class Cache:
    """Files of sources by their SHA-256, so that a second installation needs no network."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def find(self, source: ModelSource) -> Sequence[bytes] | None:
        """All files of a source, or None where one is missing or damaged, or no hashes are known."""
        found = []
        for sha256 in source.sha256:
            try:
                content = (self._directory / sha256).read_bytes()
            except OSError:
                return None
            if hash_of(content) != sha256:
                return None
            found.append(content)
        return found or None

    def keep(self, contents: Sequence[bytes]) -> None:
        """Raises Failure(unavailable)."""
        with locked(self._directory):
            for content in contents:
                _write(self._directory / hash_of(content), content)


class Installer:
    """Writes one directory of a shelf."""

    def __init__(
        self,
        directory: Path,
        *,
        fetch: Fetch,
        convert: Convert,
        reader_of: ReaderOf = lambda _manifest: None,
        cache: Cache | None = None,
    ) -> None:
        self._directory = directory
        self._fetch = fetch
        self._convert = convert
        self._reader_of = reader_of
        self._cache = cache

    def install(self, manifest: ModelManifest, files: Sequence[bytes] | None = None) -> InstalledModel:
        """Installs a model; `files`: of its source, where they are here already. One of that name is replaced.

        Raises Failure(malformed) for files that are not what the manifest says, and what fetching raises; then the
        shelf is as before.
        """
        manifest = self._with_pin(manifest)
        kept = self._cache.find(manifest.source) if self._cache is not None and files is None else None
        files = files or kept or self._fetch(manifest.source)
        check_hashes(manifest, files)
        if self._cache is not None and kept is None:
            self._cache.keep(files)
        if manifest.source.conversion == "none":
            model, *parts = files
        else:
            model, parts = self._convert(manifest, files), []
        sha256 = hash_of(model)
        if manifest.sha256 not in {"", sha256}:
            raise _wrong_hash(manifest.name, "the ONNX file", sha256, manifest.sha256)
        check_graph(manifest, model, self._reader_of(manifest))
        for part in parts:
            check_loads(manifest.name, part)
        hashes = tuple(map(hash_of, files))
        whole = manifest.model_copy(
            update={
                "sha256": sha256,
                "size_bytes": len(model) + sum(map(len, parts)),
                "source": manifest.source.model_copy(update={"sha256": hashes}),
            }
        )
        return self._put(whole, (model, *parts))

    def _with_pin(self, manifest: ModelManifest) -> ModelManifest:
        """A download whose hash nobody told has to be the one that was installed before."""
        source = manifest.source
        if source.kind != "url" or source.sha256:
            return manifest
        try:
            before = read_installed(self._directory / f"{manifest.name}.json").manifest.source
        except Failure:
            return manifest
        if before.url != source.url:
            return manifest
        return manifest.model_copy(update={"source": source.model_copy(update={"sha256": before.sha256})})

    def _put(self, manifest: ModelManifest, contents: Sequence[bytes]) -> InstalledModel:
        # The manifest is written last and names the files by their hashes: until then the model before is whole.
        with locked(self._directory):
            paths = [self._directory / file_name(manifest.name, hash_of(content)) for content in contents]
            for path, content in zip(paths, contents, strict=True):
                _write(path, content)
            text = manifest.model_dump_json(indent=2, exclude_defaults=True)
            _write(self._directory / f"{manifest.name}.json", text.encode() + b"\n")
            _sweep(self._directory, manifest.name, paths)
        return InstalledModel(manifest, paths[0], tuple(paths[1:]))


def remove(directory: Path, name: str) -> None:
    """Takes a model off a shelf's directory. Raises Failure(not_found)."""
    manifest_path = directory / f"{name}.json"
    if manifest_path not in manifest_paths(directory):
        raise Failure("not_found", f"the model {name} is not in {directory}")
    with locked(directory):
        manifest_path.unlink(missing_ok=True)
        _sweep(directory, name, ())


def _sweep(directory: Path, name: str, kept: Sequence[Path]) -> None:
    """Removes the files of a model but those that it has now."""
    of_the_model = re.compile(re.escape(name) + r"\.[0-9a-f]{16}\.onnx")
    for path in directory.iterdir():
        if of_the_model.fullmatch(path.name) and path not in kept:
            path.unlink()


def check_hashes(manifest: ModelManifest, files: Sequence[bytes]) -> None:
    """Compares the files of a source with the hashes known of them. Raises Failure(malformed)."""
    source = manifest.source
    if source.sha256 and len(files) != len(source.sha256):
        raise Failure("malformed", f"the model {manifest.name} has {len(source.sha256)} files, not {len(files)}")
    for number, sha256 in enumerate(source.sha256):
        found = hash_of(files[number])
        if found != sha256:
            which = source.files[number] if source.files else "the file"
            raise _wrong_hash(manifest.name, which, found, sha256)


def hash_of(content: bytes) -> str:
    """SHA-256, in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def _wrong_hash(name: str, what: str, found: str, expected: str) -> Failure:
    return Failure(
        "malformed",
        f"{what} of the model {name} has the SHA-256 {found}, not {expected}: it is damaged or another version",
        code="model-hash",
    )


def _write(path: Path, content: bytes) -> None:
    try:
        write_whole(path, content)
    except OSError as error:
        raise Failure("unavailable", f"{path} cannot be written: {error.strerror}") from error
