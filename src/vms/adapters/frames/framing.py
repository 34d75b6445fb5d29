"""How the server and a decoding worker talk.

The worker's standard input is a Unix socket of packets (SOCK_SEQPACKET), each a document of JSON:
{"do":"watch","camera_id","number","sampling"} with the read end of a tap as its descriptor,
{"do":"sample","number","sampling"} for other settings,
{"do":"store","number","store","slot_bytes","slots"} with a store's memory as its descriptor, or without a descriptor to
give back what there is,
{"do":"forget","number"}.

Its standard output has lines of JSON:
{"is":"frame","number","store","slot","at_us","pts","clock_rate","width","height","sent","look","cells"} for a picture
in a slot,
{"is":"wants","number","slot_bytes"} when its pictures need a store,
{"is":"freed","number","store"} when it writes into a store no more,
{"is":"decoder","number","codec","hardware"}, {"is":"figures","number","decoded","broken","missed","dropped"},
{"is":"lost","number","reason"} when a camera is decoded no more.

A store is a memory file: a byte for each slot, 0 free and 1 taken, up to HEADER_BYTES, and then the slots. The worker
takes slots, the server frees them.

Before a camera's bytes are decoded its number goes into a memory that both have (MARK), so that whoever finds the
worker dead or hanging knows whose picture it was.
"""

from __future__ import annotations

import json
import struct
from typing import Any, NamedTuple

from vms.domain.vision import Look

# The number of the camera whose turn it is, -1 between turns, and how many turns there were.
MARK = struct.Struct("<qQ")
LARGEST_ORDER_BYTES = 16 << 10
LARGEST_LINE_BYTES = 4096
PAGE_BYTES = 4096
HEADER_BYTES = PAGE_BYTES
FREE, TAKEN = 0, 1
# The longest side of a picture; larger ones are scaled down.
LONGEST_SIDE_PX = 1280


def slot_size(picture_bytes: int) -> int:
    """Bytes of a slot for such pictures: whole pages."""
    return -(-picture_bytes // PAGE_BYTES) * PAGE_BYTES


def scaled_size(width: int, height: int) -> tuple[int, int]:
    """The size in which pictures of `width` × `height` are given."""
    longest = max(width, height)
    if longest <= LONGEST_SIDE_PX:
        return width, height
    return max(1, round(width * LONGEST_SIDE_PX / longest)), max(1, round(height * LONGEST_SIDE_PX / longest))


class FrameLine(NamedTuple):
    """What a line says of a picture."""

    number: int
    store: int
    slot: int
    at_us: int
    pts: int
    clock_rate: int
    width: int
    height: int
    sent_width: int
    sent_height: int
    look: Look


def write_frame(line: FrameLine) -> bytes:
    """Its line."""
    look = line.look
    document = {
        "is": "frame",
        "number": line.number,
        "store": line.store,
        "slot": line.slot,
        "at_us": line.at_us,
        "pts": line.pts,
        "clock_rate": line.clock_rate,
        "width": line.width,
        "height": line.height,
        "sent": [line.sent_width, line.sent_height],
        "look": [look.brightness, look.contrast, look.sharpness, look.activity],
        "cells": bytes(min(255, max(0, round(cell * 255))) for cell in look.cells).hex(),
    }
    return write_line(document)


def write_line(document: dict[str, Any]) -> bytes:
    """A line of the worker's."""
    return json.dumps(document, separators=(",", ":")).encode() + b"\n"


# Made once: most of what a line costs would be these divisions.
_LEVELS = tuple(round(level / 255, 4) for level in range(256))


def read_frame(document: dict[str, Any]) -> FrameLine:
    """Raises ValueError, KeyError or TypeError for what is none."""
    brightness, contrast, sharpness, activity = document["look"]
    cells = tuple(_LEVELS[level] for level in bytes.fromhex(document["cells"]))
    look = Look(float(brightness), float(contrast), float(sharpness), cells, float(activity))
    sent_width, sent_height = document["sent"]
    line = FrameLine(
        document["number"],
        document["store"],
        document["slot"],
        document["at_us"],
        document["pts"],
        document["clock_rate"],
        document["width"],
        document["height"],
        sent_width,
        sent_height,
        look,
    )
    if not all(type(value) is int for value in line[:-1]):
        raise TypeError("a number that is none")
    if min(line.width, line.height, line.sent_width, line.sent_height, line.clock_rate) < 1:
        raise ValueError("a picture without a size")
    return line
