"""A `vms serve` process on loopback with a temporary data directory, and a small client for it."""

from __future__ import annotations

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self

import httpx


def free_port(kind: int = socket.SOCK_STREAM) -> int:
    """A port that was free a moment ago."""
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class RunningServer:
    """Starts on entry, ends by SIGTERM on exit. `client` carries the administrator's token."""

    def __init__(
        self,
        data_dir: Path,
        *,
        environment: dict[str, str] | None = None,
        log: Path | None = None,
        cores: str | None = None,
    ) -> None:
        """`cores`: the CPU cores that the process is bound to, as `taskset` writes them (`0`, `0-1`)."""
        self.data_dir = data_dir
        self._prefix = ["taskset", "--cpu-list", cores] if cores else []
        self.password = secrets.token_urlsafe(12)
        self.port = free_port()
        self.log_path = log or data_dir.with_suffix(".log")
        self._environment = {
            **os.environ,
            "VMS_ADMIN_PASSWORD": self.password,
            "VMS_CAMERAS__ALLOW_LOOPBACK": "true",
            "VMS_LIMITS__REQUESTS_PER_MINUTE": "0",
            "VMS_RTSP__PORT": "0",
            "VMS_SRT__PORT": "0",
            "VMS_GRPC__PORT": "0",
            "VMS_AI__ENABLED": "false",
            **(environment or {}),
        }
        self.password = self._environment["VMS_ADMIN_PASSWORD"]
        self.process: subprocess.Popen[str] | None = None
        self.client: httpx.Client = httpx.Client()
        self.url = ""
        self.start_s = 0.0

    def start(self, timeout_s: float = 60) -> Self:
        """Starts the process and waits for its `VMS ready` line, then logs in."""
        began = time.monotonic()
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(
                [
                    *self._prefix,
                    *(sys.executable, "-m", "vms", "serve"),
                    *("--data-dir", str(self.data_dir), "--port", str(self.port)),
                ],
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                # Anew at each start: others may have got a port that was free before.
                env={
                    "VMS_WEBRTC__UDP_PORT": str(free_port(socket.SOCK_DGRAM)),
                    "VMS_WEBRTC__TCP_PORT": str(free_port()),
                    **self._environment,
                },
            )
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith("VMS ready "):
                self.url = line.split()[2]
                break
            if time.monotonic() - began > timeout_s:
                break
        self.start_s = time.monotonic() - began
        if not self.url:
            raise RuntimeError(f"the server did not get ready:\n{self.log_path.read_text()[-3000:]}")
        self.client = httpx.Client(base_url=f"{self.url}/api/v1", timeout=30, verify=False)
        answer = self.client.post(
            "/auth/token", data={"grant_type": "password", "username": "admin", "password": self.password}
        )
        answer.raise_for_status()
        self.client.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
        return self

    def stop(self, timeout_s: float = 10) -> int:
        """SIGTERM, and the exit status."""
        if self.process is None:
            return 0
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(timeout_s)
        self._forget()
        return status

    def logged(self, event: str) -> dict[str, Any]:
        """The newest log entry of that event."""
        for line in reversed(self.log_path.read_text().splitlines()):
            entry: dict[str, Any] = json.loads(line) if line.startswith("{") else {}
            if entry.get("event") == event:
                return entry
        raise LookupError(f"{self.log_path} tells of no {event!r}")

    def kill(self) -> None:
        """SIGKILL, as a crash."""
        if self.process is not None:
            self.process.kill()
            self.process.wait(10)
            self._forget()

    def _forget(self) -> None:
        if self.process is not None and self.process.stdout is not None:
            self.process.stdout.close()
        self.process = None
        self.client.close()
        self.url = ""

    @property
    def pid(self) -> int:
        assert self.process is not None, "the server is not running"
        return self.process.pid

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *exception: object) -> None:
        if self.process is not None:
            try:
                self.stop()
            except subprocess.TimeoutExpired:
                self.kill()

    def get(self, path: str, **parameters: Any) -> Any:
        """The JSON of a GET that must succeed."""
        answer = self.client.get(path, params=parameters)
        answer.raise_for_status()
        return answer.json()

    def add_camera(self, name: str, url: str, **fields: Any) -> str:
        """Adds a camera that records all the time; its id."""
        transport = fields.pop("transport", "tcp")
        document = {
            "name": name,
            "streams": {"main": {"url": url, "transport": transport}},
            "recording": {"mode": "continuous"},
            **fields,
        }
        answer = self.client.post("/cameras", json=document)
        answer.raise_for_status()
        return str(answer.json()["id"])

    def wait_for_state(self, camera_id: str, state: str, timeout_s: float = 15) -> dict[str, Any]:
        """Polls the camera's status until it is `state`."""
        deadline = time.monotonic() + timeout_s
        while True:
            status: dict[str, Any] = self.get(f"/cameras/{camera_id}/status")
            if status["state"] == state:
                return status
            if time.monotonic() > deadline:
                raise TimeoutError(f"camera {camera_id} is {status}, not {state}, after {timeout_s} s")
            time.sleep(0.05)

    def wait_for_recording(self, camera_id: str, seconds: float, timeout_s: float = 60) -> list[dict[str, Any]]:
        """Polls the timeline until `seconds` are durable; the ranges."""
        deadline = time.monotonic() + timeout_s
        while True:
            now = datetime.now(UTC)
            ranges: list[dict[str, Any]] = self.get(
                f"/cameras/{camera_id}/timeline",
                start=(now - timedelta(hours=2)).isoformat(),
                end=(now + timedelta(minutes=1)).isoformat(),
            )["ranges"]
            recorded_s = sum(
                (datetime.fromisoformat(r["end"]) - datetime.fromisoformat(r["start"])).total_seconds() for r in ranges
            )
            if recorded_s >= seconds:
                return ranges
            if time.monotonic() > deadline:
                raise TimeoutError(f"camera {camera_id} has {recorded_s:.1f} s after {timeout_s} s, not {seconds}")
            time.sleep(0.1)
