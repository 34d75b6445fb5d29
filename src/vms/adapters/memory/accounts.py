"""Users, sessions, and stand-ins for slow or random machinery."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import threading
from collections.abc import Sequence

from vms.contracts.accounts import Session, User
from vms.contracts.grants import Grant
from vms.domain.errors import Failure
from vms.domain.time import SECOND_US


class MemoryUserRepository:
    """Satisfies `vms.contracts.accounts.UserRepository`."""

    def __init__(self) -> None:
        self._users: dict[str, User] = {}
        self._lock = threading.Lock()

    def add(self, user: User) -> None:
        with self._lock:
            if any(other.name.casefold() == user.name.casefold() for other in self._users.values()):
                raise Failure("conflict", "another user has this name", code="user-name-taken")
            self._users[user.id] = user

    def get(self, user_id: str) -> User:
        with self._lock:
            return self._known(user_id)

    def find(self, name: str) -> User | None:
        with self._lock:
            return next((user for user in self._users.values() if user.name.casefold() == name.casefold()), None)

    def all(self) -> Sequence[User]:
        with self._lock:
            return [self._users[user_id] for user_id in sorted(self._users)]

    def set_password_hash(self, user_id: str, password_hash: str) -> None:
        with self._lock:
            self._users[user_id] = self._known(user_id).model_copy(update={"password_hash": password_hash})

    def _known(self, user_id: str) -> User:
        if user_id not in self._users:
            raise Failure("not_found", "no user has this identifier", code="user-not-found")
        return self._users[user_id]


class MemorySessionRepository:
    """Satisfies `vms.contracts.accounts.SessionRepository`."""

    def __init__(self) -> None:
        self._sessions: dict[str, Session] = {}
        self._lock = threading.Lock()

    def add(self, session: Session) -> None:
        with self._lock:
            self._sessions[session.id] = session

    def find(self, session_id: str) -> Session | None:
        with self._lock:
            return self._sessions.get(session_id)

    def renew(self, session_id: str, generation: int, expires_us: int) -> bool:
        with self._lock:
            session = self._sessions.get(session_id)
            if session is None or session.revoked or session.generation != generation:
                return False
            change = {"generation": generation + 1, "expires_us": expires_us}
            self._sessions[session_id] = session.model_copy(update=change)
            return True

    def revoke(self, session_id: str) -> None:
        with self._lock:
            session = self._sessions.get(session_id)
            if session is not None:
                self._sessions[session_id] = session.model_copy(update={"revoked": True})

    def revoke_all(self, user_id: str) -> None:
        with self._lock:
            for session in list(self._sessions.values()):
                if session.user_id == user_id:
                    self._sessions[session.id] = session.model_copy(update={"revoked": True})

    def remove_expired(self, now_us: int) -> int:
        with self._lock:
            ended = [session.id for session in self._sessions.values() if session.expires_us <= now_us]
            for session_id in ended:
                del self._sessions[session_id]
            return len(ended)


class PlainHasher:
    """Satisfies `vms.contracts.accounts.PasswordHasher` at once and without safety: for tests."""

    def hash(self, password: str) -> str:
        return "plain:" + hashlib.sha256(password.encode()).hexdigest()

    def verify(self, password_hash: str | None, password: str) -> bool:
        return password_hash is not None and hmac.compare_digest(self.hash(password), password_hash)

    def is_outdated(self, password_hash: str) -> bool:
        return not password_hash.startswith("plain:")


class MemoryGrantSigner:
    """Satisfies `vms.contracts.grants.GrantSigner` in the format of the media core: `v1.CLAIMS.HMAC-SHA256`."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def sign(self, grant: Grant) -> str:
        head = "v1." + _encode(grant.model_dump_json().encode())
        return f"{head}.{_encode(hmac.digest(self._key, head.encode(), 'sha256'))}"

    def verify(self, token: str) -> Grant:
        head, _, signature = token.rpartition(".")
        expected = _encode(hmac.digest(self._key, head.encode(), "sha256"))
        if not head.startswith("v1.") or not hmac.compare_digest(expected.encode(), signature.encode()):
            raise Failure("unauthorized", "the link is not one of ours", code="invalid-link")
        claims = head.removeprefix("v1.")
        try:
            return Grant.model_validate(json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4))))
        except ValueError as error:
            raise Failure("unauthorized", "the link cannot be read", code="invalid-link") from error


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


class ManualClock:
    """Satisfies `vms.contracts.clock.Clock`; time passes when `advance` is called."""

    def __init__(self, now_us: int = 1_795_428_780 * SECOND_US) -> None:
        self._now_us = now_us
        self._monotonic_s = 0.0
        self._lock = threading.Lock()

    def now_us(self) -> int:
        """Grows by one µs a call, so that things made one after another are ordered."""
        with self._lock:
            self._now_us += 1
            return self._now_us

    def monotonic_s(self) -> float:
        return self._monotonic_s

    def advance(self, seconds: float) -> None:
        """Lets `seconds` pass."""
        with self._lock:
            self._now_us += int(seconds * SECOND_US)
            self._monotonic_s += seconds

    def set_wall(self, now_us: int) -> None:
        """Sets the wall clock, as an administrator does; the steady one does not notice."""
        with self._lock:
            self._now_us = now_us
