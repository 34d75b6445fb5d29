"""A whole installation in memory: the real services and interface over the memory adapters."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import httpx2
from fastapi.testclient import TestClient
from pydantic import SecretStr

from vms.adapters.event_log import EventLogFiles
from vms.adapters.memory.accounts import (
    ManualClock,
    MemoryGrantSigner,
    MemorySessionRepository,
    MemoryUserRepository,
    PlainHasher,
)
from vms.adapters.memory.catalog import MemoryCameraRepository, MemoryExportRepository
from vms.adapters.memory.events import MemoryEventRepository
from vms.adapters.memory.files import MemoryFiles
from vms.adapters.memory.keeping import (
    MemoryFormerCameraRepository,
    MemoryGroupRepository,
    MemoryLockRepository,
    MemoryRecordingHistory,
)
from vms.adapters.memory.media import MemoryMedia, MemoryRemuxer, MemoryStills, MemoryThumbnails
from vms.adapters.memory.sealing import MemorySealer
from vms.adapters.tokens import JwtSigner
from vms.app.analysis import Understanding
from vms.app.services import Parts, Rooms, build
from vms.contracts.files import VolumeStatus
from vms.domain.cameras import CameraStatus
from vms.domain.errors import Failure
from vms.domain.recordings import RecordedRange
from vms.storage.integrity import IntegrityService
from vms.stream.ice_servers import Relays

NO_RELAYS = Relays()
PASSWORD = "correct horse"
DISK = VolumeStatus(
    name="main",
    path="/recordings",
    weight=1,
    tier="fast",
    reserve_bytes=1 << 30,
    state="ok",
    free_bytes=50 << 30,
    total_bytes=100 << 30,
)
CAMERA = {"name": "Gate", "streams": {"main": {"url": "rtsp://192.0.2.10/stream1"}}}


class MemoryInstallation:
    """Build it, talk to `client` (logged in as the administrator) or `anonymous`, and look at its parts."""

    def __init__(
        self,
        directory: Path,
        tokens: JwtSigner,
        *,
        requests_per_minute: int = 0,
        allow_loopback: bool = False,
        relays: Relays = NO_RELAYS,
        integrity: IntegrityService | None = None,
        understanding: Understanding | None = None,
    ) -> None:
        self.clock = ManualClock()
        self.media = MemoryMedia()
        self.cameras = MemoryCameraRepository()
        self.files = MemoryFiles([DISK])
        self.history = MemoryRecordingHistory()
        self.groups = MemoryGroupRepository()
        self.locks = MemoryLockRepository()
        self.former = MemoryFormerCameraRepository()
        self.events = MemoryEventRepository()
        self.stopping = threading.Event()
        self.sealer = MemorySealer()
        self.sessions = MemorySessionRepository()
        self.grants = MemoryGrantSigner(b"k" * 32)
        self.ready: Failure | None = None
        self.rooms: Rooms = build(
            Parts(
                cameras=self.cameras,
                exports=MemoryExportRepository(),
                history=self.history,
                groups=self.groups,
                locks=self.locks,
                former=self.former,
                events=self.events,
                event_files=EventLogFiles(directory / "storage"),
                users=MemoryUserRepository(),
                sessions=self.sessions,
                hasher=PlainHasher(),
                tokens=tokens,
                sealer=self.sealer,
                grants=self.grants,
                ingest=self.media,
                archive=self.media,
                live=self.media,
                playback=self.media,
                stills=MemoryStills(),
                remuxer=MemoryRemuxer(),
                clock=self.clock,
                thumbnail_maker=MemoryThumbnails(),
                export_dir=directory,
                cameras_dir=directory / "cameras",
                check_ready=self._check_ready,
                files=self.files,
                integrity=integrity,
                understanding=understanding,
            ),
            allow_loopback=allow_loopback,
            requests_per_minute=requests_per_minute,
            relays=relays,
        )
        self.rooms.access.ensure_administrator(SecretStr(PASSWORD))
        self.rooms.events.start()
        self.rooms.storage.start()
        self.anonymous = TestClient(self.rooms.application, client=("127.0.0.1", 50_000))
        self.client = TestClient(self.rooms.application, client=("127.0.0.1", 50_000))
        self.client.headers["Authorization"] = f"Bearer {self.log_in()['access_token']}"

    def close(self) -> None:
        self.rooms.events.stop(5.0)
        self.rooms.storage.stop(5.0)
        self.anonymous.close()
        self.client.close()

    def _check_ready(self) -> None:
        if self.ready is not None:
            raise self.ready

    def token_request(self, **form: str) -> httpx2.Response:
        return self.anonymous.post("/api/v1/auth/token", data=form)

    def log_in(self, name: str = "admin", password: str = PASSWORD) -> dict[str, Any]:
        answer = self.token_request(grant_type="password", username=name, password=password)
        assert answer.status_code == 200, answer.text
        tokens: dict[str, Any] = answer.json()
        return tokens

    def as_user(self, name: str, role: str) -> TestClient:
        """A client logged in as a new user of that role."""
        made = self.client.post("/api/v1/users", json={"name": name, "password": "long enough", "role": role})
        assert made.status_code == 201, made.text
        client = TestClient(self.rooms.application, client=("127.0.0.1", 50_000))
        client.headers["Authorization"] = f"Bearer {self.log_in(name, 'long enough')['access_token']}"
        return client

    def add_camera(self, **fields: Any) -> dict[str, Any]:
        answer = self.client.post("/api/v1/cameras", json={**CAMERA, **fields})
        assert answer.status_code == 201, answer.text
        camera: dict[str, Any] = answer.json()
        return camera

    def show(self, camera_id: str) -> None:
        """Lets the camera be online with a picture."""
        self.media.states[camera_id] = CameraStatus(
            state="online",
            codec="h264",
            width=1920,
            height=1080,
            fps=30.0,
            bitrate_bps=4_000_000,
            last_frame_us=self.clock.now_us(),
            recording=True,
        )

    def record(self, camera_id: str, start_us: int, end_us: int) -> None:
        """Puts a recording into the archive."""
        self.media.recorded.setdefault(camera_id, []).append(RecordedRange(start_us=start_us, end_us=end_us))


def problem_code(answer: httpx2.Response) -> str:
    """The code of a problem document, having checked its form (RFC 9457)."""
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    document = answer.json()
    assert document["status"] == answer.status_code
    assert document["title"]
    assert document["detail"]
    prefix = "urn:vms:problem:"
    assert document["type"].startswith(prefix)
    return str(document["type"]).removeprefix(prefix)
