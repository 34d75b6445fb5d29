"""IDF1, HOTA and MOTA, by the library `trackers`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from vms.adapters.evaluation.boxes import Array, overlaps
from vms.adapters.evaluation.truth import Seen
from vms.domain.errors import Failure

# As in MOTChallenge.
_SAME = 0.5


@dataclass(frozen=True)
class TrackingScores:
    """idf1: how long things keep their numbers (Ristani et al., 2016); hota: how well they are found and kept, over all
    overlaps (Luiten et al., 2021); mota: 1 − (missed + false + switched) ÷ true. recall, precision: of boxes at an
    overlap of 0.5. switches: how often a thing changed its number. tracks: numbers given."""

    idf1: float
    hota: float
    mota: float
    recall: float
    precision: float
    switches: int
    tracks: int


def score_tracking(truth: Mapping[int, Sequence[Seen]], found: Mapping[int, Sequence[Seen]]) -> TrackingScores:
    """Over the pictures in `truth`. Raises Failure(unavailable) where the library is not installed."""
    try:
        from trackers.eval import (  # noqa: PLC0415
            compute_clear_metrics,
            compute_hota_metrics,
            compute_identity_metrics,
        )
    except ImportError as error:
        detail = "tracks are measured by the library trackers: pip install vms[evaluation]"
        raise Failure("unavailable", detail) from error
    true_numbers: list[Array] = []
    found_numbers: list[Array] = []
    similarities: list[Array] = []
    for frame in sorted(truth):
        every, tracks = list(truth[frame]), list(found.get(frame, ()))
        similarity = overlaps(every, tracks)
        true_rows = [row for row, seen in enumerate(every) if not seen.is_ignored]
        kept = [column for column in range(len(tracks)) if not _is_of_ignored(every, similarity[:, column])]
        true_numbers.append(np.array([every[row].number for row in true_rows], dtype=int))
        found_numbers.append(np.array([tracks[column].number for column in kept], dtype=int))
        similarities.append(similarity[np.ix_(true_rows, kept)])
    measured = (true_numbers, found_numbers, similarities)
    clear = compute_clear_metrics(*measured)
    return TrackingScores(
        idf1=float(compute_identity_metrics(*measured)["IDF1"]),
        hota=float(compute_hota_metrics(*measured)["HOTA"]),
        mota=float(clear["MOTA"]),
        recall=float(clear["CLR_Re"]),
        precision=float(clear["CLR_Pr"]),
        switches=int(clear["IDSW"]),
        tracks=len({number for numbers in found_numbers for number in numbers.tolist()}),
    )


def _is_of_ignored(every: Sequence[Seen], similarity: Array) -> bool:
    """What is found of things that do not count does not count either, as MOTChallenge leaves out its distractors."""
    if not every:
        return False
    nearest = int(np.argmax(similarity))
    return every[nearest].is_ignored and bool(similarity[nearest] >= _SAME)
