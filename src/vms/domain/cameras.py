"""Cameras as people configure them, and what they report."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

from vms.domain.analysis import AnalysisSettings
from vms.domain.motion import MotionSettings
from vms.domain.recording_policy import RecordingPolicy, StreamName
from vms.domain.retention import Retention

Transport = Literal["tcp", "udp"]


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True)


class StreamSource(_Value):
    """Where one stream of a camera comes from. The URL holds no credentials."""

    url: str
    transport: Transport = "tcp"


class SealedCredentials(_Value):
    """A camera's user name and its password as the sealer keeps it; the plain password lives only on its way."""

    username: str
    sealed_password: bytes | None = None


class Camera(_Value):
    """A camera of the catalogue."""

    id: str
    name: str
    streams: dict[StreamName, StreamSource]
    credentials: SealedCredentials | None = None
    recording: RecordingPolicy = RecordingPolicy()
    retention: Retention = Retention()
    motion: MotionSettings = MotionSettings()
    analysis: AnalysisSettings = AnalysisSettings()
    group_id: str | None = None
    created_us: int
    updated_us: int


CameraState = Literal["connecting", "online", "offline", "unauthorized", "error"]


class StreamStatus(_Value):
    """What a connection to a stream shows at this moment; figures are of the last few seconds."""

    state: CameraState = "connecting"
    reason: str | None = None
    codec: str | None = None
    width: int = 0
    height: int = 0
    fps: float = 0.0
    bitrate_bps: int = 0
    last_frame_us: int | None = None
    reconnects: int = 0
    rtp_lost: int = 0
    recording: bool = False
    recording_reason: str | None = None
    clock_offset_us: int | None = None
    units: int = 0


class CameraStatus(StreamStatus):
    """A camera's status: its main stream's figures, and each stream's own."""

    streams: dict[str, StreamStatus] = {}
