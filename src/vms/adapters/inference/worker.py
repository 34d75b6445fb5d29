"""The process of a device: `python -m vms.adapters.inference.worker OPTIONS LIFE_FD`; see `framing`."""

from __future__ import annotations

import contextlib
import os
import resource
import socket
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from vms.adapters.inference import framing
from vms.adapters.inference.backends import Backend, WorkerOptions, open_backend
from vms.adapters.inference.loaded_model import LoadedModel
from vms.adapters.inference.pictures import SharedPictures
from vms.adapters.inference.placement import OutputReader
from vms.domain.errors import Failure
from vms.domain.models import ModelManifest

# Drivers of accelerators reserve address space by the terabyte; the processor's own back-ends need no more than this.
_MOST_MEMORY_BYTES = 8 << 30
ReaderFor = Callable[[ModelManifest], OutputReader]
OpenBackend = Callable[[WorkerOptions], Backend]


class Worker:
    """Follows the orders of one connection."""

    def __init__(self, connection: socket.socket, backend: Backend, reader_for: ReaderFor, largest_batch: int) -> None:
        self._connection = connection
        self._backend = backend
        self._reader_for = reader_for
        self._largest_batch = largest_batch
        self._models: dict[str, LoadedModel] = {}
        self._pictures = SharedPictures()

    def run(self) -> None:
        """Until the other side ends. Raises OSError."""
        framing.send(self._connection, {"is": "ready"})
        while True:
            order = framing.receive(self._connection)
            try:
                answer = self._follow(order)
            except Failure as failure:
                answer = framing.write_failure(failure)
            except Exception as error:  # noqa: BLE001 (whatever a back-end raises; it says what it is)
                what = f"{type(error).__name__}: {error}"
                answer = framing.write_failure(Failure("internal", f"model {_model_of(order)}: {what}"))
            framing.send(self._connection, answer)

    def _follow(self, order: framing.Document) -> framing.Document:
        if order["do"] == "load":
            manifest = ModelManifest.model_validate(order["manifest"])
            graph = self._backend.open(Path(order["path"]), manifest)
            model = LoadedModel(manifest, graph, self._reader_for(manifest), self._largest_batch)
            model.warm_up()
            self._models[manifest.name] = model
            return {"is": "loaded", "note": graph.note}
        model = self._models[order["model"]]
        found = model.look([framing.read_order(job) for job in order["jobs"]], self._pictures)
        return {
            "is": "found",
            "findings": [[framing.write_finding(finding) for finding in findings] for findings in found],
        }


def _model_of(order: framing.Document) -> str:
    manifest = order.get("manifest")
    return str(manifest.get("name") if isinstance(manifest, dict) else order.get("model"))


def serve(reader_for: ReaderFor, open_backend: OpenBackend = open_backend) -> None:
    """The process, with the readers of models' outputs that it shall have."""
    options = WorkerOptions.model_validate_json(sys.argv[1])
    _end_with_the_server(int(sys.argv[2]))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if options.device.kind == "cpu" or options.device.id == "openvino:CPU":
        resource.setrlimit(resource.RLIMIT_AS, (_MOST_MEMORY_BYTES, _MOST_MEMORY_BYTES))
    # Recording and live pictures come first.
    with contextlib.suppress(OSError):
        os.nice(5)
    connection = socket.socket(fileno=os.dup(0))
    with contextlib.suppress(OSError):
        try:
            backend = open_backend(options)
        except Failure as failure:
            framing.send(connection, framing.write_failure(failure))
            return
        Worker(connection, backend, reader_for, options.device.largest_batch).run()


def _end_with_the_server(life_fd: int) -> None:
    """Also in the middle of a run, which may never end."""

    def wait() -> None:
        os.read(life_fd, 1)
        os._exit(0)

    threading.Thread(target=wait, name="life", daemon=True).start()


def main() -> None:
    from vms.adapters.inference.readers import reader_for  # noqa: PLC0415

    serve(reader_for)


if __name__ == "__main__":
    main()
