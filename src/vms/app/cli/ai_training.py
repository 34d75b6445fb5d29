"""`vms ai train-anomaly`."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vms.app.cli import options
from vms.app.cli.client import Server
from vms.app.cli.connection import Connection, connecting
from vms.domain.errors import Failure
from vms.domain.recordings import Span
from vms.domain.time import format_time, parse_time

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from vms.adapters.anomaly import TrainedAnomaly

_MINUTE_US = 60_000_000
_LEAST_APART_US = 1_000_000
# The same footage gives the same model.
_SEED = 1
_BAR_WIDTH = 30
_SHOWN_EVERY_S = 0.1
_QUANTILES = {"median": 0.5, "90 %": 0.9, "99 %": 0.99, "highest": 1.0}
_BINS = 10


@connecting
def train_anomaly(
    camera: Annotated[str, typer.Argument(help="Name or identifier.")],
    minutes: Annotated[
        int, typer.Option("--minutes", min=1, max=14 * 24 * 60, help="How long, where --from or --to is left out.")
    ] = 30,
    start: Annotated[str | None, typer.Option("--from", help="RFC 3339 [default: --minutes before --to].")] = None,
    end: Annotated[str | None, typer.Option("--to", help="RFC 3339 [default: now, or --minutes after --from].")] = None,
    data_dir: Annotated[
        Path | None, typer.Option("--data-dir", help="The server's data directory; the model goes to DIR/models.")
    ] = None,
    models_dir: Annotated[
        Path | None, typer.Option("--models-dir", help="In its place, where the server has ai.models_dir.")
    ] = None,
    *,
    connection: Connection,
    as_json: options.Json = False,
) -> None:
    """Learns from a camera's recordings what its pictures are like as a rule, for rules of the kind `anomaly`.

    Choose a time in which nothing happened that you would want to be told. The model becomes anomaly-CAMERA_ID on the
    shelf of the server, on whose machine this runs.
    """
    from vms.adapters.anomaly import manifest_for, train_from
    from vms.adapters.models.installing import Installer
    from vms.app.models import convert, reader_of

    shelf = _shelf(data_dir, models_dir)
    span = _span(start, end, minutes, now_us=time.time_ns() // 1000)
    bar = _Bar()
    with connection.open() as server:
        known = server.camera(camera)
        pictures = _pictures(server, known, span, bar)
    trained = train_from(pictures, _SEED, told=lambda done, steps: bar.show("learning", done / steps))
    bar.clear()
    manifest = manifest_for(f"anomaly-{known['id']}", f"What {known['name']} shows as a rule", trained)
    installer = Installer(shelf, fetch=_nothing_to_fetch, convert=convert, reader_of=reader_of)
    installed = installer.install(manifest, [trained.onnx])
    if as_json:
        options.print_json(
            {"camera_id": known["id"], "model": manifest.name, "path": str(installed.path), **_told(trained)}
        )
        return
    print(f"{manifest.name}: {installed.path} ({options.print_bytes(manifest.size_bytes)})")
    _print_errors(trained)
    rules = (known.get("analysis") or {}).get("rules", [])
    if not any(rule.get("kind") == "anomaly" for rule in rules):
        print(f"{known['name']} has no rule of the kind anomaly yet: give it one, and scene.unusual is told.")


def _shelf(data_dir: Path | None, models_dir: Path | None) -> Path:
    from vms.app.models import shelf_directories

    if data_dir is None and models_dir is None:
        raise Failure("invalid", "give --data-dir, the server's data directory, in which the model is put")
    if models_dir is None and data_dir is not None and not data_dir.is_dir():
        raise Failure("invalid", f"there is no directory {data_dir}: --data-dir is that of the running server")
    shelf = shelf_directories(data_dir, models_dir)[0]
    try:
        # Known before minutes go into the training.
        shelf.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Failure("unavailable", f"{shelf} cannot be made: {error.strerror}") from error
    return shelf


def _span(start: str | None, end: str | None, minutes: int, *, now_us: int) -> Span:
    length_us = minutes * _MINUTE_US
    end_us = _time("to", end) if end is not None else None
    if start is not None:
        start_us = _time("from", start)
        end_us = end_us if end_us is not None else start_us + length_us
    else:
        end_us = end_us if end_us is not None else now_us
        start_us = end_us - length_us
    if end_us <= start_us:
        raise Failure("invalid", "--to is not after --from")
    return Span(start_us=start_us, end_us=end_us)


def _time(name: str, text: str) -> int:
    try:
        return parse_time(text)
    except ValueError as error:
        raise Failure("invalid", f"--{name}: {error}") from error


def _pictures(server: Server, camera: dict[str, Any], span: Span, bar: _Bar) -> Sequence[NDArray[np.uint8]]:
    """Scaled as they will be where the model runs. Raises Failure where they are too few."""
    import numpy as np

    from vms.adapters.anomaly import LEAST_PICTURES, MODEL_INPUT, MOST_PICTURES
    from vms.adapters.inference.input_tensor import InputTensor
    from vms.app.cli.key_frames import key_frames, recorded

    told = f"{camera['name']} between {format_time(span.start_us)} and {format_time(span.end_us)}"
    by_stream = recorded(server, camera["id"], span)
    if not by_stream:
        raise Failure(
            "not_found", f"nothing is recorded of {told}: give another time with --from and --to, or --minutes"
        )
    lengths_us = {stream: sum(each.end_us - each.start_us for each in spans) for stream, spans in by_stream.items()}
    # Of two alike the sub stream: it is what analysis looks at, and less to fetch.
    stream = "sub" if lengths_us.get("sub", 0) >= 0.9 * lengths_us.get("main", 0) else "main"
    least_apart_us = max(_LEAST_APART_US, lengths_us[stream] // MOST_PICTURES)
    scaler = InputTensor(MODEL_INPUT)
    tensor = scaler.tensor(1)
    made: list[NDArray[np.uint8]] = []
    for frame in key_frames(server, camera["id"], stream, by_stream[stream], least_apart_us):
        scaler.put(frame.picture, None, tensor[0])
        made.append(np.clip(np.rint(tensor[0, 0]), 0, 255).astype(np.uint8))
        bar.show("taking pictures", frame.share)
    bar.clear()
    if len(made) < LEAST_PICTURES:
        minutes = lengths_us[stream] / _MINUTE_US
        enough = f"--minutes {math.ceil(minutes * LEAST_PICTURES * 1.1 / len(made))}, or " if made else ""
        raise Failure(
            "invalid",
            f"{len(made)} pictures (the key frames of the {minutes:.0f} minutes that are recorded of {told}) are too "
            f"few to learn from: at least {LEAST_PICTURES} are needed; give more time with {enough}--from and --to",
            code="too-little-footage",
        )
    return made


def _nothing_to_fetch(_source: object) -> Sequence[bytes]:
    raise Failure("internal", "a model that was trained is not fetched")


def _told(trained: TrainedAnomaly) -> dict[str, Any]:
    import numpy as np

    errors = trained.held_out_errors
    return {
        "pictures": trained.pictures,
        "held_out": len(errors),
        "threshold": trained.threshold,
        "errors": {name: float(np.quantile(errors, share)) for name, share in _QUANTILES.items()},
    }


def _print_errors(trained: TrainedAnomaly) -> None:
    """How the pictures that were held out are spread below the threshold."""
    import numpy as np

    told = _told(trained)
    print(f"learned from {told['pictures']} pictures; {told['held_out']} of them were held out, with these errors:")
    top = max(trained.threshold, told["errors"]["highest"])
    counts, edges = np.histogram(trained.held_out_errors, bins=_BINS, range=(0.0, top))
    options.print_table(
        ["ERROR", "PICTURES", ""],
        [
            [f"{low:8.3f} - {high:.3f}", count, "#" * math.ceil(count * _BAR_WIDTH / counts.max())]
            for low, high, count in zip(edges[:-1], edges[1:], counts.tolist(), strict=True)
        ],
    )
    print(", ".join(f"{name} {value:.3f}" for name, value in told["errors"].items()))
    print(f"threshold {trained.threshold:.3f}: a picture with more is unusual")


class _Bar:
    """How far it is, on stderr: a bar on a terminal, else a line for each thing that begins."""

    def __init__(self) -> None:
        self._what = ""
        self._shown_at = 0.0

    def show(self, what: str, share: float) -> None:
        is_new, self._what = what != self._what, what
        if not sys.stderr.isatty():
            if is_new:
                sys.stderr.write(f"{what} ...\n")
            return
        if not is_new and time.monotonic() - self._shown_at < _SHOWN_EVERY_S:
            return
        self._shown_at = time.monotonic()
        filled = ("#" * int(share * _BAR_WIDTH)).ljust(_BAR_WIDTH, ".")
        sys.stderr.write(f"\r\x1b[K{what}: [{filled}] {share:4.0%}")
        sys.stderr.flush()

    def clear(self) -> None:
        if sys.stderr.isatty():
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
