"""Understanding pictures, as the interface shows it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import WebSocketTestSession
from starlette.websockets import WebSocketDisconnect

from tests.analysis_doubles import HeldPool, PlainJpegs, StrictFrames, manifest, person
from tests.memory_installation import MemoryInstallation, problem_code
from vms.adapters.memory.analysis import MemoryAnalysisLog, MemoryCounts
from vms.adapters.memory.inference import MemoryShelf
from vms.adapters.tokens import JwtSigner
from vms.api import box_feed
from vms.app.analysis import Understanding
from vms.contracts.analysis import AnalysedFrame, Count
from vms.contracts.inference import Answer
from vms.domain.ids import make_id
from vms.domain.motion import Box
from vms.domain.time import format_time
from vms.domain.vision import KeyPoint, Track

NEVER = threading.Event()
WIRE = {"kind": "tripwire", "id": "door", "name": "Door", "line": [[0.5, 0.0], [0.5, 1.0]]}


class Site:
    """An installation that understands pictures, and one camera."""

    def __init__(self, directory: Path, tokens: JwtSigner) -> None:
        self.frames, self.pool, self.log, self.counts = StrictFrames(), HeldPool(), MemoryAnalysisLog(), MemoryCounts()
        shelf = MemoryShelf()
        shelf.add(manifest("coco-ssd"))
        self.vms = MemoryInstallation(
            directory,
            tokens,
            understanding=Understanding(
                frames=self.frames,
                pool=self.pool,
                shelf=shelf,
                log=self.log,
                counts=self.counts,
                stills=PlainJpegs(),
                catalogue=lambda: [manifest("coco-ssd"), manifest("rt-detr-l"), manifest("blazeface", "faces")],
            ),
        )
        assert self.vms.rooms.analysis is not None
        self.service = self.vms.rooms.analysis
        self.service.start()
        self.camera_id = str(self.vms.add_camera(analysis={"enabled": True, "rules": [WIRE]})["id"])
        self.service.refresh(NEVER)
        self.done = threading.Event()
        self.service.follow(self.camera_id, lambda _: self.done.set())

    def picture(self, x: float, at_us: int | None = None) -> AnalysedFrame:
        """Somebody is at `x` in a picture that is understood."""
        self.vms.clock.advance(0.5)
        frame = self.frames.give(self.camera_id, at_us or self.vms.clock.now_us())
        self.done.clear()
        job, done = self.pool.waiting.pop()
        done(Answer(job, (person(x),), device="cpu", took_us=12_000))
        assert self.done.wait(5)
        return AnalysedFrame(self.camera_id, "sub", frame.at_us, frame.pts, 90_000, 640, 360)

    def get(self, path: str, **query: Any) -> Any:
        answer = self.vms.client.get(f"/api/v1{path}", params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()


@pytest.fixture
def site(tmp_path: Path, token_signer: JwtSigner) -> Iterator[Site]:
    site = Site(tmp_path, token_signer)
    yield site
    site.service.stop(5)
    site.vms.close()


def _span(vms: MemoryInstallation, seconds: float = 600) -> dict[str, str]:
    now_us = vms.clock.now_us()
    return {"start": format_time(now_us - round(seconds * 1e6)), "end": format_time(now_us + 1_000_000)}


def test_a_camera_s_settings_are_kept_and_shown(vms: MemoryInstallation) -> None:
    camera = vms.add_camera()
    assert camera["analysis"]["enabled"] is False
    patch = {"analysis": {"enabled": True, "most_fps": 2, "rules": [WIRE]}}
    changed = vms.client.patch(f"/api/v1/cameras/{camera['id']}", json=patch)
    assert changed.status_code == 200, changed.text
    settings = vms.client.get(f"/api/v1/cameras/{camera['id']}").json()["analysis"]
    assert (settings["enabled"], settings["most_fps"], settings["least_fps"]) == (True, 2.0, 1.0)
    assert settings["rules"] == [{**WIRE, "enabled": True, "labels": ["person"], "direction": "both"}]
    # Members that a patch does not name stay.
    vms.client.patch(f"/api/v1/cameras/{camera['id']}", json={"analysis": {"priority": "high"}})
    again = vms.client.get(f"/api/v1/cameras/{camera['id']}").json()["analysis"]
    assert again == {**settings, "priority": "high"}


@pytest.mark.parametrize(
    ("analysis", "pointer"),
    [
        ({"most_fps": 31}, "/analysis/most_fps"),
        ({"least_fps": 9}, "/analysis/most_fps"),
        ({"least_score": 0}, "/analysis/least_score"),
        ({"extras": ["hats"]}, "/analysis/extras/0"),
        ({"rules": [WIRE, WIRE]}, "/analysis/rules"),
        ({"rules": [{**WIRE, "line": [[0.5, 0.0]]}]}, "/analysis/rules/0/tripwire/line"),
        ({"rules": [{**WIRE, "line": [[0.5, 0.0], [0.5, 1.5]]}]}, "/analysis/rules/0/tripwire/line/1/1"),
        ({"rules": [{**WIRE, "kind": "trapdoor"}]}, "/analysis/rules/0"),
        ({"mask": [[[0, 0], [1, 1]]]}, "/analysis/mask/0"),
        ({"what": 1}, "/analysis/what"),
    ],
)
def test_settings_that_cannot_be_are_refused_by_name(
    vms: MemoryInstallation, analysis: dict[str, Any], pointer: str
) -> None:
    camera_id = vms.add_camera()["id"]
    answer = vms.client.patch(f"/api/v1/cameras/{camera_id}", json={"analysis": analysis})
    assert answer.status_code == 422, answer.text
    assert pointer in {error["pointer"] for error in answer.json()["errors"]}, answer.text


def test_how_it_goes_with_a_camera(site: Site) -> None:
    path = f"/cameras/{site.camera_id}/analysis"
    assert site.get(path)["state"] == "starting"
    site.picture(0.2)
    shown = site.get(path)
    assert (shown["state"], shown["detector"], shown["device"], shown["analysed"]) == ("running", "coco-ssd", "cpu", 1)
    assert shown["delay_p95_ms"] >= 0
    other = site.vms.add_camera(name="Yard")["id"]
    assert site.get(f"/cameras/{other}/analysis")["state"] == "off"
    assert site.vms.client.get(f"/api/v1/cameras/{make_id(9, bytes(8))}/analysis").status_code == 404


def test_what_was_found_comes_in_pages(site: Site) -> None:
    frames = [site.picture(0.1 + 0.01 * number) for number in range(5)]
    path = f"/cameras/{site.camera_id}/detections"
    first = site.get(path, limit=3, **_span(site.vms))
    rest = site.get(path, limit=3, cursor=first["next_cursor"], **_span(site.vms))
    items = first["items"] + rest["items"]
    assert [item["at"] for item in items] == [format_time(frame.at_us) for frame in frames]
    assert (len(first["items"]), rest["next_cursor"]) == (3, None)
    assert {key: items[-1][key] for key in ("width", "height", "clock_rate", "stream")} == {
        "width": 640,
        "height": 360,
        "clock_rate": 90_000,
        "stream": "sub",
    }
    assert items[-1]["pts"] == frames[-1].pts
    (track,) = items[-1]["tracks"]
    assert (track["number"], track["label"], track["seen"]) == (1, "person", True)
    assert track["box"][1::2] == [pytest.approx(0.4, abs=0.01), pytest.approx(0.8, abs=0.01)]
    for cursor in ("nonsense", "2000-01-01T00:00:00Z"):
        answer = site.vms.client.get(f"/api/v1{path}", params={"cursor": cursor, **_span(site.vms)})
        assert problem_code(answer) == "bad-cursor"
    for span in (_span(site.vms, 8 * 86_400), {"start": format_time(2), "end": format_time(1)}):
        assert site.vms.client.get(f"/api/v1{path}", params=span).status_code == 422


def test_an_event_has_a_still(site: Site) -> None:
    for number in range(12):
        site.picture(0.2 + 0.05 * number)
    for _ in range(500):
        events = site.get("/events")["items"]
        if events:
            break
        time.sleep(0.01)
    (event,) = events
    assert (event["type"], event["source"], event["text"]) == ("line.crossed", "ai", "Door")
    path = f"/api/v1/events/{event['id']}/still.jpg"
    for _ in range(500):
        still = site.vms.client.get(path)
        if still.status_code == 200:
            break
        time.sleep(0.01)
    assert still.headers["content-type"] == "image/jpeg"
    assert still.content.startswith(b"jpeg")
    assert [0 <= float(value) <= 1 for value in still.headers["vms-box"].split(",")] == [True] * 4
    assert still.headers["vms-captured-at"] >= event["start"]
    for missing in (make_id(9, bytes(8)), "nonsense"):
        assert site.vms.client.get(f"/api/v1/events/{missing}/still.jpg").status_code == 404


def test_events_of_others_have_no_still(site: Site) -> None:
    made = site.vms.client.post("/api/v1/events", json={"camera_id": site.camera_id, "type": "door.opened"}).json()
    answer = site.vms.client.get(f"/api/v1/events/{made['id']}/still.jpg")
    assert (answer.status_code, problem_code(answer)) == (404, "no-still")


def test_counts_by_steps(site: Site) -> None:
    minute_us = 60_000_000
    start_us = site.vms.clock.now_us() // minute_us * minute_us - 120 * minute_us
    other = make_id(5, bytes(8))
    for minute in range(90):
        for camera_id in (site.camera_id, other):
            count = Count(
                camera_id=camera_id, start_us=start_us + minute * minute_us, kind="seen", label="person", count=2
            )
            site.counts.add([count])
    span = {"start": format_time(start_us + 30_000_000), "end": format_time(start_us + 90 * minute_us)}
    hours = site.get("/analytics/counts", **span)["items"]
    assert [(item["camera_id"], item["start"], item["count"]) for item in hours] == sorted(
        (
            (camera_id, format_time(start_us + step * minute_us), count)
            for camera_id in (site.camera_id, other)
            for step, count in ((0, 120), (60, 60))
        ),
        key=lambda item: (item[1], item[0]),
    )
    minutes = site.get("/analytics/counts", step="minute", camera_id=other, **span)["items"]
    assert [item["count"] for item in minutes] == [2] * 90
    assert {item["camera_id"] for item in minutes} == {other}
    for wrong in ({"step": "year"}, {"camera_id": "x"}, {"end": format_time(start_us - 1)}):
        answer = site.vms.client.get("/api/v1/analytics/counts", params={**span, **wrong})
        assert answer.status_code == 422, wrong
    long = {"start": format_time(start_us - 300 * 86_400_000_000), "end": span["end"], "step": "minute"}
    assert problem_code(site.vms.client.get("/api/v1/analytics/counts", params=long)) == "too-many-steps"


def test_where_things_stood(site: Site) -> None:
    for _ in range(8):
        site.picture(0.5)
    heat = site.get(f"/cameras/{site.camera_id}/heat-map", **_span(site.vms))
    assert len(heat["seconds"]) == heat["columns"] * heat["rows"]
    assert sum(heat["seconds"]) == pytest.approx(3.0, abs=0.6)
    week = _span(site.vms, 2 * 86_400)
    assert site.vms.client.get(f"/api/v1/cameras/{site.camera_id}/heat-map", params=week).status_code == 422


def test_models_and_devices(site: Site) -> None:
    models = site.get("/ai/models")["items"]
    assert [(model["name"], model["installed"], model["default"]) for model in models] == [
        ("blazeface", False, False),
        ("coco-ssd", True, True),
        ("rt-detr-l", False, False),
    ]
    assert {"title", "task", "version", "licence", "commercial", "notice", "labels", "size_bytes", "precision"} < set(
        models[0]
    )
    (device,) = site.get("/ai/devices")["items"]
    assert (device["device"]["id"], device["state"], device["models"][0]["model"]) == ("cpu", "ready", "coco-ssd")
    assert site.get("/ai/pool") == {"answered": 7, "dropped": 0, "failed": 0, "waited_p95_ms": 0.0}


def test_who_may_see_what(site: Site) -> None:
    viewer, operator = site.vms.as_user("viewer", "viewer"), site.vms.as_user("operator", "operator")
    span = _span(site.vms)
    camera = f"/api/v1/cameras/{site.camera_id}"
    rights = {
        f"{camera}/analysis": 200,
        f"{camera}/detections": 403,
        f"{camera}/heat-map": 403,
        "/api/v1/analytics/counts": 403,
        f"/api/v1/events/{make_id(9, bytes(8))}/still.jpg": 403,
        "/api/v1/ai/models": 403,
        "/api/v1/ai/devices": 403,
        "/api/v1/ai/pool": 403,
    }
    for path, status in rights.items():
        assert viewer.get(path, params=span).status_code == status, path
        assert operator.get(path, params=span).status_code in {200, 404}, path
        assert site.vms.anonymous.get(path, params=span).status_code == 401, path


def test_metrics_of_analysis(site: Site) -> None:
    site.picture(0.2)
    text = site.vms.anonymous.get("/metrics").text
    for line in (
        "# TYPE vms_ai_inference_ms histogram",
        'vms_ai_inference_ms_bucket{device="cpu",model="coco-ssd",le="10"} 0',
        'vms_ai_inference_ms_bucket{device="cpu",model="coco-ssd",le="25"} 1',
        'vms_ai_inference_ms_bucket{device="cpu",model="coco-ssd",le="+Inf"} 1',
        'vms_ai_inference_ms_sum{device="cpu",model="coco-ssd"} 12',
        'vms_ai_inference_ms_count{device="cpu",model="coco-ssd"} 1',
        'vms_ai_queue_depth{device="cpu",model="coco-ssd"} 0',
        f'vms_ai_analysed_total{{camera="{site.camera_id}"}} 1',
        f'vms_ai_dropped_total{{camera="{site.camera_id}"}} 0',
        f'vms_ai_state{{camera="{site.camera_id}",state="running"}} 1',
    ):
        assert line in text.splitlines(), line
    assert f'vms_ai_delay_ms{{camera="{site.camera_id}",quantile="0.95"}}' in text


def test_without_analysis_it_is_said_why(vms: MemoryInstallation) -> None:
    camera_id = vms.add_camera(analysis={"enabled": True})["id"]
    shown = vms.client.get(f"/api/v1/cameras/{camera_id}/analysis").json()
    assert shown["state"] == "off"
    assert shown["reason"].startswith("ai.enabled is false")
    for path in (f"/cameras/{camera_id}/detections", "/ai/models", "/ai/pool", "/analytics/counts"):
        answer = vms.client.get(f"/api/v1{path}", params=_span(vms))
        assert (answer.status_code, problem_code(answer)) == (409, "analysis-off"), path
    assert "vms_ai" not in vms.anonymous.get("/metrics").text


def _token(vms: MemoryInstallation) -> str:
    return vms.client.headers["Authorization"].removeprefix("Bearer ")


def _ending(session: WebSocketTestSession) -> int:
    with pytest.raises(WebSocketDisconnect) as ended:
        session.receive_text()
    return int(ended.value.code)


def _wait_for_viewers(site: Site, count: int) -> None:
    for _ in range(500):
        # One is the test's own.
        if len(site.service._live._listeners.get(site.camera_id, {})) == count + 1:
            return
        time.sleep(0.01)
    raise AssertionError("the viewers are not those expected")


def test_boxes_are_pushed_as_soon_as_they_are_known(site: Site) -> None:
    site.picture(0.2)
    with site.vms.anonymous.websocket_connect(f"/ws/cameras/{site.camera_id}/boxes?token={_token(site.vms)}") as viewer:
        _wait_for_viewers(site, 1)
        frame = site.picture(0.21)
        shown = viewer.receive_json()
        assert (shown["at"], shown["pts"], shown["clock_rate"]) == (format_time(frame.at_us), frame.pts, 90_000)
        assert (shown["width"], shown["height"], shown["rtp"]) == (640, 360, None)
        assert shown["tracks"][0]["label"] == "person"
    _wait_for_viewers(site, 0)


def test_boxes_bear_the_timestamps_of_a_named_session(site: Site) -> None:
    media = site.vms.media
    media.sessions |= {"one": site.camera_id, "two": site.camera_id}
    media.rtp_offsets |= {"one": 2**32 - 5, "two": 7}
    with site.vms.anonymous.websocket_connect(f"/ws/cameras/{site.camera_id}/boxes?session=one") as viewer:
        viewer.send_json({"token": _token(site.vms)})
        assert viewer.receive_json() == {"ready": True}
        frame = site.picture(0.2)
        assert viewer.receive_json()["rtp"] == (frame.at_us * 9 // 100 - 5) % 2**32
        viewer.send_json({"session": "two"})
        for _ in range(50):
            frame = site.picture(0.2)
            rtp = viewer.receive_json()["rtp"]
            if rtp == (frame.at_us * 9 // 100 + 7) % 2**32:
                break
        else:
            raise AssertionError("the other session was not taken up")
        # A session that is over has no timestamps; boxes come all the same.
        del media.sessions["two"]
        site.picture(0.2)
        assert viewer.receive_json()["rtp"] is None


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ({"token": "wrong"}, 4401),
        ({"token": "wrong", "what": 1}, 4400),
        ({"session": "one"}, 4400),
    ],
)
def test_who_says_nonsense_is_sent_away(site: Site, message: dict[str, str], code: int) -> None:
    with site.vms.anonymous.websocket_connect(f"/ws/cameras/{site.camera_id}/boxes") as viewer:
        viewer.send_json(message)
        assert _ending(viewer) == code


def test_boxes_of_no_camera_and_of_a_server_without_analysis(site: Site, vms: MemoryInstallation) -> None:
    for missing in (make_id(9, bytes(8)), "nonsense"):
        url = f"/ws/cameras/{missing}/boxes?token={_token(site.vms)}"
        with site.vms.anonymous.websocket_connect(url) as viewer:
            assert _ending(viewer) == 4404
    camera_id = vms.add_camera()["id"]
    with vms.anonymous.websocket_connect(f"/ws/cameras/{camera_id}/boxes?token={_token(vms)}") as viewer:
        assert _ending(viewer) == 4400
    with site.vms.anonymous.websocket_connect(f"/ws/cameras/{site.camera_id}/boxes?token={_token(site.vms)}") as viewer:
        viewer.send_text("not json")
        assert _ending(viewer) == 4400


async def _behind() -> list[str]:
    listeners = []

    class Follows:
        def follow(self, _camera_id: str, listener: Any) -> Any:
            listeners.append(listener)
            return lambda: None

    feed = box_feed.BoxFeed(Follows(), "camera", None, lambda _: None)  # type: ignore[arg-type]
    for number in range(20):
        track = Track(1, "person", 0.5, Box(0, 0, 1, 1), 0, number, points=(KeyPoint(0.5, 0.5, 1),))
        feed._offer(AnalysedFrame("camera", "sub", number, number, 90_000, 64, 36, (track,)))
    assert len(feed._frames) == box_feed.MOST_BEHIND
    return [await feed.next() for _ in range(box_feed.MOST_BEHIND)]


def test_a_viewer_that_is_slow_misses_the_oldest() -> None:
    import asyncio  # noqa: PLC0415

    texts = asyncio.run(_behind())
    assert '"pts":12,' in texts[0]
    assert '"pts":19,' in texts[-1]
    assert '"points":[[0.5,0.5,1.0]]' in texts[0]
