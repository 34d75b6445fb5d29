"""The server's side of remuxing."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from vms.domain.errors import Failure


class WorkerRemuxer:
    """Satisfies `vms.contracts.stills.Remuxer` with one process per file."""

    def remux(
        self, source: Path, target: Path, *, progress: Callable[[float], None], cancelled: Callable[[], bool]
    ) -> None:
        command = [sys.executable, "-m", "vms.adapters.stills.remux_worker", str(source), str(target)]
        ended = threading.Event()
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as worker:
            assert worker.stdout is not None and worker.stderr is not None  # noqa: S101 (both are pipes)

            def watch() -> None:
                while not ended.wait(0.2):
                    if cancelled():
                        worker.kill()
                        return

            watcher = threading.Thread(target=watch, name="remux watch", daemon=True)
            watcher.start()
            try:
                for line in worker.stdout:
                    progress(float(line))
                reason = worker.stderr.read().strip()
                failed = worker.wait() != 0
            finally:
                ended.set()
                worker.kill()
                watcher.join()
        if cancelled():
            target.unlink(missing_ok=True)
            raise Failure("conflict", "cancelled", code="cancelled")
        if failed:
            target.unlink(missing_ok=True)
            raise Failure(
                "malformed", f"the file cannot be rewritten: {reason.splitlines()[-1] if reason else 'ended'}"
            )
        progress(1.0)
