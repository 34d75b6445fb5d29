"""An archive on a disk, of copies of the golden recording, with its chains."""

from __future__ import annotations

import hashlib
import shutil
import threading
from collections.abc import Mapping
from pathlib import Path

from vms.adapters.memory.accounts import ManualClock
from vms.adapters.memory.catalogue import MemoryCatalogue
from vms.adapters.signing import Ed25519Signer
from vms.contracts.catalogue import CheckOrder, RebuildOrder, Work
from vms.contracts.files import FileReport
from vms.storage.cataloguing import Cataloguing
from vms.storage.chain import Chain
from vms.storage.integrity import IntegrityService
from vms.storage.rebuilding import Rebuilding
from vms.storage.scrub import Scrub
from vms.storage.survey import DirectoryFiles, Placed, recorded_file
from vms.storage.verification import Verification

GOLDEN = Path(__file__).parents[1] / "crates" / "media-core" / "tests" / "golden"
CAMERA = "0190aaaa-0000-7000-8000-000000000001"
OTHER = "0190aaaa-0000-7000-8000-000000000002"
DAY = "2026-11-23"


class NoIndexes:
    """Makes an index by copying the golden one."""

    def __init__(self, site: RecordedSite) -> None:
        self._site = site

    def rebuild_index(self, camera_id: str, name: str) -> FileReport:
        path = self._site.path(name, camera_id)
        shutil.copy(GOLDEN / "index.vms-idx", path.with_name(index_of(path.name)))
        return FileReport(records=9, records_rebuilt=1, bytes_read=path.stat().st_size)


def index_of(file_name: str) -> str:
    return "index_" + file_name.removeprefix("video_").removesuffix(".mp4") + ".vms-idx"


class RecordedSite:
    """Two volumes; `record` puts a file there as the recorder does, `catalogue_now` is a turn of the chore."""

    def __init__(self, directory: Path) -> None:
        self.root = directory / "storage"
        self.second = directory / "second"
        for root in (self.root, self.second):
            (root / "cameras").mkdir(parents=True)
        self.clock = ManualClock()
        self.catalogue = MemoryCatalogue()
        self.signer = Ed25519Signer.generate()
        self.volumes: dict[str, Path] = {"main": self.root, "second": self.second}
        self.start()

    def start(self) -> None:
        """The services anew, as after a restart."""
        self.files = DirectoryFiles(self._volumes)
        self.chain = Chain(self.root, self.signer, self.catalogue, self.clock)
        self.cataloguing = Cataloguing(self.files, self.catalogue, self.chain)
        self.verification = Verification(self.chain, self.catalogue, self._volumes, self.clock)
        self.scrub = Scrub(self.verification, self.catalogue, self.chain, self.clock, max_bytes_per_s=1 << 40)
        rebuilding = Rebuilding(self.cataloguing, self.catalogue, self.verification, self.clock, NoIndexes(self))
        self.service = IntegrityService(
            self.signer, self.catalogue, self.chain, self.cataloguing, self.verification, rebuilding, self.clock,
            self.scrub, chains_at_once=False,
        )  # fmt: skip

    def _volumes(self) -> Mapping[str, Path]:
        return self.volumes

    def path(self, name: str, camera_id: str = CAMERA, volume: str = "main") -> Path:
        return self.volumes[volume] / "cameras" / camera_id / name

    def record(self, hour: int, camera_id: str = CAMERA, volume: str = "main", *, padding: bytes = b"") -> str:
        """A file that was seen being recorded, closed and hashed."""
        name = f"{DAY}/video_{hour:02}.mp4"
        path = self.path(name, camera_id, volume)
        path.parent.mkdir(parents=True, exist_ok=True)
        # A free box at the end makes each file another.
        tail = hour.to_bytes(1, "big") + padding
        path.write_bytes((GOLDEN / "recording.mp4").read_bytes() + (8 + len(tail)).to_bytes(4, "big") + b"free" + tail)
        shutil.copy(GOLDEN / "index.vms-idx", path.with_name(index_of(path.name)))
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        checksum = path.with_name(path.name.replace("video_", "checksum_").replace(".mp4", ".sha256"))
        checksum.write_text(f"{digest}  {path.name}\n")
        video = Placed(camera_id, name, volume, path.stat().st_size, has_index=True)
        self.catalogue.put_files([recorded_file(self.volumes[volume], video).model_copy(update={"sealed": False})])
        return name

    def catalogue_now(self) -> None:
        self.cataloguing.run(threading.Event())

    def verify(self, order: CheckOrder | None = None) -> Work:
        return self._ended(self.service.verify(order or CheckOrder()))

    def rebuild(self, order: RebuildOrder | None = None) -> Work:
        return self._ended(self.service.rebuild(order or RebuildOrder()))

    def found(self, order: CheckOrder | None = None) -> list[tuple[str, str | None]]:
        work = self.verify(order)
        return sorted(((finding.kind, finding.name) for finding in work.findings), key=str)

    def _ended(self, work: Work) -> Work:
        ended = self.service.wait(work.id, 30)
        assert ended.state in {"done", "cancelled"}, ended.error
        return ended
