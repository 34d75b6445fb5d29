"""The catalogue and the verification, without a server: services over RocksDB, chains and files of their own."""

from __future__ import annotations

import hashlib
import os
import struct
import tempfile
import threading
import time
from pathlib import Path

from benchmarks.report import Figure
from vms.adapters.clock import SystemClock
from vms.adapters.memory.files import MemoryFiles
from vms.adapters.rocksdb import RocksCatalogue
from vms.adapters.signing import Ed25519Signer
from vms.contracts.catalogue import CheckOrder, Work
from vms.contracts.files import RecordedFile
from vms.storage.cataloguing import Cataloguing
from vms.storage.chain import Chain
from vms.storage.index_reading import BLOCK_BYTES, checksums
from vms.storage.verification import Progress, Verification

_HOUR_US = 3_600_000_000
_FILE_BYTES = 256 << 20


def _file(number: int, cameras: int) -> RecordedFile:
    hour = number // cameras
    start_us = 1_790_000_000_000_000 // _HOUR_US * _HOUR_US + hour * _HOUR_US
    day = time.strftime("%Y-%m-%d", time.gmtime(start_us // 1_000_000))
    return RecordedFile(
        camera_id=f"0190aaaa-0000-7000-8000-{number % cameras:012}",
        stream="main",
        name=f"{day}/video_{start_us // _HOUR_US % 24:02}.mp4",
        volume="main",
        start_us=start_us,
        end_us=start_us + _HOUR_US,
        size_bytes=1_800_000_000,
        sealed=True,
        sha256=hashlib.sha256(str(number).encode()).hexdigest(),
    )


def measure_catalogue(rows: int, cameras: int = 20) -> list[Figure]:
    """A catalogue of so many files of an hour, chained, thrown away and made anew."""
    files = MemoryFiles()
    for number in range(rows):
        files.put(_file(number, cameras))
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory) / "storage"
        root.mkdir()
        signer = Ed25519Signer.generate()
        catalogue = RocksCatalogue(Path(directory) / "catalogue")
        chain = Chain(root, signer, catalogue, SystemClock())
        began_s = time.perf_counter()
        Cataloguing(files, catalogue, chain).run(threading.Event())
        chained_s = time.perf_counter() - began_s
        # As after a loss of the whole database: another process, an empty one, the chains as they are.
        catalogue.close()
        catalogue = RocksCatalogue(Path(directory) / "anew")
        cataloguing = Cataloguing(files, catalogue, Chain(root, signer, catalogue, SystemClock()))
        began_s = time.perf_counter()
        rebuilt = cataloguing.rebuild()
        rebuild_s = time.perf_counter() - began_s
        assert rebuilt == rows
        catalogue.close()
        began_s = time.perf_counter()
        catalogue = RocksCatalogue(Path(directory) / "anew")
        open_s = time.perf_counter() - began_s
        first = _file(0, cameras)
        began_s = time.perf_counter()
        rounds = 100
        for day in range(rounds):
            span_us = first.start_us + (day % 20) * 24 * _HOUR_US
            for _ in catalogue.between(first.camera_id, "main", span_us, span_us + 24 * _HOUR_US):
                pass
        day_ms = (time.perf_counter() - began_s) / rounds * 1000
        size = sum(path.stat().st_size for path in (Path(directory) / "anew").iterdir())
        catalogue.close()
    return [
        Figure("file-hours catalogued anew per second", rows / rebuild_s, "1/s", 1000, at_least=True),
        Figure("the same, chained for the first time", rows / chained_s, "1/s"),
        Figure(f"opening it with {rows} rows", open_s, "s"),
        Figure("a camera's day out of it", day_ms, "ms"),
        Figure("its size", size / 1e6, "MB"),
    ]


def _index(file_size_bytes: int) -> bytes:
    """An index as an hour has it: 7,200 fragments, their checksums right."""
    blocks = bytearray(struct.pack("<8sHHHH", b"VMSIDX1\0", 1, BLOCK_BYTES, BLOCK_BYTES, 1).ljust(BLOCK_BYTES, b"\0"))
    blocks += b"\1".ljust(BLOCK_BYTES, b"\0") * 7200
    blocks += struct.pack("<B31xQ", 3, file_size_bytes).ljust(BLOCK_BYTES, b"\0")
    for block, checksum in enumerate(checksums(bytes(blocks))):
        struct.pack_into("<I", blocks, block * BLOCK_BYTES + BLOCK_BYTES - 4, int(checksum))
    return bytes(blocks)


def measure_verify(gigabytes: float, jobs: int) -> list[Figure]:
    """So much recorded in files of 256 MiB, read once before, then verified."""
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory) / "storage"
        clock = SystemClock()
        catalogue = RocksCatalogue(Path(directory) / "catalogue")
        (root / "cameras").mkdir(parents=True)
        chain = Chain(root, Ed25519Signer.generate(), catalogue, clock)
        block = os.urandom(1 << 20)
        index = _index(_FILE_BYTES)
        count = max(1, round(gigabytes * 1e9 / _FILE_BYTES))
        for number in range(count):
            file = _file(number * 20, 20)
            path = root / "cameras" / file.camera_id / file.name
            path.parent.mkdir(parents=True, exist_ok=True)
            digest = hashlib.sha256()
            with path.open("wb") as output:
                for part in range(_FILE_BYTES >> 20):
                    piece = struct.pack("<QQ", number, part) + block[16:]
                    digest.update(piece)
                    output.write(piece)
            path.with_name(path.name.replace("video_", "index_").replace(".mp4", ".vms-idx")).write_bytes(index)
            file = file.model_copy(update={"sha256": digest.hexdigest(), "size_bytes": _FILE_BYTES})
            catalogue.put_files([file.model_copy(update={"sealed": False})])
            catalogue.put_files([file])
            chain.sealed(file)
        verification = Verification(chain, catalogue, lambda: {"main": root}, clock)
        rates = []
        cpu_s = time.process_time()
        for _ in range(3):
            progress = Progress(Work(id="bench", what="verification", started_us=clock.now_us()))
            began_s = time.perf_counter()
            verification.run(CheckOrder(jobs=jobs), progress)
            rates.append(progress.work.bytes_done / (time.perf_counter() - began_s) / 1e9)
            assert progress.work.files_done == count
            assert progress.work.findings == []
        cpu_s = time.process_time() - cpu_s
        catalogue.close()
    return [
        Figure("verified per second of one core", 3 * count * _FILE_BYTES / cpu_s / 1e9, "GB/s"),
        Figure(f"verified per second with {jobs} jobs, warm, best of 3", max(rates), "GB/s", 1.0, at_least=True),
        Figure("the slowest of 3", min(rates), "GB/s"),
        Figure("files", count, ""),
    ]
