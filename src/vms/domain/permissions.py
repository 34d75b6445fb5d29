"""Who may do what: roles and the permissions that they hold."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, ConfigDict, StringConstraints

USER_NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}$"
UserName = Annotated[str, StringConstraints(pattern=USER_NAME_PATTERN)]


class Permission(StrEnum):
    """Something that a request may need."""

    VIEW_CAMERAS = "cameras:view"
    EDIT_CAMERAS = "cameras:edit"
    WATCH_LIVE = "live:watch"
    WATCH_RECORDINGS = "recordings:watch"
    EXPORT = "recordings:export"
    START_RECORDING = "recordings:start"
    LOCK_EVIDENCE = "recordings:lock"
    WRITE_EVENTS = "events:write"
    EDIT_USERS = "users:edit"
    READ_METRICS = "metrics:read"
    MAINTAIN_STORAGE = "storage:maintain"


class Role(StrEnum):
    """What a user is."""

    ADMINISTRATOR = "administrator"
    OPERATOR = "operator"
    VIEWER = "viewer"


_VIEWER = frozenset({Permission.VIEW_CAMERAS, Permission.WATCH_LIVE})
_OPERATOR = _VIEWER | {
    Permission.WATCH_RECORDINGS,
    Permission.EXPORT,
    Permission.START_RECORDING,
    Permission.LOCK_EVIDENCE,
    Permission.WRITE_EVENTS,
    Permission.READ_METRICS,
}
_HELD: dict[Role, frozenset[Permission]] = {
    Role.ADMINISTRATOR: frozenset(Permission),
    Role.OPERATOR: _OPERATOR,
    Role.VIEWER: _VIEWER,
}


def permissions_of(role: Role) -> frozenset[Permission]:
    """What a role may do."""
    return _HELD[role]


class Principal(BaseModel):
    """Who is asking: the user behind a session."""

    model_config = ConfigDict(frozen=True)

    user_id: str
    name: str
    role: Role
    session_id: str

    def may(self, permission: Permission) -> bool:
        """Whether the user's role holds the permission."""
        return permission in permissions_of(self.role)
