"""Failures as gRPC carries them: a status for everybody, and all of the failure beside it."""

from __future__ import annotations

from typing import cast

import grpc
from google.protobuf.message import DecodeError

from vms.adapters.grpc.generated import node_pb2
from vms.adapters.grpc.protocol import FAILURE_METADATUM
from vms.contracts.problems import GRPC_STATUS
from vms.domain.errors import FAILURE_KINDS, Failure, FailureKind, FieldFailure

# Of what a sentence for people may take of the headers, which peers bound to 8 KiB.
_DETAIL_CHARACTERS = 1500
_GONE = frozenset({grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED})


def status_of(failure: Failure) -> grpc.StatusCode:
    """The status that tells of a failure to peers that know no more."""
    return grpc.StatusCode[GRPC_STATUS[failure.kind]]


def metadata_of(failure: Failure) -> tuple[tuple[str, bytes], ...]:
    """The trailing metadata that carry the whole failure."""
    message = node_pb2.Failure(kind=failure.kind, code=failure.code, detail=failure.detail[:_DETAIL_CHARACTERS])
    if isinstance(failure, FieldFailure):
        message.pointer = failure.pointer
    return ((FAILURE_METADATUM, message.SerializeToString()),)


def failure_of(error: grpc.RpcError, node: str) -> Failure:
    """The failure that a call of `node` ended with: its own decision, or that it cannot be spoken to."""
    code = error.code() if isinstance(error, grpc.Call) else None
    details = (error.details() if isinstance(error, grpc.Call) else None) or ""
    if code is grpc.StatusCode.UNAUTHENTICATED:
        # Not the user's log-in: ours.
        return Failure("unavailable", f"the {node} refuses this server's token", code="storage-refuses-token")
    told = _told(error)
    if told is not None:
        return told
    if code in _GONE:
        return gone(node, "in time" if code is grpc.StatusCode.DEADLINE_EXCEEDED else None)
    if code is grpc.StatusCode.UNIMPLEMENTED:
        return Failure("unavailable", f"the {node} is of another version and lacks this call", code="storage-version")
    if code is grpc.StatusCode.RESOURCE_EXHAUSTED:
        return Failure("exhausted", f"the {node}: {details[:200]}")
    return Failure("internal", f"the {node} failed: {details[:200] or code}")


def gone(node: str, how: str | None = None) -> Failure:
    """That a node cannot be reached."""
    return Failure("unavailable", " ".join(["the", node, "does not answer", how or ""]).strip(), code="storage-down")


def _told(error: grpc.RpcError) -> Failure | None:
    if not isinstance(error, grpc.Call):
        return None
    for key, value in error.trailing_metadata() or ():
        if key != FAILURE_METADATUM or not isinstance(value, bytes):
            continue
        try:
            message = node_pb2.Failure.FromString(value)
        except DecodeError:
            return None
        # Kinds that a newer peer invents are faults of its own here.
        kind = cast(FailureKind, message.kind if message.kind in FAILURE_KINDS else "internal")
        code = message.code or None
        if message.HasField("pointer"):
            return FieldFailure(message.pointer, message.detail, kind=kind, code=code)
        return Failure(kind, message.detail, code=code)
    return None
