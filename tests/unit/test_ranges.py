"""RFC 9110 ranges and preconditions; the same cases as the front's."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import Headers

from vms.api.ranges import Outcome, evaluate


def _of(size: int = 10, *, is_get: bool = True, **fields: str) -> Outcome:
    return evaluate(
        Headers({name.replace("_", "-"): value for name, value in fields.items()}), "a", size, is_get=is_get
    )


@pytest.mark.parametrize(
    "text",
    ["bytes", "bytes=", "bytes=-", "bytes=a-b", "bytes=5-2", "bytes=0-1,3-4", "items=0-1", "bytes=+1-2",
     "bytes=1--2", "bytes=0x1-2", "0-1", "bytes=1", ""],
)  # fmt: skip
def test_ranges_that_must_be_ignored(text: str) -> None:
    assert _of(range=text) == Outcome(200, 0, 10)


@pytest.mark.parametrize(
    ("text", "outcome"),
    [
        ("bytes=0-0", Outcome(206, 0, 1)),
        ("BYTES = 9-", Outcome(206, 9, 1)),
        ("bytes=-3", Outcome(206, 7, 3)),
        ("bytes=-30", Outcome(206, 0, 10)),
        ("bytes=2-" + "9" * 5000, Outcome(206, 2, 8)),
        ("bytes=10-", Outcome(416)),
        ("bytes=" + "9" * 5000 + "-", Outcome(416)),
        ("bytes=-0", Outcome(416)),
    ],
)
def test_edges_of_a_range(text: str, outcome: Outcome) -> None:
    assert _of(range=text) == outcome


def test_nothing_has_no_ranges() -> None:
    assert _of(0, range="bytes=0-") == Outcome(416)
    assert _of(0, range="bytes=-1") == Outcome(416)
    assert _of(0) == Outcome(200, 0, 0)


def test_preconditions_come_before_the_range() -> None:
    part = Outcome(206, 0, 2)
    whole = Outcome(200, 0, 10)
    asked = "bytes=0-1"
    assert _of(range=asked, if_none_match='"a"') == Outcome(304)
    assert _of(range=asked, if_none_match='"x,y", W/"a"') == Outcome(304)
    assert _of(if_none_match="*") == Outcome(304)
    assert _of(if_none_match="a") == whole
    assert _of(range=asked, if_match='W/"a"') == Outcome(412)
    assert _of(range=asked, if_match='"b", "a"') == part
    assert _of(range=asked, if_range='"a"') == part
    for other in ('W/"a"', '"b"', "Sat, 01 Jan 2000 00:00:00 GMT"):
        assert _of(range=asked, if_range=other) == whole
    assert _of(range=asked, is_get=False) == whole


@given(st.text(max_size=60), st.integers(0, 40))
def test_any_text_is_survived(text: str, size: int) -> None:
    line = text.encode("utf-8", "replace").decode("latin-1")
    for name in ("range", "if-range", "if-match", "if-none-match"):
        evaluate(Headers({name: line}), "a", size, is_get=True)
    found = _of(size, range=f"bytes={line}")
    assert found.offset + found.length <= size
