"""Users and sessions in SQL."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Engine, RowMapping, delete, insert, select, update

from vms.adapters.sql.database import reading, writing
from vms.adapters.sql.schema import sessions, users
from vms.contracts.accounts import Session, User
from vms.domain.errors import Failure
from vms.domain.permissions import Role


class SqlUserRepository:
    """Satisfies `vms.contracts.accounts.UserRepository`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def add(self, user: User) -> None:
        try:
            with writing(self._engine) as connection:
                connection.execute(
                    insert(users).values(
                        id=user.id,
                        name=user.name,
                        name_key=user.name.casefold(),
                        role=user.role.value,
                        password_hash=user.password_hash,
                        created_us=user.created_us,
                    )
                )
        except Failure as failure:
            if failure.code != "name-taken":
                raise
            raise Failure("conflict", "another user has this name", code="user-name-taken") from failure

    def get(self, user_id: str) -> User:
        with reading(self._engine) as connection:
            row = connection.execute(select(users).where(users.c.id == user_id)).mappings().one_or_none()
        if row is None:
            raise _no_user()
        return _user(row)

    def find(self, name: str) -> User | None:
        with reading(self._engine) as connection:
            query = select(users).where(users.c.name_key == name.casefold())
            row = connection.execute(query).mappings().one_or_none()
        return None if row is None else _user(row)

    def all(self) -> Sequence[User]:
        with reading(self._engine) as connection:
            return [_user(row) for row in connection.execute(select(users).order_by(users.c.id)).mappings()]

    def set_password_hash(self, user_id: str, password_hash: str) -> None:
        with writing(self._engine) as connection:
            change = update(users).where(users.c.id == user_id).values(password_hash=password_hash)
            if connection.execute(change).rowcount == 0:
                raise _no_user()


class SqlSessionRepository:
    """Satisfies `vms.contracts.accounts.SessionRepository`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def add(self, session: Session) -> None:
        with writing(self._engine) as connection:
            connection.execute(insert(sessions).values(**session.model_dump()))

    def find(self, session_id: str) -> Session | None:
        with reading(self._engine) as connection:
            row = connection.execute(select(sessions).where(sessions.c.id == session_id)).mappings().one_or_none()
        return None if row is None else Session(**row)

    def renew(self, session_id: str, generation: int, expires_us: int) -> bool:
        change = (
            update(sessions)
            .where(sessions.c.id == session_id, sessions.c.generation == generation, sessions.c.revoked.is_(False))
            .values(generation=generation + 1, expires_us=expires_us)
        )
        with writing(self._engine) as connection:
            return connection.execute(change).rowcount == 1

    def revoke(self, session_id: str) -> None:
        with writing(self._engine) as connection:
            connection.execute(update(sessions).where(sessions.c.id == session_id).values(revoked=True))

    def revoke_all(self, user_id: str) -> None:
        with writing(self._engine) as connection:
            connection.execute(update(sessions).where(sessions.c.user_id == user_id).values(revoked=True))

    def remove_expired(self, now_us: int) -> int:
        with writing(self._engine) as connection:
            return connection.execute(delete(sessions).where(sessions.c.expires_us <= now_us)).rowcount


def _no_user() -> Failure:
    return Failure("not_found", "no user has this identifier", code="user-not-found")


def _user(row: RowMapping) -> User:
    return User(
        id=row["id"],
        name=row["name"],
        role=Role(row["role"]),
        password_hash=row["password_hash"],
        created_us=row["created_us"],
    )
