"""The media core (see `__init__.pyi` for shapes, units and errors)."""

from .vms_media import (
    Engine,
    Grants,
    MediaError,
    Picture,
    Simulator,
    log_to_stderr,
    make_sparse_archive,
    version,
)

__all__ = [
    "Engine",
    "Grants",
    "MediaError",
    "Picture",
    "Simulator",
    "log_to_stderr",
    "make_sparse_archive",
    "version",
]
