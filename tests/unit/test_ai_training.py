"""`vms ai train-anomaly`, against a server that has a recording, or has not."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from functools import partial
from pathlib import Path

import av
import httpx
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.anomaly_scenes import Street
from tests.inference_double import Pictures, processor
from vms.adapters import anomaly
from vms.adapters.inference.runner import WorkerRunner
from vms.adapters.models import Shelf
from vms.app.cli import key_frames, main
from vms.app.cli.ai_training import _Bar
from vms.app.cli.connection import Connection
from vms.contracts.inference import Job
from vms.domain.recordings import Span
from vms.domain.time import format_time, parse_time

CAMERA_ID = "0193581c-7d3b-7000-8000-000000000001"
START_US = 1_795_428_780_000_000
SECOND_US = 1_000_000
Run = Callable[..., tuple[int, str, str]]


def _film(path: Path, pictures: list[NDArray[np.uint8]], *, key_every: int = 1) -> bytes:
    """One a second, four times as large; with pictures that are decoded before those they come after."""
    with av.open(str(path), "w", format="mp4") as outgoing:
        stream = outgoing.add_stream("libx264", rate=1, options={"preset": "ultrafast", "crf": "12", "bf": "2"})
        stream.width, stream.height, stream.pix_fmt = pictures[0].shape[1] * 4, pictures[0].shape[0] * 4, "yuv420p"
        stream.gop_size = key_every
        stream.thread_count = 1
        for number, picture in enumerate(pictures):
            large = np.kron(picture, np.ones((4, 4), np.uint8))
            frame = av.VideoFrame.from_ndarray(large, format="gray").reformat(format="yuv420p")
            frame.pts, frame.time_base = number, Fraction(1, 1)
            outgoing.mux(stream.encode(frame))
        outgoing.mux(stream.encode(None))
    return path.read_bytes()


@dataclass
class Site:
    """A server with one camera; recordings of a stream are a file from START_US on."""

    recordings: dict[str, bytes] = field(default_factory=dict)
    lengths_s: dict[str, int] = field(default_factory=dict)
    # Where the first file's codec ends.
    next_start: str | None = None
    rules: list[dict[str, str]] = field(default_factory=list)
    fetched: dict[str, int] = field(default_factory=dict)
    asked: list[httpx.URL] = field(default_factory=list)

    def answer(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request.url)
        path, query = request.url.path.removeprefix("/api/v1"), request.url.params
        if path == "/auth/token":
            return httpx.Response(200, json={"access_token": "t"})
        assert request.headers["Authorization"] == "Bearer t"
        if path == "/cameras":
            camera = {"id": CAMERA_ID, "name": "Gate", "analysis": {"rules": self.rules}}
            return httpx.Response(200, json={"items": [camera], "next_cursor": None})
        if path == f"/cameras/{CAMERA_ID}/timeline":
            ranges = [
                {"start": format_time(START_US), "end": format_time(START_US + length_s * SECOND_US), "stream": stream}
                for stream, length_s in self.lengths_s.items()
                if parse_time(query["start"]) < START_US + length_s * SECOND_US
            ]
            return httpx.Response(200, json={"ranges": ranges})
        assert path == f"/cameras/{CAMERA_ID}/playback.mp4"
        if query["stream"] not in self.recordings:
            return httpx.Response(404, json={"detail": "nothing is recorded there"})
        headers = {"Vms-Start": query["start"]}
        if self.next_start is not None and query["start"] == format_time(START_US):
            headers["Vms-Next-Start"] = self.next_start
        return self._part(query["stream"], request.headers["Range"], headers)

    def _part(self, stream: str, wanted: str, headers: dict[str, str]) -> httpx.Response:
        content = self.recordings[stream]
        first, last = (int(number) for number in wanted.removeprefix("bytes=").split("-"))
        part = content[first : last + 1]
        assert part
        self.fetched[stream] = self.fetched.get(stream, 0) + len(part)
        headers["Content-Range"] = f"bytes {first}-{first + len(part) - 1}/{len(content)}"
        return httpx.Response(206, content=part, headers=headers)


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Site:
    made = Site()
    monkeypatch.setattr(httpx, "Client", partial(httpx.Client, transport=httpx.MockTransport(made.answer)))
    # A street has few things: it is learned sooner.
    monkeypatch.setattr(anomaly, "train_from", partial(anomaly.train_from, steps=150))
    return made


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    for name in [name for name in os.environ if name.startswith("VMS_")]:
        monkeypatch.delenv(name)
    (tmp_path / "data").mkdir()

    def call(*arguments: str, data_dir: bool = True, span: bool = True) -> tuple[int, str, str]:
        capsys.readouterr()
        where = ["--data-dir", str(tmp_path / "data")] if data_dir else []
        when = ["--from", format_time(START_US), "--minutes", "5"] if span else []
        with pytest.raises(SystemExit) as ended:
            main(["ai", "train-anomaly", "Gate", *where, *when, "--password", "x", *arguments])
        written = capsys.readouterr()
        assert isinstance(ended.value.code, int)
        return ended.value.code, written.out, written.err

    return call


def test_what_is_learned_is_on_the_shelf_and_runs(site: Site, run: Run, tmp_path: Path) -> None:
    street = Street(1)
    site.recordings["main"] = _film(tmp_path / "film.mp4", list(street.normal(300)))
    site.lengths_s["main"] = 300
    status, out, err = run()
    assert (status, err) == (0, "taking pictures ...\nlearning ...\n")
    assert "learned from 300 pictures; 60 of them were held out" in out
    assert "threshold" in out and "median" in out
    assert "Gate has no rule of the kind anomaly yet" in out

    name = f"anomaly-{CAMERA_ID}"
    model = Shelf([tmp_path / "data" / "models"]).get(name)
    assert (model.manifest.source.kind, model.manifest.reader) == ("trained", "autoencoder")
    runner = WorkerRunner(processor())
    pictures = Pictures(tmp_path)

    def look(levels: NDArray[np.uint8]) -> float:
        large = np.kron(levels, np.ones((4, 4), np.uint8))[:, :, np.newaxis].repeat(3, axis=2)
        ((finding,),) = runner.run(name, [Job(pictures.frame_of(large), name)])
        return finding.score

    try:
        runner.restart()
        runner.load(model)
        assert np.mean([look(picture) < 0.5 for picture in street.normal(30)]) > 0.9
        assert np.mean([look(picture) >= 0.5 for picture in street.unusual(30, size_px=14)]) > 0.9
    finally:
        runner.close()


def test_as_json_and_again(site: Site, run: Run, tmp_path: Path) -> None:
    site.recordings["sub"] = _film(tmp_path / "film.mp4", list(Street(1).normal(220)))
    site.lengths_s = {"main": 225, "sub": 220}
    site.rules = [{"kind": "anomaly"}]
    told = json.loads(run("--json")[1])
    assert (told["camera_id"], told["model"], told["pictures"]) == (CAMERA_ID, f"anomaly-{CAMERA_ID}", 220)
    assert told["threshold"] > told["errors"]["highest"] >= told["errors"]["99 %"] >= told["errors"]["median"] > 0
    # Of two streams the smaller one is fetched; the same footage gives the same model.
    assert set(site.fetched) == {"sub"}
    assert json.loads(run("--json")[1]) == told
    assert "no rule" not in run()[1]


def _levels(site: Site, least_apart_s: int) -> list[int]:
    with Connection(password="x").open() as server:
        spans = key_frames.recorded(server, CAMERA_ID, Span(start_us=START_US, end_us=START_US + 120 * SECOND_US))
        found = list(key_frames.key_frames(server, CAMERA_ID, "main", spans["main"], least_apart_s * SECOND_US))
    shares = [frame.share for frame in found]
    assert shares == sorted(shares) and shares[0] >= 0 and shares[-1] <= 1
    return [round(float(frame.picture.mean())) for frame in found]


def test_key_frames_alone_are_fetched(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(key_frames, "_PIECE_BYTES", 8192)
    random = np.random.default_rng(1)
    # Noise, so that the file is large; the brightness counts the pictures.
    pictures = [random.integers(20 + number, 29 + number, (64, 96)).astype(np.uint8) for number in range(120)]
    site.recordings["main"] = _film(tmp_path / "film.mp4", pictures, key_every=20)
    site.lengths_s["main"] = 120
    assert _levels(site, 1) == pytest.approx([24 + number for number in range(0, 120, 20)], abs=2)
    assert site.fetched["main"] < len(site.recordings["main"]) // 2
    assert _levels(site, 30) == pytest.approx([24, 64, 104], abs=2)


def test_a_recording_goes_on_in_another_codec(site: Site, run: Run, tmp_path: Path) -> None:
    site.recordings["main"] = _film(tmp_path / "film.mp4", list(Street(1).normal(110)))
    site.lengths_s["main"] = 220
    site.next_start = format_time(START_US + 110 * SECOND_US)
    assert json.loads(run("--json")[1])["pictures"] == 220
    site.next_start = format_time(START_US)
    assert "is said to begin then" in run()[2]


def test_too_few_pictures(site: Site, run: Run, tmp_path: Path) -> None:
    site.recordings["main"] = _film(tmp_path / "film.mp4", list(Street(1).normal(60)))
    site.lengths_s["main"] = 60
    status, _, err = run()
    assert status == 1
    assert "60 pictures (the key frames of the 1 minutes that are recorded of Gate between" in err
    assert "at least 200 are needed; give more time with --minutes 4, or --from and --to" in err
    assert not list((tmp_path / "data" / "models").iterdir())


def test_nothing_recorded(site: Site, run: Run) -> None:
    status, _, err = run()
    assert status == 1
    assert "nothing is recorded of Gate between" in err and "--from and --to" in err
    # Removed while it was asked for.
    site.lengths_s["main"] = 300
    assert "0 pictures" in run()[2]


def test_a_recording_that_is_damaged(site: Site, run: Run, tmp_path: Path) -> None:
    site.lengths_s["main"] = 300
    site.recordings["main"] = b"nothing like a film" * 100
    assert "a recording cannot be read" in run()[2]
    whole = _film(tmp_path / "film.mp4", list(Street(1).normal(210)))
    media = whole.index(b"mdat")
    site.recordings["main"] = whole[: media + 4] + bytes(len(whole) // 2) + whole[media + 4 + len(whole) // 2 :]
    status, _, err = run()
    assert status == 1 and "too few" in err


def test_flat_footage(site: Site, run: Run, tmp_path: Path) -> None:
    site.recordings["main"] = _film(tmp_path / "film.mp4", [np.full((64, 96), 90, np.uint8)] * 210)
    site.lengths_s["main"] = 210
    assert "shows nothing" in run()[2]


def test_wrong_options(site: Site, run: Run, tmp_path: Path) -> None:
    assert "give --data-dir" in run(data_dir=False)[2]
    assert "there is no directory" in run("--data-dir", str(tmp_path / "none"))[2]
    assert "--to is not after --from" in run("--to", format_time(START_US))[2]
    assert "--from:" in run("--from", "then", span=False)[2]
    (tmp_path / "file").write_text("")
    assert "cannot be made" in run("--models-dir", str(tmp_path / "file"))[2]
    assert site.asked == []


def test_an_unknown_camera(
    site: Site, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    with pytest.raises(SystemExit):
        main(["ai", "train-anomaly", "Yard", "--data-dir", str(tmp_path), "--password", "x"])
    assert "no camera has the name or identifier Yard: see `vms camera list`" in capsys.readouterr().err


def test_a_server_that_does_not_answer(run: Run) -> None:
    status, _, err = run("--server", "http://127.0.0.1:1")
    assert status == 1
    assert "cannot be reached (does it run? --server)" in err


def test_the_span_is_what_the_options_say(site: Site, run: Run) -> None:
    def asked(*arguments: str) -> tuple[str, str]:
        site.asked.clear()
        run(*arguments, span=False)
        (url,) = [url for url in site.asked if url.path.endswith("timeline")]
        return url.params["start"], url.params["end"]

    hour = (format_time(START_US), format_time(START_US + 3600 * SECOND_US))
    assert asked("--from", hour[0], "--minutes", "60") == hour
    assert asked("--to", hour[1], "--minutes", "60") == hour
    assert asked("--from", hour[0], "--to", hour[1]) == hour
    start, end = asked()
    assert parse_time(end) - parse_time(start) == 30 * 60 * SECOND_US


def test_a_bar_on_a_terminal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    bar = _Bar()
    bar.show("learning", 0.5)
    bar.show("learning", 0.6)
    bar.clear()
    assert capsys.readouterr().err == f"\r\x1b[Klearning: [{'#' * 15}{'.' * 15}]  50%\r\x1b[K"
