"""The media core (Rust, `vms_media`) behind the Protocols of `vms.contracts.media`."""

from vms.adapters.media.engine import MediaEngine
from vms.adapters.media.front import PlainFront
from vms.adapters.media.grants import MediaGrantSigner

__all__ = ["MediaEngine", "MediaGrantSigner", "PlainFront"]
