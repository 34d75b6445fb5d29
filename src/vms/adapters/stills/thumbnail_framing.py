"""How the server and the thumbnail worker talk: over pipes, as `framing` has it.

Request: u32 length and JSON header, then the bytes that it announces. In turn, for one hour:
{"do":"begin","bytes":n,"cell_height":int}: the WebP image so far; 0 bytes and no height where there is none.
{"do":"still","cell","codec","configuration_bytes","bytes","pts_90k"}: the configuration, then a key frame.
{"do":"finish","bytes":0}.
Answer to each: u8 status (0 done, 1 malformed, 2 nothing to show), u16 cell height, u32 length, bytes: to `finish` a
WebP image, to what is malformed a sentence.
"""

from __future__ import annotations

import struct

OK, MALFORMED, NOTHING = 0, 1, 2
ANSWER = struct.Struct("<BHI")
