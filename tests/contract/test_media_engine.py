"""The media core's documents have what the contracts read of them: an absent counter would read as 0 for ever."""

from __future__ import annotations

import json
import socket
from pathlib import Path

from vms_media import Engine

from vms.contracts.media import DelayFigures, EngineSettings, MediaMetrics, WebRtcFigures, WebRtcSettings


def test_metrics_have_every_figure(tmp_path: Path) -> None:
    settings = EngineSettings(webrtc=WebRtcSettings(udp_port=0))
    off = Engine(str(tmp_path / "off"), settings.model_dump_json())
    document = json.loads(off.media_metrics())
    assert document.keys() >= MediaMetrics.model_fields.keys() and document["webrtc"] is None
    off.close()


def test_the_webrtc_output_has_every_figure(tmp_path: Path) -> None:

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    engine = Engine(str(tmp_path), EngineSettings(webrtc=WebRtcSettings(udp_port=port, tcp_port=0)).model_dump_json())
    figures = json.loads(engine.media_metrics())["webrtc"]
    assert figures.keys() >= WebRtcFigures.model_fields.keys()
    assert figures["delay"].keys() >= DelayFigures.model_fields.keys()
    engine.close()
