"""`python -m benchmarks`, which `vms bench` calls."""

from benchmarks.command import bench

bench(prog_name="vms bench")
