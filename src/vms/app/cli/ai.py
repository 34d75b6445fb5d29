"""`vms ai`."""

from __future__ import annotations

import typer

from vms.app.cli import ai_training

app = typer.Typer(help="Understanding pictures: trains what a camera's usual pictures are.", no_args_is_help=True)
app.command("train-anomaly")(ai_training.train_anomaly)
