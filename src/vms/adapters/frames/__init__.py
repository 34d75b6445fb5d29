"""Cameras' pictures by PyAV (FFmpeg) and numpy, decoded in worker processes into shared memory: a stream that crashes a
decoder must not take the server with it."""

from vms.adapters.frames.client import WorkerFrames

__all__ = ["WorkerFrames"]
