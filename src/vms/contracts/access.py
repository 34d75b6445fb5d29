"""What the gateway offers: who is asking, and what they may do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from pydantic import BaseModel, ConfigDict, SecretStr

from vms.contracts.accounts import User
from vms.contracts.grants import Grant, GrantAction
from vms.domain.permissions import Principal, Role
from vms.domain.recordings import Span


class TokenPair(BaseModel):
    """What a log-in gives."""

    model_config = ConfigDict(frozen=True)

    access_token: SecretStr
    refresh_token: SecretStr
    expires_in: int


class Access(Protocol):
    """Users, sessions and grants."""

    def log_in(self, name: str, password: str) -> TokenPair:
        """Raises Failure(unauthorized, invalid-credentials)."""
        ...

    def refresh(self, refresh_token: str) -> TokenPair:
        """A new pair for a refresh token, which is good once: a second use ends the session, since one of the two
        users stole it. Raises Failure(unauthorized, invalid-token)."""
        ...

    def log_out(self, principal: Principal) -> None: ...

    def session_of(self, access_token: str) -> str | None:
        """The session of a token that we signed and that has not ended, without asking the database."""
        ...

    def authenticate(self, access_token: str) -> Principal:
        """Raises Failure(unauthorized, invalid-token) when the token, its session or its user is no more."""
        ...

    def sign_grant(self, principal: Principal, camera_id: str, action: GrantAction) -> str:
        """A grant for the front. Raises Failure(forbidden)."""
        ...

    def sign_playback_grant(self, principal: Principal, camera_id: str, stream: str, span: Span) -> str:
        """A grant for so much of a camera's recordings, for a playlist's segments. Raises Failure(forbidden)."""
        ...

    def sign_export_link(self, principal: Principal, export_id: str) -> tuple[str, int]:
        """The token of a link to an export's file, and the Unix second by which it must be used. Raises
        Failure(forbidden)."""
        ...

    def check_grant(self, token: str, camera_id: str, action: GrantAction, *, first_use: bool) -> Grant:
        """Raises Failure(unauthorized) for a bad or late one, Failure(forbidden) for another camera or action."""
        ...

    def users(self) -> Sequence[User]: ...

    def add_user(self, name: str, password: str, role: Role) -> User:
        """Raises Failure(conflict) for a name in use, FieldFailure for a password that is too short or too long."""
        ...

    def set_password(self, name: str, password: str) -> None:
        """Also ends every session of the user. Raises Failure(not_found) and what `add_user` raises."""
        ...
