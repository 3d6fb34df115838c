"""Programs that share a budget of requests are killed as they ask: their share comes back, the rest stays."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

import msgspec
import pytest
from pydantic import SecretStr

from options_helper.data.rest.budget_ledger import PAGE, Ledger, Window, size
from options_helper.data.rest.shared_budget import SharedBudget
from tests.kit.pace import LONG

KILLS = 50 if LONG else 3
PER_MINUTE = 2_000
NOW = 10_000.0

ASKER = """
import sys
from pathlib import Path
from pydantic import SecretStr
from options_helper.data.rest.budget_ledger import RECORDER
from options_helper.data.rest.shared_budget import SharedBudget

budget, sent = SharedBudget(SecretStr("key"), "host", RECORDER, lambda: Path(sys.argv[1])), ()
while True:
    sent = budget.take({per_minute}, {per_minute}, sent, 0.0, {now}).sent
    print(len(sent), flush=True)
"""


@contextmanager
def asker(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that asks without a pause, all in one instant, and says so each time."""
    script = ASKER.format(per_minute=PER_MINUTE, now=NOW)
    process = subprocess.Popen([sys.executable, "-c", script, str(folder)], stdout=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def test_a_kill_at_any_moment_leaves_the_ledger_whole_and_the_share_to_the_others(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    random, page = Random(7), SharedBudget(SecretStr("key"), "host", PAGE, lambda: tmp_path)
    sent: Window = ()
    for _ in range(KILLS):
        with asker(tmp_path) as victim, asker(tmp_path) as another:
            for process in (victim, another):
                assert process.stdout
                for _ in range(random.randint(1, 60)):
                    process.stdout.readline()

        answer = page.take(PER_MINUTE, PER_MINUTE, sent, 0.0, NOW)

        sent = answer.sent
        (path,) = tmp_path.glob("*.json")
        ledger = msgspec.json.decode(path.read_bytes(), type=Ledger)
        assert answer.problem is None
        assert (answer.turn.programs, answer.turn.share) == (1, PER_MINUTE)
        assert size(ledger.all_sent) <= PER_MINUTE
        assert len(list(tmp_path.glob("*.alive"))) <= 3, "what the dead leave is removed"
    assert caplog.text == ""
