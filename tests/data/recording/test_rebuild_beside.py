"""Several processes make the files that one makes, also where one of them is killed."""

from __future__ import annotations

import multiprocessing
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from options_helper.data.intraday.contents import reading
from options_helper.data.intraday.members import encode_member, scan
from options_helper.data.recording.journal import Record, RecordKind, gap_record, record_parts
from options_helper.data.recording.rebuild import rebuild
from options_helper.model.gaps import Gap
from tests.data.recording.test_rebuild import SECOND, STOCKS, began, ledgers, received, record_session
from tests.data.recording.test_verify_rows import SYMBOLS, recorded
from tests.kit.captured import members_of
from tests.kit.fakes import NOON, quote_message
from tests.kit.rebuilt import partitions
from tests.kit.waiting import A_PROCESS

# One process works for a minute beside another, which says so when it has begun.
BESIDE = """
import time
from options_helper.data.recording.shares import Beside
if __name__ == "__main__":
    beside = Beside("test", exec, "import time; print('works', flush=True); time.sleep(60)")
    time.sleep(60)
"""


def damage_a_journal(root: Path) -> None:
    path = min(root.glob("journal/*/*"))
    head, *members = members_of(path)
    path.write_bytes(b"".join([head, *members[:20], bytes(len(members[20])), *members[21:]]))


def killed(_: Path) -> None:
    for process in multiprocessing.active_children():
        process.kill()
        process.join()


def killed_beside_a_recorder(path: Path) -> None:
    killed(path)
    with reading(path) as (read_at, size):
        last = scan(read_at, size).members[-1]
    more = received(NOON + 20 * SECOND, *(quote_message(symbol) for symbol in SYMBOLS))
    with path.open("ab") as file:
        file.write(encode_member(b"".join(record_parts(more)), last.first + last.rows, 1))


def a_damaged_recording(root: Path) -> None:
    recorded(root)
    gap = Gap(STOCKS, NOON, NOON + SECOND, "the socket was closed", 3)
    last = NOON + 9 * SECOND
    record_session(root, "session-2", [began(last), gap_record(last, gap), Record(RecordKind.TICK, last)])
    damage_a_journal(root)


@pytest.mark.parametrize("happens", [bool, killed_beside_a_recorder])
def test_three_processes_make_of_a_damaged_journal_what_one_makes(
    tmp_path: Path, happens: Callable[[Path], object]
):
    a_damaged_recording(tmp_path)
    alone, together = tmp_path / "alone", tmp_path / "together"
    made = rebuild(tmp_path, alone)
    told: list[Path] = []

    def done(path: Path) -> None:
        told.append(path)
        happens(path)

    assert rebuild(tmp_path, together, done=done, processes=3) == made
    assert made[0].problem is not None
    assert partitions(together) == partitions(alone)
    assert ledgers(together) == ledgers(alone) != {}
    assert len(told) == 3
    assert sorted(path.name for path in together.iterdir()) == sorted(path.name for path in alone.iterdir())
    assert multiprocessing.active_children() == []


def test_what_two_processes_did_not_read_alike_is_read_by_one(tmp_path: Path):
    """The last journal, with its gap, is taken away when the first process has read it."""
    a_damaged_recording(tmp_path)
    alone, together = tmp_path / "alone", tmp_path / "together"

    def done(path: Path) -> None:
        killed(path)
        if path.name.startswith("session-2"):
            path.write_bytes(b"".join(members_of(path)[:1]))

    made = rebuild(tmp_path, together, done=done, processes=2)
    assert made == rebuild(tmp_path, alone)
    assert partitions(together) == partitions(alone)
    assert ledgers(together) == ledgers(alone) == {}
    assert sorted(path.name for path in together.iterdir()) == sorted(path.name for path in alone.iterdir())


def test_a_process_ends_with_the_one_that_began_it_is_killed():
    """It holds the killed one's stdout open for as long as it lives."""
    program = subprocess.Popen([sys.executable, "-c", BESIDE], stdout=subprocess.PIPE)
    assert program.stdout is not None
    assert program.stdout.readline() == b"works\n"
    program.kill()
    assert program.communicate(timeout=A_PROCESS)[0] == b""
