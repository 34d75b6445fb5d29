"""The server's side of the thumbnail worker."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable
from typing import IO, Any

from vms.adapters.stills import framing, thumbnail_framing
from vms.adapters.stills.process import WorkerEndedError, WorkerProcess
from vms.contracts.thumbnails import MadeGrid, Still
from vms.domain.errors import Failure, FailureKind
from vms.domain.thumbnails import CELL_WIDTH, GridError, empty_grid, image_of, read_grid, write_grid

_LARGEST_STILL_BYTES = 64 << 20


class WorkerThumbnails:
    """Satisfies `vms.contracts.thumbnails.ThumbnailMaker` with one process of the lowest priority."""

    def __init__(self, *, timeout_s: float = 60.0, idle_s: float = 120.0) -> None:
        self.worker = WorkerProcess("vms.adapters.stills.thumbnail_worker", timeout_s=timeout_s, idle_s=idle_s)

    def make(
        self, previous: bytes | None, hour_us: int, stills: Iterable[Still], made_until_us: int
    ) -> MadeGrid | None:
        with self.worker.turn():
            return self._make(previous, hour_us, stills, made_until_us)

    def close(self) -> None:
        """Ends the worker; an hour in work fails."""
        self.worker.close()

    def _make(
        self, previous: bytes | None, hour_us: int, stills: Iterable[Still], made_until_us: int
    ) -> MadeGrid | None:
        image, grid = b"", None
        if previous is not None:
            try:
                grid = read_grid(io.BytesIO(previous))
                image = image_of(previous)
            except GridError as error:
                raise Failure("unavailable", f"the thumbnails so far cannot be read: {error}") from error
        begin = {"do": "begin", "cell_height": grid.cell_height if grid is not None else 0}
        status, _, sentence = self._ask(begin, image)
        if status != thumbnail_framing.OK:
            raise Failure("unavailable", f"the thumbnails so far cannot be decoded: {sentence.decode()}")
        shown: list[tuple[int, int]] = []
        broken = 0
        for cell, picture in stills:
            unit = picture.units[0] if picture.units else b""
            header = {
                "do": "still",
                "cell": cell,
                "codec": picture.codec,
                "configuration_bytes": len(picture.configuration),
            }
            if len(unit) > _LARGEST_STILL_BYTES:
                broken += 1
                continue
            status, _, _ = self._ask(header, picture.configuration + unit)
            if status == thumbnail_framing.OK:
                shown.append((cell, picture.captured_us))
            else:
                broken += 1
        status, cell_height, content = self._ask({"do": "finish"}, b"")
        if status == thumbnail_framing.NOTHING:
            return None
        if status != thumbnail_framing.OK:
            raise Failure("unavailable", f"the thumbnails cannot be encoded: {content.decode(errors='replace')}")
        grid = grid or empty_grid(hour_us, CELL_WIDTH, cell_height)
        return MadeGrid(write_grid(content, grid.with_(shown, made_until_us)), broken)

    def _ask(self, header: dict[str, Any], payload: bytes) -> tuple[int, int, bytes]:
        """(status, cell height, content)."""
        if self.worker.closed:
            raise Failure("unavailable", "the server is stopping")
        # A new process only where an hour begins, since what the old one had made of one is lost with it.
        if header["do"] != "begin" and not self.worker.runs():
            raise Failure("malformed", "the thumbnail worker ended")
        text = json.dumps({**header, "bytes": len(payload)}).encode()
        try:
            return self.worker.ask((framing.LENGTH.pack(len(text)) + text, payload), _answer)
        except WorkerEndedError as error:
            if error.late or self.worker.closed:
                detail = f"the thumbnail worker did not answer in {self.worker.timeout_s:g} s"
                raise Failure("unavailable", detail) from error
            kind: FailureKind = "malformed" if header["do"] == "still" else "unavailable"
            raise Failure(kind, "the thumbnail worker ended") from error


def _answer(pipe: IO[bytes]) -> tuple[int, int, bytes]:
    head = framing.read_exactly(pipe, thumbnail_framing.ANSWER.size)
    status, cell_height, size_bytes = thumbnail_framing.ANSWER.unpack(head)
    return status, cell_height, framing.read_exactly(pipe, size_bytes)
