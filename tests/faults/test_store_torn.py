"""Whatever a crash leaves at the end of a file, the next open keeps every whole member, and the bytes it cuts."""

from __future__ import annotations

import random
import shutil
from itertools import accumulate
from pathlib import Path

import pytest

from tests.kit.captured import AAPL_QUOTES, DAY, bid_sizes, members_of, numbers, quotes, rows_in, store
from tests.kit.pace import LONG, runs

ROWS_PER_MEMBER = 4


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A partition of a header and three members."""
    root = tmp_path_factory.mktemp("recording")
    with store(root, flush_rows=ROWS_PER_MEMBER) as kept:
        kept.append("stocks", quotes(3 * ROWS_PER_MEMBER))
    return root


def whole_rows(data: bytes, members: list[bytes]) -> int:
    """Rows of the members that stand unchanged at the beginning."""
    end, rows = len(members[0]), 0
    for member in members[1:]:
        if data[: end + len(member)] != b"".join(members)[: end + len(member)]:
            break
        end, rows = end + len(member), rows + ROWS_PER_MEMBER
    return rows


def reopen(
    recording: Path, root: Path, data: bytes, *, with_meta: bool = True
) -> tuple[list[int], list[int], bytes]:
    """Give a copy of the recording this content, append one row, and return sizes, numbers and the bytes cut."""
    path = root / AAPL_QUOTES
    shutil.rmtree(root, ignore_errors=True)
    path.parent.mkdir(parents=True)
    path.write_bytes(data)
    if with_meta:
        shutil.copy((recording / AAPL_QUOTES).with_name(f"{DAY}.meta.json"), path.parent)
    with store(root) as kept:
        kept.append("stocks", quotes(1, first=99))
    rows = rows_in(path)
    torn = b"".join(one.read_bytes() for one in path.parent.glob("*.torn-*"))
    assert all(not report.problems for report in store(root).verify())
    return bid_sizes(rows), numbers(rows), torn


def test_cut_at_any_byte_a_file_keeps_the_members_before_the_cut(recording: Path, tmp_path: Path):
    data = (recording / AAPL_QUOTES).read_bytes()
    members = members_of(recording / AAPL_QUOTES)
    ends = [*accumulate(map(len, members))]
    near = {end + by for end in ends for by in range(-12, 13)}
    # Where a member ends, every byte counts; within one, in the short form, each tenth.
    for cut in range(len(data)):
        if not LONG and cut % 10 and cut not in near:
            continue
        rows = whole_rows(data[:cut], members) if cut >= len(members[0]) else 0

        sizes, seqs, torn = reopen(recording, tmp_path / "root", data[:cut], with_meta=False)

        kept = sum(map(len, members[: 1 + rows // ROWS_PER_MEMBER])) if cut >= len(members[0]) else 0
        assert (cut, sizes) == (cut, [*range(rows), 99])
        assert seqs == [*range(1, rows + 2)]
        assert torn == data[kept:cut]


def test_numbers_that_were_given_are_not_given_again(recording: Path, tmp_path: Path):
    """What stands beside a file still knows how far it counted, even where nothing in the file is readable."""
    _, seqs, torn = reopen(recording, tmp_path / "root", b"\0" * 100)

    assert (seqs, torn) == ([13], b"\0" * 100)


@pytest.mark.parametrize("filling", ["zeros", "noise"])
def test_tails_of_zeros_or_noise_are_cut(recording: Path, tmp_path: Path, filling: str):
    data = (recording / AAPL_QUOTES).read_bytes()
    members = members_of(recording / AAPL_QUOTES)
    chance = random.Random(7)
    for _ in range(runs(100, 2_000)):
        start = chance.randrange(len(members[0]), len(data) + 1)
        length = chance.choice([1, 7, 40, 4_096])
        tail = bytes(length) if filling == "zeros" else chance.randbytes(length)
        changed = data[:start] + tail
        rows = whole_rows(changed, members)

        sizes, seqs, torn = reopen(recording, tmp_path / "root", changed)

        assert (sizes, seqs) == ([*range(rows), 99], [*range(1, rows + 2)])
        assert torn == changed[sum(map(len, members[: 1 + rows // ROWS_PER_MEMBER])) :]


def test_a_spoiled_page_inside_costs_the_rows_on_it_only(tmp_path: Path):
    with store(tmp_path, flush_rows=500) as kept:
        kept.append("stocks", quotes(20_000))
    path = tmp_path / AAPL_QUOTES
    data = bytearray(path.read_bytes())
    data[8_192:12_288] = bytes(4_096)
    path.write_bytes(data)

    with store(tmp_path) as kept:
        kept.append("stocks", quotes(1, first=20_000))

    sizes = bid_sizes(rows_in(path))
    missing = sorted({*range(20_001)} - {*sizes})
    assert 500 <= len(missing) <= 2_000
    assert missing == [*range(missing[0], missing[0] + len(missing))]
    (report,) = store(tmp_path).verify()
    assert report.problems == (f"row {missing[-1] + 2} follows row {missing[0]}",)
    assert (report.lost, report.gaps[0].lost) == (len(missing), len(missing))
