"""The pictures of a clip."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import av
import numpy as np
from av.error import FFmpegError
from numpy.typing import NDArray

from vms.adapters.evaluation.truth import Clip
from vms.domain.errors import Failure


def pictures(clip: Clip, step: int) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """Every `step`-th picture from the first on, with its number: rows × columns × RGB.

    Raises Failure(not_found) where the clip is not installed, Failure(malformed) for another one than was looked at
    when its truth was drawn.
    """
    try:
        content = clip.path.read_bytes()
    except OSError as error:
        detail = f"the clip {clip.path} is not there: it comes with the package {clip.package}"
        raise Failure("not_found", detail) from error
    if hashlib.sha256(content).hexdigest() != clip.sha256:
        raise Failure("malformed", f"{clip.path} is another clip than the one whose truth was drawn")
    try:
        with av.open(str(clip.path)) as container:
            for number, picture in enumerate(container.decode(video=0)):
                if number % step == 0:
                    yield number, np.asarray(picture.to_ndarray(format="rgb24"), np.uint8)
    except FFmpegError as error:
        raise Failure("malformed", f"{clip.path} cannot be decoded: {error}") from error
