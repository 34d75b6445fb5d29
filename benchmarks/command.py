"""`vms bench`: one subcommand a question; each writes JSON into --output and prints a table."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

import typer

from benchmarks import (
    accuracy,
    analysis,
    archive,
    archiving,
    cameras,
    events,
    exporting,
    frames,
    inference,
    ingest,
    instructions,
    integrity,
    live,
    live_viewers,
    motion,
    repair,
    report,
    seam,
    seeking,
    thumbnails,
    torture,
)

bench = typer.Typer(
    help="Measures what the product costs and how fast it answers.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
Output = Annotated[Path, typer.Option(help="Directory for the JSON results.")]
RESULTS = Path("bench-results")


def _publish(output: Path, name: str, figures: list[report.Figure]) -> None:
    path = report.write(output, name, figures)
    typer.echo(f"\n{name}\n{report.table(figures)}\n({path})")


@bench.command("cameras")
def cameras_command(
    count: Annotated[int, typer.Option("--cameras", min=1, max=1000)] = 50,
    window_s: Annotated[float, typer.Option(min=5)] = 30,
    output: Output = RESULTS,
) -> None:
    """CPU and memory per camera while recording, beside ffmpeg in the same run."""
    _publish(output, f"cameras-{count}", cameras.measure(count, window_s=window_s))


@bench.command("accuracy")
def accuracy_command(
    model: Annotated[str | None, typer.Option(help="The detector; none: the default.")] = None,
    tiles: Annotated[int, typer.Option(min=1, max=4)] = 1,
    data_dir: Annotated[Path | None, typer.Option(help="Whose models, besides those of the installation.")] = None,
    output: Output = RESULTS,
) -> None:
    """Detector, tracker and rules against what was drawn by eye; our tracker beside ByteTrack of `trackers`."""
    _publish(output, "accuracy", accuracy.measure(model, across=tiles, data_dir=data_dir))


@bench.command("analysis")
def analysis_command(
    count: Annotated[int, typer.Option("--cameras", min=1, max=1000)] = 16,
    fps: Annotated[float, typer.Option(min=0.1, max=30, help="Pictures a second of each camera.")] = 2,
    window_s: Annotated[float, typer.Option(min=5)] = 60,
    models_dir: Annotated[Path | None, typer.Option(help="Models, if not those of the installation.")] = None,
    output: Output = RESULTS,
) -> None:
    """Cameras recorded and understood: delays, what is left out, and what it costs."""
    _publish(output, f"analysis-{count}", analysis.measure(count, fps, window_s=window_s, models_dir=models_dir))


@bench.command("ingest")
def ingest_command(
    count: Annotated[int, typer.Option("--cameras", min=1, max=1000)] = 50, output: Output = RESULTS
) -> None:
    """What receiving a camera costs, beside retina's client in the same run."""
    _publish(output, f"ingest-{count}", ingest.measure(count))


@bench.command("seek")
def seek_command(
    days: Annotated[float, typer.Option(min=0.1)] = 1,
    camera_count: Annotated[int, typer.Option("--cameras", min=1)] = 1,
    output: Output = RESULTS,
) -> None:
    """First byte of playback, the timeline and the start with an archive of DAYS."""
    name = f"seek-{days:g}-days" if camera_count == 1 else f"seek-{days:g}-days-{camera_count}-cameras"
    _publish(output, name, seeking.measure(days, cameras=camera_count))


@bench.command("seam")
def seam_command(output: Output = RESULTS) -> None:
    """What a storage service in a process of its own costs."""
    _publish(output, "seam", seam.measure())


@bench.command("files")
def files_command(
    cameras_count: Annotated[int, typer.Option("--cameras", min=1, max=1000)] = 20,
    days: Annotated[float, typer.Option(min=0.1)] = 30,
    output: Output = RESULTS,
) -> None:
    """Start with an archive of CAMERAS x DAYS, its listing, checksums and an index made anew."""
    _publish(output, "files", archiving.measure(cameras_count, days))


@bench.command("export")
def export_command(output: Output = RESULTS) -> None:
    """Export of an hour."""
    _publish(output, "export", exporting.measure())


@bench.command("catalogue")
def catalogue_command(
    rows: Annotated[int, typer.Option(min=100, help="Files of an hour each.")] = 14_400, output: Output = RESULTS
) -> None:
    """Making the catalogue of recordings anew from the files and their chains."""
    _publish(output, "catalogue", integrity.measure_catalogue(rows))


@bench.command("verify")
def verify_command(
    gigabytes: Annotated[float, typer.Option(min=0.1)] = 4,
    jobs: Annotated[int, typer.Option(min=1, max=16)] = 2,
    output: Output = RESULTS,
) -> None:
    """Verifying recordings that are in memory already (warm)."""
    _publish(output, "verify", integrity.measure_verify(gigabytes, jobs))


@bench.command("events")
def events_command(
    posters: Annotated[int, typer.Option(min=1, max=200)] = 32,
    window_s: Annotated[float, typer.Option(min=1)] = 10,
    output: Output = RESULTS,
) -> None:
    """Events acknowledged a second, and how long a post takes."""
    _publish(output, f"events-{posters}", events.measure(posters, window_s))


@bench.command("live")
def live_command(
    protocol: Annotated[
        Literal["whep"] | None, typer.Option(help="Measure many viewers over this protocol instead.")
    ] = None,
    viewers: Annotated[int, typer.Option(min=1, max=5000)] = 100,
    joins_per_second: Annotated[float, typer.Option(min=0.1)] = 50,
    window_s: Annotated[float, typer.Option(min=1)] = 20,
    resolution: Annotated[Literal["720p", "1080p"], typer.Option()] = "720p",
    bitrate: Annotated[int | None, typer.Option(min=100_000, help="Bit/s; by default that of the resolution.")] = None,
    audio: Annotated[bool, typer.Option(help="Offer to receive sound too.")] = False,
    stalled: Annotated[int, typer.Option(min=0, help="Further viewers that connect and go silent.")] = 0,
    hostile: Annotated[int, typer.Option(min=0, help="Further viewers that send garbage and storms of requests.")] = 0,
    lose_percent: Annotated[float, typer.Option(min=0, max=50, help="Arriving packets to throw away.")] = 0,
    trains: Annotated[
        bool, typer.Option(help="Let viewers' sockets take trains of datagrams, as no browser does.")
    ] = False,
    server_cores: Annotated[str, typer.Option(help="Cores of the server, as taskset writes them.")] = "0",
    client_core: Annotated[int, typer.Option(min=0, help="Core of the viewers and the camera.")] = 1,
    output: Output = RESULTS,
) -> None:
    """Delay inside the server and the first picture in Chromium; with --protocol, what many viewers cost."""
    if protocol is None:
        _publish(output, "live", live.measure())
        return
    load = live_viewers.Load(
        viewers=viewers,
        joins_per_second=joins_per_second,
        window_s=window_s,
        resolution=resolution,
        bitrate_bps=bitrate,
        audio=audio,
        stalled=stalled,
        hostile=hostile,
        lose_percent=lose_percent,
        trains=trains,
        server_cores=server_cores,
        client_core=client_core,
    )
    _publish(output, f"live-{protocol}-{viewers}", live_viewers.measure(load))


@bench.command("motion")
def motion_command(
    count: Annotated[int, typer.Option("--cameras", min=1, max=64)] = 8, output: Output = RESULTS
) -> None:
    """What looking for motion costs a camera."""
    _publish(output, "motion", motion.measure(count))


@bench.command("frames")
def frames_command(
    count: Annotated[int, typer.Option("--cameras", min=1, max=64)] = 8,
    window_s: Annotated[float, typer.Option(min=5)] = 20,
    output: Output = RESULTS,
) -> None:
    """What decoding pictures for analysis costs a camera, still and moving, beside decoding everything."""
    _publish(output, "frames", frames.measure(count, window_s=window_s))


@bench.command("inference")
def inference_command(
    model: Annotated[str | None, typer.Option(help="The detector; none: the default.")] = None,
    count: Annotated[int, typer.Option("--cameras", min=1, max=256)] = 16,
    window_s: Annotated[float, typer.Option(min=2)] = 20,
    output: Output = RESULTS,
) -> None:
    """What the pool costs on top of the bare model."""
    _publish(output, f"inference-{count}", inference.measure(model, count, window_s=window_s))


@bench.command("thumbnails")
def thumbnails_command(output: Output = RESULTS) -> None:
    """What stills for scrubbing cost a camera."""
    _publish(output, "thumbnails", thumbnails.measure())


@bench.command("kills")
def kills_command(
    count: Annotated[int, typer.Option("--kills", min=1)] = 50,
    camera_count: Annotated[int, typer.Option("--cameras", min=1)] = 4,
    servers: Annotated[int, typer.Option(min=1, help="Servers that are killed beside one another.")] = 1,
    output: Output = RESULTS,
) -> None:
    """What SIGKILL at random instants costs."""
    _publish(output, "kills", torture.kills(count, camera_count, servers=servers))
    _publish(output, "repair", repair.measure())


@bench.command("torture")
def torture_command(
    kill_count: Annotated[int, typer.Option("--kills", min=2)] = 500,
    cut_count: Annotated[int, typer.Option("--power-cuts", min=1)] = 100,
    output: Output = RESULTS,
) -> None:
    """Kills, power cuts, full, failing and slow disks, clocks that jump: what each costs. As root."""
    _publish(output, "torture", torture.measure(kill_count, cut_count))


@bench.command("instructions")
def instructions_command(
    update: Annotated[bool, typer.Option(help="Write the counts as the new baseline.")] = False,
    output: Output = RESULTS,
) -> None:
    """Instruction counts of hot functions against the committed baseline (callgrind)."""
    comparison = instructions.compare(update=update)
    _publish(output, "instructions", comparison.figures)
    for warning in comparison.warnings:
        typer.echo(f"warning: {warning}", err=True)
    if comparison.failures:
        for failure in comparison.failures:
            typer.echo(f"error: {failure}", err=True)
        raise typer.Exit(1)


@bench.command("archive")
def archive_command(
    data_dir: Annotated[Path, typer.Option(help="Data directory of a server that is not running.")],
    camera: Annotated[list[str], typer.Option(help="Camera id; may be given more than once.")],
    days: Annotated[float, typer.Option(min=0.01)] = 1,
    end: Annotated[datetime | None, typer.Option(help="End of the recordings (UTC); default an hour ago.")] = None,
) -> None:
    """Makes an archive of any length: true indexes and fragment headers, sparse pictures."""
    made = archive.make_archive(data_dir, camera, days=days, end=end.replace(tzinfo=UTC) if end else None)
    typer.echo(f"{made.files} files from {made.start.isoformat()} to {made.end.isoformat()}")


@bench.command("all")
def all_command(output: Output = RESULTS) -> None:
    """Every bench, in turn."""
    benches: list[tuple[str, Callable[[], list[report.Figure]]]] = [
        ("cameras-50", lambda: cameras.measure(50)),
        ("cameras-200", lambda: cameras.measure(200, ffmpeg_cameras=5)),
        ("ingest-50", ingest.measure),
        ("seek-1-days", lambda: seeking.measure(1)),
        ("seek-30-days", lambda: seeking.measure(30)),
        ("seek-30-days-20-cameras", lambda: seeking.measure(30, cameras=20)),
        ("seam", seam.measure),
        ("export", exporting.measure),
        ("events-32", events.measure),
        ("live", live.measure),
        ("live-whep-200", lambda: live_viewers.measure(live_viewers.Load(200))),
        ("live-whep-1000", lambda: live_viewers.measure(live_viewers.Load(1000))),
        ("motion", motion.measure),
        ("accuracy", accuracy.measure),
        ("frames", frames.measure),
        ("inference-16", inference.measure),
        ("analysis-16", lambda: analysis.measure(16, 2)),
        ("thumbnails", thumbnails.measure),
        ("kills", lambda: torture.kills(50, servers=1)),
        ("repair", repair.measure),
    ]
    for name, measure in benches:
        typer.echo(f"measuring {name} …")
        _publish(output, name, measure())
    instructions_command(update=False, output=output)
