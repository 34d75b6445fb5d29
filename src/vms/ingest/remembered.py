"""A media core that knows its cameras again after a restart, whoever told it of them."""

from __future__ import annotations

import contextlib
import json
import os
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import structlog
from pydantic import ValidationError

from vms.contracts.media import CameraSource, MediaIngest
from vms.contracts.secrets import Sealer
from vms.domain.cameras import CameraStatus
from vms.domain.errors import Failure
from vms.domain.ids import is_id

log = structlog.get_logger(__name__)
_SUFFIX = ".sealed"


class RememberedIngest:
    """Satisfies `vms.contracts.media.MediaIngest` over another. Each camera is kept sealed in `directory`, since its
    password is part of it; what is acknowledged is on the disk."""

    def __init__(self, media: MediaIngest, sealer: Sealer, directory: Path) -> None:
        self._media = media
        self._sealer = sealer
        self._directory = directory
        self._known: dict[str, CameraSource] = {}
        # The disk and the media core must see changes of a camera in the same order.
        self._change = threading.Lock()

    def start(self) -> int:
        """Connects the cameras of earlier runs; how many there are. One that cannot be read is told again by whoever
        asks for it."""
        self._directory.mkdir(exist_ok=True, mode=0o700)
        for path in sorted(self._directory.glob(f"*{_SUFFIX}")):
            camera_id = path.stem
            try:
                source = CameraSource.model_validate_json(self._sealer.unseal(path.read_bytes(), camera_id))
                self._media.set_camera(camera_id, source)
            except (Failure, ValidationError, OSError) as error:
                log.error("camera not started", camera_id=camera_id, reason=type(error).__name__)
                continue
            self._known[camera_id] = source
        return len(self._known)

    def set_camera(self, camera_id: str, source: CameraSource) -> None:
        # Identifiers come from other processes and become names of files.
        if not is_id(camera_id):
            raise Failure("invalid", "this is no identifier of a camera")
        with self._change:
            self._media.set_camera(camera_id, source)
            if self._known.get(camera_id) != source:
                sealed = self._sealer.seal(_document(source), camera_id)
                _write(self._directory / f"{camera_id}{_SUFFIX}", sealed)
                self._known[camera_id] = source

    def remove_camera(self, camera_id: str) -> None:
        if not is_id(camera_id):
            return
        with self._change:
            self._media.remove_camera(camera_id)
            self._known.pop(camera_id, None)
            with contextlib.suppress(FileNotFoundError):
                (self._directory / f"{camera_id}{_SUFFIX}").unlink()

    def camera_status(self, camera_id: str) -> CameraStatus:
        return self._media.camera_status(camera_id)

    def camera_statuses(self) -> Mapping[str, CameraStatus]:
        return self._media.camera_statuses()


def _document(source: CameraSource) -> str:
    """JSON with the password in it, which `model_dump_json` hides."""
    document: dict[str, Any] = source.model_dump(mode="json")
    document["password"] = source.password.get_secret_value() if source.password is not None else None
    return json.dumps(document)


def _write(path: Path, content: bytes) -> None:
    draft = path.with_suffix(".new")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
