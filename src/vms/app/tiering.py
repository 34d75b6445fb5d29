"""The configuration of tiers as the storage service takes it."""

from __future__ import annotations

from vms.app.config import Tiering
from vms.contracts.clock import Clock
from vms.contracts.files import ArchiveFiles
from vms.contracts.objects import ObjectStorage
from vms.domain.schedules import DAYS, minute_of, zone
from vms.storage.tiering import TieringRules, Window
from vms.storage.tiers import Tiers

_MB = 1_000_000


def rules_of(settings: Tiering) -> TieringRules:
    """When and how fast recordings move on."""
    return TieringRules(
        slow_after_days=settings.slow_after_days,
        object_after_days=settings.object_after_days,
        max_bytes_per_s=round(settings.max_mb_per_s * _MB),
        windows=tuple(
            Window(
                minute_of(window.start),
                minute_of(window.end),
                round(window.max_mb_per_s * _MB),
                frozenset(DAYS.index(day) for day in window.days),
            )
            for window in settings.windows
        ),
    )


def object_storage(settings: Tiering) -> ObjectStorage | None:
    """The object storage, if there is one. Raises Failure(invalid) when it cannot be set up."""
    if settings.object_url is None:
        return None
    from vms.adapters.objects import ObstoreObjects

    options = {name: value.get_secret_value() for name, value in settings.object_options.items()}
    return ObstoreObjects(settings.object_url, options)


def tiers_of(settings: Tiering, files: ArchiveFiles, objects: ObjectStorage | None, clock: Clock) -> Tiers:
    """What moves recordings."""
    return Tiers(
        files,
        objects,
        rules_of(settings),
        clock,
        time_zone=zone(settings.time_zone),
        price_per_gb_month=settings.object_price_per_gb_month,
    )
