"""Sound for browsers by PyAV (FFmpeg), always in worker processes: sound that crashes a decoder must not take the
server with it."""

from __future__ import annotations

import sys

# The program that the media core runs, one per camera stream that someone listens to.
OPUS_WORKER = [sys.executable, "-m", "vms.adapters.audio.opus_worker"]

__all__ = ["OPUS_WORKER"]
