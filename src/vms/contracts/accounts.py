"""Users, their sessions, and how both are proved."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol

from pydantic import BaseModel, ConfigDict

from vms.domain.permissions import Role


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True)


class User(_Value):
    """An account. `password_hash` is the hasher's own text, salt and cost included."""

    id: str
    name: str
    role: Role
    password_hash: str
    created_us: int


class Session(_Value):
    """One log-in. `generation` counts how often its refresh token was renewed."""

    id: str
    user_id: str
    generation: int
    created_us: int
    expires_us: int
    revoked: bool = False


class TokenClaims(_Value):
    """What a signed token says. `generation` stands in refresh tokens only."""

    use: Literal["access", "refresh"]
    user_id: str
    session_id: str
    generation: int = 0
    expires_us: int


class UserRepository(Protocol):
    """The users. Names are unique without regard to case."""

    def add(self, user: User) -> None:
        """Raises Failure(conflict, user-name-taken)."""
        ...

    def get(self, user_id: str) -> User:
        """Raises Failure(not_found, user-not-found)."""
        ...

    def find(self, name: str) -> User | None: ...

    def all(self) -> Sequence[User]:
        """Every user in the order of creation."""
        ...

    def set_password_hash(self, user_id: str, password_hash: str) -> None:
        """Raises Failure(not_found, user-not-found)."""
        ...


class SessionRepository(Protocol):
    """The sessions that were opened and have not expired."""

    def add(self, session: Session) -> None: ...

    def find(self, session_id: str) -> Session | None: ...

    def renew(self, session_id: str, generation: int, expires_us: int) -> bool:
        """Moves the session from `generation` to the next one if it still stands there and is not revoked: of two
        renewals at once, one gets True."""
        ...

    def revoke(self, session_id: str) -> None: ...

    def revoke_all(self, user_id: str) -> None: ...

    def remove_expired(self, now_us: int) -> int:
        """Forgets sessions past their end; how many."""
        ...


class PasswordHasher(Protocol):
    """A slow, salted hash."""

    def hash(self, password: str) -> str: ...

    def verify(self, password_hash: str | None, password: str) -> bool:
        """Whether the password is the hash's; with no hash the same work is done and the answer is False, so that
        the time taken does not tell whether a user exists."""
        ...

    def is_outdated(self, password_hash: str) -> bool:
        """Whether the hash was made with other costs than those in force."""
        ...


class TokenSigner(Protocol):
    """Signed tokens."""

    def sign(self, claims: TokenClaims, now_us: int) -> str: ...

    def verify(self, token: str, now_us: int) -> TokenClaims:
        """Raises Failure(unauthorized) for a token that is not ours, is altered, or is past its end."""
        ...
