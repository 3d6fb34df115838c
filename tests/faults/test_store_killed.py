"""A recorder that is killed at any moment has lost nothing that was flushed, and the next one goes on."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pandas as pd
import pytest

from options_helper.errors import StoreError
from tests.faults.writer import recording
from tests.kit.captured import AAPL_QUOTES, bid_sizes, numbers, rows_in, store
from tests.kit.pace import runs


@pytest.mark.timeout(900)  # the long run reads an ever longer file after each kill
@pytest.mark.parametrize("in_pieces", [False, True])
def test_killed_at_random_times_every_acknowledged_row_is_there(tmp_path: Path, *, in_pieces: bool):
    chance = random.Random(20 + in_pieces)
    rows = 0
    for _ in range(runs(20, 100)):
        with recording(tmp_path, rows, in_pieces=in_pieces) as writer:
            if chance.random() < 0.9:
                writer.wait_until_it_writes()
            # Not waiting for a fact: the moment of the kill is what is drawn.
            time.sleep(chance.uniform(0, 0.05))
        kept = store(tmp_path).read("stocks", "quotes", "AAPL")
        assert len(kept) >= rows + writer.acknowledged
        rows = len(kept)

    torn = len(list((tmp_path / AAPL_QUOTES).parent.glob("*.torn-*")))
    store(tmp_path).repair()
    kept_rows = rows_in(tmp_path / AAPL_QUOTES)
    assert rows > 0
    assert numbers(kept_rows) == [*range(1, rows + 1)]
    assert bid_sizes(kept_rows) == [*range(rows)]
    assert list(pd.read_csv(tmp_path / AAPL_QUOTES)["seq"]) == numbers(kept_rows)
    assert [report.problems for report in store(tmp_path).verify()] == [()]
    assert torn > 0 or not in_pieces, "no kill met a member half written"


def test_a_second_process_is_refused_and_the_lock_dies_with_the_first(tmp_path: Path):
    with recording(tmp_path) as writer:
        writer.wait_until_it_writes()

        with pytest.raises(StoreError, match=f"by the recorder, process {writer.process.pid} on"):
            store(tmp_path).acquire()
        assert len(store(tmp_path).read("stocks", "quotes", "AAPL")) > 0
        assert all(report.ok for report in store(tmp_path).verify())

        writer.kill()
        with store(tmp_path) as second:
            second.acquire()
