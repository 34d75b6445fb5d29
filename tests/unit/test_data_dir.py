"""The data directory: its form, its lock, and directories that cannot be used."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from vms.app.data_dir import DataDir
from vms.domain.errors import Failure


def test_it_makes_what_is_missing(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b"
    with DataDir(path) as directory:
        assert directory.keys.stat().st_mode & 0o777 == 0o700
        assert (path / "run").stat().st_mode & 0o777 == 0o700
        assert (path / "storage").is_dir()
        assert directory.exports.is_dir()
        assert (path / "vms.sqlite3").stat().st_mode & 0o777 == 0o600
        assert directory.database_url == f"sqlite:///{path}/vms.sqlite3"
        assert directory.socket_path() == path / "run" / "app.sock"
    (path / "keys").chmod(0o755)
    with DataDir(path) as directory:
        assert directory.keys.stat().st_mode & 0o777 == 0o700


def test_one_process_holds_it(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path\n"
        "from vms.app.data_dir import DataDir; from vms.domain.errors import Failure\n"
        "try:\n    DataDir(Path(sys.argv[1])).__enter__()\n"
        "except Failure as failure:\n    print(failure.kind, failure)"
    )
    with DataDir(tmp_path):
        held = subprocess.run(
            [sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, check=True
        )
        assert held.stdout.startswith("conflict")
        assert str(tmp_path) in held.stdout
    free = subprocess.run([sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, check=True)
    assert free.stdout == ""


def test_a_file_is_no_directory(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "file" / "below", Path("/proc/no-such")):
        with pytest.raises(Failure, match=str(path)) as refused, DataDir(path):
            pass
        assert refused.value.kind == "unavailable"


def test_a_path_too_long_for_a_socket_moves_it(tmp_path: Path) -> None:
    path = tmp_path / ("x" * 60) / ("y" * 60)
    with DataDir(path) as directory:
        moved = directory.socket_path()
        assert len(str(moved)) < 108
        assert moved.parent.stat().st_mode & 0o777 == 0o700
    assert not moved.parent.exists()
