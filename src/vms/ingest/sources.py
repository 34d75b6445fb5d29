"""Which cameras the configuration allows, and what the media core is told of them."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Mapping
from urllib.parse import urlsplit

from pydantic import SecretStr

from vms.contracts.media import CameraSource
from vms.domain.camera_drafts import CameraDraft
from vms.domain.cameras import Camera, StreamSource
from vms.domain.errors import FieldFailure
from vms.domain.recording_policy import StreamName, StreamRecording

IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address


def literal_address(host: str) -> IpAddress | None:
    """The address that a resolver would read `host` as without asking anybody: dotted, shortened (`127.1`),
    decimal (`2130706433`) or IPv6, a mapped IPv4 address as IPv4; None for a name."""
    bare = host.partition("%")[0]
    try:
        address: IpAddress = ipaddress.ip_address(bare)
    except ValueError:
        try:
            return ipaddress.IPv4Address(socket.inet_aton(bare))
        except (OSError, ValueError):
            return None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def is_local_to_server(host: str) -> bool:
    """Whether `host` means this machine or its link only: loopback, link-local, unspecified, or multicast.

    A camera there lets whoever edits cameras reach what listens on the server alone. A name that a resolver maps to
    such an address is refused by the media core when it connects.
    """
    name = host.rstrip(".").lower()
    if name == "localhost" or name.endswith((".localhost", ".localdomain")):
        return True
    address = literal_address(name)
    if address is None:
        return False
    return address.is_loopback or address.is_link_local or address.is_unspecified or address.is_multicast


def check_allowed(draft: CameraDraft, *, allow_loopback: bool) -> None:
    """Raises FieldFailure for what the draft may not ask of this installation."""
    for name, stream in (("main", draft.streams.main), ("sub", draft.streams.sub)):
        if stream is None or allow_loopback:
            continue
        host = urlsplit(stream.url).hostname or ""
        if is_local_to_server(host):
            raise FieldFailure(
                f"/streams/{name}/url",
                "addresses of the server itself and of its link are refused; "
                "start the server with VMS_CAMERAS__ALLOW_LOOPBACK=true to use them",
                code="camera-address-refused",
            )


def stream_sources(draft: CameraDraft) -> dict[StreamName, StreamSource]:
    """The draft's streams as the catalogue keeps them."""
    main = draft.streams.main
    streams: dict[StreamName, StreamSource] = {"main": StreamSource(url=main.url, transport=main.transport)}
    if draft.streams.sub is not None:
        streams["sub"] = StreamSource(url=draft.streams.sub.url, transport=draft.streams.sub.transport)
    return streams


def camera_source(
    camera: Camera, password: SecretStr | None, recording: Mapping[StreamName, StreamRecording]
) -> CameraSource:
    """What the media core is told of a camera, and of what to record of it now."""
    return CameraSource(
        streams=camera.streams,
        username=camera.credentials.username if camera.credentials else None,
        password=password,
        recording=dict(recording),
    )
