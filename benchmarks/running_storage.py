"""A `vms run storage` process on loopback, and what a `vms serve` needs to work with it."""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Self

from benchmarks.running_server import free_port


class RunningStorage:
    """Starts on entry, ends by SIGTERM on exit. It keeps its port over restarts."""

    def __init__(self, data_dir: Path, *, environment: dict[str, str] | None = None) -> None:
        self.data_dir = data_dir
        self.port = free_port()
        self.log_path = data_dir.with_suffix(".log")
        self.environment = {
            **os.environ,
            "VMS_GRPC__PORT": str(self.port),
            "VMS_CAMERAS__ALLOW_LOOPBACK": "true",
            **(environment or {}),
        }
        self.process: subprocess.Popen[str] | None = None

    @property
    def for_server(self) -> dict[str, str]:
        """The environment of a `vms serve` that works with it."""
        return {
            "VMS_STORAGE__ADDRESS": f"127.0.0.1:{self.port}",
            "VMS_STORAGE__TOKEN_FILE": str(self.data_dir / "keys" / "grpc.token"),
        }

    def start(self, timeout_s: float = 60) -> Self:
        """Starts the process and waits for its `VMS ready` line."""
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "vms", "run", "storage", "--data-dir", str(self.data_dir)],
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env={
                    "VMS_WEBRTC__UDP_PORT": str(free_port(socket.SOCK_DGRAM)),
                    "VMS_WEBRTC__TCP_PORT": str(free_port()),
                    **self.environment,
                },
            )
        assert self.process.stdout is not None
        deadline = time.monotonic() + timeout_s
        while select.select([self.process.stdout], [], [], max(0.0, deadline - time.monotonic()))[0]:
            line = self.process.stdout.readline()
            if line.startswith("VMS ready "):
                return self
            if not line:
                break
        raise RuntimeError(f"the storage service did not get ready:\n{self.log_path.read_text()[-3000:]}")

    def stop(self, timeout_s: float = 10) -> int:
        """SIGTERM, and the exit status."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(timeout_s)
        self._forget()
        return status

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

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *exception: object) -> None:
        if self.process is not None:
            try:
                self.stop()
            except subprocess.TimeoutExpired:
                self.kill()
