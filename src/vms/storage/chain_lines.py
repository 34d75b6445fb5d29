"""The lines of a camera's chain: their bytes, their links, and what is wrong with a chain. Pure; `docs/format/chain.md`
specifies every byte."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from vms.contracts.catalogue import ChainHead, Finding
from vms.contracts.files import RecordedFile

VERSION = 1
# What the first line of all has in place of the hash of the line before it.
BEGINNING = "0" * 64
_Hash = Field(pattern=r"^[0-9a-f]{64}$")
# (key id, data, signature) → whether it holds; None: nobody here has this key.
Holds = Callable[[str, bytes, bytes], bool | None]


class ChainLine(BaseModel):
    """One line. Which fields it has beyond the first eight hangs on its kind."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    version: Literal[1] = Field(default=1, alias="v")
    kind: Literal["sealed", "removed", "root"]
    camera_id: str
    day: str = Field(pattern=r"^\d{4}-\d\d-\d\d$")
    # From 1, over all days of the camera.
    number: int = Field(ge=1)
    previous: str = _Hash
    # When the line was written.
    at_us: int
    key: str
    # sealed and removed
    name: str | None = None
    # sealed
    stream: str | None = None
    size_bytes: int | None = None
    sha256: str | None = None
    start_us: int | None = None
    end_us: int | None = None
    adopted: bool | None = None
    # removed
    reason: str | None = None
    by: str | None = None
    # root: the lines of the day before it, and the hash of the last of them
    lines: int | None = None
    head: str | None = None
    signature: str = Field(default="", pattern=r"^([0-9a-f]{128})?$")

    def signed_bytes(self) -> bytes:
        """What the signature is over: the line without it."""
        return canonical(self.model_dump(by_alias=True, exclude_none=True, exclude={"signature"}))

    def to_bytes(self) -> bytes:
        """The line as it lies in the file, without its newline."""
        return canonical(self.model_dump(by_alias=True, exclude_none=True))


def canonical(document: dict[str, object]) -> bytes:
    """JSON in the one form that is hashed and signed: ASCII, keys sorted, no blanks."""
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False).encode()


def hash_of(line: bytes) -> str:
    """The link to a line: SHA-256 of its bytes without the newline."""
    return sha256(line).hexdigest()


def read_line(line: bytes) -> ChainLine | None:
    """The line that these bytes are, if they are one in its only form."""
    try:
        read = ChainLine.model_validate_json(line)
    except (ValidationError, ValueError):
        return None
    return read if read.to_bytes() == line else None


def sealed_fields(file: RecordedFile, *, adopted: bool) -> dict[str, object]:
    """What a line says of a file that was closed. `adopted`: nobody here saw it being recorded."""
    return {
        "kind": "sealed",
        "name": file.name,
        "stream": file.stream,
        "size_bytes": file.size_bytes,
        "sha256": file.sha256,
        "start_us": file.start_us,
        "end_us": file.end_us,
        "adopted": adopted or None,
    }


@dataclass(frozen=True)
class ChainedFile:
    """What the chain says of a file."""

    number: int
    day: str
    size_bytes: int
    sha256: str
    start_us: int
    end_us: int
    adopted: bool
    # Why and by whom it was removed by rule.
    removed: str | None = None


@dataclass
class ChainCheck:
    """What a chain holds and what is wrong with it."""

    lines: int = 0
    findings: list[Finding] = field(default_factory=list)
    files: dict[str, ChainedFile] = field(default_factory=dict)
    # Removed by rule before they were ever closed into the chain.
    removed_unchained: set[str] = field(default_factory=set)
    # Named by lines that cannot be believed.
    doubtful: set[str] = field(default_factory=set)


def check(camera_id: str, days: Sequence[tuple[str, bytes]], holds: Holds, head: ChainHead | None) -> ChainCheck:
    """Goes along a camera's chain, day by day in order, each with its file's bytes; `head` is the newest line that is
    remembered elsewhere."""
    walk = _Walk(camera_id, holds, head)
    for position, (day, content) in enumerate(days):
        walk.day(day, content, is_last=position == len(days) - 1)
    walk.end()
    return walk.result


class _Walk:
    def __init__(self, camera_id: str, holds: Holds, head: ChainHead | None) -> None:
        self._camera_id = camera_id
        self._holds = holds
        self._head = head
        self._number = 0
        self._previous: str | None = BEGINNING
        self._last_day = ""
        self.result = ChainCheck()

    def day(self, day: str, content: bytes, *, is_last: bool) -> None:
        self._last_day = day
        lines = content.split(b"\n")
        torn = lines.pop()
        first_number = self._number
        root = False
        for position, line in enumerate(lines, start=1):
            root = self._line(day, position, line, first_number)
        if torn:
            self._find("chain_unreadable", day, self._number + 1, "the chain ends in the middle of a line")
        if not root and not is_last:
            self._find("chain_broken", day, max(1, self._number), "the day is over and has no root line")

    def end(self) -> None:
        head = self._head
        if head is not None and head.number > self._number:
            first = self._number + 1
            self._find(
                "chain_cut",
                head.day,
                first,
                f"lines {first} to {head.number} are missing at the end",
            )

    def _line(self, day: str, position: int, raw: bytes, first_number: int) -> bool:
        """Takes the next line; whether it is the day's root."""
        self.result.lines += 1
        line = read_line(raw)
        if line is None:
            self._number += 1
            self._previous = None
            self._find("chain_unreadable", day, self._number, f"line {position} of the day cannot be read")
            return False
        believed = self._follows(line, day)
        believed = self._is_signed(line, day) and believed
        if self._head is not None and self._head.number == line.number and self._head.line_sha256 != hash_of(raw):
            self._find("chain_altered", day, line.number, "the line is not the one that was written", line.name)
            believed = False
        # After a line that is wrong in itself the next one is not blamed for not following it.
        self._previous = hash_of(raw) if believed else None
        if line.kind == "root":
            if believed and (line.lines != line.number - first_number - 1 or line.head != line.previous):
                self._find("chain_broken", day, line.number, "the root line does not fit its day")
            return True
        self._take(line, believed=believed)
        return False

    def _follows(self, line: ChainLine, day: str) -> bool:
        if line.camera_id != self._camera_id or line.day != day:
            self._find(
                "chain_broken", day, line.number,
                f"the line belongs to camera {line.camera_id} and day {line.day}", line.name,
            )  # fmt: skip
            return False
        expected, self._number = self._number + 1, line.number
        if line.number == expected:
            if self._previous in {None, line.previous}:
                return True
            self._find("chain_broken", day, line.number, "the line does not follow the one before it", line.name)
        elif line.number > expected and expected == 1:
            self._find("chain_cut", day, line.number, f"lines 1 to {line.number - 1} are missing at the beginning")
        elif line.number > expected:
            self._find("chain_broken", day, line.number, f"lines {expected} to {line.number - 1} are missing before it")
        else:
            self._find("chain_broken", day, line.number, f"the line stands where line {expected} belongs", line.name)
            self._number = expected
        return False

    def _is_signed(self, line: ChainLine, day: str) -> bool:
        holds = self._holds(line.key, line.signed_bytes(), bytes.fromhex(line.signature))
        if holds is None:
            self._find(
                "chain_foreign_key", day, line.number,
                f"the line is signed with the key {line.key}, which is not the installation's", line.name,
            )  # fmt: skip
        elif not holds:
            self._find("chain_altered", day, line.number, "the line's signature does not hold", line.name)
        return bool(holds)

    def _take(self, line: ChainLine, *, believed: bool) -> None:
        name = line.name
        result = self.result
        if name is None:
            self._find("chain_altered", line.day, line.number, "the line names no file")
        elif not believed:
            result.doubtful.add(name)
        elif line.kind == "removed":
            known = result.files.get(name)
            why = f"{line.reason or 'no reason given'} ({line.by or 'nobody'})"
            if known is None:
                result.removed_unchained.add(name)
            else:
                result.files[name] = ChainedFile(
                    known.number, known.day, known.size_bytes, known.sha256, known.start_us, known.end_us,
                    known.adopted, removed=why,
                )  # fmt: skip
        elif line.sha256 is not None and (name not in result.files or result.files[name].removed is not None):
            result.removed_unchained.discard(name)
            result.files[name] = ChainedFile(
                line.number, line.day, line.size_bytes or 0, line.sha256, line.start_us or 0, line.end_us or 0,
                adopted=bool(line.adopted),
            )  # fmt: skip

    def _find(
        self,
        kind: Literal["chain_unreadable", "chain_altered", "chain_foreign_key", "chain_broken", "chain_cut"],
        day: str,
        line: int,
        detail: str,
        name: str | None = None,
    ) -> None:
        self.result.findings.append(
            Finding(kind=kind, detail=detail, camera_id=self._camera_id, day=day, line=line, name=name)
        )
