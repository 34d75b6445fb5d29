"""Cameras as requests describe them: the checks that need nothing but the text itself."""

from __future__ import annotations

import unicodedata
from typing import Annotated, Self
from urllib.parse import SplitResult, unquote, urlsplit, urlunsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, ValidationError, model_validator

from vms.domain.analysis import AnalysisSettings
from vms.domain.cameras import Camera, Transport
from vms.domain.ids import ID_PATTERN
from vms.domain.motion import MotionSettings
from vms.domain.recording_policy import RecordingPolicy, StreamName
from vms.domain.retention import Retention

URL_SCHEMES = ("rtsp", "rtsps")
LONGEST_URL = 2048


def visible_name(value: str) -> str:
    """A name without white space around it. Raises ValueError for one that nobody could read."""
    name = value.strip()
    if not name:
        raise ValueError("a name has at least one visible character")
    if any(unicodedata.category(character) in {"Cc", "Cs", "Zl", "Zp"} for character in name):
        raise ValueError("a name has no control characters")
    return name


def _credential(value: str) -> str:
    if any(unicodedata.category(character) == "Cc" for character in value):
        raise ValueError("no control characters here")
    return value


def _secret(value: SecretStr) -> SecretStr:
    _credential(value.get_secret_value())
    return value


def split_url(url: str) -> SplitResult:
    """The parts of a stream's URL. Raises ValueError, never quoting the URL (it may hold a password)."""
    if len(url) > LONGEST_URL:
        raise ValueError(f"the URL is longer than {LONGEST_URL} characters")
    if any(character.isspace() or unicodedata.category(character) == "Cc" for character in url):
        raise ValueError("the URL holds white space or control characters")
    if "://" not in url:
        raise ValueError("not a URL: write rtsp://HOST[:PORT]/PATH")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ValueError("the URL's host or port cannot be read") from None
    if parts.scheme not in URL_SCHEMES:
        raise ValueError(f"the URL's scheme is {parts.scheme[:16]!r}; supported now: {', '.join(URL_SCHEMES)}")
    if not parts.hostname:
        raise ValueError("the URL names no host")
    if port == 0:
        raise ValueError("the URL's port is 0")
    return parts


def _url(value: str) -> str:
    split_url(value)
    return value


class _Draft(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


class StreamDraft(_Draft):
    """Where a stream comes from; credentials inside the URL are moved out of it."""

    url: Annotated[
        str,
        AfterValidator(_url),
        Field(max_length=LONGEST_URL, description="rtsp:// or rtsps://", examples=["rtsp://192.0.2.10:554/stream1"]),
    ]
    transport: Transport = "tcp"


class StreamsDraft(_Draft):
    """The main stream is recorded; a sub stream, where the camera has one, serves small pictures."""

    main: StreamDraft
    sub: StreamDraft | None = None


class CredentialsDraft(_Draft):
    """What the camera asks for. The password is sealed at rest and never given back."""

    username: Annotated[str, Field(min_length=1, max_length=256), AfterValidator(_credential)]
    password: Annotated[SecretStr, Field(max_length=1024), AfterValidator(_secret)] | None = None


class CameraDraft(_Draft):
    """A camera as a request describes it."""

    name: Annotated[str, Field(max_length=200), AfterValidator(visible_name)]
    streams: StreamsDraft
    credentials: CredentialsDraft | None = None
    recording: RecordingPolicy = RecordingPolicy()
    retention: Retention = Retention()
    motion: MotionSettings = MotionSettings()
    analysis: AnalysisSettings = AnalysisSettings()
    group_id: Annotated[str, Field(pattern=ID_PATTERN)] | None = None

    @model_validator(mode="after")
    def _move_credentials_out_of_urls(self) -> Self:
        """Explicit credentials win over those in a URL; without them the main stream's count, then the sub's."""
        found: CredentialsDraft | None = None
        for stream in (self.streams.main, self.streams.sub):
            if stream is None:
                continue
            stream.url, credentials = without_credentials(stream.url)
            found = found or credentials
        if self.credentials is None:
            self.credentials = found
        return self


def without_credentials(url: str) -> tuple[str, CredentialsDraft | None]:
    """The URL without `user:password@`, and what stood there."""
    parts = split_url(url)
    if "@" not in parts.netloc:
        return url, None
    userinfo, _, host = parts.netloc.rpartition("@")
    username, colon, password = userinfo.partition(":")
    bare = urlunsplit((parts.scheme, host, parts.path, parts.query, parts.fragment))
    if not username:
        return bare, None
    try:
        return bare, CredentialsDraft(
            username=unquote(username), password=SecretStr(unquote(password)) if colon else None
        )
    except ValidationError:
        raise ValueError("the user name or password inside the URL cannot be used") from None


def public_form(camera: Camera) -> dict[str, object]:
    """The camera as the interface shows it and as a merge patch meets it: the form of `CameraDraft`, no password."""
    streams: dict[StreamName, object] = {
        name: {"url": source.url, "transport": source.transport} for name, source in camera.streams.items()
    }
    return {
        "name": camera.name,
        "streams": streams,
        "credentials": None if camera.credentials is None else {"username": camera.credentials.username},
        "recording": camera.recording.model_dump(mode="json", by_alias=True, exclude_none=True),
        "retention": camera.retention.model_dump(exclude_none=True),
        "motion": camera.motion.model_dump(mode="json"),
        "analysis": camera.analysis.model_dump(mode="json"),
        "group_id": camera.group_id,
    }
