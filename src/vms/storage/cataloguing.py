"""Keeps the catalogue up to date with the archive's files, and chains what was closed."""

from __future__ import annotations

import threading
from typing import Protocol

import structlog

from vms.contracts.catalogue import RecordingsCatalogue
from vms.contracts.files import FileChanges, RecordedFile
from vms.domain.errors import Failure
from vms.storage.chain import Chain

log = structlog.get_logger(__name__)
# What was not hashed while it was recorded is hashed so fast.
HASH_BYTES_PER_S = 20_000_000


class FileSource(Protocol):
    """What the catalogue is made of: the part of `vms.contracts.files.ArchiveFiles` that tells of files."""

    def file_changes(self, after_revision: int) -> FileChanges: ...

    def hash_file(self, camera_id: str, name: str, max_bytes_per_s: int | None) -> str: ...


class Cataloguing:
    """Two chores: `run` every few seconds, `hash_unknown` now and then."""

    def __init__(self, files: FileSource, catalogue: RecordingsCatalogue, chain: Chain) -> None:
        self._files = files
        self._catalogue = catalogue
        self._chain = chain
        # Revisions count within a process: the first question is for everything.
        self._revision = 0
        self._unhashed: set[tuple[str, str]] = set()
        self._lock = threading.Lock()

    def run(self, _: threading.Event) -> None:
        """Takes what has changed since the last turn. Raises Failure when the archive or the disk does not answer; the
        next turn takes it then."""
        with self._lock:
            changes = self._files.file_changes(self._revision)
            if changes.whole:
                self._drop_gone(changes)
            self._catalogue.put_files(changes.files)
            for gone in changes.removed:
                self._catalogue.remove(gone.camera_id, [gone.name])
                self._unhashed.discard((gone.camera_id, gone.name))
            to_chain = self._to_chain(changes)
            cameras = {file.camera_id for file in to_chain}
            if changes.whole:
                cameras |= {file.camera_id for file in changes.files} | set(self._chain.cameras())
            failed = False
            for camera_id in sorted(cameras):
                try:
                    self._chain.catch_up(camera_id)
                    self._chain.sealed_all(file for file in to_chain if file.camera_id == camera_id)
                except Failure as failure:
                    failed = True
                    log.warning("recordings are not chained", camera_id=camera_id, reason=failure.detail)
            # What could not be chained comes again with the next turn: everything is asked for.
            self._revision = 0 if failed else changes.revision
        self._chain.close_days()

    def rebuild(self) -> int:
        """Makes every row anew from the files and the chains; the rows."""
        with self._lock:
            self._catalogue.clear()
            self._chain.forget()
            self._revision = 0
        self.run(threading.Event())
        return sum(1 for _ in self._catalogue.everything())

    def hash_unknown(self, stopping: threading.Event) -> None:
        """Hashes closed files whose hash is not known, one after the other and slowly, and chains them."""
        with self._lock:
            unhashed = sorted(self._unhashed)
        for camera_id, name in unhashed:
            if stopping.is_set():
                return
            known = self._catalogue.get(camera_id, name)
            if known is None or known.file.sha256 is not None:
                self._unhashed.discard((camera_id, name))
                continue
            try:
                digest = self._files.hash_file(camera_id, name, HASH_BYTES_PER_S)
            except Failure as failure:
                if failure.kind != "not_found":
                    log.warning("a recording cannot be hashed", camera_id=camera_id, file=name, reason=failure.detail)
                self._unhashed.discard((camera_id, name))
                continue
            with self._lock:
                row = self._catalogue.get(camera_id, name)
                self._unhashed.discard((camera_id, name))
                if row is not None and row.file.sealed and row.file.sha256 is None:
                    file = row.file.model_copy(update={"sha256": digest})
                    self._catalogue.update(camera_id, name, file=file)
                    self._chain.sealed(file)

    def _drop_gone(self, changes: FileChanges) -> None:
        there = {(file.camera_id, file.name) for file in changes.files}
        gone: dict[str, list[str]] = {}
        for row in self._catalogue.everything():
            if (row.file.camera_id, row.file.name) not in there:
                gone.setdefault(row.file.camera_id, []).append(row.file.name)
        for camera_id, names in gone.items():
            self._catalogue.remove(camera_id, names)

    def _to_chain(self, changes: FileChanges) -> list[RecordedFile]:
        found = []
        for file in changes.files:
            if not file.sealed:
                continue
            row = self._catalogue.get(file.camera_id, file.name)
            if row is None or row.chain_number is not None or row.removal_number is not None:
                continue
            if row.file.sha256 is None:
                self._unhashed.add((file.camera_id, file.name))
            else:
                found.append(row.file)
        return found
