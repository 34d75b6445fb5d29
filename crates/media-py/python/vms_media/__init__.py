"""The media core (see `__init__.pyi` for shapes, units and errors)."""

from .error import MediaError
from .vms_media import (
    Content,
    Engine,
    Front,
    Grants,
    Picture,
    Simulator,
    log_to_stderr,
    make_sparse_archive,
    version,
)

__all__ = [
    "Content",
    "Engine",
    "Front",
    "Grants",
    "MediaError",
    "Picture",
    "Simulator",
    "log_to_stderr",
    "make_sparse_archive",
    "version",
]
