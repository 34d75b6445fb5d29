"""An independent viewer: GStreamer's webrtcbin decodes what the server sends."""

from __future__ import annotations

import json
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from benchmarks.running_server import RunningServer
from benchmarks.simulated_cameras import SimulatedCameras

VIEWER = Path(__file__).with_name("webrtcbin_viewer.py")
DEBIANS_PYTHON = "/usr/bin/python3"
CLIP = {"width": 640, "height": 360, "fps": 25, "seconds": 10, "bitrate_bps": 800_000, "gop_seconds": 2.0}


def _certificate(path: Path) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "viewer")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.write_bytes(certificate.public_bytes(Encoding.PEM) + secret)
    return path


def watch(server: RunningServer, camera_id: str, directory: Path, *, pictures: int = 100) -> dict[str, Any]:
    """Watches a camera until so many pictures are decoded; what the viewer tells (`webrtcbin_viewer.py`)."""
    there = subprocess.run(
        [DEBIANS_PYTHON, "-c", "import gi; gi.require_version('GstWebRTC', '1.0')"], capture_output=True, check=False
    )
    assert there.returncode == 0, "this test needs Debian's GStreamer with its Python bindings: run `make tools`"
    link = server.client.post(f"/cameras/{camera_id}/links", json={"protocol": "whep"}).json()["url"]
    run = subprocess.run(
        [DEBIANS_PYTHON, str(VIEWER), link, str(pictures), str(_certificate(directory / "viewer.pem"))],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert run.returncode == 0, run.stderr[-4000:]
    seen: dict[str, Any] = json.loads(run.stdout.splitlines()[-1])
    return seen


def test_webrtcbin_decodes_live_pictures(tmp_path: Path) -> None:
    with SimulatedCameras(1, clips=[CLIP]) as cameras, RunningServer(tmp_path / "data") as server:
        camera_id = server.add_camera("Gate", cameras.url(0))
        server.wait_for_recording(camera_id, 3)
        seen = watch(server, camera_id, tmp_path)
    assert seen["pictures"] >= 100 and seen["size"] == [640, 360], seen
    assert seen["first_picture_ms"] < 5_000, seen
    assert any("H264/90000" in line for line in seen["agreed"])
