"""Problems as HTTP tells them: RFC 9457 documents with stable type URIs `urn:vms:problem:CODE`.

gRPC's codes for the same failures stand beside them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from vms.domain.errors import Failure, FailureKind, FieldFailure

MEDIA_TYPE = "application/problem+json"
_STATUS: dict[FailureKind, tuple[int, str]] = {
    "invalid": (422, "The request breaks a rule"),
    "malformed": (400, "The request cannot be read"),
    "unsupported": (406, "Not supported"),
    "not_available_yet": (501, "Not available yet"),
    "unauthorized": (401, "Not logged in"),
    "forbidden": (403, "Not permitted"),
    "not_found": (404, "Not found"),
    "conflict": (409, "In conflict with the present state"),
    "exhausted": (503, "Too many at once"),
    "unavailable": (503, "Temporarily unavailable"),
    "internal": (500, "Internal error"),
}

# The same for gRPC, by the names of its status codes; the kind itself goes along, since some share a code.
GRPC_STATUS: dict[FailureKind, str] = {
    "invalid": "INVALID_ARGUMENT",
    "malformed": "INVALID_ARGUMENT",
    "unsupported": "UNIMPLEMENTED",
    "not_available_yet": "UNIMPLEMENTED",
    "unauthorized": "UNAUTHENTICATED",
    "forbidden": "PERMISSION_DENIED",
    "not_found": "NOT_FOUND",
    "conflict": "FAILED_PRECONDITION",
    "exhausted": "RESOURCE_EXHAUSTED",
    "unavailable": "UNAVAILABLE",
    "internal": "INTERNAL",
}


def problem(
    status: int, title: str, detail: str, code: str, *, errors: Sequence[dict[str, str]] | None = None
) -> dict[str, Any]:
    """A problem document; `errors` names fields by JSON pointer."""
    document: dict[str, Any] = {"type": f"urn:vms:problem:{code}", "title": title, "status": status, "detail": detail}
    if errors:
        document["errors"] = list(errors)
    return document


def problem_of(failure: Failure) -> dict[str, Any]:
    """The problem document of a failure."""
    status, title = _STATUS[failure.kind]
    errors = None
    if isinstance(failure, FieldFailure):
        errors = [{"pointer": failure.pointer, "detail": failure.detail}]
    return problem(status, title, failure.detail, failure.code, errors=errors)
