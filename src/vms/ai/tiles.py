"""A picture in tiles: what is small in the whole picture is larger in a part of it. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from vms.domain.motion import Box
from vms.domain.vision import Finding, Region

# Of a tile's side; a person at a seam is whole in one of its two tiles.
_OVERLAP = 0.25
# Findings of the same label that overlap so much, or of which one lies within the other so much, are one.
_SAME = 0.5
_WITHIN = 0.7
# A box that ends this near to a seam was cut by it.
_AT_SEAM = 0.01


def tiles(across: int, aspect: float) -> tuple[Region | None, ...]:
    """The whole picture (None) and, from 2 on, `across` tiles side by side in as many rows as make them about
    square."""
    if across <= 1:
        return (None,)
    down = max(1, round(across / aspect))
    return (None, *(Box(left, top, right, bottom) for top, bottom in _spans(down) for left, right in _spans(across)))


def _spans(count: int) -> list[tuple[float, float]]:
    size = 1 / (count - (count - 1) * _OVERLAP)
    step = size * (1 - _OVERLAP)
    return [(number * step, min(1.0, number * step + size)) for number in range(count)]


def merged(looked: Sequence[tuple[Region | None, Sequence[Finding]]]) -> tuple[Finding, ...]:
    """The findings of all tiles, each thing once: whole ones before those that a seam cut, then the surer ones."""
    if len(looked) == 1:
        return tuple(looked[0][1])
    every = [(_is_cut(finding.box, region), finding) for region, findings in looked for finding in findings]
    every.sort(key=lambda found: (found[0], -found[1].score))
    kept: list[Finding] = []
    for _, finding in every:
        if not any(other.label == finding.label and _is_same(other.box, finding.box) for other in kept):
            kept.append(finding)
    return tuple(sorted(kept, key=lambda finding: -finding.score))


def _is_cut(box: Box, region: Region | None) -> bool:
    if region is None:
        return False
    at_seams = (
        region.left > 0 and box.left < region.left + _AT_SEAM,
        region.top > 0 and box.top < region.top + _AT_SEAM,
        region.right < 1 and box.right > region.right - _AT_SEAM,
        region.bottom < 1 and box.bottom > region.bottom - _AT_SEAM,
    )
    return any(at_seams)


def _is_same(a: Box, b: Box) -> bool:
    width = min(a.right, b.right) - max(a.left, b.left)
    height = min(a.bottom, b.bottom) - max(a.top, b.top)
    if width <= 0 or height <= 0:
        return False
    both = width * height
    smaller, larger = sorted((_area(a), _area(b)))
    return both >= _SAME * (smaller + larger - both) or both >= _WITHIN * smaller


def _area(box: Box) -> float:
    return max(0.0, (box.right - box.left) * (box.bottom - box.top))
