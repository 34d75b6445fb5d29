"""`vms simulate` and `vms bench`."""

from __future__ import annotations

import importlib.util
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vms.domain.errors import Failure

if TYPE_CHECKING:
    from vms.adapters.footage import Encoding

DEFAULT_CACHE = Path(".cache") / "footage"
DEFAULT_PORT = 8654


def simulate(
    cameras: Annotated[int, typer.Option("--cameras", min=1, max=5000, help="How many.")],
    video: Annotated[
        list[Path] | None, typer.Option("--video", help="A video file; several take turns. Else the demo's footage.")
    ] = None,
    port: Annotated[
        int, typer.Option("--port", min=0, max=65_535, help="RTSP port; 0 takes a free one.")
    ] = DEFAULT_PORT,
    host: Annotated[str, typer.Option("--host", help="Address to listen on.")] = "127.0.0.1",
    username: Annotated[str | None, typer.Option("--username", help="Ask for Digest authentication.")] = None,
    password: Annotated[str | None, typer.Option("--password", envvar="VMS_SIMULATOR_PASSWORD")] = None,
    pattern: Annotated[
        str | None,
        typer.Option("--pattern", help="WIDTHxHEIGHT@FPS:KBPS of a synthetic clip instead of footage."),
    ] = None,
    stamp: Annotated[bool, typer.Option("--stamp", help="Number every picture in an SEI message.")] = False,
    packet_writes: Annotated[
        bool, typer.Option("--packet-writes", help="Write once per packet, not per frame.")
    ] = False,
    cache_dir: Annotated[Path, typer.Option("--cache-dir", help="Where prepared footage is kept.")] = DEFAULT_CACHE,
    until_stdin_closes: Annotated[bool, typer.Option("--until-stdin-closes", hidden=True)] = False,
) -> int:
    """Simulates cameras over RTSP; prints one URL a line, then serves until it is stopped."""
    from vms.adapters.footage import demo_footage, prepared, read_clip, test_pattern
    from vms.adapters.footage.clips import give

    stopping = threading.Event()
    for signal_number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signal_number, lambda *_: stopping.set())
    if until_stdin_closes:
        threading.Thread(target=_wait_for_end_of_stdin, args=(stopping,), daemon=True).start()
    if (username is None) != (password is None):
        raise Failure("invalid", "--username and --password go together")
    encoding = None if pattern is None else _pattern(pattern)
    simulator = _simulator(host, port, cameras, username, password, stamp=stamp, packet_writes=packet_writes)
    if encoding is not None:
        paths = [test_pattern(cache_dir, encoding)]
    elif video:
        paths = [prepared(path, cache_dir) for path in video]
    else:
        paths = [footage.path for footage in demo_footage(cache_dir, cameras)]
    for path in paths:
        give(read_clip(path), simulator)
    bound = _start(simulator, host, port)
    shown = f"[{host}]" if ":" in host else host
    for number in range(cameras):
        print(f"rtsp://{shown}:{bound}/cam/{number}")
    sys.stdout.flush()
    stopping.wait()
    simulator.stop()
    return 0


def _simulator(host: str, port: int, cameras: int, username: str | None, password: str | None, **more: bool) -> Any:
    if importlib.util.find_spec("vms_media") is None:
        raise Failure("unavailable", "the media core vms_media is not installed: run `make build`")
    from vms_media import Simulator

    return Simulator(host, port, cameras, username=username, password=password, **more)


def _start(simulator: Any, host: str, port: int) -> int:
    from vms_media import MediaError

    try:
        return int(simulator.start())
    except MediaError as error:
        raise Failure("conflict", f"cannot listen on {host} port {port}: {error}") from error


def _pattern(text: str) -> Encoding:
    from vms.adapters.footage import Encoding

    size, _, rate = text.partition("@")
    fps, _, kbps = rate.partition(":")
    width, _, height = size.partition("x")
    try:
        numbers = [int(part) for part in (width, height, fps or "30", kbps or "4000")]
    except ValueError:
        raise Failure("invalid", "--pattern is written like 1920x1080@30:4000") from None
    if not (16 <= numbers[0] <= 7680 and 16 <= numbers[1] <= 4320 and 1 <= numbers[2] <= 120 and numbers[3] >= 50):
        raise Failure("invalid", "--pattern: sizes 16–7680 × 16–4320, 1–120 pictures a second, at least 50 kbit/s")
    return Encoding(
        width=numbers[0] // 2 * 2, height=numbers[1] // 2 * 2, fps=numbers[2], bitrate_bps=numbers[3] * 1000
    )


def _wait_for_end_of_stdin(stopping: threading.Event) -> None:
    while sys.stdin.buffer.read(4096):
        pass
    stopping.set()


def bench(context: typer.Context) -> int:
    """Measures: arguments go to the benchmarks of these sources (`vms bench all`, `vms bench archive …`)."""
    root = Path(__file__).parents[4]
    if not (root / "benchmarks" / "__main__.py").is_file():
        raise Failure(
            "not_available_yet", "the benchmarks come with the sources: no benchmarks/ is beside this package"
        )
    return subprocess.call([sys.executable, "-m", "benchmarks", *context.args], cwd=root)
