"""Merge patches of any shape."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from vms.ingest.merge_patch import merge

scalars = st.one_of(st.booleans(), st.integers(-5, 5), st.text(max_size=3))
documents = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.sampled_from("abc"), inner, max_size=3)),
)
patches = st.recursive(
    st.one_of(st.none(), scalars),
    lambda inner: st.one_of(st.lists(scalars, max_size=3), st.dictionaries(st.sampled_from("abc"), inner, max_size=3)),
)


@given(documents, patches)
def test_twice_is_once(target: object, patch: object) -> None:
    once = merge(target, patch)
    assert merge(once, patch) == once


@given(documents)
def test_an_empty_patch_changes_no_object(target: object) -> None:
    assert merge(target, {}) == (target if isinstance(target, dict) else {})
