"""A file of gzip members is checked by hopping, and whatever is in it that is no member is found."""

from __future__ import annotations

import gzip
import random
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from options_helper.data.intraday.members import (
    HEAD_BYTES,
    MAX_MEMBER_BYTES,
    MAX_TEXT_BYTES,
    Member,
    Scan,
    encode_member,
    member_text,
    scan,
    zlib_deflate,
)

FIRST, SECOND, THIRD = b"seq,symbol\n", b"1,A\n2,B\n", b"3,C\n"
MEMBERS = (encode_member(FIRST, 1, 0), encode_member(SECOND, 1, 2), encode_member(THIRD, 3, 1))
FILE = b"".join(MEMBERS)


class Bytes:
    """Bytes to scan, which count what is read of them."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.read = 0

    def __call__(self, offset: int, length: int) -> bytes:
        found = self.data[offset : offset + length]
        self.read += len(found)
        return found


def scanned(data: bytes, check_bytes: int | None = None) -> Scan:
    return scan(Bytes(data), len(data), check_bytes=check_bytes)


def texts(data: bytes) -> list[bytes | None]:
    return [member_text(Bytes(data), member) for member in scanned(data).members]


@pytest.mark.parametrize("deflate", [None, zlib_deflate])
def test_any_gzip_reader_reads_members(deflate):
    file = b"".join(encode_member(text, 1, 1, deflate) for text in (FIRST, SECOND, THIRD))

    assert gzip.decompress(file) == FIRST + SECOND + THIRD
    assert texts(file) == [FIRST, SECOND, THIRD]


def test_members_say_their_rows_and_numbers():
    found = scanned(FILE)

    assert [(member.first, member.rows) for member in found.members] == [(1, 0), (1, 2), (3, 1)]
    assert [member.offset for member in found.members] == [
        0,
        len(MEMBERS[0]),
        len(MEMBERS[0]) + len(MEMBERS[1]),
    ]
    assert (found.rows, found.damage, found.torn_tail) == (3, (), None)


def test_a_scan_reads_a_head_of_each_member_and_the_last_one_whole():
    """The cost of opening a day does not grow with its rows."""
    large = encode_member(b"x,y\n" * 50_000, 3, 50_000, lambda text: zlib.compress(text, 0, -15))
    file = Bytes(FILE + large * 20 + MEMBERS[2])

    found = scan(file, len(file.data), check_bytes=0)

    assert len(found.members) == 24
    assert file.read < 24 * HEAD_BYTES + 2 * len(MEMBERS[2])


@pytest.mark.parametrize("cut", range(len(FILE)))
def test_a_cut_file_has_the_members_before_the_cut(cut: int):
    found = scanned(FILE[:cut])
    whole = [member for member in scanned(FILE).members if member.end <= cut]

    assert list(found.members) == whole
    end = whole[-1].end if whole else 0
    assert (found.torn_tail is None) == (cut == end)
    assert sum(damage.length for damage in found.damage) == cut - end


@given(st.integers(0, len(FILE) - 1), st.binary(min_size=1, max_size=len(FILE)))
def test_whatever_overwrites_the_end_costs_the_members_it_touches(start: int, garbage: bytes):
    file = FILE[:start] + garbage

    found = scanned(file)

    whole = scanned(FILE).members
    assert set(found.members) >= {member for member in whole if member.end <= start}
    assert all(
        file[member.offset : member.end] == FILE[member.offset : member.end] for member in found.members
    )
    covered = sum(member.length for member in found.members) + sum(damage.length for damage in found.damage)
    assert covered == len(file)


@pytest.mark.parametrize("index", range(len(MEMBERS[0]), len(MEMBERS[0]) + len(MEMBERS[1])))
def test_a_spoiled_byte_inside_costs_its_member_only(index: int):
    """In the head it may cost nothing: what only says where and how many is compared by `verify`."""
    spoiled = bytearray(FILE)
    spoiled[index] ^= 0xFF
    kept = texts(bytes(spoiled))

    if index - len(MEMBERS[0]) < HEAD_BYTES:
        assert kept in ([FIRST, SECOND, THIRD], [FIRST, THIRD])
    else:
        assert kept == [FIRST, THIRD]
        assert [damage.length for damage in scanned(bytes(spoiled)).inner_damage] == [len(MEMBERS[1])]


@pytest.mark.parametrize(
    "tail", [bytes(1), bytes(100_000), b"\x1f\x8b", b"\x1f\x8b\x08\x04" * 50, MEMBERS[1][:40]]
)
def test_what_follows_the_last_member_is_a_torn_tail(tail: bytes):
    found = scanned(FILE + tail, check_bytes=0)

    assert len(found.members) == 3
    assert found.torn_tail is not None
    assert (found.torn_tail.offset, found.torn_tail.length) == (len(FILE), len(tail))


def test_a_member_before_a_long_tail_of_zeros_is_checked_too():
    """Power loss can leave a spoiled member and then a block of zeros."""
    spoiled = bytearray(FILE)
    spoiled[-5] ^= 1

    found = scanned(bytes(spoiled) + bytes(4 << 20), check_bytes=0)

    assert len(found.members) == 2
    assert found.torn_tail is not None
    assert found.torn_tail.offset == len(FILE) - len(MEMBERS[2])


def test_members_of_other_programs_are_decoded_to_find_their_ends():
    foreign = gzip.compress(b"seq,symbol\n1,A\n2,B")

    found = scanned(foreign + FILE)

    assert found.members[0] == Member(0, len(foreign), 0, 3, foreign=True)
    assert len(found.members) == 4
    assert not found.damage


@pytest.mark.parametrize("cut", [1, 5, 15, 25])
def test_an_unfinished_member_of_another_program_is_damage(cut: int):
    foreign = gzip.compress(SECOND)

    found = scanned(FILE + foreign[:cut])

    assert len(found.members) == 3
    assert found.torn_tail is not None


def test_an_empty_file_has_nothing():
    assert scanned(b"") == Scan(0, (), ())


@pytest.mark.parametrize("deflate", [zlib_deflate])
def test_no_member_is_larger_than_one_write_may_be(deflate):
    """Not even when its text does not compress."""
    text = random.Random(3).randbytes(MAX_TEXT_BYTES)

    assert len(encode_member(text, 1, 1, deflate)) <= MAX_MEMBER_BYTES
