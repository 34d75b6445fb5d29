"""Whatever stands in a URL: it is refused, or kept without its credentials."""

from __future__ import annotations

from urllib.parse import quote, urlsplit

from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from vms.domain.camera_drafts import CameraDraft

words = st.text(st.characters(min_codepoint=33, max_codepoint=0x24F), min_size=1, max_size=12)


@given(words, words, st.sampled_from(["h", "192.0.2.1", "[2001:db8::1]"]))
def test_credentials_never_stay_in_a_url(username: str, password: str, host: str) -> None:
    url = f"rtsp://{quote(username, safe='')}:{quote(password, safe='')}@{host}:554/path"
    try:
        draft = CameraDraft.model_validate({"name": "n", "streams": {"main": {"url": url}}})
    except ValidationError:
        return
    assert draft.streams.main.url == f"rtsp://{host}:554/path"
    assert draft.credentials is not None
    assert draft.credentials.username == username
    assert draft.credentials.password is not None
    assert draft.credentials.password.get_secret_value() == password


@given(st.text(max_size=60))
def test_any_text_is_a_url_or_refused(text: str) -> None:
    for url in (text, f"rtsp://{text}"):
        try:
            draft = CameraDraft.model_validate({"name": "n", "streams": {"main": {"url": url}}})
        except ValidationError:
            continue
        parts = urlsplit(draft.streams.main.url)
        assert parts.scheme in {"rtsp", "rtsps"}
        assert parts.hostname
        assert parts.username is None
        assert parts.password is None
