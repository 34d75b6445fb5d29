"""Pictures in tiles, and findings of all of them."""

from __future__ import annotations

import pytest

from vms.ai.tiles import merged, tiles
from vms.domain.motion import Box
from vms.domain.vision import Finding


def _person(left: float, top: float, right: float, bottom: float, *, score: float = 0.9) -> Finding:
    return Finding("person", score, Box(left, top, right, bottom))


@pytest.mark.parametrize(("across", "aspect", "count"), [(1, 4 / 3, 1), (2, 4 / 3, 5), (2, 16 / 9, 3), (3, 4 / 3, 7)])
def test_tiles_are_about_square(across: int, aspect: float, count: int) -> None:
    assert len(tiles(across, aspect)) == count


@pytest.mark.parametrize("across", [2, 3, 4])
def test_every_place_is_in_a_tile_and_seams_are_in_two(across: int) -> None:
    parts = [part for part in tiles(across, 4 / 3) if part is not None]
    assert min(part.left for part in parts) == 0
    assert max(part.right for part in parts) == pytest.approx(1)
    for left in sorted({part.left for part in parts})[1:]:
        assert any(part.left < left < part.right - 0.05 for part in parts)


def test_the_whole_picture_alone_is_left_as_it_is() -> None:
    found = (_person(0.1, 0.1, 0.2, 0.3), _person(0.11, 0.1, 0.21, 0.3))
    assert merged([(None, found)]) == found


def test_a_thing_in_two_tiles_is_one() -> None:
    left, right = Box(0, 0, 0.57, 1), Box(0.43, 0, 1, 1)
    whole = _person(0.48, 0.2, 0.53, 0.5, score=0.6)
    again = _person(0.482, 0.21, 0.532, 0.5, score=0.8)
    assert merged([(left, [whole]), (right, [again])]) == (again,)


def test_a_whole_box_comes_before_a_surer_one_that_a_seam_cut() -> None:
    left, right = Box(0, 0, 0.57, 1), Box(0.43, 0, 1, 1)
    cut = _person(0.43, 0.2, 0.5, 0.5, score=0.95)
    whole = _person(0.4, 0.2, 0.5, 0.5, score=0.7)
    assert merged([(right, [cut]), (left, [whole])]) == (whole,)


def test_the_picture_s_own_edge_cuts_nothing() -> None:
    left = Box(0, 0, 0.57, 1)
    at_edge = _person(0.0, 0.2, 0.1, 0.5, score=0.9)
    inside = _person(0.0, 0.2, 0.12, 0.5, score=0.6)
    assert merged([(left, [at_edge]), (None, [inside])]) == (at_edge,)


def test_neighbours_and_other_labels_stay() -> None:
    first, second = _person(0.1, 0.1, 0.2, 0.5), _person(0.18, 0.1, 0.28, 0.5)
    bag = Finding("backpack", 0.5, Box(0.12, 0.2, 0.16, 0.3))
    assert set(merged([(None, [first, bag]), (Box(0, 0, 0.6, 1), [second])])) == {first, second, bag}
