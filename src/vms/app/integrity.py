"""The catalogue, the chains and what checks them, wired: over a running archive, or over its directories."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import structlog

from vms.adapters.clock import SystemClock
from vms.adapters.memory.catalogue import MemoryCatalogue
from vms.adapters.rocksdb import RocksCatalogue
from vms.adapters.signing import load_or_make_signer
from vms.app.data_dir import DataDir
from vms.contracts.catalogue import RecordingsCatalogue
from vms.contracts.clock import Clock
from vms.contracts.files import ArchiveFiles
from vms.domain.errors import Failure
from vms.storage.cataloguing import Cataloguing
from vms.storage.chain import Chain
from vms.storage.integrity import IntegrityService
from vms.storage.rebuilding import IndexMaker, Rebuilding
from vms.storage.scrub import Scrub
from vms.storage.survey import DirectoryFiles
from vms.storage.verification import Verification

log = structlog.get_logger(__name__)


def integrity_of(directory: DataDir, files: ArchiveFiles, clock: Clock) -> IntegrityService:
    """The service over a running archive. Raises Failure(unavailable) when the key cannot be used."""

    def volumes() -> Mapping[str, Path]:
        try:
            return {volume.name: Path(volume.path) for volume in files.volumes() if volume.state != "missing"}
        except Failure as failure:
            # The directory's own volume is there whether or not the archive knows of volumes.
            if failure.kind != "not_available_yet":
                raise
            return {"main": directory.path / "storage"}

    signer = load_or_make_signer(directory.keys / "integrity.pem")
    catalogue = _catalogue(directory.path / "catalogue")
    chain = Chain(directory.path / "storage", signer, catalogue, clock)
    cataloguing = Cataloguing(files, catalogue, chain)
    verification = Verification(chain, catalogue, volumes, clock, files)
    return IntegrityService(
        signer,
        catalogue,
        chain,
        cataloguing,
        verification,
        Rebuilding(cataloguing, catalogue, verification, clock, files),
        clock,
        Scrub(verification, catalogue, chain, clock),
    )


@contextmanager
def offline_integrity(
    data_dir: Path, volumes: Mapping[str, Path] | None = None, indexes: IndexMaker | None = None
) -> Iterator[IntegrityService]:
    """The service over an installation that does not run; `volumes` beside `{data_dir}/storage` by name.

    Raises Failure(conflict) while a server runs on it, Failure(not_found) for what is no data directory.
    """
    if not (data_dir / "storage").is_dir():
        raise Failure("not_found", f"{data_dir} is no data directory of a server")
    with DataDir(data_dir) as directory:
        places = {"main": directory.path / "storage", **(volumes or {})}
        clock = SystemClock()
        signer = load_or_make_signer(directory.keys / "integrity.pem")
        catalogue = _catalogue(directory.path / "catalogue")
        try:
            chain = Chain(directory.path / "storage", signer, catalogue, clock)
            listing = DirectoryFiles(lambda: places)
            cataloguing = Cataloguing(listing, catalogue, chain)
            verification = Verification(chain, catalogue, lambda: places, clock)
            service = IntegrityService(
                signer,
                catalogue,
                chain,
                cataloguing,
                verification,
                Rebuilding(cataloguing, catalogue, verification, clock, indexes),
                clock,
                chains_at_once=False,
            )
            try:
                yield service
            finally:
                service.stop(10.0)
        finally:
            catalogue.close()


def _catalogue(directory: Path) -> RecordingsCatalogue:
    """Recording must not wait for a cache: where the disk refuses it, it is kept in memory until the next start."""
    try:
        return RocksCatalogue(directory)
    except Failure as failure:
        log.error("the catalogue is kept in memory until the next start", reason=failure.detail)
        return MemoryCatalogue()
