"""How the server and a device's process talk: documents of JSON over a Unix socket, each after its length (u32, big
endian). The server asks, the process answers, one at a time.

{"do":"load","manifest":{…},"path"} → {"is":"loaded","note"}
{"do":"run","model","jobs":[{"path","offset","width","height","region":[l,t,r,b]|null,"least_score"}]}
  → {"is":"found","findings":[[{"label","score","box","points"?,"vector"?,"text"?}…]…]}
and to either {"is":"failed","kind","detail","code"}. Before anything is asked the process says {"is":"ready"}, or why
it cannot be ({"is":"failed",…}).

Its standard input is the socket; the descriptor that it is given by number is a pipe that ends with the server.
"""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

from vms.contracts.inference import Job
from vms.domain.errors import FAILURE_KINDS, Failure, FailureKind
from vms.domain.motion import Box
from vms.domain.vision import Finding, KeyPoint

_LENGTH = struct.Struct(">I")
_LARGEST_BYTES = 64 << 20
Document = dict[str, Any]


class ClosedError(OSError):
    """The other side is gone, or talks nonsense."""


@dataclass(frozen=True)
class Order:
    """A picture as the process gets it."""

    path: str
    offset: int
    width: int
    height: int
    region: Box | None
    least_score: float | None


def send(connection: socket.socket, document: Document) -> None:
    """Raises OSError (TimeoutError among them)."""
    content = json.dumps(document, separators=(",", ":")).encode()
    connection.sendall(_LENGTH.pack(len(content)) + content)


def receive(connection: socket.socket) -> Document:
    """Raises ClosedError at the end, OSError (TimeoutError among them)."""
    (size_bytes,) = _LENGTH.unpack(_exactly(connection, _LENGTH.size))
    if size_bytes > _LARGEST_BYTES:
        raise ClosedError(f"a document of {size_bytes} bytes")
    try:
        document = json.loads(_exactly(connection, size_bytes))
    except ValueError as error:
        raise ClosedError("a document that cannot be read") from error
    if not isinstance(document, dict):
        raise ClosedError("a document that is no object")
    return document


def _exactly(connection: socket.socket, size_bytes: int) -> bytes:
    content = bytearray()
    while len(content) < size_bytes:
        part = connection.recv(min(1 << 20, size_bytes - len(content)))
        if not part:
            raise ClosedError("the other side has ended")
        content += part
    return bytes(content)


def write_job(job: Job) -> Document:
    """As `read_order` reads it."""
    frame, region = job.frame, job.region
    return {
        "path": frame.place.path,
        "offset": frame.place.offset,
        "width": frame.width,
        "height": frame.height,
        "region": None if region is None else [region.left, region.top, region.right, region.bottom],
        "least_score": job.least_score,
    }


def read_order(document: Document) -> Order:
    """Raises KeyError, TypeError, ValueError."""
    region, least_score = document["region"], document["least_score"]
    return Order(
        path=str(document["path"]),
        offset=int(document["offset"]),
        width=int(document["width"]),
        height=int(document["height"]),
        region=None if region is None else Box(*(float(corner) for corner in region)),
        least_score=None if least_score is None else float(least_score),
    )


def write_finding(finding: Finding) -> Document:
    """As `read_finding` reads it."""
    box = finding.box
    document: Document = {
        "label": finding.label,
        "score": float(finding.score),
        "box": [box.left, box.top, box.right, box.bottom],
    }
    if finding.points:
        document["points"] = [[float(number) for number in point] for point in finding.points]
    if finding.vector:
        document["vector"] = [float(number) for number in finding.vector]
    if finding.text:
        document["text"] = finding.text
    return document


def read_finding(document: Document) -> Finding:
    """Raises KeyError, TypeError, ValueError."""
    return Finding(
        label=str(document["label"]),
        score=float(document["score"]),
        box=Box(*(float(corner) for corner in document["box"])),
        points=tuple(KeyPoint(*point) for point in document.get("points", ())),
        vector=tuple(document.get("vector", ())),
        text=str(document.get("text", "")),
    )


def read_findings(document: Document) -> Sequence[tuple[Finding, ...]]:
    """Raises KeyError, TypeError, ValueError."""
    return [tuple(read_finding(finding) for finding in findings) for findings in document["findings"]]


def write_failure(failure: Failure) -> Document:
    """As `read_failure` reads it."""
    return {"is": "failed", "kind": failure.kind, "detail": failure.detail, "code": failure.code}


def read_failure(document: Document) -> Failure:
    """Raises KeyError."""
    kind = document["kind"] if document["kind"] in FAILURE_KINDS else "internal"
    return Failure(cast(FailureKind, kind), str(document["detail"]), code=str(document["code"]))
