"""Auto-encoders of a camera: what they learn, what they find, and that the graph says the same as the training."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import onnxruntime  # type: ignore[import-untyped]
import pytest
from numpy.typing import NDArray

from tests.anomaly_scenes import HEIGHT, WIDTH, Street
from vms.adapters.anomaly import MODEL_INPUT, TrainedAnomaly, manifest_for, shrink, train, train_from
from vms.domain.errors import Failure
from vms.domain.models import ModelManifest

# Enough for a street of so few things; the product's own takes ten seconds.
_STEPS = 250


@pytest.fixture(scope="module")
def street() -> Street:
    return Street(1)


@pytest.fixture(scope="module")
def trained(street: Street) -> TrainedAnomaly:
    return train(street.normal(400), seed=7, steps=_STEPS)


def _looks(model: TrainedAnomaly, pictures: NDArray[np.uint8]) -> tuple[NDArray[Any], NDArray[Any]]:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.onnx, options, providers=["CPUExecutionProvider"])
    score, cells = session.run(["score", "cells"], {"picture": pictures[:, np.newaxis].astype(np.float32)})
    return np.asarray(score), np.asarray(cells)


def test_what_is_as_ever_is_usual_and_what_never_was_is_not(trained: TrainedAnomaly, street: Street) -> None:
    usual, _ = _looks(trained, street.normal(200))
    assert (usual >= 0.5).mean() <= 0.01
    unusual, cells = _looks(trained, street.unusual(50))
    assert (unusual >= 0.5).mean() >= 0.95
    assert cells.shape == (50, HEIGHT // 8, WIDTH // 8)
    assert np.array_equal(cells.max(axis=(1, 2)), unusual)
    # Above the lane, where it is.
    assert (cells[:, :4].max(axis=(1, 2)) >= 0.5).mean() >= 0.95


def test_light_alone_is_usual(trained: TrainedAnomaly, street: Street) -> None:
    pictures = street.normal(40)
    for factor in (0.7, 1.1):
        score, _ = _looks(trained, street.lit(pictures, factor))
        assert (score >= 0.5).mean() <= 0.05


def test_the_threshold_lies_above_what_was_held_out(trained: TrainedAnomaly) -> None:
    assert trained.threshold > trained.held_out_errors.max()
    assert len(trained.held_out_errors) == 80
    assert trained.pictures == 400


def test_the_same_pictures_and_seed_give_the_same_model() -> None:
    pictures = Street(2).normal(200)
    one, same, other = (train(pictures, seed, steps=5).onnx for seed in (1, 1, 2))
    assert one == same
    assert one != other


def test_the_manifest_says_how_it_is_run_and_judged(trained: TrainedAnomaly) -> None:
    manifest = manifest_for("anomaly-gate", "The gate, as ever", trained)
    assert ModelManifest.model_validate(json.loads(manifest.model_dump_json())) == manifest
    assert (manifest.reader, manifest.task, manifest.least_score) == ("autoencoder", "anomaly", 0.5)
    assert f"{trained.threshold:.3f}" in manifest.notice
    assert manifest.size_bytes == len(trained.onnx)
    assert (MODEL_INPUT.width, MODEL_INPUT.height) == (WIDTH, HEIGHT)


def test_footage_that_goes_on_is_thinned_out_evenly(monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[NDArray[np.uint8]] = []
    monkeypatch.setattr("vms.adapters.anomaly.training.MOST_PICTURES", 300)
    monkeypatch.setattr("vms.adapters.anomaly.training.train", lambda pictures, _seed: kept.append(pictures))

    def footage() -> Iterator[NDArray[np.uint8]]:
        picture = np.zeros((HEIGHT, WIDTH), dtype=np.uint8)
        for nth in range(2000):
            # The same memory each time, as decoders have it.
            picture[:] = nth % 251
            yield picture

    train_from(footage(), 1)
    assert [int(picture[0, 0]) for picture in kept[0]] == [nth % 251 for nth in range(0, 2000, 8)]


@pytest.mark.parametrize(
    ("pictures", "code"),
    [
        (np.zeros((199, HEIGHT, WIDTH), dtype=np.uint8), "too-little-footage"),
        (np.zeros((0, HEIGHT, WIDTH), dtype=np.uint8), "too-little-footage"),
        (np.full((300, HEIGHT, WIDTH), 90, dtype=np.uint8), "flat-footage"),
        (np.zeros((300, WIDTH, HEIGHT), dtype=np.uint8), "training-pictures"),
        (np.zeros((300, HEIGHT, WIDTH, 3), dtype=np.uint8), "training-pictures"),
        (np.zeros((300, HEIGHT, WIDTH), dtype=np.float32), "training-pictures"),
    ],
)
def test_footage_that_teaches_nothing_is_refused(pictures: NDArray[Any], code: str) -> None:
    with pytest.raises(Failure) as caught:
        train(pictures, 1)
    assert caught.value.code == code


def test_pictures_of_another_size_are_refused_as_they_come() -> None:
    pictures = [np.zeros((HEIGHT, WIDTH), dtype=np.uint8)] * 300
    for other in (np.zeros((WIDTH, HEIGHT), dtype=np.uint8), np.zeros((HEIGHT, WIDTH, 3), dtype=np.uint8)):
        with pytest.raises(Failure) as caught:
            train_from([*pictures, other], 1)
        assert caught.value.code == "training-pictures"
    with pytest.raises(Failure) as caught:
        train_from([], 1)
    assert caught.value.code == "too-little-footage"


@pytest.mark.parametrize("shape", [(64, 96), (360, 640), (100, 130)])
def test_a_picture_is_shrunk_to_the_mean_of_its_pixels(shape: tuple[int, int]) -> None:
    ramp = np.linspace(0, 255, shape[1], dtype=np.float32)
    picture = np.repeat(np.tile(ramp, (shape[0], 1))[:, :, np.newaxis], 3, axis=2).astype(np.uint8)
    small = shrink(picture)
    assert small.shape == (HEIGHT, WIDTH)
    assert np.abs(small.astype(int) - np.linspace(0, 255, WIDTH)).max() <= 4
    with pytest.raises(Failure):
        shrink(picture[:63])
