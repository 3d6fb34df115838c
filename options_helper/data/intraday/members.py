"""One flush is one gzip member that says how long it is, so a file is checked by hopping, not by decoding all of it.

A member is ordinary gzip (RFC 1952) with one subfield in its extra field, which every reader skips:

    bytes  0-9    gzip header: 1f 8b, deflate, flags = extra field only, time 0, level sign, system unknown
    bytes 10-11   length of the extra field: 20
    bytes 12-15   subfield id "OH", length of its data: 16
    bytes 16-19   length of the whole member in bytes, trailer included (unsigned, little endian, as all of these)
    bytes 20-27   number of the first row in it; of a member without rows, the number that the next row will have
    bytes 28-31   number of rows in it
    then          raw deflate data, CRC-32 and length of the text, as in any gzip file

Whole rows only: the text of a member ends with a line end.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

# Read `length` bytes at `offset`; fewer only where the file ends.
ReadAt = Callable[[int, int], bytes]
Deflate = Callable[[bytes], bytes]

# A write of up to 256 KiB was never seen torn by a kill. Text that does not compress grows by a few bytes.
MAX_MEMBER_BYTES: Final = 256 * 1024
MAX_TEXT_BYTES: Final = 240 * 1024

_HEAD: Final = struct.Struct("<4sIBBH2sHIQI")
_TRAILER: Final = struct.Struct("<II")
_MAGIC: Final = b"\x1f\x8b\x08\x04"
_FIELD_ID: Final = b"OH"
_FIELD_BYTES: Final = 16
_FASTEST: Final = 4
_SYSTEM_UNKNOWN: Final = 255
HEAD_BYTES: Final = _HEAD.size
# What every member of ours begins with, except for the sign of its level.
_MARK: Final = _MAGIC + bytes(4)
_RAW_DEFLATE: Final = -zlib.MAX_WBITS
_GZIP: Final = 16 + zlib.MAX_WBITS
_BLOCK: Final = 1 << 20
# A member with more text than that is decoded piece by piece.
LARGE_TEXT_BYTES: Final = 4 << 20
_READ_BYTES: Final = 1 << 16
_PIECE_BYTES: Final = 1 << 20


class Member(NamedTuple):
    """Where a gzip member lies, and what it holds. A foreign one has no field of ours: its lines were counted."""

    offset: int
    length: int
    first: int
    rows: int
    foreign: bool = False

    @property
    def end(self) -> int:
        """The offset behind it."""
        return self.offset + self.length


class Damage(NamedTuple):
    """Bytes that belong to no whole member."""

    offset: int
    length: int

    @property
    def end(self) -> int:
        """The offset behind it."""
        return self.offset + self.length


@dataclass(frozen=True, slots=True)
class Scan:
    """What a file consists of, in order; members and damage together cover every byte."""

    size: int
    members: tuple[Member, ...]
    damage: tuple[Damage, ...]

    @property
    def torn_tail(self) -> Damage | None:
        """What follows the last whole member, if anything does: the trace of a kill, or of a writer at work."""
        return self.damage[-1] if self.damage and self.damage[-1].end == self.size else None

    @property
    def inner_damage(self) -> tuple[Damage, ...]:
        """Damage with whole members behind it: no kill leaves that."""
        return tuple(damage for damage in self.damage if damage.end != self.size)

    @property
    def rows(self) -> int:
        """Rows of all members; the header line of a foreign file counts as one."""
        return sum(member.rows for member in self.members)


def encode_member(text: bytes, first: int, rows: int, deflate: Deflate | None = None) -> bytes:
    """One member with `rows` rows, the first of which has the number `first`."""
    body = (deflate or zlib_deflate)(text)
    length = HEAD_BYTES + len(body) + _TRAILER.size
    return b"".join((member_head(length, first, rows), body, member_trailer(zlib.crc32(text), len(text))))


def member_head(length: int, first: int, rows: int) -> bytes:
    """The bytes before the deflate data."""
    return _HEAD.pack(
        _MAGIC,
        0,
        _FASTEST,
        _SYSTEM_UNKNOWN,
        _FIELD_BYTES + 4,
        _FIELD_ID,
        _FIELD_BYTES,
        length,
        first,
        rows,
    )


def member_trailer(crc: int, text_bytes: int) -> bytes:
    """The bytes after the deflate data."""
    return _TRAILER.pack(crc, text_bytes & 0xFFFF_FFFF)


def zlib_deflate(text: bytes) -> bytes:
    """Raw deflate data; level 1 would take more than 1.25 times the bytes of level 6.

    By the standard library, although ISA-L is quicker: recordings made again from their journal differed by bytes with
    it now and then, and a rebuilt file that is not the same cannot be told from a wrong one.
    """
    return zlib.compress(text, 2, _RAW_DEFLATE)


def scan(read_at: ReadAt, size: int, *, check_bytes: int | None = None, start: int = 0) -> Scan:
    """Find the members of a file, or those from the byte `start` on, by hopping from one to the next.

    Members that end within the last `check_bytes`, and in any case the last one, are decoded and their checksum
    compared; None checks all of them. Bytes that are no member are damage; the search goes on behind them.
    """
    members: list[Member] = []
    damage: list[Damage] = []
    offset = start
    while offset < size:
        member = member_at(read_at, offset, size)
        if member is None:
            end = _next_sound_member(read_at, offset + 1, size)
            damage.append(Damage(offset, end - offset))
            offset = end
        else:
            members.append(member)
            offset = member.end
    members, unsound = _checked(read_at, members, 0 if check_bytes is None else size - check_bytes)
    return Scan(size, tuple(members), _joined(sorted([*damage, *unsound])))


def numbered_texts(
    read_at: ReadAt, size: int, start: int, wanted: Callable[[int], bool]
) -> Iterator[tuple[int, int, int, bytes | None]]:
    """Offset, number of the first row, number behind the last one and text of each member, from `start` on, in order.

    Where nobody can read it the text is None, and the numbers say nothing.
    A member whose end is not `wanted` is not decoded, and has no text. A torn tail is where the file ends. OSError at
    once where the file cannot be looked through.
    """
    found = scan(read_at, size, check_bytes=0, start=start)
    pieces: list[Member | Damage] = sorted(
        [*found.members, *found.inner_damage], key=lambda piece: piece.offset
    )

    def texts() -> Iterator[tuple[int, int, int, bytes | None]]:
        for piece in pieces:
            if isinstance(piece, Damage) or piece.foreign:
                yield piece.offset, 0, 0, None
            else:
                end = piece.first + piece.rows
                yield piece.offset, piece.first, end, member_text(read_at, piece) if wanted(end) else b""

    return texts()


def member_at(read_at: ReadAt, offset: int, size: int) -> Member | None:
    """The member that begins here, taken at its word if it is ours; None where no whole member begins."""
    head = read_at(offset, HEAD_BYTES)
    member = _announced(head, offset)
    if member is not None:
        return member if member.length > HEAD_BYTES and member.end <= size else None
    return _foreign_member(read_at, offset) if head.startswith(_MAGIC[:3]) else None


def member_text(read_at: ReadAt, member: Member) -> bytes | None:
    """The rows of a member; None when it is damaged."""
    data = read_at(member.offset, member.length)
    inflate = zlib.decompressobj(_GZIP)
    try:
        text = inflate.decompress(data)
    except zlib.error:
        return None
    # The end of the stream was reached, so its checksum and length were compared.
    return text if inflate.eof and not inflate.unused_data else None


def is_sound(read_at: ReadAt, member: Member) -> bool:
    """Whether a member can be decoded and its checksum fits; keeps nothing of it in memory."""
    return sum(1 for piece in _inflated(read_at, member) if piece is None) == 0


def member_pieces(read_at: ReadAt, member: Member) -> Iterator[bytes] | None:
    """The text of a member in pieces of whole lines; None when it is damaged.

    A large one, such as a whole day that an earlier version sealed, is decoded twice rather than kept in memory.
    """
    announced = int.from_bytes(read_at(member.end - 4, 4), "little")
    # What it says of its length may be as damaged as the rest of it.
    if max(announced, member.length) <= LARGE_TEXT_BYTES:
        text = member_text(read_at, member)
        return None if text is None else iter((text,))
    return _whole_lines(read_at, member) if is_sound(read_at, member) else None


def _inflated(read_at: ReadAt, member: Member) -> Iterator[bytes | None]:
    """The text as it comes; None at the end of one that is not sound."""
    inflate = zlib.decompressobj(_GZIP)
    position = member.offset
    try:
        while position < member.end:
            data = read_at(position, min(_READ_BYTES, member.end - position))
            if not data:
                break
            position += len(data)
            while data:
                yield inflate.decompress(data, _PIECE_BYTES)
                data = inflate.unconsumed_tail
        # The end of the stream was reached, so its checksum and length were compared.
        if not inflate.eof or inflate.unused_data or position < member.end:
            yield None
    except zlib.error:
        yield None


def _whole_lines(read_at: ReadAt, member: Member) -> Iterator[bytes]:
    waiting = b""
    for piece in _inflated(read_at, member):
        waiting += piece or b""
        end = waiting.rfind(b"\n") + 1
        # A line end between quotes is part of a text.
        while end and waiting.count(b'"', 0, end) % 2:
            end = waiting.rfind(b"\n", 0, end - 1) + 1
        if end:
            yield waiting[:end]
            waiting = waiting[end:]
    if waiting:
        yield waiting


def _announced(head: bytes, offset: int) -> Member | None:
    if len(head) < HEAD_BYTES or not head.startswith(_MARK):
        return None
    *_, extra_bytes, field, field_bytes, length, first, rows = _HEAD.unpack(head)
    if (extra_bytes, field, field_bytes) != (_FIELD_BYTES + 4, _FIELD_ID, _FIELD_BYTES):
        return None
    return Member(offset, length, first, rows)


def _foreign_member(read_at: ReadAt, offset: int) -> Member | None:
    """A member of another program has to be decoded to find its end."""
    inflate = zlib.decompressobj(_GZIP)
    position, lines, last = offset, 0, b"\n"
    while not inflate.eof:
        data = read_at(position, _BLOCK)
        if not data:
            return None
        position += len(data)
        try:
            text = inflate.decompress(data)
        except zlib.error:
            return None
        lines += text.count(b"\n")
        last = text[-1:] or last
    length = position - len(inflate.unused_data) - offset
    # A last line without its end is a row all the same.
    return Member(offset, length, 0, lines + (last != b"\n"), foreign=True)


def _next_sound_member(read_at: ReadAt, offset: int, size: int) -> int:
    """Where the next member of ours begins that decodes; the end of the file when there is none."""
    for candidate in _marks(read_at, offset, size):
        member = member_at(read_at, candidate, size)
        if member is not None and not member.foreign and is_sound(read_at, member):
            return candidate
    return size


def _marks(read_at: ReadAt, offset: int, size: int) -> Iterator[int]:
    while offset < size:
        block = read_at(offset, _BLOCK + len(_MARK) - 1)
        found = block.find(_MARK)
        while found >= 0:
            yield offset + found
            found = block.find(_MARK, found + 1)
        offset += _BLOCK


def _checked(read_at: ReadAt, members: list[Member], check_from: int) -> tuple[list[Member], list[Damage]]:
    """Decode members from the end on, until one is sound and the rest lies before `check_from`."""
    unsound: list[Damage] = []
    kept = len(members)
    good: list[Member] = []
    while kept and (not good or members[kept - 1].end > check_from):
        kept -= 1
        member = members[kept]
        if member.foreign or is_sound(read_at, member):
            good.append(member)
        else:
            unsound.append(Damage(member.offset, member.length))
    return [*members[:kept], *reversed(good)], unsound


def _joined(damage: list[Damage]) -> tuple[Damage, ...]:
    """Neighbours become one."""
    joined: list[Damage] = []
    for part in damage:
        if joined and joined[-1].end == part.offset:
            part = Damage(joined[-1].offset, joined.pop().length + part.length)  # noqa: PLW2901
        joined.append(part)
    return tuple(joined)
