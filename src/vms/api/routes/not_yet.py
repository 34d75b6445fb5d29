"""What the public interface names and this version does not have: 501 and a sentence, not a 404."""

from __future__ import annotations

from collections.abc import Callable
from typing import NoReturn

from fastapi import APIRouter

from vms.domain.errors import Failure

router = APIRouter(include_in_schema=False)
_PATHS = {
    "/graphql": "GraphQL",
    "/ws/cameras/{camera_id}/live": "live video over WebSocket",
    "/api/v1/cameras/{camera_id}/live/hls/index.m3u8": "live HLS",
}


def _missing(what: str) -> Callable[[], NoReturn]:
    def answer() -> NoReturn:
        raise Failure("not_available_yet", f"not available yet: {what}")

    return answer


for _path, _what in _PATHS.items():
    router.add_api_route(_path, _missing(_what), methods=["GET", "POST"], response_model=None)
