#!/usr/bin/env python3
"""Reads recordings of VMS Enterprise with nothing but Python's standard library and the documents beside this file.

    read_archive.py VIDEO.mp4 [INDEX.vms-idx]             timeline, gaps and key frames; video and index compared
    read_archive.py checksum_10.sha256                     the video beside it compared with its SHA-256
    read_archive.py CAMERA_DIRECTORY [integrity.pub.pem]   the camera's chain; with the public key its signatures too

The exit status is 1 when something does not hold.
"""

import base64
import hashlib
import json
import re
import struct
import sys
from datetime import datetime, timedelta, timezone
from pathlib import Path

RECORD = (
    "kind track flags samples keys start_us media_time duration size offset key_offset moof_bytes sequence lost"
).split()
CAUSES = ("unknown", "camera", "network", "disk", "stop", "overload")


def show(at_us):
    return (datetime(1970, 1, 1, tzinfo=timezone.utc) + timedelta(microseconds=at_us)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def read_index(data):
    """docs/format/index.md: (header, fragments, gaps, seal) up to the first block that does not hold."""
    if data[:8] != b"VMSIDX1\0" or struct.unpack_from("<HHH", data, 8) != (1, 64, 64):
        raise ValueError("no index of version 1")
    header, fragments, gaps, seal = {}, [], [], None
    for at in range(0, len(data) - 63, 64):
        if crc32c(data[at : at + 60]) != struct.unpack_from("<I", data, at + 60)[0]:
            break
        kind, first_us, second = data[at], *struct.unpack_from("<qq", data, at + 8)
        if at == 0:
            header = {"init_size": struct.unpack_from("<Q", data, 40)[0]}
        elif kind == 1:
            values = struct.unpack_from("<BBHHHqqIIQIIII", data, at)
            fragments.append(dict(zip(RECORD, values, strict=True)))
        elif kind == 2:
            gaps.append((first_us, second, CAUSES[min(struct.unpack_from("<I", data, at + 24)[0], 6) % 6]))
        elif kind == 3:
            seal = {"start_us": first_us, "end_us": second, "file_size": struct.unpack_from("<Q", data, at + 32)[0]}
            break
        else:
            break
    return header, fragments, gaps, seal


def boxes(data, start, end):
    while start + 8 <= end:
        size, kind = struct.unpack_from(">I4s", data, start)
        if size < 8 or start + size > end:
            raise ValueError(f"byte {start}: a box of {size} bytes")
        yield kind.decode("latin-1"), start, start + size
        start += size


def read_video(data):
    """docs/format/recording.md: (timescales by track, length of ftyp + moov, fragments) of the file itself."""
    timescales, init_size, fragments, moof = {}, 0, [], None
    for kind, start, end in boxes(data, 0, len(data)):
        if kind == "moov":
            init_size = end
            for name, inner, inner_end in boxes(data, start + 8, end):
                if name == "trak":
                    parts = {n: s for n, s, _ in boxes(data, inner + 8, inner_end)}
                    header = next(s for n, s, _ in boxes(data, parts["mdia"] + 8, inner_end) if n == "mdhd")
                    track = struct.unpack_from(">I", data, parts["tkhd"] + 28)[0]
                    timescales[track] = struct.unpack_from(">I", data, header + 28)[0]
        elif kind == "moof":
            track, time = struct.unpack_from(">I", data, start + 44)[0], struct.unpack_from(">Q", data, start + 60)[0]
            flags, count, data_offset = struct.unpack_from(">III", data, start + 76)
            step = 16 if flags & 0x800 else 12
            samples = [struct.unpack_from(">III", data, start + 88 + step * n) for n in range(count)]
            moof = {"track": track - 1, "media_time": time, "offset": start}
            moof |= {"samples": samples, "data": start + data_offset}
        elif kind == "mdat" and moof is not None:
            if moof["data"] != start + 8 or sum(size for _, size, _ in moof["samples"]) != end - start - 8:
                raise ValueError(f"byte {start}: the samples do not fill their mdat")
            fragments.append(dict(moof, size=end - moof["offset"]))
            moof = None
    return timescales, init_size, fragments


def show_recording(video_path, index_path):
    timescales, init_size, found = read_video(video_path.read_bytes())
    header, fragments, gaps, seal = read_index(index_path.read_bytes())
    good = seal is not None and seal["file_size"] == video_path.stat().st_size and header["init_size"] == init_size
    print(f"{video_path.name}: {len(found)} fragments, tracks of {list(timescales.values())} ticks per second")
    if seal is not None:
        print(f"  recorded {show(seal['start_us'])} to {show(seal['end_us'])}")
    for start_us, end_us, cause in gaps:
        print(f"  gap      {show(start_us)} to {show(end_us)} ({cause})")
    for record, fragment in zip(fragments, found, strict=False):
        keys = [n for n, (_, _, flags) in enumerate(fragment["samples"]) if flags == 0x02000000]
        same = all(record[name] == fragment[name] for name in ("track", "offset", "size", "media_time"))
        good &= same and record["samples"] == len(fragment["samples"]) and record["keys"] == len(keys)
        for n in keys if record["track"] == 0 else []:
            ticks = sum(duration for duration, _, _ in fragment["samples"][:n])
            print(f"  key      {show(record['start_us'] + ticks * 1_000_000 // timescales[1])}")
    good &= len(fragments) == len(found)
    print("  the index and the video agree" if good else "  the index and the video DIFFER")
    return good


def show_checksum(path):
    """docs/format/checksum.md"""
    line = re.fullmatch(r"([0-9a-f]{64})  (video_[0-9A-Za-z_-]+\.mp4)\n", path.read_text("ascii"))
    good = line is not None and hashlib.sha256((path.parent / line[2]).read_bytes()).hexdigest() == line[1]
    print(f"{path.name}: {'the video is as it was' if good else 'DIFFERS'}")
    return good


P = 2**255 - 19
D = -121665 * pow(121666, -1, P) % P


def point(data):
    """RFC 8032 §5.1.3: (x, y) of 32 bytes."""
    y = int.from_bytes(data, "little") & (1 << 255) - 1
    square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(square, (P + 3) // 8, P)
    x = x if x * x % P == square else x * pow(2, (P - 1) // 4, P) % P
    if y >= P or x * x % P != square:
        raise ValueError("no point of the curve")
    return (P - x if x & 1 != data[31] >> 7 else x), y


def add(a, b):
    product = D * a[0] * b[0] * a[1] * b[1] % P
    x = (a[0] * b[1] + a[1] * b[0]) * pow(1 + product, -1, P) % P
    return x, (a[1] * b[1] + a[0] * b[0]) * pow(1 - product, -1, P) % P


def times(number, a):
    total = (0, 1)
    for bit in bin(number)[2:]:
        total = add(total, total)
        total = add(total, a) if bit == "1" else total
    return total


def is_signed(key, message, signature):
    """RFC 8032 §5.1.7"""
    order = 2**252 + 27742317777372353535851937790883648493
    base = point(bytes([0x58] + [0x66] * 31))
    challenge = int.from_bytes(hashlib.sha512(signature[:32] + key + message).digest(), "little") % order
    scalar = int.from_bytes(signature[32:], "little")
    return scalar < order and times(scalar, base) == add(point(signature[:32]), times(challenge, point(key)))


def show_chain(camera, key):
    """docs/format/chain.md"""
    number, previous, good, files = 0, "0" * 64, True, {}
    for path in sorted(camera.glob("????-??-??/chain.jsonl")):
        for raw in path.read_bytes().split(b"\n")[:-1]:
            line = json.loads(raw)
            signature = bytes.fromhex(line.pop("signature"))
            text = json.dumps(line, sort_keys=True, separators=(",", ":")).encode()
            signed = key is None or is_signed(key, text, signature)
            linked = line["number"] == number + 1 and line["previous"] == previous and line["day"] == path.parent.name
            number, previous = line["number"], hashlib.sha256(raw).hexdigest()
            good &= signed and linked
            files[line.get("name")] = line
            told = line.get("name") or f"end of {line['day']} after {line['lines']} lines"
            wrong = ("" if linked else " NOT LINKED") + ("" if signed else " NOT SIGNED")
            print(f"  {number:5} {line['kind']:8} {told}{wrong}")
    for name, line in files.items():
        if line["kind"] == "sealed" and re.fullmatch(r"\d{4}-\d\d-\d\d/video_[0-9A-Za-z_-]+\.mp4", name):
            video = camera / name
            there = video.is_file() and hashlib.sha256(video.read_bytes()).hexdigest() == line["sha256"]
            print(f"  {name} {'is as it was' if there else 'is MISSING or DIFFERS (it may lie on another volume)'}")
            good &= there
    return good


def main(arguments):
    path = Path(arguments[0])
    second = Path(arguments[1]) if len(arguments) > 1 else None
    if path.is_dir():
        pem = second.read_text().split("-----")[2] if second else None
        return show_chain(path, base64.b64decode(pem)[-32:] if pem else None)
    if path.suffix == ".sha256":
        return show_checksum(path)
    beside = path.with_name(path.name.replace("video_", "index_", 1)).with_suffix(".vms-idx")
    return show_recording(path, second or beside)


if __name__ == "__main__":
    if not 2 <= len(sys.argv) <= 3:
        sys.exit(__doc__)
    sys.exit(0 if main(sys.argv[1:]) else 1)
