"""Motion in cameras' pictures by PyAV (FFmpeg) and numpy, in a worker process: a stream that crashes a decoder must
not take the server with it."""

from vms.adapters.motion.client import WorkerMotion

__all__ = ["WorkerMotion"]
