"""Users, sessions, hashers, token signers."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from joserfc import jwt
from joserfc.jwk import RSAKey

from vms.adapters.memory.accounts import MemorySessionRepository, MemoryUserRepository, PlainHasher
from vms.adapters.passwords import Argon2Hasher
from vms.adapters.sql import SqlSessionRepository, SqlUserRepository
from vms.adapters.tokens import JwtSigner, load_or_make_private_key
from vms.contracts.accounts import (
    PasswordHasher,
    Session,
    SessionRepository,
    TokenClaims,
    User,
    UserRepository,
)
from vms.domain.errors import Failure
from vms.domain.permissions import Role

Repositories = tuple[UserRepository, SessionRepository]


def _user(number: int, **changes: object) -> User:
    user = User(id=f"u{number}", name=f"user{number}", role=Role.VIEWER, password_hash="h", created_us=number)
    return user.model_copy(update=changes)


def _session(number: int, user_id: str = "u1", expires_us: int = 100) -> Session:
    return Session(id=f"s{number}", user_id=user_id, generation=0, created_us=0, expires_us=expires_us)


@pytest.fixture(params=["memory", "sql"])
def repositories(request: pytest.FixtureRequest) -> Repositories:
    if request.param == "memory":
        return MemoryUserRepository(), MemorySessionRepository()
    database = request.getfixturevalue("database")
    return SqlUserRepository(database), SqlSessionRepository(database)


def test_users(repositories: Repositories) -> None:
    users, _ = repositories
    assert users.find("user1") is None
    for number in (2, 1):
        users.add(_user(number, role=Role.OPERATOR))
    assert users.get("u1") == _user(1, role=Role.OPERATOR)
    assert users.find("USER2") == _user(2, role=Role.OPERATOR)
    assert [user.id for user in users.all()] == ["u1", "u2"]
    with pytest.raises(Failure) as taken:
        users.add(_user(3, name="User1"))
    assert (taken.value.kind, taken.value.code) == ("conflict", "user-name-taken")
    users.set_password_hash("u1", "new")
    assert users.get("u1").password_hash == "new"
    for action in (lambda: users.get("u9"), lambda: users.set_password_hash("u9", "x")):
        with pytest.raises(Failure) as missing:
            action()
        assert missing.value.code == "user-not-found"


def test_sessions(repositories: Repositories) -> None:
    users, sessions = repositories
    users.add(_user(1))
    users.add(_user(2))
    for session in (_session(1), _session(2), _session(3, "u2"), _session(4, "u2", expires_us=50)):
        sessions.add(session)
    assert sessions.find("s1") == _session(1)
    assert sessions.find("s9") is None
    assert sessions.renew("s1", 0, 200)
    renewed = sessions.find("s1")
    assert renewed is not None
    assert (renewed.generation, renewed.expires_us) == (1, 200)
    assert not sessions.renew("s1", 0, 300)
    assert not sessions.renew("s9", 0, 300)
    sessions.revoke("s1")
    sessions.revoke("s9")
    assert not sessions.renew("s1", 1, 300)
    sessions.revoke_all("u2")
    assert [session.revoked for session in map(sessions.find, ("s1", "s2", "s3", "s4")) if session] == [
        True,
        False,
        True,
        True,
    ]
    assert sessions.remove_expired(50) == 1
    assert sessions.find("s4") is None


def test_of_two_renewals_at_once_one_wins(repositories: Repositories) -> None:
    users, sessions = repositories
    users.add(_user(1))
    sessions.add(_session(1))
    won: list[bool] = []
    gate = threading.Barrier(8)

    def renew() -> None:
        gate.wait()
        won.append(sessions.renew("s1", 0, 200))

    threads = [threading.Thread(target=renew) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(won) == [False] * 7 + [True]


@pytest.fixture(params=["memory", "argon2"])
def hasher(request: pytest.FixtureRequest) -> PasswordHasher:
    return PlainHasher() if request.param == "memory" else Argon2Hasher(memory_kib=64, passes=1, lanes=1)


def test_hashes(hasher: PasswordHasher) -> None:
    made = hasher.hash("pässword")
    assert "pässword" not in made
    assert hasher.verify(made, "pässword")
    assert not hasher.verify(made, "password")
    assert not hasher.verify(None, "nobody has this password")
    assert not hasher.verify("not a hash", "x")
    assert not hasher.is_outdated(made)


def test_argon2_hashes_differ_and_age() -> None:
    hasher = Argon2Hasher(memory_kib=64, passes=1, lanes=1)
    assert hasher.hash("a") != hasher.hash("a")
    assert hasher.hash("a").startswith("$argon2id$")
    assert Argon2Hasher(memory_kib=128, passes=1, lanes=1).is_outdated(hasher.hash("a"))


SECOND_US = 1_000_000
CLAIMS = TokenClaims(use="access", user_id="u", session_id="s", expires_us=100 * SECOND_US)


def test_tokens(token_signer: JwtSigner) -> None:
    refresh = CLAIMS.model_copy(update={"use": "refresh", "generation": 7})
    for claims in (CLAIMS, refresh):
        token = token_signer.sign(claims, 0)
        assert token_signer.verify(token, 99 * SECOND_US) == claims
        with pytest.raises(Failure, match="ended"):
            token_signer.verify(token, 100 * SECOND_US)


@pytest.mark.parametrize("token", ["", "x", "a.b.c", "é.é.é", "eyJhbGciOiJub25lIn0.e30.", "x" * 10_000])
def test_texts_that_are_no_token(token_signer: JwtSigner, token: str) -> None:
    with pytest.raises(Failure) as refused:
        token_signer.verify(token, 0)
    assert refused.value.kind == "unauthorized"


def test_tokens_of_others(token_signer: JwtSigner) -> None:
    other = JwtSigner(RSAKey.generate_key(2048, private=True))
    with pytest.raises(Failure):
        token_signer.verify(other.sign(CLAIMS, 0), 0)
    key = token_signer._key
    good = {"iss": "vms", "sub": "u", "sid": "s", "use": "access", "exp": 100}
    for change in ({"iss": "other"}, {"use": "other"}, {"exp": "soon"}, {"exp": None}, {"sub": 5}, {"gen": "x"}):
        claims = {name: value for name, value in {**good, **change}.items() if value is not None}
        with pytest.raises(Failure):
            token_signer.verify(jwt.encode({"alg": "RS256"}, claims, key), 0)


def test_the_signing_key_is_kept_and_guarded(tmp_path: Path) -> None:
    path = tmp_path / "tokens.pem"
    first = JwtSigner(load_or_make_private_key(path))
    assert path.stat().st_mode & 0o777 == 0o600
    again = JwtSigner(load_or_make_private_key(path))
    assert again.verify(first.sign(CLAIMS, 0), 0) == CLAIMS
    path.chmod(0o644)
    with pytest.raises(Failure, match="others can read"):
        load_or_make_private_key(path)
    path.chmod(0o600)
    path.write_text("no key")
    with pytest.raises(Failure, match="no RSA private key"):
        load_or_make_private_key(path)
