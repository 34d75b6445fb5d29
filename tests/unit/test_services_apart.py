"""How services find each other: configuration, tokens, and cameras that are told again."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.memory_installation import MemoryInstallation
from vms.adapters.sealing import load_or_make_token, load_token
from vms.app.config import load
from vms.app.storage_node import run
from vms.domain.errors import Failure

TOKEN = "t" * 64


def _refusal(**sections: dict[str, object]) -> str:
    with pytest.raises(Failure) as refused:
        load(None, **sections)
    assert TOKEN not in refused.value.detail
    return refused.value.detail


def test_the_storage_service_listens_on_this_machine_alone() -> None:
    grpc = load(None).grpc
    assert (grpc.host, grpc.port, grpc.uses_tls()) == ("127.0.0.1", 50_051, False)
    assert load(None, grpc={"host": "0.0.0.0"}).grpc.uses_tls()
    assert "in clear" in _refusal(grpc={"host": "0.0.0.0", "tls": "off"})
    assert "go together" in _refusal(grpc={"certificate_file": "/c.pem"})
    assert "grpc.token" in _refusal(grpc={"token": "short"})


def test_an_address_needs_a_token() -> None:
    assert load(None).storage.address is None
    assert "token" in _refusal(storage={"address": "127.0.0.1:50051"})
    assert "token" in _refusal(storage={"address": "h:1", "token": TOKEN, "token_file": "/t"})
    near = load(None, storage={"address": "127.0.0.1:50051", "token": TOKEN}).storage
    assert not near.uses_tls()
    far = load(None, storage={"address": "[2001:db8::7]:50051", "token_file": "/t"}).storage
    assert (far.host(), far.uses_tls()) == ("2001:db8::7", True)
    assert "in clear" in _refusal(storage={"address": "10.0.0.5:50051", "token": TOKEN, "tls": "off"})
    for address in ("10.0.0.5", "http://h:1", "h:", ":5", "h:123456", "h:5/x"):
        assert "address" in _refusal(storage={"address": address, "token": TOKEN})


def test_a_token_is_kept_and_guarded(tmp_path: Path) -> None:
    path = tmp_path / "grpc.token"
    token = load_or_make_token(path)
    assert len(token) == 64
    assert path.stat().st_mode & 0o777 == 0o600
    assert load_or_make_token(path) == load_token(path) == token
    path.chmod(0o644)
    with pytest.raises(Failure, match="others can read"):
        load_token(path)
    path.chmod(0o600)
    for content in (b"", b"short\n", b"two lines of so many characters\nand more\n", b"\xff" * 64):
        path.write_bytes(content)
        with pytest.raises(Failure, match="token"):
            load_token(path)
    with pytest.raises(Failure, match="cannot be read"):
        load_token(tmp_path / "nothing")


def test_what_the_storage_service_cannot_start_with(tmp_path: Path) -> None:
    with pytest.raises(Failure, match=r"grpc\.port is 0"):
        run(load(None, grpc={"port": 0}), tmp_path)
    with pytest.raises(Failure, match=r"storage\.address"):
        run(load(None, storage={"address": "127.0.0.1:1", "token": TOKEN}), tmp_path)


def test_a_node_that_was_not_there_is_told_of_every_camera(
    vms: MemoryInstallation, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = (str(vms.add_camera(name=name)["id"]) for name in ("a", "b"))
    source = vms.media.sources.pop(first)
    vms.media.sources["removed meanwhile"] = source
    vms.rooms.ingest.reconnect()
    assert set(vms.media.sources) == {first, second}

    def gone(*_: object) -> None:
        raise Failure("unavailable", "gone")

    monkeypatch.setattr(vms.media, "set_camera", gone)
    with pytest.raises(Failure):
        vms.rooms.ingest.reconnect()
    answer = vms.client.post("/api/v1/cameras", json={"name": "c", "streams": {"main": {"url": "rtsp://192.0.2.1/"}}})
    assert answer.status_code == 503
    monkeypatch.setattr(vms.media, "remove_camera", gone)
    assert vms.client.delete(f"/api/v1/cameras/{first}").status_code == 503
    assert vms.client.get(f"/api/v1/cameras/{first}").status_code == 200, "nothing was done by half"
    names = [camera["name"] for camera in vms.client.get("/api/v1/cameras").json()["items"]]
    assert names == ["a", "b"]
