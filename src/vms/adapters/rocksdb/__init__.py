"""The catalogue of recordings in RocksDB, LZ4-compressed. Keys and values: `docs/format/catalogue.md`."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

import structlog
from pydantic import BaseModel, ValidationError
from rocksdict import DBCompressionType, Options, Rdict, WriteBatch, WriteOptions

from vms.contracts.catalogue import CatalogueRow, ChainHead, Finding, with_file
from vms.contracts.files import RecordedFile
from vms.domain.errors import Failure

log = structlog.get_logger(__name__)
FORMAT = "vms-catalogue 1"
# No file is longer than an hour by rule; a clock that was set may make one look so.
LONGEST_FILE_US = 2 * 3_600_000_000
_FORMAT_KEY = b"m\0format"
# Puts negative times before positive ones.
_TIME_BIAS = 1 << 63
_LEAST_US, _GREATEST_US = -(1 << 63), (1 << 63) - 1


class RocksCatalogue:
    """Satisfies `vms.contracts.catalogue.RecordingsCatalogue`.

    A database that is corrupt or of another version is set aside (`<directory>.set-aside`, the one before it goes) with
    a warning, and a new one begun: `is_new` says so. Raises Failure(conflict) when another process has it open,
    Failure(unavailable) when the disk refuses.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._lock = threading.Lock()
        self.is_new = not directory.exists()
        try:
            self._database = self._open()
        except _UnusableError as unusable:
            aside = directory.with_name(directory.name + ".set-aside")
            log.warning("the catalogue is set aside and made anew", reason=str(unusable), kept_as=str(aside))
            try:
                shutil.rmtree(aside, ignore_errors=True)
                directory.rename(aside)
                self._database = self._open()
            except (OSError, _UnusableError) as error:
                raise Failure("unavailable", f"the catalogue {directory} cannot be made: {error}") from error
            self.is_new = True
        self._synced = WriteOptions()
        self._synced.sync = True

    def put(self, rows: Iterable[CatalogueRow]) -> None:
        with self._lock:
            self._put(rows)

    def put_files(self, files: Iterable[RecordedFile]) -> None:
        with self._lock:
            self._put([with_file(self.get(file.camera_id, file.name), file) for file in files])

    def update(self, camera_id: str, name: str, **fields: object) -> bool:
        with self._lock:
            row = self.get(camera_id, name)
            if row is not None:
                self._put([row.model_copy(update=fields)])
            return row is not None

    def _put(self, rows: Iterable[CatalogueRow]) -> None:
        with _translated():
            batch = WriteBatch(raw_mode=True)
            # Of one batch the last row of a file counts.
            latest: dict[bytes, bytes] = {}
            for row in rows:
                name_key, key = _name_key(row.file.camera_id, row.file.name), _row_key(row)
                old = latest.get(name_key) or self._database.get(name_key)
                if old is not None and old != key:
                    batch.delete(old)
                latest[name_key] = key
                batch.put(name_key, key)
                batch.put(key, _written(row))
            self._database.write(batch)

    def get(self, camera_id: str, name: str) -> CatalogueRow | None:
        with _translated():
            key = self._database.get(_name_key(camera_id, name))
            value = self._database.get(key) if key is not None else None
        return _row(value) if value is not None else None

    def remove(self, camera_id: str, names: Iterable[str]) -> None:
        with self._lock, _translated():
            batch = WriteBatch(raw_mode=True)
            for name in names:
                name_key = _name_key(camera_id, name)
                key = self._database.get(name_key)
                if key is not None:
                    batch.delete(key)
                    batch.delete(name_key)
            self._database.write(batch)

    def between(self, camera_id: str, stream: str | None, start_us: int, end_us: int) -> Iterator[CatalogueRow]:
        for each in self._streams(camera_id) if stream is None else [stream]:
            head = b"r\0" + camera_id.encode() + b"\0" + each.encode() + b"\0"
            for key, value in self._scan(head + _sortable(start_us - LONGEST_FILE_US), head):
                if key >= head + _sortable(end_us):
                    break
                row = _row(value)
                if row is not None and row.file.end_us > start_us:
                    yield row

    def everything(self, after: tuple[str, str] | None = None) -> Iterator[CatalogueRow]:
        first = b"r\0"
        if after is not None:
            with _translated():
                first = self._database.get(_name_key(*after)) or _first_behind(after[0])
            first += b"\0"
        for _, value in self._scan(first, b"r\0"):
            row = _row(value)
            if row is not None:
                yield row

    def put_head(self, head: ChainHead) -> None:
        with _translated():
            self._database.put(b"h\0" + head.camera_id.encode(), _written(head), self._synced)

    def heads(self) -> Sequence[ChainHead]:
        return [ChainHead.model_validate_json(value) for _, value in self._scan(b"h\0", b"h\0")]

    def put_finding(self, finding: Finding) -> None:
        text = json.dumps([finding.volume, finding.day, finding.line, finding.kind]).encode()
        with _translated():
            self._database.put(
                _findings_of(finding.camera_id, finding.name) + sha256(text).digest()[:8], _written(finding)
            )

    def remove_findings(self, camera_id: str, name: str | None = None) -> None:
        head = _findings_of(camera_id, name)
        with self._lock, _translated():
            batch = WriteBatch(raw_mode=True)
            for key, _ in self._scan(head, head):
                batch.delete(key)
            self._database.write(batch)

    def findings(self) -> Sequence[Finding]:
        return [Finding.model_validate_json(value) for _, value in self._scan(b"d\0", b"d\0")]

    def note(self, key: str, text: str | None) -> None:
        with _translated():
            if text is None:
                self._database.delete(b"p\0" + key.encode())
            else:
                self._database.put(b"p\0" + key.encode(), text.encode())

    def noted(self, key: str) -> str | None:
        with _translated():
            value = self._database.get(b"p\0" + key.encode())
        return value.decode() if value is not None else None

    def clear(self) -> None:
        with self._lock, _translated():
            batch = WriteBatch(raw_mode=True)
            batch.delete_range(b"n\0", b"n\1")
            batch.delete_range(b"r\0", b"r\1")
            self._database.write(batch)

    def close(self) -> None:
        with _translated():
            self._database.close()

    def _open(self) -> Rdict:
        options = Options(raw_mode=True)
        options.create_if_missing(True)
        options.set_compression_type(DBCompressionType.lz4())
        options.set_paranoid_checks(True)
        options.set_max_open_files(64)
        options.set_write_buffer_size(8 << 20)
        options.set_keep_log_file_num(2)
        options.set_max_log_file_size(1 << 20)
        existed = self._directory.exists()
        try:
            self._directory.parent.mkdir(parents=True, exist_ok=True)
            database = Rdict(str(self._directory), options)
        except Exception as error:
            text = str(error)
            if "/LOCK" in text or "lock hold by" in text:
                raise Failure("conflict", f"another process has the catalogue {self._directory} open") from error
            if "No space" in text or "Permission denied" in text:
                raise Failure("unavailable", f"the catalogue {self._directory} cannot be opened: {text}") from error
            raise _UnusableError(text) from error
        try:
            self._check(database, existed=existed)
        except Exception as error:
            database.close()
            if isinstance(error, _UnusableError):
                raise
            raise _UnusableError(str(error)) from error
        return database

    def _check(self, database: Rdict, *, existed: bool) -> None:
        """Reads everything, so that a block that is damaged shows now and not in some chore."""
        written = database.get(_FORMAT_KEY)
        if written is None and existed and database.latest_sequence_number() > 0:
            raise _UnusableError("it does not say its version")
        if written is None:
            database.put(_FORMAT_KEY, FORMAT.encode())
        elif written != FORMAT.encode():
            raise _UnusableError(f"it is of another version: {written[:40]!r}, and this is {FORMAT}")
        iterator = database.iter()
        try:
            iterator.seek_to_first()
            while iterator.valid():
                iterator.next()
            iterator.status()
        finally:
            # Alive in a traceback, it would keep the database open past its close.
            del iterator

    def _scan(self, first: bytes, head: bytes) -> Iterator[tuple[bytes, bytes]]:
        with _translated():
            iterator = self._database.iter()
            iterator.seek(first)
            while iterator.valid():
                key = iterator.key()
                if not key.startswith(head):
                    break
                yield key, iterator.value()
                iterator.next()
            iterator.status()

    def _streams(self, camera_id: str) -> list[str]:
        head = b"r\0" + camera_id.encode() + b"\0"
        found: list[str] = []
        at = head
        while True:
            entry = next(self._scan(at, head), None)
            if entry is None:
                return found
            stream = entry[0][len(head) :].split(b"\0", 1)[0]
            found.append(stream.decode())
            at = head + stream + b"\1"


class _UnusableError(Exception):
    """The database cannot be used as it is."""


@contextmanager
def _translated() -> Iterator[None]:
    """rocksdict raises plain Exceptions with RocksDB's own words."""
    try:
        yield
    except (Failure, GeneratorExit):
        raise
    except Exception as error:
        raise Failure("unavailable", f"the catalogue of recordings fails: {error}") from error


def _written(value: BaseModel) -> bytes:
    return value.model_dump_json(exclude_defaults=True).encode()


def _row(value: bytes) -> CatalogueRow | None:
    try:
        return CatalogueRow.model_validate_json(value)
    except ValidationError as error:
        # The next comparison with the files puts it anew.
        log.warning("a row of the catalogue cannot be read", errors=error.error_count())
        return None


def _name_key(camera_id: str, name: str) -> bytes:
    return b"n\0" + camera_id.encode() + b"\0" + name.encode()


def _row_key(row: CatalogueRow) -> bytes:
    file = row.file
    head = b"r\0" + file.camera_id.encode() + b"\0" + file.stream.encode() + b"\0"
    return head + _sortable(file.start_us) + file.name.encode()


def _sortable(at_us: int) -> bytes:
    return (max(_LEAST_US, min(_GREATEST_US, at_us)) + _TIME_BIAS).to_bytes(8, "big")


def _first_behind(camera_id: str) -> bytes:
    """Where to go on when the row that work had reached is gone: at its camera's first."""
    return b"r\0" + camera_id.encode()


def _findings_of(camera_id: str | None, name: str | None) -> bytes:
    return b"d\0" + (camera_id or "").encode() + b"\0" + (name or "").encode() + b"\0"
