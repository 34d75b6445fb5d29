"""A catalogue of recordings that is gone with the process."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence

from vms.contracts.catalogue import CatalogueRow, ChainHead, Finding, with_file
from vms.contracts.files import RecordedFile


class MemoryCatalogue:
    """Satisfies `vms.contracts.catalogue.RecordingsCatalogue`."""

    def __init__(self) -> None:
        self._rows: dict[tuple[str, str], CatalogueRow] = {}
        self._heads: dict[str, ChainHead] = {}
        self._findings: dict[tuple[object, ...], Finding] = {}
        self._notes: dict[str, str] = {}
        self._lock = threading.Lock()

    def put(self, rows: Iterable[CatalogueRow]) -> None:
        with self._lock:
            self._rows.update({(row.file.camera_id, row.file.name): row for row in rows})

    def put_files(self, files: Iterable[RecordedFile]) -> None:
        with self._lock:
            for file in files:
                key = (file.camera_id, file.name)
                self._rows[key] = with_file(self._rows.get(key), file)

    def update(self, camera_id: str, name: str, **fields: object) -> bool:
        with self._lock:
            row = self._rows.get((camera_id, name))
            if row is not None:
                self._rows[camera_id, name] = row.model_copy(update=fields)
            return row is not None

    def get(self, camera_id: str, name: str) -> CatalogueRow | None:
        return self._rows.get((camera_id, name))

    def remove(self, camera_id: str, names: Iterable[str]) -> None:
        with self._lock:
            for name in names:
                self._rows.pop((camera_id, name), None)

    def between(self, camera_id: str, stream: str | None, start_us: int, end_us: int) -> Iterator[CatalogueRow]:
        for row in self._sorted():
            file = row.file
            wanted = file.camera_id == camera_id and stream in {None, file.stream}
            if wanted and file.start_us < end_us and file.end_us > start_us:
                yield row

    def everything(self, after: tuple[str, str] | None = None) -> Iterator[CatalogueRow]:
        last = self._rows.get(after) if after is not None else None
        for row in self._sorted():
            if last is None or _order(row) > _order(last):
                yield row

    def put_head(self, head: ChainHead) -> None:
        self._heads[head.camera_id] = head

    def heads(self) -> Sequence[ChainHead]:
        return sorted(self._heads.values(), key=lambda head: head.camera_id)

    def put_finding(self, finding: Finding) -> None:
        key = (finding.camera_id, finding.name, finding.volume, finding.day, finding.line, finding.kind)
        with self._lock:
            self._findings[key] = finding

    def remove_findings(self, camera_id: str, name: str | None = None) -> None:
        with self._lock:
            for key in [key for key in self._findings if key[:2] == (camera_id, name)]:
                del self._findings[key]

    def findings(self) -> Sequence[Finding]:
        with self._lock:
            return list(self._findings.values())

    def note(self, key: str, text: str | None) -> None:
        if text is None:
            self._notes.pop(key, None)
        else:
            self._notes[key] = text

    def noted(self, key: str) -> str | None:
        return self._notes.get(key)

    def clear(self) -> None:
        with self._lock:
            self._rows.clear()

    def close(self) -> None:
        pass

    def _sorted(self) -> list[CatalogueRow]:
        with self._lock:
            return sorted(self._rows.values(), key=_order)


def _order(row: CatalogueRow) -> tuple[str, str, int, str]:
    return (row.file.camera_id, row.file.stream, row.file.start_us, row.file.name)
