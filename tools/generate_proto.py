"""Writes `src/vms/adapters/grpc/generated/` from `proto/`; with --check says whether that is up to date instead.

protoc names Python modules after the folders of the .proto files, `vms.v1`, which is a place in our own package: the
modules lie below the adapter, and their imports of one another are rewritten to that.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
from pathlib import Path

from grpc_tools import protoc

ROOT = Path(__file__).parents[1]
SOURCES = ROOT / "proto"
TARGET = ROOT / "src" / "vms" / "adapters" / "grpc" / "generated"
PACKAGE = "vms.adapters.grpc.generated"


def generate(target: Path) -> None:
    """The modules of every .proto, flat in `target`."""
    # protoc finds its plug-ins on the path: those beside this interpreter.
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    with tempfile.TemporaryDirectory() as directory:
        names = sorted(str(path.relative_to(SOURCES)) for path in SOURCES.rglob("*.proto"))
        outputs = [f"--{kind}_out={directory}" for kind in ("python", "grpc_python")]
        outputs += [f"--{kind}_out=quiet:{directory}" for kind in ("mypy", "mypy_grpc")]
        if protoc.main(["protoc", f"-I{SOURCES}", *outputs, *names]) != 0:
            raise SystemExit("protoc failed")
        for path in Path(directory).rglob("*_pb2*"):
            text = path.read_text()
            text = re.sub(r"\bfrom vms\.v1 import\b", f"from {PACKAGE} import", text)
            text = re.sub(r"\bimport vms\.v1\.", f"import {PACKAGE}.", text)
            text = re.sub(r"(?<![\w./\"'])vms\.v1\.(\w+_pb2)", rf"{PACKAGE}.\1", text)
            (target / path.name).write_text(text)


def main() -> None:
    if "--check" not in sys.argv:
        for old in TARGET.glob("*_pb2*"):
            old.unlink()
        generate(TARGET)
        return
    with tempfile.TemporaryDirectory() as directory:
        generate(Path(directory))
        fresh = {path.name: path.read_text() for path in Path(directory).iterdir()}
    kept = {path.name: path.read_text() for path in TARGET.glob("*_pb2*")}
    if fresh != kept:
        raise SystemExit("the code generated from proto/ is out of date: run `make proto`")


if __name__ == "__main__":
    main()
