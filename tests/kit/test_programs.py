"""A program that is forked is one for whoever starts it: its words, folder, variables, streams, signals and end."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.kit.programs import Program
from tests.kit.waiting import A_PROCESS, wait_until

TELLING = """
import os, sys, threading
print(os.getpid(), os.getcwd(), os.environ, sys.argv[1:], len(threading.enumerate()), os.getsid(0) == os.getpid())
"""
# A signal that comes between the word and the wait is noticed with the next one: `signal.pause` would miss it for ever.
ENDLESS = """
import time
print('begun', flush=True)
while True:
    time.sleep(0.05)
"""

pytestmark = pytest.mark.processes


@pytest.mark.parametrize("alone", [True, False])
def test_it_has_what_it_was_given_and_nothing_of_who_started_it(tmp_path: Path, *, alone: bool):
    program = Program("a", "b", program=TELLING, cwd=tmp_path, env={"X": "1"}, start_new_session=alone)
    said, _ = program.communicate(timeout=A_PROCESS)

    assert said == f"{program.pid} {tmp_path} environ({{'X': '1'}}) ['a', 'b'] 1 {alone}\n"
    assert program.pid != os.getpid()


@pytest.mark.parametrize(
    ("program", "code"),
    [
        ("", 0),
        ("raise SystemExit(7)", 7),
        ("raise ValueError", 1),
        ("import os; os.abort()", -signal.SIGABRT),
    ],
)
def test_its_end_is_told_by_its_exit_code(program: str, code: int):
    with Program(program=program, stderr=subprocess.PIPE) as ended:
        _, complained = ended.communicate(timeout=A_PROCESS)

    assert ended.returncode == ended.poll() == code
    assert ("ValueError" in complained) is (code == 1)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_signal_reaches_it_and_it_alone(number: signal.Signals):
    with Program(program=ENDLESS) as other, Program(program=ENDLESS) as program:
        assert program.stdout is not None
        assert program.stdout.readline() == "begun\n"
        assert program.poll() is None
        program.send_signal(number)

        assert program.wait(A_PROCESS) == -number
        assert other.poll() is None
        other.kill()


def test_one_that_does_not_end_is_ended_with_a_test_that_fails():
    """Or the failure is told by nobody: whoever runs the tests waits for the program."""
    program = Program(program=ENDLESS)
    with pytest.raises(ZeroDivisionError), program:
        raise ZeroDivisionError

    assert program.poll() == -signal.SIGKILL


def test_what_it_leaves_to_the_end_of_the_interpreter_is_done(tmp_path: Path):
    made = tmp_path / "made"
    with Program(
        program=f"import atexit, pathlib; atexit.register(pathlib.Path({str(made)!r}).touch)"
    ) as program:
        wait_until(lambda: program.poll() == 0, A_PROCESS, saw=program.poll)

    assert made.exists()
