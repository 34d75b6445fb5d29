"""How the server and the motion worker talk.

The worker's standard input is a Unix socket of packets (SOCK_SEQPACKET), each a document of JSON:
{"do":"watch","camera_id","number","settings"} with the read end of a tap as its descriptor,
{"do":"forget","camera_id"}.
Its standard output has lines of JSON: {"is":"started","camera_id","start_us","score","box":[l,t,r,b]},
{"is":"ended","camera_id","start_us","end_us","score","box"}, {"is":"lost","camera_id","reason"} when a camera is looked
at no more, and {"is":"figures","camera_id","decoded","broken","light_changes","dropped"} every minute.

Before a camera's bytes are decoded its number goes into a memory that both have, so that whoever finds the worker dead
or hanging knows whose picture it was.
"""

from __future__ import annotations

import struct

# The number of the camera whose turn it is, -1 between turns, and how many turns there were.
MARK = struct.Struct("<qQ")
LARGEST_ORDER_BYTES = 256 << 10
