"""What routes need of a request: the services, who is asking, whether they may."""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Annotated, NamedTuple

from fastapi import Depends, Path, Query, Request
from fastapi.security import OAuth2PasswordBearer

from vms.api.started_links import StartedLinks
from vms.contracts.access import Access
from vms.contracts.analysis import Analysis
from vms.contracts.catalogue import Integrity
from vms.contracts.clock import Clock
from vms.contracts.events import EventLog
from vms.contracts.grants import GrantAction
from vms.contracts.ingest import Cameras
from vms.contracts.playback import MediaPlayback
from vms.contracts.storage import Archive, EvidenceLocks, Groups, Keeping
from vms.contracts.stream import Live
from vms.contracts.thumbnails import Thumbnails
from vms.domain.cameras import Camera
from vms.domain.errors import Failure
from vms.domain.ids import is_id
from vms.domain.permissions import Permission, Principal

STILLS_AT_ONCE = 16
STILL_WAIT_S = 5.0
EVENT_VIEWERS = 500
BOX_VIEWERS = 2000


@dataclass(frozen=True)
class Services:
    """What the interface is made of. `check_ready` raises Failure while requests cannot be served."""

    cameras: Cameras
    archive: Archive
    playback: MediaPlayback
    thumbnails: Thumbnails
    live: Live
    groups: Groups
    locks: EvidenceLocks
    events: EventLog
    access: Access
    clock: Clock
    check_ready: Callable[[], None]
    # None: an archive whose files nobody can list.
    keeping: Keeping | None = None
    integrity: Integrity | None = None
    # None: pictures are not understood here.
    analysis: Analysis | None = None
    started_links: StartedLinks = field(default_factory=StartedLinks)
    still_slots: threading.BoundedSemaphore = field(default_factory=lambda: threading.BoundedSemaphore(STILLS_AT_ONCE))
    # Who is pushed events.
    event_slots: threading.BoundedSemaphore = field(default_factory=lambda: threading.BoundedSemaphore(EVENT_VIEWERS))
    # Who is pushed boxes: a viewer may watch many cameras.
    box_slots: threading.BoundedSemaphore = field(default_factory=lambda: threading.BoundedSemaphore(BOX_VIEWERS))

    @contextmanager
    def still_slot(self) -> Iterator[None]:
        """Stills cost a decoder; so many at once. Who has waited some seconds is told to come back."""
        if not self.still_slots.acquire(timeout=STILL_WAIT_S):
            raise Failure("exhausted", f"{STILLS_AT_ONCE} stills are being made; try again", code="too-many-stills")
        try:
            yield
        finally:
            self.still_slots.release()


async def services(request: Request) -> Services:
    """The services of the application that got the request. Like `permitted`, asynchronous since it waits for nothing:
    FastAPI sends every other function through a thread."""
    found = request.app.state.services
    assert isinstance(found, Services)  # noqa: S101 (set where the application is made)
    return found


ServicesOf = Annotated[Services, Depends(services)]

bearer = OAuth2PasswordBearer(tokenUrl="/api/v1/auth/token", refreshUrl="/api/v1/auth/token", auto_error=False)
BearerToken = Annotated[str | None, Depends(bearer)]


def authenticated(part: ServicesOf, token: BearerToken) -> Principal:
    """Who is asking. Raises Failure(unauthorized)."""
    if token is None:
        raise Failure("unauthorized", "log in at /api/v1/auth/token and send Authorization: Bearer", code="no-token")
    return part.access.authenticate(token)


Authenticated = Annotated[Principal, Depends(authenticated)]


def require(principal: Principal, permission: Permission) -> None:
    """Raises Failure(forbidden) when the principal lacks the permission."""
    if not principal.may(permission):
        raise Failure("forbidden", f"the role {principal.role.value} lacks the permission {permission.value}")


def permitted(permission: Permission) -> Callable[[Principal], Awaitable[Principal]]:
    """The dependency that lets only holders of `permission` pass."""

    async def check(principal: Authenticated) -> Principal:
        require(principal, permission)
        return principal

    return check


CameraId = Annotated[str, Path(description="The camera's identifier")]


def find_camera(part: Services, camera_id: str) -> Camera:
    """The camera that a path names. Raises Failure(not_found). Ask only after the sender may know."""
    if not is_id(camera_id):
        raise Failure("not_found", "no camera has this identifier", code="camera-not-found")
    return part.cameras.get(camera_id)


GrantToken = Annotated[str | None, Query(alias="token", description="The token of a signed link")]


class Admitted(NamedTuple):
    """Who may see media, and what the link is bound to, if it is: one stream, a time range."""

    subject: str
    stream: str | None = None
    start_us: int | None = None
    end_us: int | None = None

    def choose_stream(self, asked: str | None) -> str:
        """The stream to serve. Raises Failure(forbidden) when the link is for another than was asked for."""
        if self.stream is not None and asked not in {None, self.stream}:
            raise Failure("forbidden", "the link is for another stream", code="link-for-something-else")
        return self.stream or asked or "main"

    def check_instant(self, at_us: int) -> None:
        """Raises Failure(forbidden) for an instant outside the link's time range."""
        early = self.start_us is not None and at_us < self.start_us
        late = self.end_us is not None and at_us >= self.end_us
        if early or late:
            raise Failure("forbidden", "the link is for another time", code="link-for-something-else")


def allow_media(
    part: Services,
    bearer_token: str | None,
    grant_token: str | None,
    camera_id: str,
    action: GrantAction,
    *,
    first: bool,
) -> Admitted:
    """Lets holders of the permission or of a grant pass.

    Raises Failure of unauthorized or forbidden.
    """
    if grant_token is not None:
        grant = part.access.check_grant(grant_token, camera_id, action, first_use=first)
        return Admitted(grant.subject, grant.stream, grant.start_us, grant.end_us)
    principal = authenticated(part, bearer_token)
    require(principal, Permission.WATCH_LIVE if action == "live" else Permission.WATCH_RECORDINGS)
    return Admitted(principal.name)
