"""What more is looked at in what a detector found: faces and poses of people, writing on vehicles. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from vms.domain.models import Task
from vms.domain.motion import Box
from vms.domain.vision import Finding, Region, Track

Extra = Literal["faces", "pose", "text"]
# Of each kind and picture: the largest.
MOST_REGIONS = 4
TASKS: Mapping[Extra, Task] = {"faces": "faces", "pose": "pose", "text": "text"}
_PERSON = frozenset({"person"})
_VEHICLES = frozenset({"car", "truck", "bus", "motorcycle"})
_LABELS: Mapping[Extra, frozenset[str]] = {"faces": _PERSON, "pose": _PERSON, "text": _VEHICLES}
# Around a box, of its own size: a detector cuts off hands and feet.
_MARGIN = 0.1
# A thing too small to show a face or to be read, in pixels of the picture that is looked at.
_LEAST_PIXELS = 24


@dataclass(frozen=True)
class RegionWanted:
    """A region to be looked at, and the place of the finding that it is of."""

    extra: Extra
    region: Region
    finding: int


def regions(
    findings: Sequence[Finding], extras: Sequence[Extra], least_score: float, width: int, height: int
) -> list[RegionWanted]:
    """The regions of a picture of `width` × `height` pixels."""
    wanted: list[RegionWanted] = []
    for extra in extras:
        of_kind = [
            (number, finding)
            for number, finding in enumerate(findings)
            if finding.label in _LABELS[extra]
            and finding.score >= least_score
            and (finding.box.right - finding.box.left) * width >= _LEAST_PIXELS
            and (finding.box.bottom - finding.box.top) * height >= _LEAST_PIXELS
        ]
        of_kind.sort(key=lambda found: -_area(found[1].box))
        wanted += [RegionWanted(extra, _around(finding.box), number) for number, finding in of_kind[:MOST_REGIONS]]
    return wanted


def joined(
    findings: Sequence[Finding], looked: Sequence[tuple[RegionWanted, Sequence[Finding]]]
) -> tuple[Finding, ...]:
    """The findings with what was found in their regions: key points and text become the finding's own, faces are
    findings of their own."""
    whole = list(findings)
    faces: list[Finding] = []
    for wanted, found in looked:
        if not found:
            continue
        best = max(found, key=lambda finding: finding.score)
        if wanted.extra == "faces":
            faces += [replace(face, label="face") for face in found]
        elif wanted.extra == "pose" and best.points:
            whole[wanted.finding] = replace(whole[wanted.finding], points=best.points)
        elif wanted.extra == "text":
            read = " ".join(finding.text for finding in found if finding.text)
            if read:
                whole[wanted.finding] = replace(whole[wanted.finding], text=read)
    return (*whole, *faces)


def texts(tracks: Sequence[Track], findings: Sequence[Finding]) -> dict[int, str]:
    """What was read, by the number of the track that it was read on."""
    read: dict[int, str] = {}
    for finding in findings:
        if not finding.text:
            continue
        near = [track for track in tracks if track.seen and _overlap(track.box, finding.box) > 0.5]
        if near:
            read[max(near, key=lambda track: _overlap(track.box, finding.box)).number] = finding.text[:64]
    return read


def _area(box: Box) -> float:
    return (box.right - box.left) * (box.bottom - box.top)


def _around(box: Box) -> Region:
    x, y = (box.right - box.left) * _MARGIN, (box.bottom - box.top) * _MARGIN
    return Box(max(0.0, box.left - x), max(0.0, box.top - y), min(1.0, box.right + x), min(1.0, box.bottom + y))


def _overlap(a: Box, b: Box) -> float:
    width = min(a.right, b.right) - max(a.left, b.left)
    height = min(a.bottom, b.bottom) - max(a.top, b.top)
    if width <= 0 or height <= 0:
        return 0.0
    return width * height / (_area(a) + _area(b) - width * height)
