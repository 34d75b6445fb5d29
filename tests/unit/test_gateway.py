"""Routes that count, addresses, refresh tokens, buckets."""

from __future__ import annotations

import pytest

from vms.contracts.accounts import Session, TokenClaims
from vms.domain.errors import FieldFailure
from vms.gateway.rate_limit import TokenBuckets
from vms.gateway.routes import address_key, bearer_token, client_address, is_counted
from vms.gateway.sessions import check_password, judge_refresh


@pytest.mark.parametrize(
    "path",
    [
        "/healthz",
        "/readyz",
        "/metrics",
        "/internal/grants",
        "/api/v1/cameras/c/live/whep",
        "/api/v1/cameras/c/live/whep/s",
        "/api/v1/cameras/c/playback.mp4",
        "/api/v1/cameras/c/playback/index.m3u8",
        "/api/v1/cameras/c/snapshot.jpg",
        "/api/v1/cameras/c/frame.jpg",
        "/api/v1/exports/e/download",
    ],
)
def test_media_is_not_counted(path: str) -> None:
    assert not is_counted(path)


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/api/v1/auth/token",
        "/api/v1/cameras",
        "/api/v1/cameras/c/status",
        "/api/v1/cameras/c/links",
        "/api/v1/cameras/c/timeline",
        "/api/v1/cameras/snapshot.jpg",
        "/api/v1/exports/e",
        "/healthz/x",
        "/x/healthz",
        "/api/v1/auth/token/../../../healthz",
        "/healthz\n/api/v1/auth/token",
        "/healthz\n",
    ],
)
def test_control_is_counted(path: str) -> None:
    assert is_counted(path)


def test_addresses() -> None:
    assert address_key("192.0.2.1") != address_key("192.0.2.2")
    assert address_key("::ffff:192.0.2.1") == address_key("192.0.2.1")
    assert address_key("2001:db8::1") == address_key("2001:db8::ffff:1")
    assert address_key("2001:db8::1") != address_key("2001:db8:0:1::1")
    assert address_key("x" * 10_000) == address_key("")
    assert client_address("1.1.1.1, 2.2.2.2", None) == "2.2.2.2"
    assert client_address("1.1.1.1, ", "3.3.3.3") == "3.3.3.3"
    assert client_address(None, "3.3.3.3") == "3.3.3.3"
    assert client_address(None, None) == ""


def test_bearer_tokens() -> None:
    assert bearer_token("Bearer abc") == "abc"
    assert bearer_token("bearer  abc ") == "abc"
    for header in (None, "", "Bearer", "Bearer ", "Basic abc", "abc"):
        assert bearer_token(header) is None


def _claims(generation: int = 1, **more: object) -> TokenClaims:
    fields = {"use": "refresh", "user_id": "u", "session_id": "s", "generation": generation, "expires_us": 10, **more}
    return TokenClaims.model_validate(fields)


SESSION = Session(id="s", user_id="u", generation=1, created_us=0, expires_us=10)


def test_refresh_tokens_are_judged() -> None:
    assert judge_refresh(_claims(), SESSION, 5) == "renew"
    assert judge_refresh(_claims(0), SESSION, 5) == "stolen"
    assert judge_refresh(_claims(2), SESSION, 5) == "refuse"
    assert judge_refresh(_claims(), None, 5) == "refuse"
    assert judge_refresh(_claims(), SESSION, 10) == "refuse"
    assert judge_refresh(_claims(), SESSION.model_copy(update={"revoked": True}), 5) == "refuse"
    assert judge_refresh(_claims(0), SESSION.model_copy(update={"revoked": True}), 5) == "refuse"
    assert judge_refresh(_claims(user_id="v"), SESSION, 5) == "refuse"
    assert judge_refresh(_claims(use="access"), SESSION, 5) == "refuse"


@pytest.mark.parametrize("password", ["", "1234567", "x" * 1025])
def test_passwords_that_nobody_should_choose(password: str) -> None:
    with pytest.raises(FieldFailure):
        check_password(password)


def test_buckets_forget_who_asked_longest_ago() -> None:
    buckets = TokenBuckets(1, capacity=2)
    assert buckets.take("a", 0).allowed
    assert buckets.take("b", 0).allowed
    assert not buckets.take("a", 0).allowed
    assert buckets.take("c", 0).allowed
    assert len(buckets) == 2
    assert not buckets.take("a", 0).allowed
    assert buckets.take("b", 0).allowed


def test_a_rate_of_zero_allows_everything_and_remembers_nothing() -> None:
    buckets = TokenBuckets(0)
    assert all(buckets.take("a", 0).allowed for _ in range(1000))
    assert len(buckets) == 0


@pytest.mark.parametrize(("per_minute", "capacity"), [(-1, 1), (1, 0)])
def test_buckets_that_cannot_be(per_minute: int, capacity: int) -> None:
    with pytest.raises(ValueError, match="rate"):
        TokenBuckets(per_minute, capacity=capacity)
