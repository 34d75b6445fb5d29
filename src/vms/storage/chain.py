"""The chain of each camera: what was recorded and what was removed by rule, so that nobody can do either unseen.

`{storage}/cameras/{camera_id}/{day}/chain.jsonl`, one file per day on which something was written down.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import structlog

from vms.contracts.catalogue import ChainHead, Finding, LineSigner, RecordingsCatalogue
from vms.contracts.clock import Clock
from vms.contracts.files import RecordedFile
from vms.domain.errors import Failure
from vms.domain.time import format_time
from vms.storage import archive_paths
from vms.storage.chain_lines import (
    BEGINNING,
    ChainCheck,
    ChainLine,
    check,
    hash_of,
    read_line,
    sealed_fields,
)

log = structlog.get_logger(__name__)
FILE_NAME = "chain.jsonl"
# People write reasons; a line stays a line.
_LONGEST_TEXT = 500


@dataclass
class _Tail:
    """Where a camera's chain goes on."""

    day: str
    number: int
    line_sha256: str
    # Of `day`, root not counted.
    lines: int
    # The day has its root line.
    closed: bool


class Chain:
    """Appends to the chains and reads them. Satisfies `vms.contracts.catalogue.FileJournal`.

    A line is on the disk when the call returns. Raises Failure(unavailable) when the disk refuses.
    """

    def __init__(self, storage_dir: Path, signer: LineSigner, catalogue: RecordingsCatalogue, clock: Clock) -> None:
        self._root = storage_dir
        self._signer = signer
        self._catalogue = catalogue
        self._clock = clock
        self._tails: dict[str, _Tail] = {}
        self._locks: dict[str, threading.Lock] = {}
        self._lock = threading.Lock()

    def sealed(self, file: RecordedFile) -> None:
        """A file was closed; one that is in the chain already is no fault."""
        self.sealed_all([file])

    def sealed_all(self, files: Iterable[RecordedFile]) -> int:
        """Files of one camera that were closed and whose hashes are known, in one go; the lines written."""
        by_camera: dict[str, list[RecordedFile]] = {}
        for file in files:
            if file.sealed and file.sha256 is not None:
                by_camera.setdefault(file.camera_id, []).append(file)
        written = 0
        for camera_id, theirs in by_camera.items():
            with self._lock_of(camera_id):
                self._tail(camera_id)
                fields = []
                for file, adopted in self._unchained(camera_id, theirs):
                    fields.append(sealed_fields(file, adopted=adopted))
                self._append(camera_id, fields)
                written += len(fields)
        return written

    def _unchained(self, camera_id: str, files: Iterable[RecordedFile]) -> list[tuple[RecordedFile, bool]]:
        """Those that the chain does not know, each with whether nobody saw it being recorded."""
        found = []
        for file in sorted(files, key=lambda file: (file.start_us, file.name)):
            row = self._catalogue.get(camera_id, file.name)
            if row is None or (row.chain_number is None and row.removal_number is None):
                found.append((file, row is not None and not row.seen_open))
        if not any(adopted for _, adopted in found):
            return found
        # Either they are new to all of us, or the catalogue has forgotten: then the chain knows.
        known = {file.name for file, _ in found}
        last = {
            line.name: line
            for _, content in self.days(camera_id)
            for line in map(read_line, content.split(b"\n"))
            if line is not None and line.name in known
        }
        self._take(last.values())
        return [(file, adopted) for file, adopted in found if file.name not in last]

    def removed(self, file: RecordedFile, reason: str, by: str) -> None:
        """A file goes by rule; call it before the file is gone. Saying it again is no fault."""
        with self._lock_of(file.camera_id):
            self._tail(file.camera_id)
            row = self._catalogue.get(file.camera_id, file.name)
            if row is not None and row.removal_number is not None:
                return
            fields: dict[str, object] = {
                "kind": "removed",
                "name": file.name,
                "reason": reason[:_LONGEST_TEXT],
                "by": by[:_LONGEST_TEXT],
            }
            self._append(file.camera_id, [fields])
        self._catalogue.remove_findings(file.camera_id, file.name)

    on_removed = removed

    def catch_up(self, camera_id: str) -> None:
        """Compares where the chain ends with where it is known to have ended, cuts off a torn line, and takes into the
        catalogue what it does not know."""
        with self._lock_of(camera_id):
            self._tail(camera_id)

    def forget(self) -> None:
        """Reads every chain anew when it is next needed: the catalogue was made anew."""
        with self._lock:
            cameras = list(self._tails)
        for camera_id in cameras:
            with self._lock_of(camera_id):
                self._tails.pop(camera_id, None)

    def close_days(self) -> None:
        """Writes the root line of each chain whose day is over."""
        today = self._today()
        with self._lock:
            cameras = [camera_id for camera_id, tail in self._tails.items() if tail.day < today and not tail.closed]
        for camera_id in cameras:
            with self._lock_of(camera_id):
                tail = self._tail(camera_id)
                if tail.number and tail.day < today and not tail.closed:
                    self._write(camera_id, tail, [_root_fields(tail)])

    def cameras(self) -> list[str]:
        """The cameras that have a directory here."""
        try:
            return sorted(
                path.name for path in (self._root / "cameras").iterdir() if archive_paths.is_camera(path.name)
            )
        except OSError:
            return []

    def days(self, camera_id: str) -> list[tuple[str, bytes]]:
        """The camera's chain, day by day. Raises Failure(unavailable)."""
        found = []
        for day in archive_paths.days_of(self._root, camera_id):
            content = self._content(camera_id, day)
            if content is not None:
                found.append((day, content))
        return found

    def check(self, camera_id: str) -> ChainCheck:
        """Goes along the whole chain. Lines that are appended meanwhile wait. Raises Failure(unavailable)."""
        with self._lock_of(camera_id):
            days = self.days(camera_id)
            head = next((head for head in self._catalogue.heads() if head.camera_id == camera_id), None)
        return check(camera_id, days, self._holds, head)

    def _holds(self, key_id: str, data: bytes, signature: bytes) -> bool | None:
        return self._signer.holds(data, signature) if key_id == self._signer.key_id else None

    def _lock_of(self, camera_id: str) -> threading.Lock:
        with self._lock:
            return self._locks.setdefault(camera_id, threading.Lock())

    def _today(self) -> str:
        return format_time(self._clock.now_us())[:10]

    def _append(self, camera_id: str, fields: Sequence[dict[str, object]]) -> None:
        if not fields:
            return
        tail = self._tail(camera_id)
        day = max(self._today(), tail.day)
        if tail.closed and day == tail.day:
            # The clock was set back past midnight: a day that is closed stays as it is.
            day = (date.fromisoformat(tail.day) + timedelta(days=1)).isoformat()
        if tail.number and day > tail.day and not tail.closed:
            self._write(camera_id, tail, [_root_fields(tail)])
        if day != tail.day:
            tail.day, tail.lines, tail.closed = day, 0, False
        self._write(camera_id, tail, fields)

    def _write(self, camera_id: str, tail: _Tail, fields: Sequence[dict[str, object]]) -> None:
        """Appends lines to the tail's day, all or none, and moves the tail."""
        number, previous = tail.number, tail.line_sha256
        lines: list[ChainLine] = []
        content = bytearray()
        for each in fields:
            number += 1
            draft = ChainLine.model_validate(
                {
                    "camera_id": camera_id,
                    "day": tail.day,
                    "number": number,
                    "previous": previous,
                    "at_us": self._clock.now_us(),
                    "key": self._signer.key_id,
                    **each,
                }
            )
            line = draft.model_copy(update={"signature": self._signer.sign(draft.signed_bytes()).hex()})
            raw = line.to_bytes()
            previous = hash_of(raw)
            content += raw + b"\n"
            lines.append(line)
        self._make_durable(camera_id, tail.day, bytes(content))
        closed = lines[-1].kind == "root"
        tail.number, tail.line_sha256, tail.closed = number, previous, closed
        tail.lines += 0 if closed else len(lines)
        self._take(lines)
        # Synced, and with it the rows before it.
        self._catalogue.put_head(ChainHead(camera_id=camera_id, day=tail.day, number=number, line_sha256=previous))

    def _make_durable(self, camera_id: str, day: str, content: bytes) -> None:
        directory = ("cameras", camera_id, day)
        try:
            archive_paths.make_below(self._root, directory)
            descriptor = archive_paths.open_below(
                self._root, (*directory, FILE_NAME), os.O_WRONLY | os.O_CREAT | os.O_APPEND
            )
            try:
                before = os.fstat(descriptor).st_size
                try:
                    view = memoryview(content)
                    while view:
                        view = view[os.write(descriptor, view) :]
                    os.fsync(descriptor)
                except OSError:
                    os.ftruncate(descriptor, before)
                    raise
            finally:
                os.close(descriptor)
            if before == 0:
                archive_paths.sync_below(self._root, directory)
        except OSError as error:
            # What is on the disk now is found out when the chain is next needed.
            self._tails.pop(camera_id, None)
            reason = error.strerror or str(error)
            raise Failure(
                "unavailable", f"camera {camera_id}: the chain of {day} cannot be written: {reason}"
            ) from error

    def _tail(self, camera_id: str) -> _Tail:
        tail = self._tails.get(camera_id)
        if tail is None:
            if not archive_paths.is_camera(camera_id):
                raise Failure("invalid", "no identifier of a camera")
            tail = self._tails[camera_id] = self._read_tail(camera_id)
        return tail

    def _read_tail(self, camera_id: str) -> _Tail:
        """From the end of the chain back to what the catalogue knows of it."""
        known = next((head for head in self._catalogue.heads() if head.camera_id == camera_id), None)
        tail: _Tail | None = None
        unknown: list[ChainLine] = []
        for day in reversed(archive_paths.days_of(self._root, camera_id)):
            lines = self._mended(camera_id, day)
            if not lines:
                continue
            read = [line for line in map(read_line, lines) if line is not None]
            if tail is None:
                tail = _tail_of(day, lines, read, known)
            unknown.extend(line for line in read if known is None or line.number > known.number)
            if known is not None and (not read or read[0].number <= known.number):
                break
        if tail is None:
            tail = _Tail(day="", number=0, line_sha256=BEGINNING, lines=0, closed=False)
        if known is not None and (known.number > tail.number or (
            known.number == tail.number and known.line_sha256 != tail.line_sha256
        )):  # fmt: skip
            self._tell_cut(camera_id, known, tail)
            # What follows hangs on the line that is gone, and so shows for good that it is.
            tail = _Tail(
                max(known.day, tail.day), known.number, known.line_sha256, tail.lines,
                tail.closed and known.day <= tail.day,
            )  # fmt: skip
        elif unknown:
            self._take(sorted(unknown, key=lambda line: line.number))
            self._catalogue.put_head(
                ChainHead(camera_id=camera_id, day=tail.day, number=tail.number, line_sha256=tail.line_sha256)
            )
        return tail

    def _tell_cut(self, camera_id: str, known: ChainHead, tail: _Tail) -> None:
        detail = f"the chain ends with line {tail.number} and is known to have had line {known.number}"
        if known.number == tail.number:
            detail = f"line {known.number} is not the one that was written"
        log.error("a chain was cut or altered", camera_id=camera_id, day=known.day, reason=detail)
        kind = "chain_cut" if known.number > tail.number else "chain_altered"
        self._catalogue.put_finding(
            Finding.model_validate(
                {"kind": kind, "detail": detail, "camera_id": camera_id, "day": known.day, "line": known.number}
            )
        )

    def _take(self, lines: Iterable[ChainLine]) -> None:
        """Into the catalogue's rows."""
        for line in lines:
            if line.kind == "sealed" and line.name is not None:
                self._catalogue.update(line.camera_id, line.name, chain_number=line.number, removal_number=None)
            elif line.kind == "removed" and line.name is not None:
                self._catalogue.update(line.camera_id, line.name, removal_number=line.number)

    def _mended(self, camera_id: str, day: str) -> list[bytes]:
        """The whole lines of a day; what a crash left behind the last of them is cut off, and the catalogue's rows say
        what is to be written again."""
        content = self._content(camera_id, day)
        if content is None:
            return []
        whole = content.rfind(b"\n") + 1
        if whole < len(content):
            log.warning(
                "the torn end of a chain is cut off", camera_id=camera_id, day=day, bytes_cut=len(content) - whole
            )
            try:
                descriptor = archive_paths.open_below(self._root, ("cameras", camera_id, day, FILE_NAME), os.O_WRONLY)
                try:
                    os.ftruncate(descriptor, whole)
                    os.fsync(descriptor)
                finally:
                    os.close(descriptor)
            except OSError as error:
                raise Failure("unavailable", f"camera {camera_id}: the chain of {day} cannot be mended") from error
        return content[:whole].split(b"\n")[:-1]

    def _content(self, camera_id: str, day: str) -> bytes | None:
        try:
            return archive_paths.read_below(self._root, ("cameras", camera_id, day, FILE_NAME))
        except FileNotFoundError:
            return None
        except OSError as error:
            reason = error.strerror or str(error)
            raise Failure("unavailable", f"camera {camera_id}: the chain of {day} cannot be read: {reason}") from error


def _root_fields(tail: _Tail) -> dict[str, object]:
    return {"kind": "root", "lines": tail.lines, "head": tail.line_sha256}


def _tail_of(day: str, lines: Sequence[bytes], read: Sequence[ChainLine], known: ChainHead | None) -> _Tail:
    last = read_line(lines[-1])
    if last is not None:
        root = last.kind == "root"
        return _Tail(day, last.number, hash_of(lines[-1]), len(lines) - int(root), closed=root)
    # The last line is garbage: the next one is numbered as if it were one, and hangs on its bytes.
    number = max([line.number for line in read] + [len(lines), known.number + 1 if known is not None else 0])
    return _Tail(day, number, hash_of(lines[-1]), len(lines), closed=False)
