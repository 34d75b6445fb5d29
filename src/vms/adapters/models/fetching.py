"""Getting the files of models: from npm and PyPI by their own tools, so that the registries these are set up for are
used, and by HTTPS."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from importlib import metadata
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx

from vms.adapters.models.archives import MAX_FILE_BYTES, read_file, read_tar, read_zip
from vms.domain.errors import Failure
from vms.domain.models import ModelSource

# What is being fetched, bytes so far, bytes in all where that is known.
Told = Callable[[str, int, int | None], None]
# Package, version, directory to put it in, progress → the archive.
Download = Callable[[str, str, Path, Told], Path]

_TOOL_S = 1800.0
_POLL_S = 0.25
_HTTP_S = 30.0
_REDIRECTS = 5
_LINES = 4


class Fetcher:
    """Fetches what sources name. A context manager: downloads lie in a temporary directory that goes with it, so that
    a package of several models is fetched once, and one that is interrupted leaves nothing."""

    def __init__(
        self,
        told: Told,
        *,
        npm: Download | None = None,
        pypi: Download | None = None,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._told = told
        self._downloads: dict[str, Download] = {"npm": npm or npm_pack, "pypi": pypi or pip_download}
        self._transport = transport
        self._directory = tempfile.TemporaryDirectory(prefix="vms-models-")
        self._packages: dict[tuple[str, str, str], Path] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._directory.cleanup()

    def __call__(self, source: ModelSource, archive: Path | None = None) -> Sequence[bytes]:
        """The files of a source, in its order; `archive`: out of this package, which is here already.

        Raises Failure(unavailable) where it cannot be had, Failure(malformed) where it is not such a package,
        Failure(invalid) for a source that only the user has.
        """
        match source.kind:
            case "npm":
                # npm puts everything below a folder of this name.
                members = [f"package/{name}" for name in source.files]
                return read_tar(archive or self._package(source), members)
            case "pypi":
                installed = None if archive else _installed_files(source)
                return installed or read_zip(archive or self._package(source), source.files)
            case "url":
                return [download(source.url, Path(self._directory.name), self._told, self._transport)]
            case "file" | "trained":
                raise Failure("invalid", "the model's ONNX file is yours to bring: give --file")

    def _package(self, source: ModelSource) -> Path:
        key = (source.kind, source.package, source.version)
        if key not in self._packages:
            directory = Path(tempfile.mkdtemp(dir=self._directory.name))
            self._packages[key] = self._downloads[source.kind](source.package, source.version, directory, self._told)
        return self._packages[key]


def npm_pack(package: str, version: str, directory: Path, told: Told) -> Path:
    """The archive of a package, fetched by npm into `directory`, its cache too: a home directory is not needed."""
    npm = shutil.which("npm")
    if npm is None:
        raise Failure(
            "unavailable",
            f"npm is needed to fetch {package}: install Node.js 20 or newer, or give the package's .tgz with --file",
        )
    options = ["--cache", str(directory / "cache"), "--ignore-scripts", "--loglevel=error"]
    command = [npm, "pack", f"{package}@{version}", "--pack-destination", str(directory), *options]
    return _fetched(command, f"{package} {version}", directory, ".tgz", told)


def pip_download(package: str, version: str, directory: Path, told: Told) -> Path:
    """The wheel of a package, fetched by pip into `directory`. Never a source archive: pip would run its set-up."""
    options = ["--no-deps", "--only-binary=:all:", "--no-cache-dir", "--quiet", "--disable-pip-version-check"]
    command = [sys.executable, "-m", "pip", "download", *options, "--dest", str(directory), f"{package}=={version}"]
    return _fetched(command, f"{package} {version}", directory, ".whl", told)


def _fetched(command: Sequence[str], what: str, directory: Path, ending: str, told: Told) -> Path:
    log = directory / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, cwd=directory, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=output
        )
        try:
            for _ in range(int(_TOOL_S / _POLL_S)):
                try:
                    process.wait(_POLL_S)
                    break
                except subprocess.TimeoutExpired:
                    told(what, _size_bytes(directory), None)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
    archives = [path for path in directory.iterdir() if path.suffix == ending]
    if process.returncode != 0 or len(archives) != 1:
        # Tools say first what failed, and then much else.
        said = [line for line in log.read_text(errors="replace").splitlines() if line.strip()][:_LINES]
        raise Failure(
            "unavailable", f"{what} cannot be fetched by {Path(command[0]).name}: {'; '.join(said) or 'no answer'}"
        )
    told(what, archives[0].stat().st_size, archives[0].stat().st_size)
    return archives[0]


def _size_bytes(directory: Path) -> int:
    total = 0
    for path in directory.rglob("*"):
        try:
            total += path.stat().st_size
        except OSError:
            # Moved or removed by the tool at this moment.
            continue
    return total


def _installed_files(source: ModelSource) -> Sequence[bytes] | None:
    """The files out of the package that is installed here, where it is that version."""
    try:
        distribution = metadata.distribution(source.package)
    except metadata.PackageNotFoundError:
        return None
    if distribution.version != source.version:
        return None
    paths = [Path(str(distribution.locate_file(name))) for name in source.files]
    return [read_file(path) for path in paths] if all(path.is_file() for path in paths) else None


def download(
    url: str,
    directory: Path,
    told: Told,
    transport: httpx.BaseTransport | None = None,
    limit_bytes: int = MAX_FILE_BYTES,
) -> bytes:
    """What lies at an HTTPS address, by way of a file in `directory`; redirects are followed to HTTPS alone.

    Raises Failure(unavailable) where it cannot be had whole, Failure(malformed) where it is larger than `limit_bytes`.
    """
    asked, what = url, url.rpartition("/")[2] or url
    path = directory / "download"
    try:
        with httpx.Client(transport=transport, timeout=_HTTP_S) as http:
            for _ in range(_REDIRECTS + 1):
                if httpx.URL(url).scheme != "https":
                    raise Failure("unavailable", f"{what} leads to an address that is not HTTPS")
                with http.stream("GET", url) as response:
                    if response.is_redirect and response.next_request is not None:
                        url = str(response.next_request.url)
                        continue
                    if response.is_error:
                        host = response.url.host
                        raise Failure(
                            "unavailable", f"{what} cannot be fetched: {host} answered {response.status_code}"
                        )
                    _receive(response, path, what, told, limit_bytes)
                    return path.read_bytes()
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise Failure(
            "unavailable",
            f"{asked} cannot be fetched: {str(error) or type(error).__name__}; "
            "where this machine does not reach it, bring the file and give --file",
        ) from error
    except OSError as error:
        raise Failure("unavailable", f"{what} cannot be kept: {error.strerror}") from error
    finally:
        path.unlink(missing_ok=True)
    raise Failure("unavailable", f"{what} cannot be fetched: more than {_REDIRECTS} redirects")


def _receive(response: httpx.Response, path: Path, what: str, told: Told, limit_bytes: int) -> None:
    said = response.headers.get("content-length", "")
    total = int(said) if said.isdecimal() and "content-encoding" not in response.headers else None
    done = 0
    with path.open("wb") as file:
        if (total or 0) <= limit_bytes:
            for piece in response.iter_bytes(1 << 20):
                done += len(piece)
                if done > limit_bytes:
                    break
                file.write(piece)
                told(what, done, total)
    if max(done, total or 0) > limit_bytes:
        raise Failure("malformed", f"{what} is larger than {limit_bytes} bytes")
    if total is not None and done != total:
        raise Failure("unavailable", f"{what} broke off after {done} of {total} bytes: try again")
