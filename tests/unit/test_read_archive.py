"""The independent reader beside the format's documents reads the golden files, and tells what is wrong with others."""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests import golden_chain
from vms.adapters.signing import Ed25519Signer

ROOT = Path(__file__).parents[2]
READER = ROOT / "docs" / "format" / "read_archive.py"
GOLDEN = ROOT / "crates" / "media-core" / "tests" / "golden"


def _read(*arguments: Path) -> tuple[int, str]:
    # Isolated: neither this environment's packages nor these sources are in reach.
    command = [sys.executable, "-I", "-S", str(READER), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, done.stdout + done.stderr


@pytest.fixture
def camera(tmp_path: Path) -> Path:
    """The golden chain with the recordings that it speaks of."""
    shutil.copytree(golden_chain.GOLDEN / "chain", tmp_path / "chain")
    camera = tmp_path / "chain" / "cameras" / golden_chain.CAMERA
    for name in ("video_10.mp4", "video_11.mp4"):
        shutil.copy(GOLDEN / "recording.mp4", camera / golden_chain.DAY / name)
    return camera


def test_it_stands_on_the_standard_library_alone() -> None:
    tree = ast.parse(READER.read_text())
    names = [
        name
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in ([node.module] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names])
    ]
    assert all(str(name).split(".")[0] in sys.stdlib_module_names for name in names)
    assert len(READER.read_text().splitlines()) <= 210


def test_the_golden_recording() -> None:
    status, out = _read(GOLDEN / "recording.mp4", GOLDEN / "index.vms-idx")
    assert status == 0, out
    assert "gap      2025-11-23T10:00:00.166666Z to 2025-11-23T10:00:01.000000Z (network)" in out
    assert out.count("key  ") == 2
    assert "agree" in out


def test_a_recording_and_an_index_that_differ(tmp_path: Path) -> None:
    content = bytearray((GOLDEN / "index.vms-idx").read_bytes())
    content[64 + 9] ^= 1
    (tmp_path / "index.vms-idx").write_bytes(content)
    status, out = _read(GOLDEN / "recording.mp4", tmp_path / "index.vms-idx")
    assert (status, "DIFFER" in out) == (1, True)


def test_the_checksum_in_the_form_of_sha256sum(camera: Path) -> None:
    day = camera / golden_chain.DAY
    summed = subprocess.run(["sha256sum", "video_10.mp4"], cwd=day, capture_output=True, check=True)
    (day / "checksum_10.sha256").write_bytes(summed.stdout)
    assert _read(day / "checksum_10.sha256")[0] == 0
    with (day / "video_10.mp4").open("ab") as file:
        file.write(b"x")
    assert _read(day / "checksum_10.sha256")[0] == 1
    (day / "checksum_10.sha256").write_text("0" * 64 + "  ../../../etc/passwd\n")
    assert _read(day / "checksum_10.sha256")[0] == 1


def test_the_golden_chain_is_what_the_code_writes(tmp_path: Path) -> None:
    golden_chain.write(tmp_path)
    written = {path.relative_to(tmp_path): path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    golden = golden_chain.GOLDEN
    kept = [*(golden / "chain").rglob("*.jsonl"), golden / "integrity.pub.pem"]
    assert written == {path.relative_to(golden): path.read_bytes() for path in kept}


def test_the_golden_chain(camera: Path, tmp_path: Path) -> None:
    key = golden_chain.GOLDEN / "integrity.pub.pem"
    status, out = _read(camera, key)
    assert status == 0, out
    assert [line.split()[1] for line in out.splitlines()[:5]] == ["sealed", "sealed", "sealed", "root", "removed"]
    assert _read(camera)[0] == 0
    (tmp_path / "other.pem").write_text(Ed25519Signer.generate().public_pem())
    status, out = _read(camera, tmp_path / "other.pem")
    assert (status, "NOT SIGNED" in out) == (1, True)
    chain = camera / golden_chain.DAY / "chain.jsonl"
    whole = chain.read_bytes()
    chain.write_bytes(whole.replace(b'"stream":"sub"', b'"stream":"xub"'))
    status, out = _read(camera, key)
    assert (status, out.count("NOT SIGNED"), out.count("NOT LINKED")) == (1, 1, 1)
    lines = whole.splitlines(keepends=True)
    chain.write_bytes(b"".join([lines[1], lines[0], *lines[2:]]))
    assert "NOT LINKED" in _read(camera, key)[1]
    chain.write_bytes(whole)
    (camera / golden_chain.DAY / "video_11.mp4").unlink()
    status, out = _read(camera, key)
    assert (status, "MISSING" in out) == (1, True)
