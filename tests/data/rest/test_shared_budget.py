"""Programs that share a minute through files: locks, deaths, damage, and disks that refuse."""

from __future__ import annotations

import errno
import os
import re
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from options_helper.data.rest import shared_budget
from options_helper.data.rest.budget_ledger import INGESTION, PAGE, RECORDER, Answer, Share
from options_helper.data.rest.shared_budget import SharedBudget, shared_folder

KEY = SecretStr("PKSENTINEL0000000001")
HOST = "data.alpaca.markets"
NOW = 10_000.0


class Program:
    """One program's part, as its limiter uses it."""

    def __init__(self, folder: Path, share: Share = PAGE, *, key: SecretStr = KEY, host: str = HOST) -> None:
        self.budget = SharedBudget(key, host, share, lambda: folder)
        self.answer: Answer | None = None
        self.held_until = 0.0

    def ask(self, now: float = NOW, per_minute: int = 8) -> Answer:
        sent = () if self.answer is None else self.answer.sent
        self.answer = self.budget.take(per_minute, 10_000, sent, self.held_until, now)
        return self.answer

    def ask_until_decided(self) -> Answer:
        """As its limiter does: again when it was told to come back in a moment."""
        while 0 < self.ask().turn.wait < 0.1:
            pass
        assert self.answer
        return self.answer

    def ask_all(self, now: float = NOW) -> int:
        count = 0
        while not self.ask(now).turn.wait:
            count += 1
        return count


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "requests"


def only(folder: Path, pattern: str) -> Path:
    (path,) = folder.glob(pattern)
    return path


def test_programs_share_one_minute(folder: Path):
    page, recorder = Program(folder), Program(folder, RECORDER)
    recorder.ask()

    assert page.ask().turn.programs == 2
    assert (1 + page.ask_all(), 1 + recorder.ask_all()) == (5, 2)


def test_a_program_that_is_gone_gives_its_share_back(folder: Path):
    page, recorder = Program(folder), Program(folder, RECORDER)
    recorder.ask()
    assert page.ask().turn.share == 5

    del recorder.budget  # as the kernel does with a process: its lock goes

    assert page.ask().turn.share == 8


def test_a_pause_is_everybody_s_at_once(folder: Path):
    page, recorder = Program(folder), Program(folder, RECORDER)
    page.ask()
    recorder.ask()

    page.budget.hold(NOW + 30)

    assert recorder.ask(NOW + 1).turn.wait == 29
    assert recorder.ask(NOW + 30.1).turn.wait == 0


def test_a_pause_that_could_not_be_told_is_told_with_the_next_request(folder: Path):
    page, recorder = Program(folder), Program(folder, RECORDER)
    page.held_until = NOW + 30
    page.ask()

    assert recorder.ask().turn.wait == 30


@pytest.mark.parametrize(("seconds", "wait"), [(86_400, 86_400), (86_401, 0)])
def test_a_pause_of_more_than_a_day_is_of_another_clock_and_not_believed(
    folder: Path, seconds: int, wait: int
):
    """Where the system does not say which start of the computer this is, an old file is told by nothing else."""
    page, recorder = Program(folder), Program(folder, RECORDER)
    page.ask()

    page.budget.hold(NOW + seconds)

    assert recorder.ask().turn.wait == wait


def test_accounts_and_hosts_have_minutes_of_their_own(folder: Path):
    others = [
        Program(folder, key=SecretStr("another")),
        Program(folder, host="paper-api.alpaca.markets"),
    ]
    Program(folder).ask_all()

    assert [other.ask_all() for other in others] == [8, 8]


def test_nothing_in_the_folder_tells_of_the_key_and_all_of_it_is_its_owner_s(folder: Path):
    page = Program(folder)
    page.ask()

    for path in folder.iterdir():
        assert KEY.get_secret_value() not in path.name
        assert KEY.get_secret_value().encode() not in path.read_bytes()
        assert path.stat().st_mode & 0o077 == 0, path
    assert folder.stat().st_mode & 0o077 == 0
    elsewhere = folder.with_name("elsewhere")
    Program(elsewhere).ask()
    assert only(folder, "*.json").name != only(elsewhere, "*.json").name, (
        "the same key has another name there"
    )


def test_a_damaged_file_is_begun_anew_with_what_each_program_knows(folder: Path, caplog: Any):
    page, recorder = Program(folder), Program(folder, RECORDER)
    recorder.ask()
    page.ask_all()
    only(folder, "*.json").write_text('{"boot": ')

    assert page.ask().turn.left == 8 - 6, "its own five are in its mind"
    recorder.ask()
    assert page.ask().turn.programs == 2
    assert "cannot be read, and is begun anew" in caplog.text


@pytest.mark.parametrize("is_removed", [False, True])
def test_a_folder_that_was_emptied_or_removed_is_filled_again(folder: Path, *, is_removed: bool):
    page, recorder = Program(folder), Program(folder, RECORDER)
    page.ask()
    for path in folder.iterdir():
        path.unlink()
    if is_removed:
        folder.rmdir()

    for program in (recorder, page, page):  # the first time it may find out that the folder is gone
        program.ask_until_decided()

    turn = recorder.ask_until_decided().turn
    assert (turn.programs, turn.share) == (2, 2)
    assert len(list(folder.glob("*.alive"))) == 2


def test_what_the_dead_left_is_removed_and_what_lives_stays(folder: Path, tmp_path: Path):
    gone, lives = Program(folder, host="gone.example"), Program(folder, host="lives.example")
    gone.ask()
    lives.ask()
    for path in folder.glob("*.json"):
        os.utime(path, (1, 1))
    del gone.budget

    Program(folder).ask()

    assert len(list(folder.glob("*.lock"))) == 2
    assert len(list(folder.glob("*.json"))) == 2
    assert lives.ask().turn.programs == 1


def test_a_lock_that_is_held_for_a_moment_is_waited_for(folder: Path):
    import fcntl

    page = Program(folder)
    page.ask()
    with only(folder, "*.lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert 0 < page.ask(NOW + 1).turn.wait < 0.1
        assert page.ask(NOW + 1).turn.left == 7, "what is left is no less because of it"
        assert page.ask(NOW + 1.5).problem is None

        stuck = page.ask(NOW + 2.1)
        assert "another program stopped while it held it" in (stuck.problem or "")
        assert (stuck.turn.wait, stuck.turn.share) == (0, 4)

    assert page.ask(NOW + 2.2).problem is None
    assert page.ask(NOW + 2.2).turn.share == 8


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EIO])
def test_a_disk_that_refuses_leaves_each_program_its_own_share_and_is_said_once(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, number: int
):
    def refuse(*_: Any, **__: Any) -> None:
        raise OSError(number, os.strerror(number))

    page, ingestion = Program(folder), Program(folder, INGESTION)
    monkeypatch.setattr(shared_budget, "replace_file", refuse)

    assert (page.ask_all(), ingestion.ask_all()) == (4, 2)

    assert os.strerror(number).lower() in (page.ask().problem or "")
    assert caplog.text.count("is not shared") == 2
    monkeypatch.undo()
    assert page.ask().problem is None
    assert caplog.text.count("is shared again") == 1


def test_a_folder_that_is_no_folder_is_said(folder: Path):
    folder.write_text("")

    answer = Program(folder).ask()

    assert "cannot be used: file exists" in (answer.problem or "")
    assert answer.turn.share == 4


def test_a_user_without_a_home_shares_with_nobody(monkeypatch: pytest.MonkeyPatch):
    def no_home() -> Path:
        raise RuntimeError

    monkeypatch.setattr(shared_budget, "state_folder", no_home)

    with pytest.raises(OSError, match="no home"):
        shared_folder()


ASKER = """
import sys
from pathlib import Path
from pydantic import SecretStr
from options_helper.data.rest.budget_ledger import RECORDER
from options_helper.data.rest.shared_budget import SharedBudget

budget = SharedBudget(SecretStr({key!r}), {host!r}, RECORDER, lambda: Path({folder!r}))
sent, left = (), 0
for line in sys.stdin:
    for _ in range(int(line)):
        while True:
            answer = budget.take(40, 10_000, sent, 0.0, {now})
            if not 0 < answer.turn.wait < 1:
                break  # another was at it for a moment
        sent = answer.sent
        left += not answer.turn.wait
    print(left, answer.turn.share, flush=True)
"""


class Asker:
    """A process that asks as often as it is told, all at one instant."""

    def __init__(self, folder: Path) -> None:
        script = ASKER.format(key=KEY.get_secret_value(), host=HOST, folder=str(folder), now=NOW)
        self.process = subprocess.Popen(
            [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def begin(self, times: int) -> None:
        print(times, file=self.process.stdin, flush=True)

    def end(self) -> tuple[int, int]:
        """How many left so far, and its share."""
        assert self.process.stdout
        left, share = self.process.stdout.readline().split()
        return int(left), int(share)

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.mark.processes
def test_three_processes_share_a_minute_and_a_killed_one_gives_its_share_back(folder: Path):
    with ExitStack() as ending:
        askers = [Asker(folder) for _ in range(3)]
        for one in askers:
            ending.callback(one.kill)
        first, second, third = askers
        for one in askers:
            one.begin(1)
            one.end()

        for one in askers:
            one.begin(50)  # all at once
        assert [one.end() for one in askers] == [(13, 13)] * 3

        third.begin(1_000_000)
        third.kill()
        first.begin(50)
        assert first.end() == (14, 20), "the fortieth of this minute, of a greater share"
        second.begin(50)
        assert second.end() == (13, 20)
        assert re.fullmatch(r"[0-9a-f]{16}\.json", only(folder, "*.json").name)
