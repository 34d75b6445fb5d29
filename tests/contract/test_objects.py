"""Every object storage keeps what it is given, whole or not at all: memory, a directory, and S3 as moto plays it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from moto.server import ThreadedMotoServer

from vms.adapters.memory.objects import MemoryObjects
from vms.adapters.objects import ObstoreObjects
from vms.contracts.objects import ObjectStorage
from vms.domain.errors import Failure

KEYS = {"access_key_id": "testing", "secret_access_key": "testing", "region": "us-east-1"}


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    """The URL of an S3 with a bucket `recordings`."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    endpoint = f"http://{host}:{port}"

    httpx.put(f"{endpoint}/recordings", headers={"Host": f"{host}:{port}"}).raise_for_status()
    yield endpoint
    server.stop()


@pytest.fixture(params=["memory", "directory", "s3"])
def objects(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStorage:
    if request.param == "memory":
        return MemoryObjects()
    if request.param == "directory":
        return ObstoreObjects(f"file://{tmp_path}/objects", {})
    endpoint = request.getfixturevalue("s3")
    return ObstoreObjects(f"s3://recordings/{tmp_path.name}", {**KEYS, "endpoint": endpoint})


KEY = "cameras/0192/2026-11-23/video_10.mp4"


def test_an_object_is_read_as_it_was_written(objects: ObjectStorage) -> None:
    # More than one part of an upload.
    chunks = [bytes([n]) * (1 << 20) for n in range(18)]
    objects.put(KEY, iter(chunks))
    assert objects.size_bytes(KEY) == 18 << 20
    assert objects.read(KEY, (1 << 20) - 1, 2) == b"\x00\x01"
    assert objects.read(KEY, 17 << 20, 1 << 20) == chunks[17]
    assert objects.read(KEY, 3, 0) == b""


def test_a_later_object_takes_the_place_of_an_earlier(objects: ObjectStorage) -> None:
    objects.put(KEY, [b"old"])
    objects.put(KEY, [b"newer"])
    assert objects.read(KEY, 0, 5) == b"newer"


def test_what_is_not_there_says_so(objects: ObjectStorage) -> None:
    assert objects.size_bytes(KEY) is None
    with pytest.raises(Failure) as caught:
        objects.read(KEY, 0, 1)
    assert caught.value.kind == "not_found"
    objects.remove(KEY)


def test_reading_past_the_end_is_refused(objects: ObjectStorage) -> None:
    objects.put(KEY, [b"12345"])
    with pytest.raises(Failure) as caught:
        objects.read(KEY, 3, 3)
    assert caught.value.kind in {"malformed", "unavailable"}


def test_a_removed_object_is_gone(objects: ObjectStorage) -> None:
    objects.put(KEY, [b"x"])
    objects.remove(KEY)
    assert objects.size_bytes(KEY) is None


def test_an_upload_that_breaks_off_leaves_nothing(objects: ObjectStorage) -> None:
    def chunks() -> Iterator[bytes]:
        yield b"x" * (1 << 20)
        raise Failure("unavailable", "moving has to wait", code="moving-paused")

    with pytest.raises(Failure) as caught:
        objects.put(KEY, chunks())
    assert caught.value.kind == "unavailable"
    assert objects.size_bytes(KEY) is None


def test_a_storage_that_does_not_answer_is_unavailable() -> None:
    objects = ObstoreObjects("s3://recordings", {**KEYS, "endpoint": "http://127.0.0.1:9"}, timeout_s=1)
    with pytest.raises(Failure) as caught:
        objects.size_bytes(KEY)
    assert caught.value.kind == "unavailable"


@pytest.mark.parametrize(("url", "options"), [("what://is", {}), ("s3://bucket", {"colour": "blue"}), ("", {})])
def test_nonsense_is_refused_at_once(url: str, options: dict[str, str]) -> None:
    with pytest.raises(Failure) as caught:
        ObstoreObjects(url, options)
    assert caught.value.kind == "invalid"


def test_an_option_of_another_kind_is_refused_in_words() -> None:
    with pytest.raises(Failure, match="no option of this kind of storage: allow_http, region") as refused:
        ObstoreObjects("s3://bucket/prefix", {"allow_http": "private", "region": "x"})
    assert refused.value.kind == "invalid"
    assert "private" not in refused.value.detail
