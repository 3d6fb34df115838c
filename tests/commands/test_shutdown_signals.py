"""A signal is heard whenever it comes, and whichever thread the kernel gives it to."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.kit.waiting import A_PROCESS

LISTENER = """
import os, signal, threading
from options_helper.commands.shutdown_signals import ShutdownSignals

with ShutdownSignals() as shutdown:
    {first}
    print("heard", shutdown.wait({seconds}))
print("over", signal.getsignal(signal.SIGTERM) == signal.SIG_DFL, signal.set_wakeup_fd(-1))
"""
TO_ANOTHER_THREAD = """
    def take_it():
        main = f"/proc/self/task/{threading.main_thread().native_id}"
        # Until it waits for the pipe, and no more for this thread's turn to end.
        while "poll" not in (text := open(f"{main}/wchan").read()) and "select" not in text:
            os.sched_yield()
        signal.pthread_kill(threading.get_ident(), signal.SIGTERM)

    threading.Thread(target=take_it).start()
"""


def say(first: str, seconds: str) -> list[str]:
    """What a process says that waits."""
    script = LISTENER.format(first=first.strip(), seconds=seconds)
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=A_PROCESS, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.skipif(not Path("/proc/self/wchan").is_file(), reason="only Linux says what a thread waits for")
@pytest.mark.parametrize("seconds", ["", "600"])
def test_one_that_another_thread_is_given_ends_the_wait(seconds: str):
    assert say(TO_ANOTHER_THREAD, seconds) == ["heard 1", "over True -1"]


@pytest.mark.parametrize("number", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_one_that_came_before_the_wait_is_told_by_it(number: str):
    assert say(f"signal.raise_signal(signal.{number})", "") == ["heard 1", "over True -1"]


def test_what_was_told_is_waited_for_no_more_and_a_second_one_counts():
    twice = "signal.raise_signal(signal.SIGTERM); shutdown.wait(); "
    assert say(f"{twice}signal.raise_signal(signal.SIGTERM)", "")[0] == "heard 2"
    assert say(twice, "0.05")[0] == "heard 1"


def test_a_signal_that_somebody_else_handles_ends_no_wait():
    other = "signal.signal(signal.SIGUSR1, lambda *_: None); signal.raise_signal(signal.SIGUSR1)"
    assert say(other, "0.05")[0] == "heard 0"


def test_nobody_else_hears_signals(repository: Path):
    """A handler that takes a lock, as that of an event does, may interrupt the thread that has it."""
    elsewhere = [
        path.name
        for path in (repository / "options_helper").rglob("*.py")
        if re.search(r"signal\.signal\(", path.read_text(encoding="utf-8"))
    ]
    # Where a page records, the handler sets a flag until the page's server listens itself; a process that helps
    # another leaves signals to the one that it helps.
    assert sorted(elsewhere) == ["entry.py", "recorded_page.py", "shares.py", "shutdown_signals.py"]
    assert "SIG_DFL" in (repository / "options_helper" / "entry.py").read_text(encoding="utf-8")
