"""The server's side of a device's process."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Sequence

import structlog

from vms.adapters.inference import framing
from vms.adapters.inference.backends import WorkerOptions
from vms.contracts.inference import DeviceInfo, InstalledModel, Job
from vms.domain.errors import Failure
from vms.domain.vision import Finding

log = structlog.get_logger(__name__)
# Of a driver that starts on a busy machine; of a run, after which the process hangs; of a model that is made ready,
# which TensorRT compiles for minutes.
_STARTS_WITHIN_S = 60.0
_RUNS_WITHIN_S = 15.0
_LOADS_WITHIN_S = {"tensorrt": 900.0}
_LOADS_OTHERWISE_WITHIN_S = 180.0
_ENDS_WITHIN_S = 2.0


class WorkerRunner:
    """Satisfies `vms.contracts.inference.Runner` with a process of its own, which `restart` begins."""

    def __init__(
        self, options: WorkerOptions, *, command: Sequence[str] | None = None, runs_within_s: float = _RUNS_WITHIN_S
    ) -> None:
        self._options = options
        self._command = list(command or [sys.executable, "-m", "vms.adapters.inference.worker"])
        self._runs_within_s = runs_within_s
        self._process: subprocess.Popen[bytes] | None = None
        self._connection: socket.socket | None = None
        # The process ends when this end of the pipe is closed, by us or with us.
        self._life: int | None = None
        self._closing = threading.RLock()
        self._is_closed = False

    @property
    def device(self) -> DeviceInfo:
        return self._options.device

    @property
    def pid(self) -> int | None:
        """The process, while there is one."""
        return self._process.pid if self._process is not None else None

    def load(self, model: InstalledModel) -> None:
        order = {
            "do": "load",
            "manifest": model.manifest.model_dump(mode="json"),
            "path": str(model.path),
        }
        within_s = _LOADS_WITHIN_S.get(self.device.kind, _LOADS_OTHERWISE_WITHIN_S)
        answer = self._ask(order, within_s, f"model {model.manifest.name} was loaded")
        if answer.get("note"):
            log.info("model on a device", model=model.manifest.name, device=self.device.id, note=answer["note"])

    def run(self, model: str, jobs: Sequence[Job]) -> Sequence[tuple[Finding, ...]]:
        order = {"do": "run", "model": model, "jobs": [framing.write_job(job) for job in jobs]}
        during = f"model {model} looked at {_cameras(jobs)}"
        answer = self._ask(order, self._runs_within_s, during)
        try:
            return framing.read_findings(answer)
        except (KeyError, TypeError, ValueError) as error:
            raise self._lost(f"its process talks nonsense: {error!r}") from error

    def restart(self) -> None:
        self._end()
        with self._closing:
            if self._is_closed:
                raise Failure("unavailable", f"{self.device.id} is closed", code="device-lost")
            self._begin()
        self._expect(_STARTS_WITHIN_S, "it started")

    def close(self) -> None:
        """Also while another thread waits in `run`, which then fails."""
        with self._closing:
            self._is_closed = True
            process = self._process
            if process is not None:
                process.kill()
                process.wait()
        self._end()

    def _begin(self) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        read_life, self._life = os.pipe()
        self._connection = ours
        try:
            self._process = subprocess.Popen(
                [*self._command, self._options.model_dump_json(), str(read_life)],
                stdin=theirs.fileno(),
                # Whatever a driver prints goes where logs go.
                stdout=2,
                pass_fds=(read_life,),
                start_new_session=True,
            )
        except OSError as error:
            raise self._lost(f"its process cannot be started: {error}") from error
        finally:
            theirs.close()
            os.close(read_life)

    def _ask(self, order: framing.Document, within_s: float, during: str) -> framing.Document:
        connection = self._connection
        if connection is None:
            raise Failure("unavailable", f"{self.device.id} is not running", code="device-lost")
        try:
            connection.settimeout(within_s)
            framing.send(connection, order)
        except OSError as error:
            raise self._died(during, error) from error
        return self._expect(within_s, during)

    def _expect(self, within_s: float, during: str) -> framing.Document:
        connection = self._connection
        if connection is None:
            raise Failure("unavailable", f"{self.device.id} is not running", code="device-lost")
        try:
            connection.settimeout(within_s)
            answer = framing.receive(connection)
        except TimeoutError as error:
            raise self._lost(f"its process did not answer for {within_s:g} s while {during}") from error
        except OSError as error:
            raise self._died(during, error) from error
        if answer.get("is") == "failed":
            try:
                failure = framing.read_failure(answer)
            except KeyError as error:
                raise self._lost("its process talks nonsense") from error
            raise failure
        return answer

    def _died(self, during: str, error: OSError) -> Failure:
        process = self._process
        code = None
        if process is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                code = process.wait(_ENDS_WITHIN_S)
        return self._lost(f"its process ended {_how(code, error)} while {during}")

    def _lost(self, why: str) -> Failure:
        """Nothing of the process is left afterwards."""
        self._end()
        return Failure("unavailable", f"{self.device.id}: {why}", code="device-lost")

    def _end(self) -> None:
        with self._closing:
            process, self._process = self._process, None
            connection, self._connection = self._connection, None
            life, self._life = self._life, None
        if life is not None:
            os.close(life)
        if connection is not None:
            connection.close()
        if process is not None:
            process.kill()
            process.wait()


def _cameras(jobs: Sequence[Job]) -> str:
    cameras = sorted({job.frame.camera_id for job in jobs})
    return f"a picture of {cameras[0]}" if len(cameras) == 1 else f"pictures of {len(cameras)} cameras"


def _how(code: int | None, error: OSError) -> str:
    if code is None:
        return f"({error})"
    if code < 0:
        with contextlib.suppress(ValueError):
            return f"by {signal.Signals(-code).name}"
    return f"with status {code}"
