"""Live pictures in Chromium where one way alone is open: by TCP, by the relay we ship, by a router's address; and where
the network loses packets."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.reach_site import (
    LIVE_PORT,
    REPOSITORY,
    ROUTER_ADDRESS,
    ROUTER_PORT,
    SERVER_ADDRESS,
    VIEWER_ADDRESS,
)

NO_UDP = (
    "add table inet f; add chain inet f out { type filter hook output priority 0; }; "
    "add rule inet f out meta l4proto udp drop"
)
# UDP to the server's own addresses is dropped before the router's address is translated into one of them.
BY_ROUTER = (
    "add table inet f; add chain inet f out { type filter hook output priority -150; }; "
    f"add rule inet f out ip daddr {SERVER_ADDRESS} udp dport 1-65535 drop; add rule inet f out ip6 nexthdr udp drop; "
    "add table ip n; add chain ip n out { type nat hook output priority -100; }; "
    f"add rule ip n out ip daddr {ROUTER_ADDRESS} udp dport {ROUTER_PORT} dnat to {SERVER_ADDRESS}:{LIVE_PORT}"
)

# Every hundredth datagram, by chance, on its way to the viewer.
LOSSY = (
    "add table inet f; add chain inet f in { type filter hook input priority 0; }; "
    "add rule inet f in meta l4proto udp numgen random mod 100 == 0 drop"
)
LONGEST_FREEZE_MS = 500


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True)


@pytest.fixture
def namespaces() -> Iterator[tuple[str, str]]:
    """The names of the server's and the viewer's; they reach each other and nothing else."""
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
        _ip("-n", viewer, "route", "add", "default", "via", SERVER_ADDRESS)
        yield server, viewer
    finally:
        _ip("netns", "delete", viewer)
        _ip("netns", "delete", server)


def _seen(way: str, rules: str, namespaces: tuple[str, str], directory: Path) -> dict[str, Any]:
    """What the browser saw by `way`, with the viewer's network bound by nftables `rules`."""
    server, viewer = namespaces
    subprocess.run(["ip", "netns", "exec", viewer, "nft", rules], check=True)
    run = subprocess.run(
        ["ip", "netns", "exec", server, sys.executable, "-m", "tests.e2e.reach_site", way, viewer, str(directory)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )
    log = directory / "turnserver.log"
    assert run.returncode == 0, f"{run.stderr[-3000:]}\n{log.read_text()[-2000:] if log.exists() else ''}"
    seen: dict[str, Any] = json.loads(run.stdout.splitlines()[-1])
    assert seen["pictures"] >= 25, seen
    return seen


def test_a_viewer_without_udp_sees_live_pictures_by_the_relay(namespaces: tuple[str, str], tmp_path: Path) -> None:
    seen = _seen("relay", NO_UDP, namespaces, tmp_path)
    assert (seen["way"]["type"], seen["way"]["protocol"]) == ("relay", "tcp"), seen
    assert seen["refused"] == 0, "a guessed password opens the relay"


def test_a_viewer_without_udp_or_relay_sees_live_pictures_by_tcp(namespaces: tuple[str, str], tmp_path: Path) -> None:
    way = _seen("tcp", NO_UDP, namespaces, tmp_path)["way"]
    assert (way["protocol"], way["remote"]) == ("tcp", {"address": SERVER_ADDRESS, "port": LIVE_PORT}), way
    assert way["type"] != "relay", way


def test_a_viewer_outside_sees_live_pictures_by_the_routers_address(
    namespaces: tuple[str, str], tmp_path: Path
) -> None:
    way = _seen("router", BY_ROUTER, namespaces, tmp_path)["way"]
    assert (way["protocol"], way["remote"]) == ("udp", {"address": ROUTER_ADDRESS, "port": ROUTER_PORT}), way


def test_one_percent_of_loss_is_repaired_before_anyone_sees_it(namespaces: tuple[str, str], tmp_path: Path) -> None:
    seen = _seen("lossy", LOSSY, namespaces, tmp_path)
    assert seen["way"] == "udp", seen
    assert seen["longestFreezeMs"] <= LONGEST_FREEZE_MS, seen
    # Some hundred packets a second for twenty seconds: fewer would mean that nothing was lost.
    assert seen["asked"] >= 5 and seen["repaired"] >= 5, seen
    assert seen["pictures"] >= 20 * 25 * 0.9, seen
