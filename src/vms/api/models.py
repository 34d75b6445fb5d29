"""Answers and requests of the interface that are not the domain's own."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

from vms.api.times import ApiTime
from vms.contracts.grants import GrantAction
from vms.contracts.ingest import RecordingState
from vms.contracts.stream import IceServer, LinkProtocol
from vms.domain.analysis import AnalysisSettings
from vms.domain.cameras import Camera, CameraStatus, StreamStatus
from vms.domain.errors import FieldFailure
from vms.domain.events import EventMark
from vms.domain.ids import is_id
from vms.domain.motion import MotionSettings
from vms.domain.permissions import Role, UserName
from vms.domain.recording_policy import RecordingPolicy, StreamRecording
from vms.domain.recordings import Export, ExportFile, ExportFormat, ExportState, Timeline
from vms.domain.retention import Retention


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


class TokenAnswer(BaseModel):
    """RFC 6749 §5.1."""

    access_token: str
    refresh_token: str
    token_type: Literal["bearer"] = "bearer"  # noqa: S105 (the type, not a token)
    expires_in: int


class Me(BaseModel):
    """Who is logged in."""

    name: str
    role: Role
    permissions: list[str]


class UserAnswer(BaseModel):
    """A user."""

    id: str
    name: str
    role: Role
    created_at: ApiTime


class Users(BaseModel):
    """A list of users."""

    items: list[UserAnswer]
    next_cursor: str | None = None


class TileRequest(_Request):
    """How large a live picture is shown: its height in device pixels."""

    height: Annotated[int, Field(ge=1, le=16384)]


class UserRequest(_Request):
    """A new user."""

    name: UserName
    password: Annotated[SecretStr, Field(max_length=1024)]
    role: Role = Role.VIEWER


class PasswordRequest(_Request):
    """A new password."""

    password: Annotated[SecretStr, Field(max_length=1024)]


class StreamAnswer(BaseModel):
    """A stream's source."""

    url: str
    transport: Literal["tcp", "udp"]


class CredentialsAnswer(BaseModel):
    """The user name that a camera asks for; its password is never given back."""

    username: str


class CameraAnswer(BaseModel):
    """A camera."""

    id: str
    name: str
    streams: dict[str, StreamAnswer]
    credentials: CredentialsAnswer | None
    recording: RecordingPolicy
    retention: Retention
    motion: MotionSettings
    analysis: AnalysisSettings
    group_id: str | None
    created_at: ApiTime
    updated_at: ApiTime

    @classmethod
    def of(cls, camera: Camera) -> CameraAnswer:
        """The answer for a camera of the catalogue."""
        return cls.model_construct(
            id=camera.id,
            name=camera.name,
            streams={
                name: StreamAnswer(url=source.url, transport=source.transport)
                for name, source in camera.streams.items()
            },
            credentials=CredentialsAnswer(username=camera.credentials.username) if camera.credentials else None,
            recording=camera.recording,
            retention=camera.retention,
            motion=camera.motion,
            analysis=camera.analysis,
            group_id=camera.group_id,
            created_at=camera.created_us,
            updated_at=camera.updated_us,
        )


class RecordingRequest(_Request):
    """An operator starts or stops recording; without `seconds` it goes on until it is stopped."""

    state: Literal["start", "stop"]
    seconds: Annotated[int, Field(ge=1, le=7 * 86_400)] | None = None

    @model_validator(mode="after")
    def _seconds_of_a_start(self) -> Self:
        if self.state == "stop" and self.seconds is not None:
            raise ValueError("seconds go with start")
        return self


class StartedAnswer(BaseModel):
    """What an operator started."""

    by: str
    start: ApiTime
    # Null: until it is stopped.
    end: ApiTime | None


class RecordingStateAnswer(BaseModel):
    """What each stream records now (buffered: kept only around events), what an operator started, and when the plan
    changes by itself."""

    streams: dict[str, StreamRecording]
    started: StartedAnswer | None
    changes_at: ApiTime | None

    @classmethod
    def of(cls, state: RecordingState) -> RecordingStateAnswer:
        """The answer for what the ingest service planned."""
        started = state.started
        return cls.model_construct(
            streams={stream: planned.recording for stream, planned in state.plan.streams.items()},
            started=None
            if started is None
            else StartedAnswer.model_construct(by=started.started_by, start=started.start_us, end=started.end_us),
            changes_at=state.plan.changes_us,
        )


class Cameras(BaseModel):
    """A page of cameras."""

    items: list[CameraAnswer]
    next_cursor: str | None = None


class StreamStatusAnswer(BaseModel):
    """What a connection shows at this moment."""

    state: Literal["connecting", "online", "offline", "unauthorized", "error"]
    reason: str | None
    codec: str | None
    width: int
    height: int
    fps: float
    bitrate_bps: int
    last_frame_at: ApiTime | None
    reconnects: int
    rtp_lost: int
    recording: bool
    recording_reason: str | None
    clock_offset_us: int | None


class StatusAnswer(StreamStatusAnswer):
    """A camera's status: its main stream's, and each stream's own."""

    streams: dict[str, StreamStatusAnswer]

    @classmethod
    def of(cls, status: CameraStatus) -> StatusAnswer:
        """The answer for what the media core reports."""
        return cls.model_construct(
            **_status_fields(status),
            streams={
                name: StreamStatusAnswer.model_construct(**_status_fields(stream))
                for name, stream in status.streams.items()
            },
        )


def _status_fields(status: StreamStatus) -> dict[str, Any]:
    return {
        "state": status.state,
        "reason": status.reason,
        "codec": status.codec,
        "width": status.width,
        "height": status.height,
        "fps": round(status.fps, 3),
        "bitrate_bps": status.bitrate_bps,
        "last_frame_at": status.last_frame_us,
        "reconnects": status.reconnects,
        "rtp_lost": status.rtp_lost,
        "recording": status.recording,
        "recording_reason": status.recording_reason,
        "clock_offset_us": status.clock_offset_us,
    }


class LinkRequest(_Request):
    """A link wanted for a player that cannot send a header."""

    protocol: LinkProtocol
    stream: Literal["main", "sub"] | None = None
    start: ApiTime | None = None
    end: ApiTime | None = None


class IceServersAnswer(BaseModel):
    """`RTCConfiguration.iceServers`."""

    ice_servers: list[IceServer]


class LinkAnswer(BaseModel):
    """A signed URL, and until when it can be used first."""

    url: str
    expires_at: ApiTime


class RangeAnswer(BaseModel):
    """Recorded without a gap."""

    start: ApiTime
    end: ApiTime
    stream: str


class GapAnswer(BaseModel):
    """Not recorded, and why."""

    start: ApiTime
    end: ApiTime
    cause: str


class MarkAnswer(BaseModel):
    """An event's place on a timeline; `end` is null while it goes on."""

    id: str
    type: str
    start: ApiTime
    end: ApiTime | None


class TimelineAnswer(BaseModel):
    """What of a span is recorded, and what happened; `events_cut` tells that only the newest events are here."""

    ranges: list[RangeAnswer]
    gaps: list[GapAnswer]
    events: list[MarkAnswer]
    events_cut: bool

    @classmethod
    def of(cls, timeline: Timeline, events: Sequence[EventMark], *, events_cut: bool) -> TimelineAnswer:
        """The answer for a timeline and the events in it, in order of time."""
        return cls.model_construct(
            ranges=[
                RangeAnswer.model_construct(start=entry.start_us, end=entry.end_us, stream=entry.stream)
                for entry in timeline.ranges
            ],
            gaps=[
                GapAnswer.model_construct(start=gap.start_us, end=gap.end_us, cause=gap.cause) for gap in timeline.gaps
            ],
            events=[
                MarkAnswer.model_construct(id=event.id, type=event.type, start=event.start_us, end=event.end_us)
                for event in events
            ],
            events_cut=events_cut,
        )


class ExportRequest(_Request):
    """Recordings wanted as a file."""

    camera_ids: Annotated[list[str], Field(min_length=1, max_length=64)]
    start: ApiTime
    end: ApiTime
    format: ExportFormat = "mp4"


class ExportAnswer(BaseModel):
    """An export."""

    id: str
    state: ExportState
    progress: float
    camera_ids: list[str]
    start: ApiTime
    end: ApiTime
    format: ExportFormat
    bytes_written: int
    error: str | None
    sha256: str | None
    files: list[ExportFile]
    created_at: ApiTime
    updated_at: ApiTime

    @classmethod
    def of(cls, export: Export) -> ExportAnswer:
        """The answer for an export."""
        return cls.model_construct(
            id=export.id,
            state=export.state,
            progress=round(export.progress, 4),
            camera_ids=export.camera_ids,
            start=export.span.start_us,
            end=export.span.end_us,
            format=export.format,
            bytes_written=export.bytes_written,
            error=export.error,
            sha256=export.sha256,
            files=export.files,
            created_at=export.created_us,
            updated_at=export.updated_us,
        )


class Exports(BaseModel):
    """A page of exports, newest first."""

    items: list[ExportAnswer]
    next_cursor: str | None = None


class GrantRequest(BaseModel):
    """The front asks whether the sender of the Authorization header may do something."""

    camera_id: str
    action: GrantAction


class GrantAnswer(BaseModel):
    """The grant that says so."""

    grant: str


def encode_cursor(last_id: str) -> str:
    """The cursor for what follows `last_id`."""
    return base64.urlsafe_b64encode(last_id.encode()).decode().rstrip("=")


def decode_cursor(cursor: str | None) -> str | None:
    """The identifier inside a cursor. Raises FieldFailure for one that we did not make."""
    if cursor is None:
        return None
    try:
        last_id = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode("ascii")
    except (binascii.Error, ValueError):
        last_id = ""
    if not is_id(last_id):
        raise FieldFailure("/cursor", "not a cursor of this list", code="bad-cursor")
    return last_id
