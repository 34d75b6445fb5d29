"""Grids of stills by PyAV (FFmpeg), in a worker process of low priority."""

from vms.adapters.thumbnails.client import WorkerThumbnails

__all__ = ["WorkerThumbnails"]
