"""Identifiers, times, drafts."""

from __future__ import annotations

import pytest

from vms.domain.camera_drafts import CameraDraft, without_credentials
from vms.domain.errors import Failure
from vms.domain.ids import is_id, make_id
from vms.domain.permissions import Permission, Role, permissions_of
from vms.domain.recordings import span
from vms.domain.time import format_time, parse_time

MAX_US = 253_402_300_799_999_999  # 9999-12-31T23:59:59.999999Z


def test_identifiers_are_uuids_of_version_7_in_the_order_of_time() -> None:
    entropy = bytes(range(8))
    made = [make_id(at_us, entropy) for at_us in (0, 1, 999, 1000, 1_795_428_780_000_000, MAX_US)]
    assert made == sorted(made)
    assert all(is_id(identifier) for identifier in made)
    assert make_id(1_795_428_780_123_456, b"\xff" * 8) == "01a207e5-085b-774b-bfff-ffffffffffff"
    with pytest.raises(ValueError, match="entropy"):
        make_id(0, b"short")


@pytest.mark.parametrize("text", ["", "x", "../etc/passwd", "01890A5D-AC96-774B-BCCE-B302099A8057", "é" * 36])
def test_what_is_no_identifier(text: str) -> None:
    assert not is_id(text)


@pytest.mark.parametrize(
    ("text", "at_us"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01t00:00:00z", 0),
        ("1970-01-01 00:00:00.000001Z", 1),
        ("1969-12-31T23:59:59.999999Z", -1),
        ("2026-11-23T10:13:00.5+01:00", 1_795_425_180_500_000),
        ("2026-11-23T10:13:00-00:30", 1_795_430_580_000_000),
        ("2026-11-23T10:13:00.123456789Z", 1_795_428_780_123_456),
        ("2016-12-31T23:59:60Z", 1_483_228_799_000_000),
        ("2024-02-29T00:00:00Z", 1_709_164_800_000_000),
    ],
)
def test_times_are_read(text: str, at_us: int) -> None:
    assert parse_time(text) == at_us


@pytest.mark.parametrize(
    "text",
    [
        "",
        "now",
        "2026-11-23",
        "2026-11-23T10:13:00",
        "2026-11-23T10:13Z",
        "2026-13-23T10:13:00Z",
        "2026-02-29T10:13:00Z",
        "2026-11-23T24:13:00Z",
        "2026-11-23T10:13:61Z",
        "2026-11-23T10:13:00+24:00",
        "2026-11-23T10:13:00+01:60",
        "2026-11-23T10:13:00.Z",
        "2026-11-23T10:13:00Z\n",
        "٢٠٢٦-11-23T10:13:00Z",
        "1795428780",
    ],
)
def test_times_that_are_none(text: str) -> None:
    with pytest.raises(ValueError):
        parse_time(text)


def test_times_are_written_with_six_decimals() -> None:
    assert format_time(0) == "1970-01-01T00:00:00.000000Z"
    assert format_time(MAX_US) == "9999-12-31T23:59:59.999999Z"
    assert format_time(parse_time("0001-01-01T00:00:00Z")) == "0001-01-01T00:00:00.000000Z"
    for outside in (MAX_US + 1, -(10**18)):
        with pytest.raises(ValueError, match="outside"):
            format_time(outside)


def test_roles_hold_more_and_more() -> None:
    assert permissions_of(Role.VIEWER) < permissions_of(Role.OPERATOR) < permissions_of(Role.ADMINISTRATOR)
    assert permissions_of(Role.ADMINISTRATOR) == frozenset(Permission)
    assert Permission.WATCH_RECORDINGS not in permissions_of(Role.VIEWER)


def test_spans() -> None:
    assert span(1, 2).end_us == 2
    for start_us, end_us in ((2, 2), (3, 2)):
        with pytest.raises(Failure, match="after start"):
            span(start_us, end_us)
    with pytest.raises(Failure, match="longer than the 1 days"):
        span(0, 86_400_000_001, longest_us=86_400_000_000)


@pytest.mark.parametrize(
    ("url", "bare", "username", "password"),
    [
        ("rtsp://h/p", "rtsp://h/p", None, None),
        ("rtsp://u@h/p", "rtsp://h/p", "u", None),
        ("rtsp://u:@h/p", "rtsp://h/p", "u", ""),
        ("rtsp://u:p@w@h:1/p?q#f", "rtsp://h:1/p?q#f", "u", "p@w"),
        ("rtsp://:p@h/", "rtsp://h/", None, None),
        ("RTSP://u:p@H/", "rtsp://H/", "u", "p"),
    ],
)
def test_credentials_leave_urls(url: str, bare: str, username: str | None, password: str | None) -> None:
    found, credentials = without_credentials(url)
    assert found == bare
    assert (credentials.username if credentials else None) == username
    if credentials is not None:
        assert (credentials.password.get_secret_value() if credentials.password is not None else None) == password


def test_a_draft_never_prints_its_password() -> None:
    draft = CameraDraft.model_validate(
        {"name": "n", "streams": {"main": {"url": "rtsp://h/"}}, "credentials": {"username": "u", "password": "hush"}}
    )
    assert "hush" not in repr(draft) + str(draft) + draft.model_dump_json()
