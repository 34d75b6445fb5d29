"""From candidates to findings: what is good enough, once for each thing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vms.adapters.inference.placement import Placement
from vms.domain.vision import Finding, KeyPoint

# As many candidates are compared with each other, and as many findings are given, for one picture.
MOST_CANDIDATES = 1000
MOST_FINDINGS = 300


def candidates(
    scores: NDArray[Any], labels: Sequence[str], least_score: float
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[Any]]:
    """Rows, columns and scores, best first, of a table with a row per place and a column per label. Columns without a
    label (`''`, or beyond the labels) and what is no number are left out."""
    used = np.zeros(scores.shape[1], dtype=bool)
    used[: len(labels)] = [bool(label) for label in labels[: scores.shape[1]]]
    # Few of 172,530 scores are good enough: found in one row first, which takes a twentieth of the time.
    good = np.flatnonzero(scores.ravel() >= least_score)
    rows, columns = np.divmod(good, scores.shape[1])
    rows, columns = rows[used[columns]], columns[used[columns]]
    values = scores[rows, columns]
    best = np.argsort(-values, kind="stable")[:MOST_CANDIDATES]
    return rows[best], columns[best], values[best]


def labelled(
    scores: NDArray[Any], columns: NDArray[Any], labels: Sequence[str], least_score: float
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[Any]]:
    """As `candidates`, of one score and one label's column for each row. Columns of no label are left out."""
    used = [number for number, label in enumerate(labels) if label]
    rows = np.flatnonzero((scores >= least_score) & np.isin(columns, used))
    rows = rows[np.argsort(-scores[rows], kind="stable")][:MOST_CANDIDATES]
    return rows, columns[rows].astype(np.intp), scores[rows]


def kept(boxes: NDArray[Any], columns: NDArray[Any], overlap: float) -> NDArray[np.intp]:
    """Which of the boxes (left, top, right, bottom; best first) stay, where each puts out those after it of the same
    column that it overlaps by more than this share of the area that both cover."""
    area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    standing = np.ones(len(boxes), dtype=bool)
    for index in range(len(boxes)):
        if not standing[index]:
            continue
        after = slice(index + 1, None)
        corner = np.minimum(boxes[index, 2:], boxes[after, 2:]) - np.maximum(boxes[index, :2], boxes[after, :2])
        common = np.prod(np.maximum(corner, 0.0), axis=1)
        hidden = common > overlap * (area[index] + area[after] - common)
        standing[after] &= ~(hidden & (columns[after] == columns[index]))
    return np.flatnonzero(standing)


def findings(
    boxes: NDArray[Any],
    columns: NDArray[Any],
    scores: NDArray[Any],
    labels: Sequence[str],
    placement: Placement,
    overlap: float | None,
    points: NDArray[Any] | None = None,
) -> tuple[Finding, ...]:
    """Candidates, best first, as findings in the whole picture. `boxes`: left, top, right, bottom as fractions of the
    model's input; `points`: for each candidate the same of its key points (x, y). `overlap` as in `kept`; None: all
    stay. What is no number, or lies outside the picture, is left out."""
    sound = np.isfinite(boxes).all(axis=1) & np.isfinite(scores)
    if points is not None:
        sound &= np.isfinite(points).all(axis=(1, 2))
    places = np.flatnonzero(sound)
    inside = np.clip(boxes[places], 0.0, 1.0).astype(np.float64)
    chosen = np.arange(len(places)) if overlap is None else kept(inside, columns[places], overlap)
    found = []
    for index in chosen[:MOST_FINDINGS]:
        box = placement.box(*inside[index].tolist())
        if box is None:
            continue
        place = places[index]
        score = min(1.0, max(0.0, float(scores[place])))
        marks = () if points is None else key_points(points[place], np.full(len(points[place]), score), placement)
        found.append(Finding(labels[int(columns[place])], score, box, marks))
    return tuple(found)


def key_points(points: NDArray[Any], scores: NDArray[Any], placement: Placement) -> tuple[KeyPoint, ...]:
    """Places of the input (x, y) as ones of the whole picture, at its edge where they lie beyond."""
    placed = []
    for (x, y), score in zip(points.tolist(), scores.tolist(), strict=True):
        across, down = placement.point(x, y)
        placed.append(KeyPoint(min(1.0, max(0.0, across)), min(1.0, max(0.0, down)), min(1.0, max(0.0, score))))
    return tuple(placed)
