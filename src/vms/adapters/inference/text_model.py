"""Reading text by the library rapidocr, an extra (`pip install vms[text]`): where text is, which way up, what it says.

The three networks are the shelf's. The library would fetch what it is not given, so nothing is left for it to fetch.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import av
import numpy as np
import onnx
from av.video.reformatter import Interpolation
from google.protobuf.message import DecodeError
from numpy.typing import NDArray

from vms.adapters.inference.backends import WorkerOptions
from vms.adapters.inference.framing import Order
from vms.adapters.inference.input_tensor import cut_out
from vms.adapters.inference.pictures import SharedPictures
from vms.adapters.inference.placement import Placement
from vms.domain.errors import Failure
from vms.domain.models import ModelManifest
from vms.domain.vision import Finding

# Larger pictures are made smaller before anything else.
_LARGEST_SIDE_PX = 2000
# Nobody reads letters so low; and the library would enlarge a strip of a pixel to one of tens of thousands by thirty.
_LEAST_SIDE_PX = 8
_MOST_FINDINGS = 50
_MOST_CHARACTERS = 200
# How the files follow each other in the manifest's source.
_FILES = ("detection", "recognition", "direction")


class TextModel:
    """Finds and reads text, always on the processor. Raises Failure(unavailable) without the library,
    Failure(malformed) for files that are not the three networks."""

    def __init__(self, manifest: ModelManifest, paths: Sequence[Path], options: WorkerOptions) -> None:
        """`paths`: of the networks that detect, recognise, and tell the direction."""
        self._manifest = manifest
        self.note = "" if options.device.kind == "cpu" else "text is read on the processor"
        if len(paths) != len(_FILES):
            detail = f"reading text takes {len(_FILES)} files ({', '.join(_FILES)}), model {manifest.name} has"
            raise Failure("malformed", f"{detail} {len(paths)}")
        _check_recognition(manifest, paths[1])
        try:
            # Found and loaded only where text is read: it brings OpenCV with it.
            from rapidocr import RapidOCR  # noqa: PLC0415
        except ImportError as error:
            raise Failure(
                "unavailable", f"model {manifest.name} needs the package rapidocr: pip install vms[text]"
            ) from error
        detection, recognition, direction = map(str, paths)
        self._engine: Any = RapidOCR(
            params={
                "Global.log_level": "critical",
                "Global.max_side_len": _LARGEST_SIDE_PX,
                "Det.model_path": detection,
                "Rec.model_path": recognition,
                "Cls.model_path": direction,
                # At most so large, where the library would enlarge everything to at least so large: a tenth of the
                # time, and the same text.
                "Det.limit_type": "max",
                "Det.limit_side_len": max(manifest.input.width, manifest.input.height),
                "EngineConfig.onnxruntime.intra_op_num_threads": options.threads,
                "EngineConfig.onnxruntime.inter_op_num_threads": 1,
            }
        )

    def warm_up(self) -> None:
        """Loads and runs each network once. Raises Failure(malformed) for a file that is none."""
        grey = np.full((48, 160, 3), 128, np.uint8)
        try:
            self._engine(grey, use_det=True, use_cls=False, use_rec=False)
            self._engine(grey, use_det=False, use_cls=True, use_rec=True)
        except Exception as error:
            # Whatever the library or ONNX Runtime raises of a file that it does not take.
            why = (str(error).strip().splitlines() or [""])[-1]
            detail = f"model {self._manifest.name} does not read text: {type(error).__name__}: {why}"
            raise Failure("malformed", detail) from error

    def look(self, orders: Sequence[Order], pictures: SharedPictures) -> list[tuple[Finding, ...]]:
        """What is written in each, in the order of reading. Raises Failure(malformed) where one cannot be looked at."""
        return [self._read(order, pictures.picture(order)) for order in orders]

    def _read(self, order: Order, picture: NDArray[np.uint8]) -> tuple[Finding, ...]:
        cut, region = cut_out(picture, order.region)
        shown = _as_bgr(cut)
        if min(shown.shape[:2]) < _LEAST_SIDE_PX:
            return ()
        least_score = order.least_score if order.least_score is not None else self._manifest.least_score
        found = self._engine(shown, use_det=True, use_cls=True, use_rec=True, text_score=least_score)
        texts = getattr(found, "txts", None)
        if not texts:
            # Nothing, or places where no letter was told.
            return ()
        height, width = shown.shape[:2]
        placement = Placement(region)
        findings = []
        for corners, text, score in zip(found.boxes, texts, found.scores, strict=True):
            places = np.asarray(corners, dtype=np.float64).reshape(-1, 2) / (width, height)
            box = placement.box(*places.min(axis=0).tolist(), *places.max(axis=0).tolist())
            if box is not None and text.strip():
                sure = min(1.0, max(0.0, float(score)))
                findings.append(Finding("text", sure, box, text=text.strip()[:_MOST_CHARACTERS]))
        return tuple(findings[:_MOST_FINDINGS])


def _as_bgr(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """In the library's order of colours, and no larger than what it is given."""
    height, width = picture.shape[:2]
    scale = min(1.0, _LARGEST_SIDE_PX / max(width, height))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    frame = av.VideoFrame.from_numpy_buffer(picture, "rgb24")
    scaled = frame.reformat(*size, "bgr24", interpolation=Interpolation.AREA, threads=1).to_ndarray()
    return cast(NDArray[np.uint8], scaled)


def _check_recognition(manifest: ModelManifest, path: Path) -> None:
    """The letters that it knows are in the file; the library would fetch others."""
    try:
        written = onnx.load_model(str(path), load_external_data=False).metadata_props
    except (DecodeError, OSError) as error:
        raise Failure("malformed", f"{path.name} of model {manifest.name} is no ONNX file") from error
    if not any(entry.key == "character" and entry.value for entry in written):
        raise Failure(
            "malformed", f"{path.name} of model {manifest.name} does not tell which letters it knows ('character')"
        )
