"""`vms storage`."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Protocol

import typer

from vms.app.cli import options
from vms.app.cli.client import Server
from vms.app.cli.connection import Connection, connecting
from vms.domain.errors import Failure
from vms.domain.ids import is_id
from vms.domain.time import format_time, parse_time

if TYPE_CHECKING:
    from vms.contracts.catalogue import Work
    from vms.storage.integrity import IntegrityService

app = typer.Typer(help="The archive and its disk.", no_args_is_help=True)
_Offline = Annotated[
    Path | None, typer.Option("--data-dir", help="Work on this data directory while no server runs on it.")
]
_Volumes = Annotated[
    list[str] | None,
    typer.Option("--volume", help="NAME=DIRECTORY of a further volume, with --data-dir; once for each."),
]
_POLL_S = 0.1
_BAR_WIDTH = 30


@app.command("usage")
@connecting
def usage(
    *,
    connection: Connection,
    as_json: options.Json = False,
) -> None:
    """Shows what recordings take, by volume and camera, and how long the disk lasts."""
    with connection.open() as server:
        found = server.get("/storage")
        names = {} if as_json else {camera["id"]: camera["name"] for camera in server.every("/cameras")}
    if as_json:
        options.print_json(found)
        return
    options.print_table(
        ["RECORDED", "FREE", "DISK", "WRITING"],
        [
            [
                options.print_bytes(found["recorded_bytes"]),
                options.print_bytes(found["disk_free_bytes"]),
                options.print_bytes(found["disk_total_bytes"]),
                options.print_bytes(found["write_bytes_per_second"]) + "/s",
            ]
        ],
    )
    if found["volumes"]:
        print()
        options.print_table(
            ["VOLUME", "STATE", "RECORDED", "FREE", "SIZE", "A DAY", "OLDEST", "FORECAST"],
            [
                [
                    volume["name"],
                    volume["state"],
                    options.print_bytes(volume["recorded_bytes"]),
                    options.print_bytes(volume["free_bytes"]),
                    options.print_bytes(volume["total_bytes"]),
                    _a_day(volume),
                    _minute(volume["oldest"]),
                    _forecast(volume["forecast"]),
                ]
                for volume in found["volumes"]
            ],
        )
    if found["cameras"]:
        print()
        options.print_table(
            ["CAMERA", "RECORDED", "A DAY", "OLDEST", "NEWEST", "DAYS LEFT"],
            [
                [
                    names.get(camera["camera_id"], f"{camera['camera_id']} (removed)"),
                    options.print_bytes(camera["bytes"]),
                    _a_day(camera),
                    _minute(camera["oldest"]),
                    _minute(camera["newest"]),
                    "no limit" if camera["days_left"] is None else f"{camera['days_left']:.1f}",
                ]
                for camera in sorted(found["cameras"], key=lambda camera: -camera["bytes"])
            ],
        )


def _a_day(row: dict[str, Any]) -> str:
    return "-" if row["bytes_per_day"] is None else options.print_bytes(row["bytes_per_day"])


def _minute(time: str | None) -> str:
    return "-" if time is None else time[:16].replace("T", " ") + "Z"


def _forecast(forecast: dict[str, Any]) -> str:
    if forecast["days_left"] is None:
        return "-"
    what = "full in" if forecast["outcome"] == "full" else "held by retention in"
    return f"{what} {forecast['days_left']:.1f} days"


@app.command("key")
@connecting
def key(
    data_dir: _Offline = None,
    *,
    connection: Connection,
) -> None:
    """Prints the public key that the recordings' chains are signed for (PEM)."""
    if data_dir is not None:
        from vms.app.integrity import offline_integrity

        with offline_integrity(data_dir) as integrity:
            print(integrity.public_key_pem(), end="")
        return
    with connection.open() as server, server.download("/storage/integrity-key") as answer:
        print(answer.read().decode(), end="")


@app.command("verify")
@connecting
def verify(
    camera: Annotated[str | None, typer.Option("--camera", help="Of one camera: its name or identifier.")] = None,
    start: Annotated[str | None, typer.Option("--start", help="From this time on (RFC 3339).")] = None,
    end: Annotated[str | None, typer.Option("--end", help="Up to this time.")] = None,
    max_mb_per_s: Annotated[int | None, typer.Option("--max-mb-per-s", min=1, help="Read no faster.")] = None,
    jobs: Annotated[int, typer.Option("--jobs", min=1, max=16, help="Files read side by side.")] = 2,
    resume: Annotated[bool, typer.Option("--resume", help="Go on where the last one was interrupted.")] = False,
    data_dir: _Offline = None,
    volume: _Volumes = None,
    *,
    connection: Connection,
    as_json: options.Json = False,
) -> int:
    """Checks the recordings against their hashes and chains; exit status 1 when damage is found."""
    order: dict[str, Any] = {"max_mb_per_s": max_mb_per_s, "jobs": jobs, "resume": resume}
    for name, text in (("start", start), ("end", end)):
        if text is not None:
            try:
                order[name] = format_time(parse_time(text))
            except ValueError as error:
                raise Failure("invalid", f"--{name}: {error}") from error
    with _works(data_dir, volume, connection) as works:
        if camera is not None:
            order["camera_id"] = works.camera_id(camera)
        return _followed(works, "verifications", order, as_json=as_json)


@app.command("rebuild")
@connecting
def rebuild(
    indexes: Annotated[bool, typer.Option("--indexes", help="Also make every index anew from its video.")] = False,
    max_mb_per_s: Annotated[int | None, typer.Option("--max-mb-per-s", min=1, help="Read no faster.")] = None,
    data_dir: _Offline = None,
    volume: _Volumes = None,
    *,
    connection: Connection,
    as_json: options.Json = False,
) -> int:
    """Makes the catalogue of recordings anew from the files and reports what does not belong; nothing is deleted."""
    with _works(data_dir, volume, connection) as works:
        return _followed(works, "rebuilds", {"indexes": indexes, "max_mb_per_s": max_mb_per_s}, as_json=as_json)


class _Works(Protocol):
    """Where verifications and rebuilds run; answers as the interface gives them."""

    def camera_id(self, name_or_id: str) -> str: ...
    def begin(self, kind: str, order: dict[str, Any]) -> dict[str, Any]: ...
    def look(self, kind: str, work_id: str) -> dict[str, Any]: ...
    def cancel(self, kind: str, work_id: str) -> None: ...


class _Online:
    def __init__(self, server: Server) -> None:
        self._server = server

    def camera_id(self, name_or_id: str) -> str:
        return str(self._server.camera(name_or_id)["id"])

    def begin(self, kind: str, order: dict[str, Any]) -> dict[str, Any]:
        answer: dict[str, Any] = self._server.post(f"/storage/{kind}", order)
        return answer

    def look(self, kind: str, work_id: str) -> dict[str, Any]:
        answer: dict[str, Any] = self._server.get(f"/storage/{kind}/{work_id}")
        return answer

    def cancel(self, kind: str, work_id: str) -> None:
        self._server.delete(f"/storage/{kind}/{work_id}")


class _InDirectory:
    def __init__(self, integrity: IntegrityService) -> None:
        self._integrity = integrity

    def camera_id(self, name_or_id: str) -> str:
        if not is_id(name_or_id):
            raise Failure("invalid", "--camera takes an identifier where no server runs")
        return name_or_id

    def begin(self, kind: str, order: dict[str, Any]) -> dict[str, Any]:
        from vms.contracts.catalogue import CheckOrder, RebuildOrder

        rate = order.pop("max_mb_per_s")
        limit = rate * 1_000_000 if rate is not None else None
        if kind == "rebuilds":
            return self._shown(self._integrity.rebuild(RebuildOrder(max_bytes_per_s=limit, **order)))
        for name in ("start", "end"):
            if name in order:
                order[f"{name}_us"] = parse_time(order.pop(name))
        return self._shown(self._integrity.verify(CheckOrder(max_bytes_per_s=limit, **order)))

    def look(self, kind: str, work_id: str) -> dict[str, Any]:  # noqa: ARG002 (identifiers are of both kinds)
        return self._shown(self._integrity.work(work_id))

    def cancel(self, kind: str, work_id: str) -> None:  # noqa: ARG002
        self._integrity.cancel(work_id)
        self._integrity.wait(work_id, 10.0)

    def _shown(self, work: Work) -> dict[str, Any]:
        from vms.api.routes.integrity import WorkAnswer

        return WorkAnswer.of(work).model_dump(mode="json")


@contextmanager
def _works(data_dir: Path | None, volumes: list[str] | None, connection: Connection) -> Iterator[_Works]:
    if data_dir is None:
        if volumes:
            raise Failure("invalid", "--volume goes with --data-dir: a running server knows its volumes")
        with connection.open() as server:
            yield _Online(server)
        return
    from vms.app.integrity import offline_integrity

    places = {}
    for text in volumes or []:
        name, equals, path = text.partition("=")
        if not equals or not Path(path).is_dir():
            raise Failure("invalid", f"--volume is written NAME=DIRECTORY, and {text} names no directory")
        places[name] = Path(path)
    with offline_integrity(data_dir, places) as integrity:
        yield _InDirectory(integrity)


def _followed(works: _Works, kind: str, order: dict[str, Any], *, as_json: bool) -> int:
    """Begins it, shows how far it is, and reports; the exit status."""
    work = works.begin(kind, order)
    try:
        while work["state"] == "running":
            time.sleep(_POLL_S)
            work = works.look(kind, work["id"])
            _show_progress(work)
    except KeyboardInterrupt:
        works.cancel(kind, work["id"])
        raise
    finally:
        if sys.stderr.isatty():
            sys.stderr.write("\n")
    if as_json:
        options.print_json(work)
    else:
        _report(work)
    if work["state"] == "failed":
        raise Failure("unavailable", work["error"])
    return 1 if work["damaged"] or work["state"] == "cancelled" else 0


def _show_progress(work: dict[str, Any]) -> None:
    if not sys.stderr.isatty():
        return
    total, done = work["bytes_total"] or work["files_total"], work["bytes_done"] or work["files_done"]
    share = min(1.0, done / total) if total else 0.0
    bar = ("#" * int(share * _BAR_WIDTH)).ljust(_BAR_WIDTH, ".")
    files = f"{work['files_done']}/{work['files_total']} files"
    sys.stderr.write(f"\r[{bar}] {share:4.0%}  {files}  {options.print_bytes(work['bytes_done'])} ")
    sys.stderr.flush()


def _report(work: dict[str, Any]) -> None:
    for finding in work["findings"]:
        place = " ".join(
            str(part)
            for part in (
                finding["camera_id"],
                finding["name"] or (f"chain of {finding['day']}" if finding["day"] else None),
                f"line {finding['line']}" if finding["line"] is not None else None,
                f"on {finding['volume']}" if finding["volume"] else None,
                finding["at"],
            )
            if part
        )
        print(f"{'DAMAGE' if finding['damage'] else 'notice'}  {finding['kind']}  {place}: {finding['detail']}")
    if work["findings_left_out"]:
        print(f"and {work['findings_left_out']} more")
    damaged = sum(finding["damage"] for finding in work["findings"])
    counted = [
        f"{work['files_done']} files",
        options.print_bytes(work["bytes_done"]),
        f"{work['chain_lines']} lines of chains",
        f"{damaged} damaged" if damaged else "no damage",
    ]
    if work["files_skipped"]:
        counted.insert(1, f"{work['files_skipped']} skipped")
    if work["events_read"]:
        counted.insert(1, f"{work['events_read']} events")
    if work["indexes_rebuilt"]:
        counted.insert(1, f"{work['indexes_rebuilt']} indexes, {work['records_rebuilt']} records anew")
    print(f"{work['what']} {work['state']}: " + ", ".join(counted))
