"""Whatever is changed in a chain shows, and is named; a chain that nobody touched shows nothing."""

from __future__ import annotations

from hashlib import sha256

from hypothesis import given, settings
from hypothesis import strategies as st

from vms.contracts.catalogue import ChainHead
from vms.storage.chain_lines import BEGINNING, ChainLine, check, hash_of, read_line

CAMERA = "cam"
KEY = "0123456789abcdef"
Days = list[tuple[str, bytes]]


def _sign(data: bytes, secret: bytes = b"secret") -> str:
    return sha256(secret + data).hexdigest() * 2


def _holds(key: str, data: bytes, signature: bytes) -> bool | None:
    return signature.hex() == _sign(data) if key == KEY else None


def _chain(counts: list[int], *, camera_id: str = CAMERA, secret: bytes = b"secret") -> tuple[Days, ChainHead]:
    """A chain with so many files on each day, all days but the last closed."""
    days: Days = []
    number, previous = 0, BEGINNING
    for position, count in enumerate(counts):
        day = f"2026-01-{position + 1:02}"
        content = b""
        kinds: list[dict[str, object]] = [
            {"kind": "removed", "name": f"{day}/video_{hour - 1:02}.mp4", "reason": "ä", "by": "retention"}
            if hour % 3 == 2
            else {
                "kind": "sealed", "name": f"{day}/video_{hour:02}.mp4", "stream": "main", "size_bytes": hour,
                "sha256": f"{hour:064x}", "start_us": hour, "end_us": hour + 1,
            }
            for hour in range(count)
        ]  # fmt: skip
        if position < len(counts) - 1:
            kinds.append({"kind": "root", "lines": count})
        for fields in kinds:
            number += 1
            if fields["kind"] == "root":
                fields["head"] = previous
            draft = ChainLine.model_validate(
                {"camera_id": camera_id, "day": day, "number": number, "previous": previous, "at_us": 5, "key": KEY}
                | fields
            )
            raw = draft.model_copy(update={"signature": _sign(draft.signed_bytes(), secret)}).to_bytes()
            previous = hash_of(raw)
            content += raw + b"\n"
        days.append((day, content))
    return days, ChainHead(camera_id=camera_id, day=days[-1][0], number=number, line_sha256=previous)


COUNTS = st.lists(st.integers(1, 6), min_size=1, max_size=4)


@given(COUNTS)
def test_an_untouched_chain_is_whole(counts: list[int]) -> None:
    days, head = _chain(counts)
    result = check(CAMERA, days, _holds, head)
    assert result.findings == []
    assert result.lines == head.number
    assert not result.doubtful
    assert len(result.files) == sum(len([hour for hour in range(count) if hour % 3 != 2]) for count in counts)
    assert check(CAMERA, days, _holds, None).findings == []


def _lines(days: Days) -> list[tuple[int, int]]:
    return [(at, line) for at, (_, content) in enumerate(days) for line in range(content.count(b"\n"))]


def _with(days: Days, at: int, lines: list[bytes]) -> Days:
    changed = list(days)
    changed[at] = (days[at][0], b"".join(line + b"\n" for line in lines))
    return changed


def _split(days: Days, at: int) -> list[bytes]:
    return days[at][1].split(b"\n")[:-1]


@settings(max_examples=300)
@given(COUNTS, st.data())
def test_every_change_shows_and_is_named(counts: list[int], data: st.DataObject) -> None:
    days, head = _chain(counts)
    at, position = data.draw(st.sampled_from(_lines(days)))
    lines = _split(days, at)
    number = read_line(lines[position])
    assert number is not None
    how = data.draw(st.sampled_from(["flip", "delete", "repeat", "swap", "truncate", "insert", "garbage", "drop day"]))
    if how == "flip":
        byte = data.draw(st.integers(0, len(lines[position]) - 1))
        raw = bytearray(lines[position])
        raw[byte] ^= 1 << data.draw(st.integers(0, 7))
        lines[position] = bytes(raw)
    elif how == "delete":
        del lines[position]
    elif how == "repeat":
        lines.insert(position, lines[position])
    elif how == "insert":
        others, _ = _chain(counts, camera_id="other")
        lines.insert(position, _split(others, at)[position])
    elif how == "garbage":
        lines.insert(position, data.draw(st.binary(max_size=40)).replace(b"\n", b""))
    elif how == "truncate":
        del lines[position:]
    elif how == "swap":
        with_what = data.draw(st.integers(0, len(lines) - 1))
        if with_what == position:
            return
        lines[position], lines[with_what] = lines[with_what], lines[position]
    changed = [day for day in days if day is not days[at]] if how == "drop day" else _with(days, at, lines)
    findings = check(CAMERA, changed, _holds, head).findings
    assert findings, how
    assert all(found.camera_id == CAMERA and found.day and found.line and found.is_damage for found in findings)
    # The line is named, or that next to it, or the first that is missing.
    assert any(abs((found.line or 0) - number.number) <= (99 if how in {"swap", "drop day", "truncate"} else 1)
               for found in findings)  # fmt: skip


@given(COUNTS, st.integers(0, 2**31), st.integers(1, 255))
def test_a_byte_anywhere_cannot_change_unseen(counts: list[int], where: int, by: int) -> None:
    days, head = _chain(counts)
    at = where % len(days)
    raw = bytearray(days[at][1])
    raw[where % len(raw)] ^= by
    changed = list(days)
    changed[at] = (days[at][0], bytes(raw))
    assert check(CAMERA, changed, _holds, head).findings


def test_a_tail_cut_off_with_its_memory_is_the_limit_of_what_shows() -> None:
    days, head = _chain([3, 3])
    lines = _split(days, 1)
    cut = _with(days, 1, lines[:-1])
    assert [found.kind for found in check(CAMERA, cut, _holds, head).findings] == ["chain_cut"]
    assert check(CAMERA, cut, _holds, None).findings == []


def test_a_chain_forged_as_a_whole_lacks_the_signatures() -> None:
    forged, _ = _chain([2, 1], secret=b"guessed")
    found = check(CAMERA, forged, _holds, None).findings
    assert [(finding.kind, finding.line) for finding in found] == [("chain_altered", line) for line in (1, 2, 3, 4)]


def test_a_key_that_is_not_ours_is_named() -> None:
    days, head = _chain([1])
    found = check(CAMERA, days, lambda *_: None, head).findings
    assert [finding.kind for finding in found] == ["chain_foreign_key"]
    assert KEY in found[0].detail


@given(st.binary(max_size=300))
def test_nothing_makes_the_reader_fail(garbage: bytes) -> None:
    check(CAMERA, [("2026-01-01", garbage)], _holds, None)
    read_line(garbage)
