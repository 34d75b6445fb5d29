"""JSON merge patch, RFC 7396."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def merge(target: object, patch: object) -> object:
    """`target` with `patch` applied (§2): members given replace, null removes, objects merge, anything else replaces
    whole. Neither argument is changed."""
    if not isinstance(patch, Mapping):
        return patch
    merged: dict[str, Any] = dict(target) if isinstance(target, Mapping) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = merge(merged.get(name), value)
    return merged


def names(patch: object, *path: str) -> bool:
    """Whether the patch says anything (null included) about the member at `path`."""
    for name in path:
        if not isinstance(patch, Mapping) or name not in patch:
            return False
        patch = patch[name]
    return True
