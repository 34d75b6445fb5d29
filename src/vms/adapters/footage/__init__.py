"""Footage for simulated cameras: any video file through PyAV, made into access units."""

from vms.adapters.footage.clips import Clip, Track, Unit, read_clip
from vms.adapters.footage.library import DemoFootage, demo_footage
from vms.adapters.footage.test_pattern import test_pattern
from vms.adapters.footage.transcode import Encoding, prepared

__all__ = [
    "Clip",
    "DemoFootage",
    "Encoding",
    "Track",
    "Unit",
    "demo_footage",
    "prepared",
    "read_clip",
    "test_pattern",
]
