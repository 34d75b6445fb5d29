"""A detector of a few bytes that finds what is bright, and footage with a bright square that crosses the picture."""

from __future__ import annotations

import hashlib
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from onnx import TensorProto, helper, numpy_helper
from vms_media import Simulator

from vms.adapters.footage import Encoding, read_clip
from vms.adapters.footage.transcode import add_video_stream
from vms.adapters.models.shelf import file_name
from vms.domain.models import ModelInput, ModelManifest, ModelSource

WIDTH, HEIGHT, FPS = 640, 360, 10
_COLUMNS, _ROWS = 32, 18
# The square: pixels, and how long it takes to cross, after as long without it.
_SIDE, CROSSING_S = 96, 5


def _graph() -> bytes:
    """`x` [1, 1, 18, 32] of 0–1 → of each column a box around it, and as its score how far its brightest place is above
    four fifths."""
    centres = (np.arange(_COLUMNS) + 0.5) / _COLUMNS
    half = _SIDE / WIDTH / 2
    boxes = np.stack(
        [np.full(_COLUMNS, 0.4), np.maximum(0, centres - half), np.full(_COLUMNS, 0.67), np.minimum(1, centres + half)],
        axis=1,
    )
    constants = {
        "all_boxes": boxes.astype(np.float32).reshape(1, _COLUMNS, 4),
        "dark": np.array([0.8], dtype=np.float32),
        "gain": np.array([6.0], dtype=np.float32),
        "none": np.array(0.0, dtype=np.float32),
        "all": np.array(1.0, dtype=np.float32),
    }
    # The mean over a column's neighbours: the middle of the square is found surest.
    weights = np.full((1, 1, 1, 5), 0.2, dtype=np.float32)
    constants["neighbours"] = weights
    nodes = [
        helper.make_node("Conv", ["x", "neighbours"], ["smooth"], pads=[0, 2, 0, 2]),
        helper.make_node("ReduceMax", ["smooth"], ["brightest"], axes=[2], keepdims=0),
        helper.make_node("Transpose", ["brightest"], ["columns"], perm=[0, 2, 1]),
        helper.make_node("Sub", ["columns", "dark"], ["above"]),
        helper.make_node("Mul", ["above", "gain"], ["stretched"]),
        helper.make_node("Clip", ["stretched", "none", "all"], ["scores"]),
        helper.make_node("Identity", ["all_boxes"], ["boxes"]),
    ]
    graph = helper.make_graph(
        nodes,
        "bright",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 1, _ROWS, _COLUMNS])],
        [
            helper.make_tensor_value_info("boxes", TensorProto.FLOAT, [1, _COLUMNS, 4]),
            helper.make_tensor_value_info("scores", TensorProto.FLOAT, [1, _COLUMNS, 1]),
        ],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    return bytes(model.SerializeToString())


def install(directory: Path) -> str:
    """Puts the detector on a shelf; its name."""
    directory.mkdir(parents=True, exist_ok=True)
    content = _graph()
    sha256 = hashlib.sha256(content).hexdigest()
    manifest = ModelManifest(
        name="bright",
        version="1",
        title="What is bright",
        task="detect",
        reader="ssd",
        source=ModelSource(kind="file"),
        licence="Apache-2.0",
        commercial=True,
        input=ModelInput(
            name="x", layout="nchw", width=_COLUMNS, height=_ROWS, colour="grey", mean=(0.0,), deviation=(255.0,)
        ),
        outputs={"boxes": "boxes", "scores": "scores"},
        labels=("person",),
        sha256=sha256,
        size_bytes=len(content),
    )
    (directory / file_name("bright", sha256)).write_bytes(content)
    (directory / "bright.json").write_text(manifest.model_dump_json())
    return manifest.name


def simulator(directory: Path, cameras: int = 1) -> Simulator:
    """Cameras before which, again and again, nothing happens and a square goes from left to right."""
    encoding = Encoding(width=WIDTH, height=HEIGHT, fps=FPS, bitrate_bps=500_000, gop_seconds=1)
    scene = np.kron(np.random.default_rng(1).uniform(20, 120, (45, 80)), np.ones((8, 8)))
    path = directory / "clip.mp4"
    with av.open(str(path), "w") as outgoing:
        stream = add_video_stream(outgoing, encoding, Fraction(FPS))
        for number in range(2 * CROSSING_S * FPS):
            picture = scene.copy()
            if number >= CROSSING_S * FPS:
                left = (number - CROSSING_S * FPS) * (WIDTH - _SIDE) // (CROSSING_S * FPS)
                picture[144:240, left : left + _SIDE] = 250
            frame = av.VideoFrame.from_ndarray(picture.astype(np.uint8), format="gray").reformat(format="yuv420p")
            frame.pts, frame.time_base = number, Fraction(1, FPS)
            outgoing.mux(stream.encode(frame))
        outgoing.mux(stream.encode(None))
    clip = read_clip(path)
    made = Simulator("127.0.0.1", 0, cameras)
    track = clip.tracks[0]
    made.add_source([track.codec], [track.configuration], [90_000], [0], clip.units)
    return made
