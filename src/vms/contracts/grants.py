"""Grants: short-lived signed permissions that the front checks without asking, and links that carry them."""

from __future__ import annotations

from typing import Literal, Protocol

from pydantic import BaseModel, ConfigDict

GrantAction = Literal["live", "playback", "export"]


class Grant(BaseModel):
    """May do `action` with a camera. The first use must come before `starts_before`, the last before `expires_at`
    (both Unix seconds). `start_us`/`end_us` bound playback; absent means unbounded."""

    model_config = ConfigDict(frozen=True)

    camera_id: str
    action: GrantAction
    stream: str | None = None
    start_us: int | None = None
    end_us: int | None = None
    starts_before: int
    expires_at: int
    subject: str


class GrantSigner(Protocol):
    """Signs grants and checks them, under the key that the front holds too."""

    def sign(self, grant: Grant) -> str: ...

    def verify(self, token: str) -> Grant:
        """Raises Failure(unauthorized) for a token that is not ours or is altered. Times are the caller's to check."""
        ...
