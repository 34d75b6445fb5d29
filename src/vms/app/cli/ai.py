"""`vms ai`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vms.app.cli import ai_training, options
from vms.domain.errors import Failure

if TYPE_CHECKING:
    from vms.app.evaluation import Evaluation

app = typer.Typer(help="Understanding pictures: how well it works, and what is usual in them.", no_args_is_help=True)


app.command("train-anomaly")(ai_training.train_anomaly)


@app.command("eval")
def evaluate(
    clip: Annotated[str, typer.Option("--clip", help="A clip whose truth is known.")] = "vtest",
    model: Annotated[str | None, typer.Option("--model", help="The detector; none: the default.")] = None,
    fps: Annotated[float, typer.Option("--fps", min=0.1, help="Pictures a second, such as 10, 5 or 2.")] = 5,
    tiles: Annotated[
        int, typer.Option("--tiles", min=1, max=4, help="Look at so many parts side by side as well.")
    ] = 1,
    truth: Annotated[Path | None, typer.Option("--truth", help="Directory of other clips' truth.")] = None,
    data_dir: Annotated[
        Path | None,
        typer.Option("--data-dir", help="The models of this data directory, besides those of the installation."),
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Runs a detector, the tracker and rules over a clip and compares with what was drawn by eye."""
    from vms.app import evaluation
    from vms.app.models import open_shelf

    known = evaluation.truth_of(clip, truth)
    shelf = open_shelf(data_dir)
    default = shelf.default("detect")
    if model is None and default is None:
        raise Failure("not_found", "no detector is installed: run `vms models list`, then `vms models install NAME`")
    found = shelf.get(model or (default.manifest.name if default is not None else ""))
    looked = evaluation.look(known, found, fps=fps, across=tiles)
    result = evaluation.evaluate(known, found.manifest.name, looked, across=tiles)
    if as_json:
        options.print_json(_document(result))
    else:
        _print(result)


def _document(result: Evaluation) -> dict[str, Any]:
    document = asdict(result)
    document["false_events"] = result.false_events
    document["events"] = [
        {**asdict(scores), "false": scores.false, "precision": scores.precision, "recall": scores.recall}
        for scores in result.events
    ]
    return document


def _print(result: Evaluation) -> None:
    detection, tracking = result.detection, result.tracking
    looked_at = f"{result.pictures} pictures at {result.fps:g} a second"
    tiles = f", {result.tiles} tiles across" if result.tiles > 1 else ""
    print(f"{result.clip}: {looked_at}, {result.model}{tiles}, {result.ms_per_picture:.0f} ms a picture")
    options.print_table(
        ["WHAT", "MEASURED"],
        [
            ["AP (0.50 to 0.95)", f"{detection.ap:.3f}"],
            ["AP50", f"{detection.ap50:.3f}"],
            ["recall at 0.5", f"{detection.recall50:.3f}"],
            ["IDF1", f"{tracking.idf1:.3f}"],
            ["HOTA", f"{tracking.hota:.3f}"],
            ["MOTA", f"{tracking.mota:.3f}"],
            ["numbers changed", tracking.switches],
        ],
    )
    options.print_table(
        ["RULE", "TRUE", "FOUND", "RIGHT", "FALSE", "PRECISION", "RECALL"],
        [[s.rule, s.true, s.found, s.right, s.false, f"{s.precision:.3f}", f"{s.recall:.3f}"] for s in result.events],
    )
