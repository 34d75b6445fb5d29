"""Which of a graph's outputs are what, and whether they have the shape for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vms.domain.errors import Failure
from vms.domain.models import ModelManifest

# As a graph states it, the batch in front; a name or None where it is free.
Shape = tuple[int | str | None, ...]


def named(manifest: ModelManifest, role: str, otherwise: str | None = None) -> str:
    """The output that the manifest gives this role. Raises Failure(malformed)."""
    name = manifest.outputs.get(role, otherwise)
    if name is None:
        raise Failure("malformed", f"the manifest of {manifest.name} names no output for {role!r}")
    return name


def require(manifest: ModelManifest, outputs: Mapping[str, Shape], name: str, *patterns: Sequence[int | None]) -> Shape:
    """The shape of an output, which must be like one of the patterns (without the batch; None: any size). Raises
    Failure(malformed), which names it."""
    if name not in outputs:
        raise Failure(
            "malformed", f"{manifest.name} has no output {name!r}; it has {', '.join(sorted(outputs)) or 'none'}"
        )
    shape = outputs[name]
    if not any(_like(shape[1:], pattern) for pattern in patterns):
        wanted = " or ".join(str(("N", *("?" if size is None else size for size in pattern))) for pattern in patterns)
        raise Failure("malformed", f"output {name!r} of {manifest.name} has the shape {shape}, and {wanted} is wanted")
    return shape


def _like(shape: Shape, pattern: Sequence[int | None]) -> bool:
    return len(shape) == len(pattern) and all(
        size is None or not isinstance(stated, int) or stated == size
        for stated, size in zip(shape, pattern, strict=True)
    )


def logistic(values: NDArray[Any]) -> NDArray[np.float32]:
    """Of any number; NaN stays NaN."""
    # Beyond, single precision knows 0 and 1 alone.
    bounded = np.clip(values.astype(np.float32), -80.0, 80.0)
    return np.asarray(1.0 / (1.0 + np.exp(-bounded)), dtype=np.float32)
