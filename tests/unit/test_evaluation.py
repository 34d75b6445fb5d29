"""Truth that was drawn by eye, and scores against it."""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from vms.adapters.evaluation import (
    FoundEvent,
    Seen,
    pictures,
    read_truth,
    score_detection,
    score_events,
    score_tracking,
)
from vms.adapters.evaluation.truth import Clip, TrueEvent
from vms.adapters.models import catalogue
from vms.app import evaluation, models
from vms.app.cli import main
from vms.app.evaluation import Looked, evaluate, look, truth_of
from vms.contracts.inference import InstalledModel
from vms.domain.errors import Failure
from vms.domain.motion import Box
from vms.domain.vision import Finding

_CLIP = {
    "package": "some-package",
    "path": "/nowhere/clip.avi",
    "sha256": "0" * 64,
    "width": 100,
    "height": 50,
    "fps": 10,
    "frames": 40,
}
_SCENE: dict[str, Any] = {
    "clip": _CLIP,
    "label": "person",
    "ignored": ["far"],
    "rules": [{"kind": "tripwire", "id": "road", "line": [[0.5, 1], [0.5, 0]]}],
    "events": [{"rule": "road", "frame": 20, "direction": "right", "track": "a"}],
}
_BOXES = """track,frame,left,top,width,height
a,0,0,10,20,30
a,40,80,10,20,30
far,5,90,0,5,5
"""


def _written(directory: Path, scene: dict[str, Any] = _SCENE, boxes: str = _BOXES) -> Path:
    (directory / "scene.json").write_text(json.dumps(scene))
    (directory / "boxes.csv").write_text(boxes.replace("a,40", "a,39"))
    return directory


def _scene(**changes: Any) -> dict[str, Any]:
    return {**_SCENE, **changes}


class TestTruth:
    def test_boxes_between_key_pictures_are_linear(self, tmp_path: Path) -> None:
        truth = read_truth(
            _written(
                tmp_path, boxes="track,frame,left,top,width,height\na,0,0,10,20,30\nfar,5,1,1,2,2\na,10,40,10,40,30\n"
            )
        )
        (seen,) = (seen for seen in truth.at(5) if not seen.is_ignored)
        assert seen.box == Box(0.2, 0.2, 0.5, 0.8)

    def test_a_track_is_there_from_its_first_to_its_last_picture(self, tmp_path: Path) -> None:
        truth = read_truth(_written(tmp_path))
        assert [len(truth.at(frame)) for frame in (0, 5, 39, 40)] == [1, 2, 1, 0]
        assert [seen.is_ignored for seen in truth.at(5)] == [False, True]

    @pytest.mark.parametrize(
        ("scene", "boxes", "why"),
        [
            (_SCENE, "frame,left\n", "does not begin with"),
            (_SCENE, "", "does not begin with"),
            (_SCENE, _BOXES + "a,x,0,0,1,1\n", "line 5"),
            (_SCENE, _BOXES + "a,1,0,0,1\n", "line 5"),
            (_SCENE, _BOXES + "a,1,90,0,20,1\n", "line 5.*cannot be"),
            (_SCENE, _BOXES + "a,1,0,0,0,1\n", "line 5.*cannot be"),
            (_SCENE, _BOXES + "a,0,0,0,1,1\n", "line 5.*cannot be"),
            (_SCENE, _BOXES + "a,40000,0,0,1,1\n", "line 5.*cannot be"),
            (_scene(ignored=["nobody"]), _BOXES, "no track nobody"),
            (_scene(events=[{"rule": "road", "frame": 1, "track": "nobody"}]), _BOXES, "no track nobody"),
            (_scene(events=[{"rule": "none", "frame": 1, "track": "a"}]), _BOXES, "no rule none"),
            (_scene(label=7), _BOXES, "scene.json"),
        ],
    )
    def test_truth_that_cannot_be_is_refused(self, tmp_path: Path, scene: dict[str, Any], boxes: str, why: str) -> None:
        with pytest.raises(Failure, match=why) as refused:
            read_truth(_written(tmp_path, scene, boxes))
        assert refused.value.kind == "malformed"

    def test_no_truth_is_said_with_its_place(self, tmp_path: Path) -> None:
        with pytest.raises(Failure, match=str(tmp_path)) as refused:
            read_truth(tmp_path)
        assert refused.value.kind == "not_found"

    def test_a_clip_without_truth_is_said_with_those_that_have_one(self) -> None:
        with pytest.raises(Failure, match=r"'other'.*vtest"):
            truth_of("other")

    def test_the_truth_of_vtest_is_whole(self) -> None:
        truth = truth_of("vtest")
        assert all(truth.at(frame) for frame in range(truth.clip.frames))
        assert len([event for event in truth.events if event.rule == "road"]) == 33
        # Nobody is in two places, and nobody is as large as the picture.
        for frame in range(truth.clip.frames):
            numbers = [seen.number for seen in truth.at(frame)]
            assert len(set(numbers)) == len(numbers)
            assert all(seen.box.bottom - seen.box.top < 0.5 for seen in truth.at(frame))


class TestClip:
    def test_another_clip_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "clip.avi").write_bytes(b"another")
        with pytest.raises(Failure, match="another clip") as refused:
            next(pictures(Clip.model_validate({**_CLIP, "path": tmp_path / "clip.avi"}), 1))
        assert refused.value.kind == "malformed"

    def test_a_clip_that_is_not_installed_names_its_package(self) -> None:
        with pytest.raises(Failure, match="some-package") as refused:
            next(pictures(Clip.model_validate(_CLIP), 1))
        assert refused.value.kind == "not_found"

    def test_bytes_that_are_no_video_are_refused(self, tmp_path: Path) -> None:
        content = b"no video at all" * 100
        path = tmp_path / "clip.avi"
        path.write_bytes(content)
        clip = Clip.model_validate({**_CLIP, "path": path, "sha256": _sha256(path)})
        with pytest.raises(Failure, match="cannot be decoded"):
            list(pictures(clip, 1))

    def test_every_fifth_picture(self, tmp_path: Path) -> None:
        clip = _made_clip(tmp_path, 12)
        found = list(pictures(clip, 5))
        assert [number for number, _ in found] == [0, 5, 10]
        assert all(picture.shape == (48, 64, 3) and picture.dtype == np.uint8 for _, picture in found)


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _made_clip(directory: Path, count: int) -> Clip:
    path = directory / "made.avi"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height = 64, 48
        for number in range(count):
            picture = np.full((48, 64, 3), number * 20, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    return Clip.model_validate(
        {**_CLIP, "path": path, "sha256": _sha256(path), "width": 64, "height": 48, "frames": count}
    )


def _row(*lefts: float, first: int = 1, score: float = 0.9) -> list[Seen]:
    return [Seen(first + n, Box(left, 0.2, left + 0.1, 0.6), score) for n, left in enumerate(lefts)]


_PLAIN = Clip.model_validate({**_CLIP, "width": 1000, "height": 1000})


class TestScores:
    def test_the_truth_itself_is_perfect(self) -> None:
        truth = {frame: _row(0.1 + 0.01 * frame, 0.6) for frame in range(20)}
        tracking = score_tracking(truth, truth)
        assert (tracking.idf1, tracking.mota, tracking.switches, tracking.tracks) == (1.0, 1.0, 0, 2)
        assert tracking.hota == pytest.approx(1.0)
        detection = score_detection(_PLAIN, truth, truth)
        assert (detection.ap, detection.ap50, detection.recall50) == pytest.approx((1, 1, 1))

    def test_a_number_that_changes_halfway_halves_idf1(self) -> None:
        truth = {frame: _row(0.1) for frame in range(20)}
        found = {frame: _row(0.1, first=1 if frame < 10 else 2) for frame in range(20)}
        scores = score_tracking(truth, found)
        assert scores.idf1 == pytest.approx(0.5)
        assert scores.switches == 1

    def test_what_is_missed_and_what_is_false_lowers_mota(self) -> None:
        truth = {frame: _row(0.1) for frame in range(10)}
        found = {frame: _row(0.1) if frame < 8 else _row(0.7) for frame in range(10)}
        assert score_tracking(truth, found).mota == pytest.approx(0.6)

    def test_things_that_do_not_count_cost_nothing(self) -> None:
        far = Seen(9, Box(0.8, 0.1, 0.9, 0.3), is_ignored=True)
        truth = {frame: [*_row(0.1), far] for frame in range(10)}
        with_far = {frame: [*_row(0.1), Seen(7, far.box, 0.95)] for frame in range(10)}
        without = {frame: _row(0.1) for frame in range(10)}
        for found in (with_far, without):
            assert score_tracking(truth, found).mota == 1.0
            assert score_detection(_PLAIN, truth, found).ap == pytest.approx(1)

    def test_sure_findings_that_are_false_lower_the_average_precision(self) -> None:
        truth = {frame: _row(0.1) for frame in range(10)}
        found = {frame: [*_row(0.1, score=0.5), *_row(0.7, score=0.9)] for frame in range(10)}
        scores = score_detection(_PLAIN, truth, found)
        assert scores.ap50 == pytest.approx(0.5, abs=0.02)
        assert scores.recall50 == pytest.approx(1)

    def test_nothing_found_is_nothing(self) -> None:
        truth = {0: _row(0.1)}
        assert score_detection(_PLAIN, truth, {}).ap == 0
        assert score_tracking(truth, {}).idf1 == 0

    def test_pictures_that_show_nothing(self) -> None:
        scores = score_tracking({0: (), 1: _row(0.1)}, {0: _row(0.5), 1: _row(0.1)})
        assert scores.precision == pytest.approx(0.5)

    @pytest.mark.parametrize(
        ("library", "score"),
        [
            ("trackers.eval", lambda: score_tracking({0: _row(0.1)}, {})),
            ("faster_coco_eval", lambda: score_detection(_PLAIN, {0: _row(0.1)}, {0: _row(0.1)})),
        ],
    )
    def test_a_library_that_is_not_installed_is_named(
        self, monkeypatch: pytest.MonkeyPatch, library: str, score: Any
    ) -> None:
        monkeypatch.setitem(sys.modules, library, None)
        with pytest.raises(Failure, match=r"pip install vms\[evaluation\]") as refused:
            score()
        assert refused.value.kind == "unavailable"


class TestEvents:
    def _true(self, *frames: int) -> list[TrueEvent]:
        return [TrueEvent(rule="road", frame=frame, direction="left", track="a") for frame in frames]

    def test_each_is_found_once(self) -> None:
        found = [FoundEvent("road", 1.0, "left"), FoundEvent("road", 1.2, "left")]
        scores = score_events("road", 10, self._true(10), found)
        assert (scores.true, scores.found, scores.right, scores.false) == (1, 2, 1, 1)
        assert (scores.precision, scores.recall) == (0.5, 1.0)

    def test_the_nearest_go_together(self) -> None:
        found = [FoundEvent("road", 2.4, "left"), FoundEvent("road", 0.9, "left")]
        assert score_events("road", 10, self._true(10, 20), found).right == 2

    @pytest.mark.parametrize(
        "found", [FoundEvent("road", 1.0, "right"), FoundEvent("road", 3.1, "left"), FoundEvent("other", 1.0, "left")]
    )
    def test_another_direction_time_or_rule_is_not_it(self, found: FoundEvent) -> None:
        assert score_events("road", 10, self._true(10), [found]).right == 0

    def test_nothing_true_and_nothing_found_is_perfect(self) -> None:
        scores = score_events("road", 10, [], [])
        assert (scores.precision, scores.recall) == (1.0, 1.0)


class TestTheWholeWay:
    def test_somebody_who_is_found_crosses_the_line_once(self, tmp_path: Path) -> None:
        truth = read_truth(_written(tmp_path))
        findings = {
            frame: tuple(Finding("person", 0.9, seen.box) for seen in truth.at(frame) if not seen.is_ignored)
            for frame in range(0, 40, 2)
        }
        result = evaluate(truth, "eye", Looked(findings, 2, 0.0))
        assert result.fps == 5
        (road,) = result.events
        assert (road.found, road.right) == (1, 1)
        assert result.detection.ap50 == pytest.approx(1)
        assert result.tracking.switches == 0
        assert result.false_events == 0

    @pytest.mark.parametrize("fps", [3, 20])
    def test_rates_that_do_not_divide_the_clips_are_refused(self, tmp_path: Path, fps: float) -> None:
        truth = read_truth(_written(tmp_path))
        with pytest.raises(Failure, match="10 pictures a second") as refused:
            look(truth, InstalledModel.__new__(InstalledModel), fps=fps)
        assert refused.value.kind == "invalid"


class _OneModel:
    """A shelf with one detector, or none."""

    def __init__(self, model: InstalledModel | None) -> None:
        self._model = model

    def default(self, _task: str) -> InstalledModel | None:
        return self._model

    def get(self, _name: str) -> InstalledModel:
        assert self._model is not None
        return self._model


class TestTheCommand:
    @pytest.fixture
    def eye(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        """Where the truth of a clip `walk` is, and a detector that finds just that."""
        directory = tmp_path / "walk"
        directory.mkdir()
        truth = read_truth(_written(directory))
        manifest = catalogue()["coco-ssd"]
        shelf = _OneModel(InstalledModel(manifest, tmp_path / "none.onnx"))
        monkeypatch.setattr(models, "open_shelf", lambda _: shelf)
        findings = {
            frame: tuple(Finding("person", 0.9, seen.box) for seen in truth.at(frame) if not seen.is_ignored)
            for frame in range(0, 40, 2)
        }
        monkeypatch.setattr(evaluation, "look", lambda *_, **__: Looked(findings, 2, 12.3))
        return tmp_path

    def _output(self, capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
        with pytest.raises(SystemExit) as ended:
            main(["ai", "eval", *arguments])
        assert ended.value.code == 0
        return capsys.readouterr().out

    def test_it_prints_a_table(self, eye: Path, capsys: pytest.CaptureFixture[str]) -> None:
        printed = self._output(capsys, "--clip", "walk", "--truth", str(eye))
        assert "clip.avi: 20 pictures at 5 a second, coco-ssd, 12 ms a picture" in printed
        assert "AP50               1.000" in printed
        assert printed.splitlines()[-1].split() == ["road", "1", "1", "1", "0", "1.000", "1.000"]

    def test_it_prints_json(self, eye: Path, capsys: pytest.CaptureFixture[str]) -> None:
        document = json.loads(self._output(capsys, "--clip", "walk", "--truth", str(eye), "--json"))
        assert document["false_events"] == 0
        assert document["events"][0]["recall"] == 1.0
        assert document["tracking"]["tracks"] == 1

    def test_without_a_detector_it_says_how_to_install_one(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setattr(models, "open_shelf", lambda _: _OneModel(None))
        with pytest.raises(SystemExit) as ended:
            main(["ai", "eval"])
        assert ended.value.code == 1
        assert "vms models install" in capsys.readouterr().err
