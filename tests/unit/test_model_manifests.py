"""Manifests: those of the catalogue, and the mistakes of those that users bring."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.model_files import manifest_document, npm_source
from vms.adapters.models import DEFAULTS, PACKAGED, catalogue
from vms.adapters.models.manifests import parse_manifest
from vms.domain.errors import Failure, FieldFailure


def test_the_catalogue_has_what_the_tasks_need() -> None:
    assert set(PACKAGED) <= set(catalogue())
    for task, names in DEFAULTS.items():
        assert {catalogue()[name].task for name in names} == {task}
    assert all(catalogue()[name].commercial for name in PACKAGED)


@pytest.mark.parametrize("name", sorted(catalogue()))
def test_every_model_of_the_catalogue_says_where_it_is_from_and_under_what_licence(name: str) -> None:
    model = catalogue()[name]
    assert model.name == name
    assert model.licence
    assert model.commercial or model.notice
    source = model.source
    match source.kind:
        case "npm" | "pypi":
            assert len(source.sha256) == len(source.files) > 0
        case "url":
            assert source.url.startswith("https://")
            assert source.sha256 or "SHA-256 is not known" in model.notice
        case kind:
            assert kind == "file"
            assert "--file" in model.notice


def test_detectors_name_their_classes_with_the_same_words() -> None:
    words = [label for label in catalogue()["coco-ssd"].labels if label]
    assert len(words) == len(set(words)) == 80
    assert len(catalogue()["coco-ssd"].labels) == 90
    assert list(catalogue()["nanodet"].labels) == list(catalogue()["rt-detr-l"].labels) == words
    assert (words[0], words[2], words[79]) == ("person", "car", "toothbrush")


def _source(**changes: Any) -> dict[str, Any]:
    return {"source": {**npm_source({"model.json": b"{}"}), **changes}}


@pytest.mark.parametrize(
    ("changes", "pointer", "said"),
    [
        ({"labls": ["person"]}, "/labls", "labls: there is no such field"),
        ({"title": None}, "/title", "title: "),
        ({"name": "../evil"}, "/name", "name: "),
        ({"name": "Upper"}, "/name", "name: "),
        ({"task": "see"}, "/task", "task: "),
        ({"task": "pose"}, "/reader", "reader: ssd does not read outputs of the task pose"),
        ({"outputs": {}}, "/outputs", "outputs: name at least one"),
        ({"outputs": {"scores": ""}}, "/outputs", "outputs: an output's name is empty"),
        ({"labels": []}, "/labels", "labels: a detector needs the names"),
        ({"labels": [""]}, "/labels", "labels: a detector needs the names"),
        ({"licence": " "}, "/licence", "licence: is empty"),
        ({"commercial": False}, "/notice", "notice: say why"),
        ({"least_score": 1.5}, "/least_score", "least_score: "),
        ({"sha256": "abc"}, "/sha256", "sha256"),
        ({"input": {"width": 0}}, "/input/width", "input.width: "),
        ({"input": {"height": 5000}}, "/input/height", "input.height: "),
        ({"input": {"layout": "hwc"}}, "/input/layout", "input.layout: "),
        ({"input": {"mean": [1, 2]}}, "/input/mean", "input.mean: 2 values for 3 channels"),
        ({"input": {"mean": [1, 2, 3], "colour": "grey"}}, "/input/mean", "input.mean: 3 values for 1 channels"),
        ({"input": {"mean": [float("inf")]}}, "/input/mean", "input.mean: must be finite"),
        ({"input": {"deviation": [0]}}, "/input/deviation", "input.deviation: must not be 0"),
        ({"source": {"kind": "url", "url": "http://example.org/x.onnx"}}, "/source/url", "source.url: must begin"),
        ({"source": {"kind": "url", "url": "https:///x.onnx"}}, "/source/url", "source.url: must begin"),
        (
            {"source": {"kind": "url", "url": "https://example.org/x", "sha256": ["0" * 64] * 2}},
            "/source/sha256",
            "source.sha256: a download has one hash",
        ),
        ({"source": {"conversion": "tfjs"}}, "/source/conversion", "source.conversion: a source of the kind file"),
        (_source(package="--registry=x"), "/source/package", "source.package: not the name"),
        (_source(package="x@file:/etc"), "/source/package", "source.package: not the name"),
        (_source(kind="pypi", package="a b"), "/source/package", "source.package: not the name"),
        (_source(version="latest || x"), "/source/version", "source.version: not a version"),
        (_source(files=[]), "/source/files", "source.files: name the files"),
        (_source(files=["../model.json"]), "/source/files/0", "source.files.0: not a path in a package"),
        (_source(files=["/etc/passwd"]), "/source/files/0", "source.files.0: not a path in a package"),
        (_source(sha256=[]), "/source/sha256", "source.sha256: 0 hashes for 1 files"),
    ],
)
def test_a_mistake_is_answered_with_the_name_of_its_field(changes: dict[str, Any], pointer: str, said: str) -> None:
    text = json.dumps(manifest_document(**changes)).encode()
    with pytest.raises(FieldFailure) as failed:
        parse_manifest(text, "my.json")
    assert failed.value.kind == "malformed"
    assert failed.value.pointer.startswith(pointer)
    assert failed.value.detail.startswith("the manifest my.json: ")
    assert said in failed.value.detail


def test_all_mistakes_are_told_at_once() -> None:
    document = manifest_document(input={"deviation": [0]}, outputs={}, licence="")
    with pytest.raises(FieldFailure) as failed:
        parse_manifest(json.dumps(document).encode(), "my.json")
    assert all(field in failed.value.detail for field in ("input.deviation: ", "outputs: ", "licence: "))


@pytest.mark.parametrize("text", [b"", b"[]", b"{", b"\xff\xfe", b'"x"'])
def test_what_is_no_manifest_is_refused(text: bytes) -> None:
    with pytest.raises(FieldFailure, match=r"the manifest my\.json: "):
        parse_manifest(text, "my.json")


def test_a_manifest_that_is_too_large_is_not_parsed() -> None:
    with pytest.raises(Failure, match="larger than 1048576 bytes"):
        parse_manifest(json.dumps(manifest_document(title="x" * (1 << 20))).encode(), "my.json")
