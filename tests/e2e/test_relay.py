"""Live pictures where the viewer's network lets no UDP through: by the relay that we ship the configuration of."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.relay_site import REPOSITORY, SERVER_ADDRESS, VIEWER_ADDRESS

NO_UDP = (
    "add table inet f; add chain inet f out { type filter hook output priority 0; }; "
    "add rule inet f out meta l4proto udp drop"
)


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True)


@pytest.fixture
def namespaces() -> Iterator[tuple[str, str]]:
    """The names of the server's and the viewer's; they reach each other and nothing else, the viewer by TCP only."""
    missing = [tool for tool in ("ip", "nft", "turnserver", "chromium", "node") if shutil.which(tool) is None]
    assert not missing, f"this test needs {missing}: run `make tools`"
    assert os.getuid() == 0, "network namespaces need root"
    server, viewer = f"vms-server-{os.getpid()}", f"vms-viewer-{os.getpid()}"
    _ip("netns", "add", server)
    _ip("netns", "add", viewer)
    try:
        _ip("-n", server, "link", "add", "towards", "type", "veth", "peer", "name", "towards", "netns", viewer)
        for name, address in ((server, SERVER_ADDRESS), (viewer, VIEWER_ADDRESS)):
            _ip("-n", name, "address", "add", f"{address}/24", "dev", "towards")
            _ip("-n", name, "link", "set", "lo", "up")
            _ip("-n", name, "link", "set", "towards", "up")
        subprocess.run(["ip", "netns", "exec", viewer, "nft", NO_UDP], check=True)
        yield server, viewer
    finally:
        _ip("netns", "delete", viewer)
        _ip("netns", "delete", server)


def test_a_viewer_without_udp_sees_live_pictures_by_the_relay(namespaces: tuple[str, str], tmp_path: Path) -> None:
    server, viewer = namespaces
    run = subprocess.run(
        ["ip", "netns", "exec", server, sys.executable, "-m", "tests.e2e.relay_site", viewer, str(tmp_path)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )
    log = tmp_path / "turnserver.log"
    assert run.returncode == 0, f"{run.stderr[-3000:]}\n{log.read_text()[-2000:] if log.exists() else ''}"
    seen = json.loads(run.stdout.splitlines()[-1])
    assert seen["pictures"] >= 25, seen
    assert (seen["relay"]["type"], seen["relay"]["protocol"]) == ("relay", "tcp"), seen
    assert seen["refused"] == 0, "a guessed password opens the relay"
