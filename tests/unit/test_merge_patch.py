"""RFC 7396's own examples (appendix A)."""

from __future__ import annotations

import pytest

from vms.ingest.merge_patch import merge, names


@pytest.mark.parametrize(
    ("target", "patch", "result"),
    [
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        (["a", "b"], ["c", "d"], ["c", "d"]),
        ({"a": "b"}, ["c"], ["c"]),
        ({"a": "foo"}, None, None),
        ({"a": "foo"}, "bar", "bar"),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_the_examples(target: object, patch: object, result: object) -> None:
    assert merge(target, patch) == result


def test_arguments_stay_as_they_were() -> None:
    target = {"a": {"b": 1}}
    patch = {"a": {"b": 2}}
    merge(target, patch)
    assert (target, patch) == ({"a": {"b": 1}}, {"a": {"b": 2}})


def test_what_a_patch_names() -> None:
    patch = {"a": {"b": None}, "c": 1}
    assert names(patch, "a", "b")
    assert names(patch, "c")
    assert not names(patch, "a", "x")
    assert not names(patch, "c", "d")
    assert not names([], "a")
