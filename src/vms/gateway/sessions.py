"""Decisions about log-ins: how long they last, and what a refresh token is still good for."""

from __future__ import annotations

from typing import Literal

from vms.contracts.accounts import Session, TokenClaims
from vms.domain.errors import FieldFailure

ACCESS_S = 15 * 60
REFRESH_S = 30 * 24 * 60 * 60
SHORTEST_PASSWORD = 8
LONGEST_PASSWORD = 1024

RefreshVerdict = Literal["renew", "refuse", "stolen"]


def judge_refresh(claims: TokenClaims, session: Session | None, now_us: int) -> RefreshVerdict:
    """What to do with a refresh token whose signature is good: renew it, refuse it, or (it was renewed before, so two
    hold it) end the session."""
    if claims.use != "refresh" or session is None or session.revoked or session.expires_us <= now_us:
        return "refuse"
    if session.user_id != claims.user_id:
        return "refuse"
    if claims.generation < session.generation:
        return "stolen"
    return "renew" if claims.generation == session.generation else "refuse"


def check_password(password: str, *, pointer: str = "/password") -> None:
    """Raises FieldFailure for a password that nobody should choose."""
    if len(password) < SHORTEST_PASSWORD:
        raise FieldFailure(
            pointer, f"a password has at least {SHORTEST_PASSWORD} characters", code="password-too-short"
        )
    if len(password) > LONGEST_PASSWORD:
        raise FieldFailure(pointer, f"a password has at most {LONGEST_PASSWORD} characters", code="password-too-long")
