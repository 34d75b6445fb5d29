"""Configuration: file, environment, command line, and what is wrong with them."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from vms.app.config import Settings, is_loopback, load
from vms.domain.errors import Failure


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith("VMS_"):
            monkeypatch.delenv(name)


def _file(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "vms.toml"
    path.write_text(text)
    return path


def test_the_defaults_are_those_documented() -> None:
    settings = load(None)
    assert (settings.http.host, settings.http.port, settings.http.tls) == ("127.0.0.1", 8080, "auto")
    assert (settings.webrtc.udp_port, settings.webrtc.tcp_port) == (8189, 8189)
    assert settings.rtsp.port == 8554
    assert settings.srt.port == 8890
    assert settings.grpc.port == 50_051
    assert settings.limits.requests_per_minute == 100
    assert settings.recording.fragment_ms == 500
    assert not settings.cameras.allow_loopback
    assert settings.admin_password is None


def test_command_line_over_environment_over_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = _file(
        tmp_path,
        """
        [http]
        host = "192.0.2.1"
        port = 1
        media_concurrency = 9
        [limits]
        requests_per_minute = 5
        """,
    )
    monkeypatch.setenv("VMS_HTTP__PORT", "2")
    monkeypatch.setenv("VMS_LIMITS__REQUESTS_PER_MINUTE", "0")
    monkeypatch.setenv("VMS_ADMIN_PASSWORD", "from the environment")
    settings = load(path, http={"host": "127.0.0.1"})
    assert (settings.http.host, settings.http.port, settings.http.media_concurrency) == ("127.0.0.1", 2, 9)
    assert settings.limits.requests_per_minute == 0
    assert settings.admin_password is not None
    assert settings.admin_password.get_secret_value() == "from the environment"
    assert "from the environment" not in repr(settings)
    assert load(path).http.host == "192.0.2.1"
    assert load(None, http={"port": 3}).http.port == 3


@pytest.mark.parametrize(
    ("variable", "value", "section", "key", "expected"),
    [
        ("VMS_HTTP__TLS", "off", "http", "tls", "off"),
        ("VMS_WEBRTC__UDP_PORT", "0", "webrtc", "udp_port", 0),
        ("VMS_WEBRTC__TCP_PORT", "0", "webrtc", "tcp_port", 0),
        (
            "VMS_WEBRTC__PUBLIC_ADDRESSES",
            '["203.0.113.7", "203.0.113.7:18189", "2001:db8::7", "[2001:db8::7]:443"]',
            "webrtc",
            "public_addresses",
            ("203.0.113.7", "203.0.113.7:18189", "2001:db8::7", "[2001:db8::7]:443"),
        ),
        ("VMS_RTSP__PORT", "1", "rtsp", "port", 1),
        ("VMS_SRT__PORT", "1", "srt", "port", 1),
        ("VMS_GRPC__PORT", "1", "grpc", "port", 1),
        ("VMS_AUTH__REQUIRE_ADMIN_MFA", "false", "auth", "require_admin_mfa", False),
        ("VMS_CAMERAS__ALLOW_LOOPBACK", "true", "cameras", "allow_loopback", True),
        ("VMS_CAMERAS__ALLOW_LOOPBACK", "1", "cameras", "allow_loopback", True),
        ("VMS_RECORDING__FRAGMENT_MS", "250", "recording", "fragment_ms", 250),
        ("VMS_RECORDING__THUMBNAILS", "0", "recording", "thumbnails", False),
        ("VMS_RECORDING__CHECKSUMS", "no", "recording", "checksums", False),
        ("VMS_AI__ENABLED", "false", "ai", "enabled", False),
    ],
)
def test_every_documented_variable(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, section: str, key: str, expected: object
) -> None:
    monkeypatch.setenv(variable, value)
    assert getattr(getattr(load(None), section), key) == expected


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("VMS_HTTP__PORT", "65536"),
        ("VMS_HTTP__PORT", "-1"),
        ("VMS_HTTP__PORT", "http"),
        ("VMS_HTTP__TLS", "maybe"),
        ("VMS_HTTP__PROT", "1"),
        ("VMS_LIMITS__REQUESTS_PER_MINUTE", "-1"),
        ("VMS_RECORDING__FRAGMENT_MS", "0"),
        ("VMS_LOG__LEVEL", "loud"),
        ("VMS_HTTP", "not json"),
    ],
)
def test_values_that_cannot_be_name_their_key(monkeypatch: pytest.MonkeyPatch, variable: str, value: str) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(Failure) as refused:
        load(None)
    assert "\n" not in refused.value.detail
    assert variable.removeprefix("VMS_").split("__", maxsplit=1)[0].lower() in refused.value.detail.lower()


@pytest.mark.parametrize(
    "text",
    [
        *("", "vms.example", "vms.example:8189", "203.0.113.7:", "203.0.113.7:0", "203.0.113.7:65536", "0.0.0.0", "::"),
        *("[2001:db8::7]", "[203.0.113.7]:1", "224.0.0.1", "203.0.113.7 ", "203.0.113", "fe80::1%eth0", "[::]:8189"),
    ],
)
def test_what_is_no_public_address_is_told_how_to_write_one(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("VMS_WEBRTC__PUBLIC_ADDRESSES", json.dumps(["203.0.113.7", text]))
    with pytest.raises(Failure, match=r"webrtc.public_addresses: entry 2 .* write IP, IP:port or \[IPv6\]:port"):
        load(None)


@pytest.mark.parametrize(
    "text", ["[http\n", "[nonsense]\n", "[http]\nprot = 1\n", "http = 1\n", "[http]\ncertificate_file = 'a'\n"]
)
def test_files_that_cannot_be(tmp_path: Path, text: str) -> None:
    with pytest.raises(Failure, match="configuration") as refused:
        load(_file(tmp_path, text))
    assert refused.value.kind == "invalid"


def test_pages_and_live_pictures_need_a_tcp_port_each(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Failure, match=r"webrtc.tcp_port is http.port: write another, or 0"):
        load(None, http={"port": 8189})
    for key in ("TCP", "UDP"):
        monkeypatch.setenv(f"VMS_WEBRTC__{key}_PORT", "0")
        assert load(None, http={"port": 8189}).http.port == 8189
        monkeypatch.delenv(f"VMS_WEBRTC__{key}_PORT")


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(Failure, match="cannot be read"):
        load(tmp_path / "missing.toml")
    (tmp_path / "latin.toml").write_bytes(b"# \xff")
    with pytest.raises(Failure, match="cannot be read"):
        load(tmp_path / "latin.toml")


def test_a_secret_is_not_repeated(tmp_path: Path) -> None:
    with pytest.raises(Failure) as refused:
        load(_file(tmp_path, 'admin_password = ["hush hush"]'))
    assert "hush" not in refused.value.detail


def test_security_that_is_not_there_is_not_pretended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VMS_AUTH__REQUIRE_ADMIN_MFA", "true")
    with pytest.raises(Failure, match="not available yet"):
        load(None)


def test_devices_for_models_are_found_or_named() -> None:
    assert load(None).ai.devices == "auto"
    ai = load(None, ai={"devices": ["cuda:0", "openvino:GPU.0", "cpu"], "model_devices": {"rt-detr-l": "cuda"}}).ai
    assert ai.devices == ("cuda:0", "openvino:GPU.0", "cpu")
    assert ai.model_devices == {"rt-detr-l": "cuda"}
    for devices in ([], ["the fast one"], "cuda"):
        with pytest.raises(Failure, match=r"ai\.devices"):
            load(None, ai={"devices": devices})
    with pytest.raises(Failure, match=r"ai\.detector"):
        load(None, ai={"detector": "../x"})


def test_an_empty_password_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VMS_ADMIN_PASSWORD", "")
    assert load(None).admin_password is None


@pytest.mark.parametrize(
    ("host", "tls", "expected"),
    [
        ("127.0.0.1", "auto", False),
        ("127.8.8.8", "auto", False),
        ("::1", "auto", False),
        ("localhost", "auto", False),
        ("0.0.0.0", "auto", True),
        ("::", "auto", True),
        ("192.0.2.1", "auto", True),
        ("cam.example", "auto", True),
        ("0.0.0.0", "off", False),
    ],
)
def test_beyond_this_machine_there_is_tls(host: str, tls: str, expected: bool) -> None:
    assert load(None, http={"host": host, "tls": tls}).http.uses_tls() is expected
    assert is_loopback(host) is (host in {"127.0.0.1", "127.8.8.8", "::1", "localhost"})


def test_nothing_of_one_load_stays_for_the_next(tmp_path: Path) -> None:
    load(_file(tmp_path, "[http]\nport = 5\n"))
    assert Settings().http.port == 8080


def test_limits_of_volumes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VMS_RETENTION__VOLUMES", '{"main": {"days": 30}, "slow": {"max_bytes": 5}}')
    limits = load(None).retention.volumes
    assert (limits["main"].days, limits["slow"].max_bytes) == (30, 5)
    for wrong in ('{"main": {"days": 0}}', '{"main": {"weeks": 1}}', '{"../x": {"days": 1}}', "[]"):
        monkeypatch.setenv("VMS_RETENTION__VOLUMES", wrong)
        with pytest.raises(Failure, match="retention"):
            load(None)


def test_volumes_come_from_the_file_or_as_json_from_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert load(None).storage.volumes == ()
    path = _file(
        tmp_path,
        """
        [storage]
        volumes = [
            {name = "disk1", path = "/mnt/disk1/vms", weight = 2},
            {name = "archive", path = "/mnt/archive", tier = "slow", reserve_bytes = 5_000_000_000},
        ]
        """,
    )
    first, second = load(path).storage.volumes
    assert (first.name, first.path, first.weight, first.tier, first.reserve_bytes) == (
        "disk1", "/mnt/disk1/vms", 2, "fast", 1 << 30,
    )  # fmt: skip
    assert (second.tier, second.weight, second.reserve_bytes) == ("slow", 1, 5_000_000_000)
    monkeypatch.setenv("VMS_STORAGE__VOLUMES", json.dumps([{"name": "only", "path": "/only"}]))
    assert [volume.name for volume in load(path).storage.volumes] == ["only"]


@pytest.mark.parametrize(
    ("volumes", "words"),
    [
        ([{"name": "a", "path": "mnt/a"}], "volume a is not absolute"),
        ([{"name": "a", "path": "/mnt/../a"}], "volume a is not absolute"),
        ([{"name": "a", "path": "/a"}, {"name": "a", "path": "/b"}], "two volumes are called a"),
        ([{"name": "a", "path": "/a"}, {"name": "b", "path": "/a/"}], "a and b have the same path"),
        ([{"name": "a", "path": "/a"}, {"name": "b", "path": "/a/b"}], "of the volumes a and b one lies in the other"),
        ([{"name": "a", "path": "/a/b"}, {"name": "b", "path": "/a"}], "of the volumes a and b one lies in the other"),
        ([{"name": "a", "path": "/a", "weight": 0}], "every volume has weight 0"),
        ([{"name": "A", "path": "/a"}], "name"),
        ([{"name": "a", "path": "/a", "tier": "warm"}], "tier"),
        ([{"name": "a", "path": "/a", "weight": -1}], "weight"),
        ([{"name": "a", "path": "/a", "size": 1}], "entry 1 has a key that no volume has: size"),
        ([{"name": "a"}], "path"),
        (["/a"], "volumes"),
        ("/a", "volumes"),
        ([{"name": f"v{i}", "path": f"/v{i}"} for i in range(17)], "at most 16"),
    ],
)
def test_volumes_that_cannot_be_meant_are_refused_by_name(
    volumes: object, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VMS_STORAGE__VOLUMES", json.dumps(volumes))
    with pytest.raises(Failure) as refused:
        load(None)
    assert refused.value.kind == "invalid"
    assert words in refused.value.detail
    assert "storage" in refused.value.detail
