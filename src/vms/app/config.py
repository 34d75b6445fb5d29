"""The configuration: `vms.toml`, every key overridable as `VMS_SECTION__KEY`, the command line over both."""

from __future__ import annotations

import ipaddress
import re
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, SettingsError

from vms.contracts.files import Volume
from vms.contracts.inference import DeviceKind
from vms.domain import retention as retention_limits
from vms.domain import schedules
from vms.domain.errors import Failure

VOLUME_NAME = r"^[a-z0-9][a-z0-9_-]{0,31}$"
Port = Annotated[int, Field(ge=0, le=65_535)]

# Each has two threads of its own.
MAX_VOLUMES = 16


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


class Http(_Section):
    """The public listener. The interface cannot be turned off: port 0 takes a free one."""

    host: Annotated[str, Field(min_length=1, max_length=253)] = "127.0.0.1"
    port: Port = 8080
    tls: Literal["off", "auto"] = "auto"
    # Both or neither: used instead of the self-signed certificate.
    certificate_file: Path | None = None
    key_file: Path | None = None
    static_dir: Path | None = None
    media_concurrency: Annotated[int, Field(ge=1, le=65_536)] = 256

    @field_validator("tls", mode="before")
    @classmethod
    def _off_is_a_boolean_in_some_writings(cls, value: Any) -> Any:
        return "off" if value is False else value

    @model_validator(mode="after")
    def _certificate_and_key(self) -> Self:
        if (self.certificate_file is None) != (self.key_file is None):
            raise ValueError("certificate_file and key_file go together")
        return self

    def uses_tls(self) -> bool:
        """Whether the listener speaks TLS: with a certificate given, or wherever others than this machine reach it."""
        return self.tls == "auto" and (self.certificate_file is not None or not is_loopback(self.host))


class WebRtc(_Section):
    """Live pictures."""

    udp_port: Port = 8189
    # For viewers whose network lets no UDP through.
    tcp_port: Port = 8189
    # Where routers forward to the ports from: "IP", "IP:port" or "[IPv6]:port"; without a port it is the same one.
    public_addresses: Annotated[tuple[str, ...], Field(max_length=8)] = ()
    max_viewers: Annotated[int, Field(ge=1, le=100_000)] = 1000
    stun_urls: tuple[Annotated[str, Field(pattern=r"^stuns?:[^\s<>\"]+$", max_length=512)], ...] = ()
    turn_urls: tuple[Annotated[str, Field(pattern=r"^turns?:[^\s<>\"]+$", max_length=512)], ...] = ()
    # Shared with the relay, which checks the log-ins made with it.
    turn_secret: Annotated[SecretStr, Field(min_length=16)] | None = None

    @field_validator("public_addresses")
    @classmethod
    def _addresses_that_viewers_can_be_told(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for position, text in enumerate(value, start=1):
            if not _is_public_address(text):
                raise ValueError(
                    f"entry {position} is not an address: write IP, IP:port or [IPv6]:port, "
                    "such as 203.0.113.7, 203.0.113.7:8189 or [2001:db8::7]:8189"
                )
        return value

    @model_validator(mode="after")
    def _relay_and_secret(self) -> Self:
        if self.turn_urls and self.turn_secret is None:
            raise ValueError("turn_urls need turn_secret: a relay without log-in is open to everybody")
        return self


class Rtsp(_Section):
    """Re-streaming, not available yet."""

    port: Port = 8554


class Srt(_Section):
    """SRT, not available yet."""

    port: Port = 8890


class Grpc(_Section):
    """Where `vms run storage` listens for other services."""

    host: Annotated[str, Field(min_length=1, max_length=253)] = "127.0.0.1"
    port: Port = 50_051
    tls: Literal["off", "auto"] = "auto"
    # What callers must know; without it keys/grpc.token is made.
    token: Annotated[SecretStr, Field(min_length=32)] | None = None
    # Both or neither: used instead of the self-signed certificate.
    certificate_file: Path | None = None
    key_file: Path | None = None

    @field_validator("tls", mode="before")
    @classmethod
    def _off_is_a_boolean_in_some_writings(cls, value: Any) -> Any:
        return "off" if value is False else value

    @model_validator(mode="after")
    def _safe_beyond_this_machine(self) -> Self:
        if (self.certificate_file is None) != (self.key_file is None):
            raise ValueError("certificate_file and key_file go together")
        if self.tls == "off" and not is_loopback(self.host):
            raise ValueError("tls is off and others than this machine reach host: the token would be sent in clear")
        return self

    def uses_tls(self) -> bool:
        """As the public listener: with a certificate given, or wherever others than this machine reach it."""
        return self.tls == "auto" and (self.certificate_file is not None or not is_loopback(self.host))


class _StorageElsewhere(_Section):
    """The storage service that `vms serve` works with, where it is not part of it."""

    # "host:port" or "[IPv6]:port" of a `vms run storage`.
    address: Annotated[str, Field(pattern=r"^(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]{1,253}):[0-9]{1,5}$")] | None = None
    # Its token, or the file that holds it: keys/grpc.token of its data directory, or a copy.
    token: Annotated[SecretStr, Field(min_length=32)] | None = None
    token_file: Path | None = None
    tls: Literal["off", "auto"] = "auto"
    # Its certificate, where it made that itself; without one the system's authorities count.
    certificate_file: Path | None = None

    @model_validator(mode="after")
    def _everything_for_an_address(self) -> Self:
        if self.address is None:
            return self
        if (self.token is None) == (self.token_file is None):
            raise ValueError("address needs either token or token_file")
        if self.tls == "off" and not is_loopback(self.host()):
            raise ValueError("tls is off and address is not this machine: the token would be sent in clear")
        return self

    def host(self) -> str:
        """The address without its port."""
        return (self.address or "").rpartition(":")[0].strip("[]")

    def uses_tls(self) -> bool:
        """Whether the storage service is spoken to by TLS."""
        return self.tls == "auto" and (self.certificate_file is not None or not is_loopback(self.host()))


class Limits(_Section):
    """Bounds on callers."""

    requests_per_minute: Annotated[int, Field(ge=0, le=1_000_000)] = 100


class Auth(_Section):
    """Log-ins."""

    require_admin_mfa: bool = False


class Cameras(_Section):
    """Which cameras may be added."""

    allow_loopback: bool = False


class Recording(_Section):
    """The recorder."""

    fragment_ms: Annotated[int, Field(ge=100, le=10_000)] = 500
    sync_ms: Annotated[int, Field(ge=100, le=60_000)] = 1000
    # Stills for scrubbing, beside the recordings.
    thumbnails: bool = True
    checksums: bool = True


def _time_of_day(text: str) -> str:
    schedules.minute_of(text)
    return text


def _zone_name(name: str) -> str:
    schedules.zone(name)
    return name


class MovingWindow(_Section):
    """Hours at which recordings move at another rate than otherwise: not at all (0), or faster."""

    start: Annotated[str, AfterValidator(_time_of_day)]
    end: Annotated[str, AfterValidator(_time_of_day)]
    max_mb_per_s: Annotated[float, Field(ge=0, le=100_000)]
    days: tuple[schedules.Day, ...] = schedules.DAYS


class Tiering(_Section):
    """When recordings move on to slow volumes and to the object storage, and how fast. Without a number of days:
    never by age."""

    slow_after_days: Annotated[float, Field(gt=0, le=36_500)] | None = None
    object_after_days: Annotated[float, Field(gt=0, le=36_500)] | None = None
    max_mb_per_s: Annotated[float, Field(ge=0, le=100_000)] = 20
    windows: Annotated[tuple[MovingWindow, ...], Field(max_length=64)] = ()
    time_zone: Annotated[str, AfterValidator(_zone_name)] = "UTC"
    # s3://bucket/prefix, gs://…, az://…, file:///…
    object_url: Annotated[str, Field(max_length=2048)] | None = None
    # The storage's own keys: endpoint, access_key_id, secret_access_key, region …
    object_options: dict[str, SecretStr] = {}
    object_price_per_gb_month: Annotated[float, Field(ge=0)] = 0

    @model_validator(mode="after")
    def _somewhere_to_go(self) -> Self:
        if self.object_after_days is not None and self.object_url is None:
            raise ValueError("object_after_days needs object_url")
        return self


class Storage(_StorageElsewhere):
    """Where recordings lie: in directories of this process, or with a storage service elsewhere."""

    volumes: Annotated[tuple[Volume, ...], Field(max_length=MAX_VOLUMES)] = ()
    tiering: Tiering = Tiering()

    @field_validator("volumes", mode="before")
    @classmethod
    def _no_unknown_keys(cls, value: Any) -> Any:
        for position, volume in enumerate(value if isinstance(value, list | tuple) else [], start=1):
            unknown = sorted(set(volume) - set(Volume.model_fields)) if isinstance(volume, dict) else []
            if unknown:
                raise ValueError(f"entry {position} has a key that no volume has: {unknown[0]}")
        return value

    @field_validator("volumes")
    @classmethod
    def _places_of_their_own(cls, value: tuple[Volume, ...]) -> tuple[Volume, ...]:
        places: dict[str, Path] = {}
        for volume in value:
            place = Path(volume.path)
            if not place.is_absolute() or ".." in place.parts:
                raise ValueError(f"the path of volume {volume.name} is not absolute: write it from / on, without ..")
            if volume.name in places:
                raise ValueError(f"two volumes are called {volume.name}")
            for name, other in places.items():
                if place == other:
                    raise ValueError(f"the volumes {name} and {volume.name} have the same path")
                if place.is_relative_to(other) or other.is_relative_to(place):
                    raise ValueError(f"of the volumes {name} and {volume.name} one lies in the other")
            places[volume.name] = place
        if value and not any(volume.weight for volume in value):
            raise ValueError("every volume has weight 0: nothing would be recorded by choice")
        return value


class Retention(_Section):
    """Limits of whole volumes, by their names; those of cameras and groups are set where these are."""

    volumes: dict[Annotated[str, Field(pattern=VOLUME_NAME)], retention_limits.Limits] = {}


ModelName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]
DeviceId = Annotated[str, Field(pattern=r"^[a-z]+(:[A-Za-z0-9.]+)?$", max_length=64)]


class Ai(_Section):
    """Understanding pictures, of the cameras that want it."""

    enabled: bool = True
    # Where models are looked for before the installation's; without it models/ in the data directory.
    models_dir: Path | None = None
    # Those that are found by themselves, or ids (cuda:0) and kinds (cuda).
    devices: Literal["auto"] | Annotated[tuple[DeviceId, ...], Field(min_length=1, max_length=64)] = "auto"
    # The kind of device that a model is bound to, by the model's name.
    model_devices: dict[ModelName, DeviceKind] = {}
    # For cameras that name none.
    detector: ModelName | None = None
    # Refuses models whose licence forbids commercial use.
    commercial: bool = True
    # How long a picture may wait for others to go with.
    latency_budget_ms: Annotated[int, Field(ge=1, le=10_000)] = 50
    # Whose pictures one process decodes.
    max_cameras: Annotated[int, Field(ge=1, le=64)] = 8


class Media(_Section):
    """The media core."""

    worker_threads: Annotated[int, Field(ge=1, le=64)] = 2


class Log(_Section):
    """Logs on stderr: `auto` is text on a terminal and JSON elsewhere."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "json", "console"] = "auto"


class Settings(BaseSettings):
    """Every key. Unknown ones are refused."""

    model_config = SettingsConfigDict(
        env_prefix="VMS_", env_nested_delimiter="__", extra="forbid", hide_input_in_errors=True
    )

    admin_password: SecretStr | None = None
    http: Http = Http()
    webrtc: WebRtc = WebRtc()
    rtsp: Rtsp = Rtsp()
    srt: Srt = Srt()
    grpc: Grpc = Grpc()
    limits: Limits = Limits()
    auth: Auth = Auth()
    cameras: Cameras = Cameras()
    recording: Recording = Recording()
    retention: Retention = Retention()
    storage: Storage = Storage()
    ai: Ai = Ai()
    media: Media = Media()
    log: Log = Log()

    @field_validator("admin_password")
    @classmethod
    def _empty_is_none(cls, value: SecretStr | None) -> SecretStr | None:
        return value if value is not None and value.get_secret_value() else None

    @model_validator(mode="after")
    def _one_listener_per_port(self) -> Self:
        if self.webrtc.udp_port and self.webrtc.tcp_port and self.webrtc.tcp_port == self.http.port:
            raise ValueError("webrtc.tcp_port is http.port: write another, or 0 to do without live pictures by TCP")
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Command line over environment over file; the file comes in as the last source by `load`."""
        return (init_settings, env_settings, _FileSource(settings_cls))


class _FileSource(PydanticBaseSettingsSource):
    """The keys of the file that `load` read."""

    content: dict[str, Any] = {}  # noqa: RUF012 (set for the length of one `load`)

    def get_field_value(self, field: Any, field_name: str) -> tuple[Any, str, bool]:  # noqa: ARG002
        return self.content.get(field_name), field_name, False

    def __call__(self) -> dict[str, Any]:
        return self.content


def _is_public_address(text: str) -> bool:
    with_port = re.fullmatch(r"\[([0-9A-Fa-f:.]+)\]:(\d{1,5})|([0-9.]+):(\d{1,5})", text, re.ASCII)
    host, port = text, "1"
    if with_port is not None:
        host, port = (with_port[1] or with_port[3], with_port[2] or with_port[4])
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    bracketed = with_port is not None and with_port[1] is not None
    fits = with_port is None or bracketed == (address.version == 6)
    has_zone = "%" in host
    return fits and not has_zone and not address.is_unspecified and not address.is_multicast and 0 < int(port) < 65_536


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches a listener on `host`."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def load(config_file: Path | None, **overrides: dict[str, Any]) -> Settings:
    """The settings: `overrides` (by section) over the environment over the file over the defaults.

    Raises Failure(invalid) with one line that names the key and what is wrong with it, never its value.
    """
    content: dict[str, Any] = {}
    if config_file is not None:
        try:
            content = tomllib.loads(config_file.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            raise Failure("invalid", f"the configuration file {config_file} cannot be read: {reason}") from error
    try:
        _FileSource.content = content
        settings = Settings(**overrides)  # type: ignore[arg-type]  # sections as dictionaries, validated there
    except ValidationError as error:
        lines = [
            f"{'.'.join(str(part) for part in entry['loc'])}: {entry['msg'].removeprefix('Value error, ')}"
            for entry in error.errors(include_input=False, include_url=False)
        ]
        raise Failure("invalid", "configuration: " + "; ".join(lines)) from error
    except SettingsError as error:
        raise Failure("invalid", f"configuration: {error}") from error
    finally:
        _FileSource.content = {}
    if settings.auth.require_admin_mfa:
        raise Failure("not_available_yet", "configuration: auth.require_admin_mfa is not available yet")
    return settings
