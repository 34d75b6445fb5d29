"""The event log: journals beside the recordings, Parquet once an hour is over (docs/format/events.md)."""

from vms.adapters.event_log.files import EventLogFiles

__all__ = ["EventLogFiles"]
