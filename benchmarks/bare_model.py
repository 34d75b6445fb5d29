"""A model alone: `python -m benchmarks.bare_model OPTIONS MANIFEST FILE SECONDS` → wall and CPU s of a run."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

import numpy as np

from vms.adapters.inference.backends import WorkerOptions, open_backend
from vms.domain.models import ModelManifest


def main() -> None:
    """As nice as a device's process is."""
    os.nice(5)
    options = WorkerOptions.model_validate_json(sys.argv[1])
    manifest = ModelManifest.model_validate_json(sys.argv[2])
    graph = open_backend(options).open(Path(sys.argv[3]), manifest)
    entry = manifest.input
    picture = np.zeros((1, entry.height, entry.width, 3), entry.type)
    for _ in range(3):
        graph.run({entry.name: picture})
    runs, began_s, began_cpu_s = 0, time.perf_counter(), time.process_time()
    while (elapsed_s := time.perf_counter() - began_s) < float(sys.argv[4]):
        graph.run({entry.name: picture})
        runs += 1
    print(json.dumps([elapsed_s / runs, (time.process_time() - began_cpu_s) / runs]))


if __name__ == "__main__":
    main()
