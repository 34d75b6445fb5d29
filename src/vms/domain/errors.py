"""The one exception that crosses the contracts: a kind that callers act on and a sentence that people read."""

from __future__ import annotations

from typing import Literal, get_args

FailureKind = Literal[
    "invalid",  # the request is well formed but breaks a rule
    "malformed",  # the bytes are not what they claim to be
    "unsupported",  # understood, but this system cannot do it
    "not_available_yet",  # part of the interface, not built yet
    "unauthorized",  # nobody is logged in
    "forbidden",  # somebody is, but may not
    "not_found",
    "conflict",
    "exhausted",  # a limit is reached; try later
    "unavailable",  # a part that is needed does not answer
    "internal",
]
FAILURE_KINDS: frozenset[str] = frozenset(get_args(FailureKind))


class Failure(Exception):
    """Something asked for cannot be done.

    `detail` is one sentence for the person who asked and never holds a secret. `code` narrows the kind for programs
    (for example `camera-name-taken`); it becomes the last part of the problem's type URI and so never changes.
    """

    def __init__(self, kind: FailureKind, detail: str, *, code: str | None = None) -> None:
        super().__init__(detail)
        self.kind: FailureKind = kind
        self.detail = detail
        self.code = code if code is not None else kind.replace("_", "-")


class FieldFailure(Failure):
    """A field of a request breaks a rule; `pointer` is its JSON pointer (RFC 6901)."""

    def __init__(self, pointer: str, detail: str, *, kind: FailureKind = "invalid", code: str | None = None) -> None:
        super().__init__(kind, detail, code=code)
        self.pointer = pointer
