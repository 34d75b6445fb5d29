"""The core's errors as the contracts' failures."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

from vms_media import MediaError

from vms.domain.errors import FAILURE_KINDS, Failure, FailureKind


@contextmanager
def translated() -> Iterator[None]:
    """Raises Failure of the same kind for every MediaError inside."""
    try:
        yield
    except MediaError as error:
        kind = getattr(error, "kind", "internal")
        if kind not in FAILURE_KINDS:
            kind = "internal"
        raise Failure(cast(FailureKind, kind), str(error)) from error
