"""Several processes make the files that one makes, also where one of them is killed."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

import pytest

from options_helper.data.recording.journal import Record, RecordKind, gap_record
from options_helper.data.recording.rebuild import rebuild
from options_helper.model.gaps import Gap
from tests.data.recording.test_rebuild import SECOND, STOCKS, began, ledgers, record_session
from tests.data.recording.test_verify_rows import recorded
from tests.kit.captured import members_of
from tests.kit.fakes import NOON
from tests.kit.rebuilt import partitions


def damage_a_journal(root: Path) -> None:
    path = min(root.glob("journal/*/*"))
    head, *members = members_of(path)
    path.write_bytes(b"".join([head, *members[:20], bytes(len(members[20])), *members[21:]]))


@pytest.mark.parametrize("killed", [False, True])
def test_three_processes_make_of_a_damaged_journal_what_one_makes(tmp_path: Path, *, killed: bool):
    recorded(tmp_path)
    gap = Gap(STOCKS, NOON, NOON + SECOND, "the socket was closed", 3)
    last = NOON + 9 * SECOND
    record_session(tmp_path, "session-2", [began(last), gap_record(last, gap), Record(RecordKind.TICK, last)])
    damage_a_journal(tmp_path)
    alone, together = tmp_path / "alone", tmp_path / "together"
    made = rebuild(tmp_path, alone)
    told: list[Path] = []

    def done(path: Path) -> None:
        told.append(path)
        for process in multiprocessing.active_children() if killed else ():
            process.kill()
            process.join()

    assert rebuild(tmp_path, together, done=done, processes=3) == made
    assert made[0].problem is not None
    assert partitions(together) == partitions(alone)
    assert ledgers(together) == ledgers(alone) != {}
    assert len(told) == 3
    assert sorted(path.name for path in together.iterdir()) == sorted(path.name for path in alone.iterdir())
    assert multiprocessing.active_children() == []
