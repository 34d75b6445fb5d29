"""Who watches boxes live."""

from __future__ import annotations

import threading
from collections.abc import Callable

import structlog

from vms.contracts.analysis import AnalysedFrame, LiveListener

log = structlog.get_logger(__name__)


class LiveBoxes:
    """Listeners by camera. They are called on the caller's thread of `tell`, and must not wait."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._listeners: dict[str, dict[object, LiveListener]] = {}

    def follow(self, camera_id: str, listener: LiveListener) -> Callable[[], None]:
        """Calls `listener` from now on; the result ends that."""
        key = object()
        with self._lock:
            self._listeners.setdefault(camera_id, {})[key] = listener

        def end() -> None:
            with self._lock:
                of_camera = self._listeners.get(camera_id, {})
                of_camera.pop(key, None)
                if not of_camera:
                    self._listeners.pop(camera_id, None)

        return end

    def tell(self, frame: AnalysedFrame) -> None:
        """Calls everybody who watches the camera."""
        with self._lock:
            listeners = list(self._listeners.get(frame.camera_id, {}).values())
        for listener in listeners:
            try:
                listener(frame)
            except Exception:
                # The supervisor of viewers: one that fails takes nothing from the others.
                log.exception("a viewer of boxes failed", camera_id=frame.camera_id)
