"""Stills, grids of them and remuxing by PyAV (FFmpeg), always in worker processes: a stream that crashes a decoder must
not take the server with it."""

from vms.adapters.stills.client import WorkerStills
from vms.adapters.stills.remux import WorkerRemuxer
from vms.adapters.stills.thumbnails import WorkerThumbnails

__all__ = ["WorkerRemuxer", "WorkerStills", "WorkerThumbnails"]
