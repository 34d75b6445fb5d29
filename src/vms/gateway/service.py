"""Log-ins, users and grants."""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence

import structlog
from pydantic import SecretStr

from vms.contracts.access import TokenPair
from vms.contracts.accounts import (
    PasswordHasher,
    Session,
    SessionRepository,
    TokenClaims,
    TokenSigner,
    User,
    UserRepository,
)
from vms.contracts.clock import Clock
from vms.contracts.grants import Grant, GrantAction, GrantSigner
from vms.domain.errors import Failure, FieldFailure
from vms.domain.ids import make_id
from vms.domain.permissions import USER_NAME_PATTERN, Permission, Principal, Role
from vms.domain.recordings import Span
from vms.domain.time import SECOND_US
from vms.gateway import sessions

log = structlog.get_logger(__name__)
FIRST_ADMINISTRATOR = "admin"
# The front asks again after 30 s at most. What was begun by then goes on: segments of a playlist carry its grant.
FRONT_GRANT_S = 60
EXPORT_LINK_S = 5 * 60
USE_WITHIN_S = 12 * 60 * 60
_NEEDED: dict[GrantAction, Permission] = {
    "live": Permission.WATCH_LIVE,
    "playback": Permission.WATCH_RECORDINGS,
    "export": Permission.EXPORT,
}


class AccessService:
    """Satisfies `vms.contracts.access.Access`."""

    def __init__(
        self,
        users: UserRepository,
        session_repository: SessionRepository,
        hasher: PasswordHasher,
        tokens: TokenSigner,
        grants: GrantSigner,
        clock: Clock,
    ) -> None:
        self._users = users
        self._sessions = session_repository
        self._hasher = hasher
        self._tokens = tokens
        self._grants = grants
        self._clock = clock

    def ensure_administrator(self, password: SecretStr | None) -> str | None:
        """Makes the first administrator where no user exists; the password, where this had to make one up."""
        self._sessions.remove_expired(self._clock.now_us())
        if self._users.all():
            return None
        chosen = password.get_secret_value() if password is not None else secrets.token_urlsafe(12)
        if len(chosen) < sessions.SHORTEST_PASSWORD:
            log.warning("the first administrator's password is short", at_least=sessions.SHORTEST_PASSWORD)
        self._add(FIRST_ADMINISTRATOR, chosen, Role.ADMINISTRATOR)
        return chosen if password is None else None

    def log_in(self, name: str, password: str) -> TokenPair:
        user = self._users.find(name)
        too_long = len(password) > sessions.LONGEST_PASSWORD
        known_hash = user.password_hash if user is not None and not too_long else None
        good = self._hasher.verify(known_hash, password[: sessions.LONGEST_PASSWORD])
        if user is None or not good:
            log.warning("log-in refused", user=name[:64])
            raise Failure("unauthorized", "the user name or the password is wrong", code="invalid-credentials")
        if self._hasher.is_outdated(user.password_hash):
            self._users.set_password_hash(user.id, self._hasher.hash(password))
        now_us = self._clock.now_us()
        session = Session(
            id=make_id(now_us, secrets.token_bytes(8)),
            user_id=user.id,
            generation=0,
            created_us=now_us,
            expires_us=now_us + sessions.REFRESH_S * SECOND_US,
        )
        self._sessions.add(session)
        log.info("log-in", user=user.name, session=session.id)
        return self._pair(session, now_us)

    def refresh(self, refresh_token: str) -> TokenPair:
        now_us = self._clock.now_us()
        claims = self._tokens.verify(refresh_token, now_us)
        session = self._sessions.find(claims.session_id)
        verdict = sessions.judge_refresh(claims, session, now_us)
        expires_us = now_us + sessions.REFRESH_S * SECOND_US
        if verdict == "renew" and not self._sessions.renew(claims.session_id, claims.generation, expires_us):
            verdict = "stolen"
        if verdict == "stolen":
            self._sessions.revoke(claims.session_id)
            log.warning("refresh token used twice: session ended", session=claims.session_id)
        if verdict != "renew" or session is None:
            raise Failure("unauthorized", "the refresh token is not good any more; log in again", code="invalid-token")
        renewed = session.model_copy(update={"generation": claims.generation + 1, "expires_us": expires_us})
        return self._pair(renewed, now_us)

    def log_out(self, principal: Principal) -> None:
        self._sessions.revoke(principal.session_id)

    def session_of(self, access_token: str) -> str | None:
        try:
            claims = self._tokens.verify(access_token, self._clock.now_us())
        except Failure:
            return None
        return claims.session_id if claims.use == "access" else None

    def authenticate(self, access_token: str) -> Principal:
        now_us = self._clock.now_us()
        claims = self._tokens.verify(access_token, now_us)
        session = self._sessions.find(claims.session_id)
        if claims.use != "access" or session is None or session.revoked or session.user_id != claims.user_id:
            raise Failure("unauthorized", "the session has ended; log in again", code="invalid-token")
        try:
            user = self._users.get(claims.user_id)
        except Failure as failure:
            raise Failure("unauthorized", "the user is no more", code="invalid-token") from failure
        return Principal(user_id=user.id, name=user.name, role=user.role, session_id=session.id)

    def sign_grant(self, principal: Principal, camera_id: str, action: GrantAction) -> str:
        return self._sign(principal, camera_id, action, FRONT_GRANT_S)[0]

    def sign_playback_grant(self, principal: Principal, camera_id: str, stream: str, span: Span) -> str:
        return self._sign(principal, camera_id, "playback", FRONT_GRANT_S, stream=stream, span=span)[0]

    def sign_export_link(self, principal: Principal, export_id: str) -> tuple[str, int]:
        return self._sign(principal, export_id, "export", EXPORT_LINK_S)

    def _sign(
        self,
        principal: Principal,
        subject_id: str,
        action: GrantAction,
        good_s: int,
        *,
        stream: str | None = None,
        span: Span | None = None,
    ) -> tuple[str, int]:
        needed = _NEEDED[action]
        if not principal.may(needed):
            raise Failure("forbidden", f"the role {principal.role.value} lacks the permission {needed.value}")
        now_s = self._clock.now_us() // SECOND_US
        grant = Grant(
            camera_id=subject_id,
            action=action,
            stream=stream,
            start_us=None if span is None else span.start_us,
            end_us=None if span is None else span.end_us,
            starts_before=now_s + good_s,
            expires_at=now_s + USE_WITHIN_S,
            subject=principal.name,
        )
        return self._grants.sign(grant), grant.starts_before

    def check_grant(self, token: str, camera_id: str, action: GrantAction, *, first_use: bool) -> Grant:
        grant = self._grants.verify(token)
        now_s = self._clock.now_us() // SECOND_US
        if now_s >= grant.expires_at or (first_use and now_s >= grant.starts_before):
            raise Failure("unauthorized", "the link has expired", code="link-expired")
        if grant.camera_id != camera_id or grant.action != action:
            raise Failure("forbidden", "the link is for something else", code="link-for-something-else")
        return grant

    def users(self) -> Sequence[User]:
        return self._users.all()

    def add_user(self, name: str, password: str, role: Role) -> User:
        if re.fullmatch(USER_NAME_PATTERN, name) is None:
            raise FieldFailure(
                "/name", "a user name has 1 to 64 of A-Z a-z 0-9 . _ @ - and begins with one of A-Z a-z 0-9"
            )
        sessions.check_password(password)
        return self._add(name, password, role)

    def set_password(self, name: str, password: str) -> None:
        user = self._users.find(name)
        if user is None:
            raise Failure("not_found", "no user has this name", code="user-not-found")
        sessions.check_password(password)
        self._users.set_password_hash(user.id, self._hasher.hash(password))
        self._sessions.revoke_all(user.id)
        log.info("password changed", user=user.name)

    def _add(self, name: str, password: str, role: Role) -> User:
        now_us = self._clock.now_us()
        user = User(
            id=make_id(now_us, secrets.token_bytes(8)),
            name=name,
            role=role,
            password_hash=self._hasher.hash(password),
            created_us=now_us,
        )
        self._users.add(user)
        log.info("user added", user=name, role=role.value)
        return user

    def _pair(self, session: Session, now_us: int) -> TokenPair:
        access = TokenClaims(
            use="access",
            user_id=session.user_id,
            session_id=session.id,
            expires_us=now_us + sessions.ACCESS_S * SECOND_US,
        )
        refresh = TokenClaims(
            use="refresh",
            user_id=session.user_id,
            session_id=session.id,
            generation=session.generation,
            expires_us=session.expires_us,
        )
        return TokenPair(
            access_token=SecretStr(self._tokens.sign(access, now_us)),
            refresh_token=SecretStr(self._tokens.sign(refresh, now_us)),
            expires_in=sessions.ACCESS_S,
        )
