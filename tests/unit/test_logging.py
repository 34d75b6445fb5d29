"""Logs hold no secrets."""

from __future__ import annotations

import json
import logging

import pytest
import structlog

from vms.app.logging import configure, redact

SECRET = "tr0ub4dor"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (f"rtsp://admin:{SECRET}@192.0.2.1/a", "rtsp://[removed]@192.0.2.1/a"),
        (f"opening rtsp://{SECRET}@h/a now", "opening rtsp://[removed]@h/a now"),
        (f"GET /live/whep?stream=main&token={SECRET}&x=1", "GET /live/whep?stream=main&token=[removed]&x=1"),
        (f"Authorization: Bearer {SECRET}", "Authorization: Bearer [removed]"),
        ("rtsp://192.0.2.1/a@b", "rtsp://192.0.2.1/a@b"),
        ("plain words", "plain words"),
        (5, 5),
        (None, None),
        ({"password": SECRET, "camera": "c"}, {"password": "[removed]", "camera": "c"}),
        ([{"refresh_token": SECRET}], [{"refresh_token": "[removed]"}]),
        ((f"a?token={SECRET}",), ["a?token=[removed]"]),
    ],
)
def test_secrets_are_struck_out(value: object, expected: object) -> None:
    assert redact(value) == expected


def _log_everything() -> None:
    log = structlog.get_logger("vms.test")
    url = f"rtsp://u:{SECRET}@h/"
    log.info("connecting", url=url, password=SECRET, headers={"Authorization": f"Bearer {SECRET}"}, tokens=3)
    log.warning(f"cannot open {url}")
    logging.getLogger("some.library").error("failed: %s", url)
    logging.getLogger("some.library").error("failed", extra={"password": SECRET})
    try:
        int(url)
    except ValueError:
        log.exception("gave up")


@pytest.mark.parametrize("form", ["json", "console"])
def test_no_secret_reaches_the_log(capsys: pytest.CaptureFixture[str], form: str) -> None:
    assert configure("debug", form) is (form == "json")  # type: ignore[arg-type]  # both are forms
    _log_everything()
    text = capsys.readouterr().err
    assert SECRET not in text
    assert text.count("[removed]") >= 7
    assert "gave up" in text
    assert "ValueError" in text
    if form == "json":
        events = [json.loads(line) for line in text.splitlines()]
        assert [event["event"] for event in events][:2] == ["connecting", "cannot open rtsp://[removed]@h/"]
        assert events[0]["level"] == "info"
        assert events[0]["at"].endswith("Z")
        assert events[0]["tokens"] == 3


def test_levels_and_forms(capsys: pytest.CaptureFixture[str]) -> None:
    assert configure("warning", "auto") is True
    structlog.get_logger("vms.test").info("quiet")
    logging.getLogger("uvicorn.error").info("quiet")
    logging.getLogger("alembic.runtime").info("quiet")
    structlog.get_logger("vms.test").warning("loud")
    lines = capsys.readouterr().err.splitlines()
    assert [json.loads(line)["event"] for line in lines] == ["loud"]
