"""The golden chain: `python -m tests.golden_chain` writes it anew after a change of the format."""

from __future__ import annotations

import hashlib
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from vms.adapters.memory.accounts import ManualClock
from vms.adapters.memory.catalogue import MemoryCatalogue
from vms.adapters.signing import Ed25519Signer
from vms.contracts.files import RecordedFile
from vms.domain.time import parse_time
from vms.storage.chain import Chain

GOLDEN = Path(__file__).parent / "golden"
RECORDING = Path(__file__).parents[1] / "crates" / "media-core" / "tests" / "golden" / "recording.mp4"
CAMERA = "0190aaaa-0000-7000-8000-000000000001"
DAY = "2026-11-22"


def write(directory: Path) -> None:
    """`chain/cameras/{camera}/…` and `integrity.pub.pem` below the directory, always the same bytes."""
    signer = Ed25519Signer(Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
    root = directory / "chain"
    root.mkdir(parents=True, exist_ok=True)
    clock = ManualClock(parse_time(f"{DAY}T10:00:00Z"))
    catalogue = MemoryCatalogue()
    chain = Chain(root, signer, catalogue, clock)
    content = RECORDING.read_bytes()
    files = [
        RecordedFile(
            camera_id=CAMERA,
            stream=stream,
            name=f"{DAY}/{name}.mp4",
            volume="main",
            start_us=parse_time(f"{DAY}T10:00:00Z"),
            end_us=parse_time(f"{DAY}T10:00:01Z"),
            size_bytes=len(content),
            sealed=True,
            sha256=hashlib.sha256(content).hexdigest(),
        )
        for name, stream in (("video_10", "main"), ("video_10_sub", "sub"), ("video_11", "main"))
    ]
    catalogue.put_files(file.model_copy(update={"sealed": False}) for file in files[:2])
    catalogue.put_files(files)
    chain.sealed_all(files[:2])
    chain.sealed(files[2])
    clock.advance(86_400)
    chain.close_days()
    chain.removed(files[1], "older than a day — “sub”", "retention")
    (directory / "integrity.pub.pem").write_text(signer.public_pem())


if __name__ == "__main__":
    for old in GOLDEN.glob("chain/cameras/*/*/chain.jsonl"):
        old.unlink()
    write(GOLDEN)
