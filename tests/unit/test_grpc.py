"""The connection between processes: what may go wrong with it, and what callers see then."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, get_args

import grpc
import pytest

from vms.adapters import certificates
from vms.adapters.grpc import Served, ServerAddress, ServerTls, StorageNode, StorageServer
from vms.adapters.grpc.connection import NodeConnection
from vms.adapters.grpc.failures import metadata_of, status_of
from vms.adapters.grpc.generated import (
    archive_pb2,
    archive_pb2_grpc,
    live_pb2,
    live_pb2_grpc,
    node_pb2,
    node_pb2_grpc,
    playback_pb2,
    playback_pb2_grpc,
)
from vms.adapters.grpc.handles import Handles
from vms.adapters.grpc.servicers import NodeServicer
from vms.adapters.memory.media import MemoryMedia
from vms.adapters.memory.playback import SIZE_BYTES, MemoryBytes
from vms.contracts.problems import GRPC_STATUS
from vms.domain.errors import Failure, FailureKind, FieldFailure
from vms.domain.ids import make_id
from vms.domain.recordings import RecordedRange

TOKEN = "t" * 64
CAMERA = make_id(1, b"recorded")
AUTHORIZED = (("authorization", f"Bearer {TOKEN}"),)


@pytest.fixture
def media() -> MemoryMedia:
    media = MemoryMedia()
    media.recorded[CAMERA] = [RecordedRange(start_us=0, end_us=100)]
    return media


@contextmanager
def _serving(media: MemoryMedia, directory: Path, port: int = 0, **options: Any) -> Iterator[StorageServer]:
    tls = options.pop("tls", None)
    served = Served(media, media, media, media, directory)
    server = StorageServer(served, ServerAddress("127.0.0.1", port, TOKEN, tls), **options)
    server.start()
    try:
        yield server
    finally:
        server.stop(0.1)


@contextmanager
def _calling(port: int, token: str = TOKEN, **options: Any) -> Iterator[StorageNode]:
    node = StorageNode(f"127.0.0.1:{port}", token, **options)
    node.start(lambda: None)
    try:
        yield node
    finally:
        node.close()


def _failure(action: Callable[[], object]) -> Failure:
    with pytest.raises(Failure) as refused:
        action()
    return refused.value


def _wait_until(what: Callable[[], bool], within_s: float) -> float:
    began = time.monotonic()
    while not what():
        assert time.monotonic() - began < within_s
        time.sleep(0.01)
    return time.monotonic() - began


def _is_there(node: StorageNode) -> bool:
    try:
        node.check()
    except Failure:
        return False
    return True


@pytest.mark.parametrize("kind", get_args(FailureKind))
def test_every_failure_arrives_as_it_was(
    kind: FailureKind, media: MemoryMedia, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert kind in GRPC_STATUS
    wanted = Failure(kind, "what is wrong, with ümlauts", code="a-code")

    def fail(*_: object) -> None:
        raise wanted

    monkeypatch.setattr(media, "timeline", fail)
    with _serving(media, tmp_path) as server, _calling(server.port) as node:
        told = _failure(lambda: node.archive.timeline(CAMERA, 0, 1))
        if kind == "unauthorized":
            # Nobody's session is at fault between services.
            assert (told.kind, told.code) == ("unavailable", "storage-refuses-token")
        else:
            assert (told.kind, told.detail, told.code) == (kind, wanted.detail, "a-code")


def test_a_field_s_failure_names_the_field_and_long_sentences_are_cut() -> None:
    message = node_pb2.Failure.FromString(metadata_of(FieldFailure("/name", "x" * 100_000))[0][1])
    assert (message.kind, message.pointer) == ("invalid", "/name")
    assert len(message.detail) < 8000
    assert status_of(Failure("conflict", "")) is grpc.StatusCode.FAILED_PRECONDITION


def test_faults_of_the_program_tell_nothing(
    media: MemoryMedia, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def bug(*_: object) -> None:
        raise ValueError("secret")

    monkeypatch.setattr(media, "timeline", bug)
    with _serving(media, tmp_path) as server, _calling(server.port) as node:
        told = _failure(lambda: node.archive.timeline(CAMERA, 0, 1))
        assert told.kind == "internal"
        assert "secret" not in told.detail


def test_nobody_is_served_without_the_token(media: MemoryMedia, tmp_path: Path) -> None:
    with _serving(media, tmp_path) as server:
        with _calling(server.port, "wrong" * 20) as node:
            told = _failure(lambda: node.archive.timeline(CAMERA, 0, 1))
            assert (told.kind, told.code) == ("unavailable", "storage-refuses-token")
            assert "wrong" not in told.detail
        with grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel:
            calls: list[tuple[Any, Any]] = [
                (node_pb2_grpc.NodeStub(channel).Hello, node_pb2.HelloRequest(protocol_version=1)),
                (archive_pb2_grpc.MediaArchiveStub(channel).GetTimeline, archive_pb2.GetTimelineRequest()),
            ]
            for metadata in ((), (("authorization", TOKEN),), (("authorization", "Bearer"),)):
                for call, request in calls:
                    with pytest.raises(grpc.RpcError) as refused:
                        call(request, timeout=2, metadata=metadata)
                    assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED
            read = playback_pb2_grpc.MediaPlaybackStub(channel).ReadContent
            with pytest.raises(grpc.RpcError) as refused:
                list(read(playback_pb2.ReadContentRequest(handle="x", length=5), timeout=2))
            assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED


@pytest.mark.parametrize(("version", "oldest", "fits"), [(1, 1, True), (7, 1, True), (7, 2, False), (0, 0, False)])
def test_peers_of_other_versions(media: MemoryMedia, tmp_path: Path, version: int, oldest: int, *, fits: bool) -> None:
    other = NodeServicer(version=version, oldest_version=oldest)
    with _serving(media, tmp_path, node=other) as server, _calling(server.port) as node:
        if fits:
            assert len(node.archive.timeline(CAMERA, 0, 100).ranges) == 1
        else:
            told = _failure(lambda: node.archive.timeline(CAMERA, 0, 1))
            assert told.kind == "unavailable"
            assert told.code in {"storage-version", "protocol-version"}
    with _serving(media, tmp_path) as server:
        connection = NodeConnection(f"127.0.0.1:{server.port}", TOKEN, hello=(version, oldest))
        connection.start()
        if fits:
            connection.check()
        else:
            assert _failure(connection.check).code == "protocol-version"
        connection.close()


class _Careless(NodeServicer):
    """A peer that leaves it to its callers whether they understand it."""

    async def Hello(self, request: node_pb2.HelloRequest, context: Any) -> node_pb2.HelloReply:  # noqa: N802
        return node_pb2.HelloReply(protocol_version=9, oldest_protocol_version=8, instance_id="x")


def test_a_newer_peer_that_does_not_refuse_is_refused(media: MemoryMedia, tmp_path: Path) -> None:
    with _serving(media, tmp_path, node=_Careless()) as server, _calling(server.port) as node:
        told = _failure(lambda: node.archive.timeline(CAMERA, 0, 1))
        assert (told.kind, told.code) == ("unavailable", "storage-version")
        assert "8 to 9" in told.detail


def test_a_node_that_is_gone_is_noticed_and_found_again(media: MemoryMedia, tmp_path: Path) -> None:
    told: list[float] = []
    with _serving(media, tmp_path) as server:
        port = server.port
        node = StorageNode(f"127.0.0.1:{port}", TOKEN)
        node.start(lambda: told.append(time.monotonic()))
        assert len(node.archive.timeline(CAMERA, 0, 100).ranges) == 1
        _wait_until(lambda: len(told) == 1, 2)
    try:
        began = time.monotonic()
        assert _failure(lambda: node.archive.timeline(CAMERA, 0, 100)).code == "storage-down"
        assert time.monotonic() - began < 1
        _wait_until(lambda: not _is_there(node), 2)
        with _serving(media, tmp_path, port):
            assert _wait_until(lambda: _is_there(node), 5) < 2
            assert len(node.archive.timeline(CAMERA, 0, 100).ranges) == 1
            # It is another process now, which knows nothing of what it was told.
            _wait_until(lambda: len(told) == 2, 2)
    finally:
        node.close()


def test_what_cannot_be_told_is_told_again(media: MemoryMedia, tmp_path: Path) -> None:
    calls: list[int] = []

    def tell() -> None:
        calls.append(1)
        if len(calls) == 1:
            raise Failure("unavailable", "gone again")

    with _serving(media, tmp_path) as server:
        node = StorageNode(f"127.0.0.1:{server.port}", TOKEN)
        node.start(tell)
        _wait_until(lambda: len(calls) == 2, 5)
        node.close()


def test_a_node_that_never_answers_is_down(media: MemoryMedia) -> None:
    """It takes connections and says nothing; or it did answer, and hangs now."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        began = time.monotonic()
        with _calling(silent.getsockname()[1]) as node:
            assert time.monotonic() - began < 1.5
            began = time.monotonic()
            assert _failure(lambda: node.archive.timeline(CAMERA, 0, 1)).code == "storage-down"
            assert time.monotonic() - began < 0.1


def test_a_node_that_hangs_is_down(media: MemoryMedia, tmp_path: Path) -> None:
    with _serving(media, tmp_path) as server, _calling(server.port) as node:
        assert len(node.archive.timeline(CAMERA, 0, 100).ranges) == 1
        server._loop.call_soon_threadsafe(time.sleep, 4.0)
        _wait_until(lambda: not _is_there(node), 2)
        began = time.monotonic()
        assert _failure(lambda: node.archive.timeline(CAMERA, 0, 1)).code == "storage-down"
        assert time.monotonic() - began < 0.1
        _wait_until(lambda: _is_there(node), 6)


@pytest.mark.parametrize(
    "garbage", [b"GET / HTTP/1.1\r\n\r\n", b"\0" * 5000, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\xff" * 900]
)
def test_garbage_on_the_port(media: MemoryMedia, tmp_path: Path, garbage: bytes) -> None:
    with _serving(media, tmp_path) as server:
        for _ in range(5):
            with socket.create_connection(("127.0.0.1", server.port), 2) as peer:
                peer.sendall(garbage)
        with _calling(server.port) as node:
            assert len(node.archive.timeline(CAMERA, 0, 100).ranges) == 1


def test_requests_that_are_too_large(media: MemoryMedia, tmp_path: Path) -> None:
    with _serving(media, tmp_path) as server, _calling(server.port) as node:
        told = _failure(lambda: node.live.whep_open(CAMERA, "main", "v" * (2 << 20), None))
        assert told.kind == "exhausted"
        assert len(node.archive.timeline(CAMERA, 0, 100).ranges) == 1
        with grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel, pytest.raises(grpc.RpcError):
            call = live_pb2_grpc.MediaLiveStub(channel).OpenWhep
            call(live_pb2.OpenWhepRequest(), timeout=2, metadata=(*AUTHORIZED, ("x", "y" * 100_000)))


def test_bytes_that_are_no_message(media: MemoryMedia, tmp_path: Path) -> None:
    with _serving(media, tmp_path) as server, grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        call = channel.unary_unary("/vms.v1.MediaArchive/GetTimeline", bytes, bytes)
        with pytest.raises(grpc.RpcError):
            call(b"\xff\xff\xff", timeout=2, metadata=AUTHORIZED)
        with pytest.raises(grpc.RpcError) as refused:
            channel.unary_unary("/vms.v1.MediaArchive/Nonsense", bytes, bytes)(b"", timeout=2, metadata=AUTHORIZED)
        assert refused.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_exports_are_named_by_identifiers_alone(media: MemoryMedia, tmp_path: Path) -> None:
    with _serving(media, tmp_path / "outgoing") as server, grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        stub = archive_pb2_grpc.MediaArchiveStub(channel)
        request = archive_pb2.StartExportRequest(
            export_id="../escaped", camera_ids=[CAMERA], start_us=0, end_us=100, format=archive_pb2.EXPORT_CONTAINER_MP4
        )
        with pytest.raises(grpc.RpcError) as refused:
            stub.StartExport(request, timeout=2, metadata=AUTHORIZED)
        assert refused.value.code() is grpc.StatusCode.NOT_FOUND
        assert not (tmp_path / "escaped").exists()
        request.export_id = CAMERA
        stub.StartExport(request, timeout=2, metadata=AUTHORIZED)
        stub.GetExportProgress(archive_pb2.GetExportProgressRequest(export_id=CAMERA), timeout=2, metadata=AUTHORIZED)
        (tmp_path / "secret").write_text("secret")
        for name in ("../../secret", "", ".", "other.mp4"):
            wanted = archive_pb2.ReadExportRequest(export_id=CAMERA, name=name)
            with pytest.raises(grpc.RpcError):
                list(stub.ReadExport(wanted, timeout=2, metadata=AUTHORIZED))
        stub.RemoveExport(archive_pb2.RemoveExportRequest(export_id=CAMERA), timeout=2, metadata=AUTHORIZED)
        assert list((tmp_path / "outgoing").iterdir()) == []


def test_a_reader_that_takes_nothing_holds_the_node_back(
    media: MemoryMedia, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []
    original = MemoryBytes.read

    def watched(self: MemoryBytes, offset: int, length: int) -> Iterator[bytes]:
        for _ in range(200):
            for piece in original(self, 0, SIZE_BYTES):
                read.append(len(piece))
                yield piece

    monkeypatch.setattr(MemoryBytes, "read", watched)
    with _serving(media, tmp_path) as server, _calling(server.port) as node:
        readers = [node.playback.playback_open(CAMERA, "main", 0, 100) for _ in range(40)]
        begun = [reader.read(0, SIZE_BYTES) for reader in readers]
        for pieces in begun:
            assert len(next(pieces)) == 256 << 10
        # More readers than threads that read, and all of them stand still: others are served.
        before = -1
        while before != sum(read):
            before = sum(read)
            time.sleep(0.3)
        assert sum(read) / len(readers) < 20 << 20
        assert len(node.archive.timeline(CAMERA, 0, 100).ranges) == 1
        another = node.playback.playback_open(CAMERA, "main", 0, 100)
        assert next(another.read(0, 10))
        for pieces in begun:
            pieces.close()  # type: ignore[attr-defined]  # a generator


def test_readers_that_go_leave_nothing_open(media: MemoryMedia, tmp_path: Path) -> None:
    now_s = [0.0]
    with _serving(media, tmp_path, now_s=lambda: now_s[0]) as server, _calling(server.port) as node:
        forgotten = node.playback.playback_open(CAMERA, "main", 0, 100)
        closed = node.playback.playback_open(CAMERA, "main", 0, 100)
        closed.close()
        _wait_until(lambda: len(server.handles) == 1, 2)
        now_s[0] = 61.0
        node.playback.playback_open(CAMERA, "main", 0, 100)
        assert len(server.handles) == 1
        told = _failure(lambda: next(forgotten.read(0, 1)))
        assert (told.kind, told.code) == ("not_found", "handle-not-found")


def test_handles() -> None:
    now_s = [0.0]
    handles = Handles(lambda: now_s[0], most=2)
    first, second = MemoryBytes("a", ""), MemoryBytes("b", "")
    read, idle = handles.put(first), handles.put(second)
    assert handles.begin(read) is first
    assert _failure(lambda: handles.put(MemoryBytes("c", ""))).kind == "exhausted"
    now_s[0] = 61.0
    handles.put(MemoryBytes("c", ""))
    assert second.closed and not first.closed, "what is being read stays"
    assert _failure(lambda: handles.begin(idle)).code == "handle-not-found"
    handles.end(read)
    handles.drop(read)
    handles.drop(read)
    handles.end(read)
    assert first.closed and len(handles) == 1


def test_tls(media: MemoryMedia, tmp_path: Path) -> None:
    now_us = time.time_ns() // 1000
    made = certificates.load_or_make(tmp_path, "127.0.0.1", now_us)
    (tmp_path / "other").mkdir()
    other = certificates.load_or_make(tmp_path / "other", "127.0.0.1", now_us)
    tls = ServerTls(made.certificate_pem.encode(), made.key_pem.get_secret_value().encode())
    with _serving(media, tmp_path, tls=tls) as server:
        with _calling(server.port, tls=True, certificate_pem=made.certificate_pem.encode()) as node:
            assert len(node.archive.timeline(CAMERA, 0, 100).ranges) == 1
        for options in ({"tls": True, "certificate_pem": other.certificate_pem.encode()}, {"tls": False}):
            with _calling(server.port, **options) as node:
                assert _failure(lambda node=node: node.archive.timeline(CAMERA, 0, 1)).code == "storage-down"  # type: ignore[misc]


def test_a_port_that_is_taken(media: MemoryMedia, tmp_path: Path) -> None:
    with _serving(media, tmp_path) as server:
        served = Served(media, media, media, media, tmp_path)
        second = StorageServer(served, ServerAddress("127.0.0.1", server.port, TOKEN))
        assert _failure(second.start).kind == "conflict"
        second.stop(0.1)


def test_calls_from_many_threads(media: MemoryMedia, tmp_path: Path) -> None:
    found: list[int] = []
    with _serving(media, tmp_path) as server, _calling(server.port) as node:

        def call() -> None:
            for _ in range(20):
                found.append(len(node.archive.timeline(CAMERA, 0, 100).ranges))

        threads = [threading.Thread(target=call) for _ in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert found == [1] * 320
