"""What is refused of drawn shapes and rules, and that the refusal names the field."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from tests.scenes import ZONE
from vms.domain.analysis import AnalysisSettings
from vms.domain.shapes import area, crosses_itself, is_convex, turn

_SPEED = {
    "kind": "speed",
    "zone": ZONE,
    "limit_kmh": 50,
    "corners": [[0.2, 0.2], [0.8, 0.2], [0.9, 0.9], [0.1, 0.9]],
    "metres": [[0, 0], [10, 0], [10, 30], [0, 30]],
}


def _errors(**settings: Any) -> list[tuple[tuple[int | str, ...], str]]:
    with pytest.raises(ValidationError) as caught:
        AnalysisSettings.model_validate(settings)
    return [(error["loc"], error["msg"]) for error in caught.value.errors()]


@pytest.mark.parametrize(
    ("rule", "field", "reason"),
    [
        ({"kind": "zone", "zone": [[0, 0], [1, 1], [1, 0], [0, 1]]}, "zone", "crosses itself"),
        ({"kind": "zone", "zone": [[0, 0], [0.5, 0.5], [1, 1]]}, "zone", "crosses itself"),
        ({"kind": "zone", "zone": [[0.5, 0.5], [0.501, 0.5], [0.5, 0.501]]}, "zone", "next to nothing"),
        ({"kind": "zone", "zone": [[0.5, 0.5]] * 3}, "zone", "next to nothing"),
        ({"kind": "tripwire", "line": [[0.5, 0.5], [0.5, 0.5]]}, "line", "the same"),
        ({"kind": "tripwire", "line": [[0.5, 0.5], [0.501, 0.5]]}, "line", "next to nothing"),
        ({"kind": "tripwire", "line": [[0, 0], [1, 1], [1, 0], [0, 1]]}, "line", "no sides"),
        ({"kind": "tripwire", "line": [[0, 0], [1, 0], [0.5, 0]]}, "line", "no sides"),
        ({"kind": "wrong_way", "zone": ZONE, "arrow": [[0.5, 0.5], [0.5, 0.5]]}, "arrow", "no direction"),
        ({**_SPEED, "corners": [[0.2, 0.2], [0.8, 0.9], [0.8, 0.2], [0.1, 0.9]]}, "corners", "convex"),
        ({**_SPEED, "corners": [[0.2, 0.2], [0.4, 0.2], [0.6, 0.2], [0.1, 0.9]]}, "corners", "convex"),
        ({**_SPEED, "metres": [[0, 0], [0, 0], [10, 30], [0, 30]]}, "metres", "convex"),
        ({**_SPEED, "metres": [[0, 0], [0.1, 0], [0.1, 0.1], [0, 0.1]]}, "metres", "convex"),
    ],
)
def test_a_shape_that_is_none_is_refused_by_name(rule: dict[str, Any], field: str, reason: str) -> None:
    ((loc, message),) = _errors(rules=[{"id": "a", **rule}])
    assert loc == ("rules", 0, rule["kind"], field)
    assert reason in message


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1.0, 1.01])
def test_a_place_outside_the_picture_is_refused(value: float) -> None:
    assert _errors(rules=[{"id": "a", "kind": "tripwire", "line": [[value, 0], [1, 1]]}])
    assert _errors(mask=[[[value, 0], [1, 0], [1, 1]]])


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e9])
def test_metres_that_cannot_be_are_refused(value: float) -> None:
    errors = _errors(rules=[{"id": "a", **_SPEED, "metres": [[value, 0], [10, 0], [10, 30], [0, 30]]}])
    assert errors[0][0][:4] == ("rules", 0, "speed", "metres")


def test_two_rules_with_one_id_are_refused() -> None:
    rule = {"id": "door", "kind": "tripwire", "line": [[0, 0], [1, 1]]}
    ((loc, message),) = _errors(rules=[rule, rule])
    assert loc == ("rules",)
    assert "'door'" in message


def test_rates_that_contradict_are_refused_also_against_the_default() -> None:
    for settings in ({"least_fps": 4, "most_fps": 2}, {"least_fps": 10}):
        ((loc, message),) = _errors(**settings)
        assert loc == ("most_fps",)
        assert "least_fps" in message


def test_a_mask_that_crosses_itself_is_refused() -> None:
    ((loc, _),) = _errors(mask=[[[0, 0], [1, 1], [1, 0], [0, 1]]])
    assert loc == ("mask", 0)


def test_shapes_that_people_draw_are_taken() -> None:
    AnalysisSettings.model_validate(
        {
            "rules": [
                # Closed by its first corner, as some programs write it; a line that ends where it began.
                {"id": "a", "kind": "zone", "zone": [*ZONE, ZONE[0]]},
                {"id": "b", "kind": "tripwire", "line": [*ZONE, ZONE[0]]},
                {"id": "c", "kind": "zone", "zone": [[0, 0], [1, 0], [0.5, 0.2], [1, 1]]},
                {"id": "d", **_SPEED},
                # North up, as on a map.
                {"id": "e", **_SPEED, "metres": [[0, 30], [10, 30], [10, 0], [0, 0]]},
            ]
        }
    )


def test_right_is_where_a_walker_has_it() -> None:
    up = ((0.5, 0.9), (0.5, 0.1))
    assert turn(*up, (0.6, 0.5)) > 0
    assert turn(*up, (0.4, 0.5)) < 0


def test_areas_and_convexity() -> None:
    assert area(ZONE) == pytest.approx(0.2)
    assert is_convex(ZONE)
    assert not is_convex(((0, 0), (1, 0), (0.2, 0.2), (0, 1)))
    assert not crosses_itself(ZONE, closed=True)
    # A star turns one way all round and is no area.
    assert crosses_itself(((0.5, 0), (0.8, 1), (0, 0.4), (1, 0.4), (0.2, 1)), closed=True)
    # It touches itself in a corner.
    assert crosses_itself(((0, 0), (1, 0), (0.5, 0.5), (1, 1), (0, 1), (0.5, 0.5)), closed=True)
