"""One viewer of a camera's boxes: what waits for it, and which pictures it shows."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from vms.api.analysis_models import AnalysedFrameAnswer, PushedFrame
from vms.contracts.analysis import AnalysedFrame, Analysis

# Boxes are worth nothing once their picture is gone: the oldest are left out for a viewer that is slow.
MOST_BEHIND = 8
# Of RTP's clock for video, and the width of its timestamps.
_TICKS_PER_S = 90_000
_SECOND_US = 1_000_000


class BoxFeed:
    """Takes frames from the analysis' thread to the viewer's task. Make it inside the event loop.

    `rtp_offset` tells of a live session how its timestamps stand to server time (`Live.rtp_offset`).
    """

    def __init__(
        self, analysis: Analysis, camera_id: str, session_id: str | None, rtp_offset: Callable[[str], int | None]
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._session_id = session_id
        self._rtp_offset = rtp_offset
        self._frames: deque[AnalysedFrame] = deque(maxlen=MOST_BEHIND)
        self._some = asyncio.Event()
        self._end: Callable[[], None] = analysis.follow(camera_id, self._take)

    def close(self) -> None:
        """Ends the subscription."""
        self._end()

    def show(self, session_id: str) -> None:
        """The viewer shows the pictures of this live session from now on."""
        self._session_id = session_id

    async def next(self) -> str:
        """The next frame as JSON."""
        while not self._frames:
            self._some.clear()
            await self._some.wait()
        frame = self._frames.popleft()
        answer = AnalysedFrameAnswer.of(frame)
        return PushedFrame.model_construct(**answer.__dict__, rtp=self._rtp(frame.at_us)).model_dump_json()

    def _rtp(self, at_us: int) -> int | None:
        offset = self._rtp_offset(self._session_id) if self._session_id is not None else None
        return None if offset is None else (at_us * _TICKS_PER_S // _SECOND_US + offset) % 2**32

    def _take(self, frame: AnalysedFrame) -> None:
        try:
            self._loop.call_soon_threadsafe(self._offer, frame)
        except RuntimeError:
            # The loop has ended, and the viewer with it.
            self._end()

    def _offer(self, frame: AnalysedFrame) -> None:
        self._frames.append(frame)
        self._some.set()
