"""Ctrl-C while the program still loads ends it, and prints nothing that looks like a bug."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from tests.kit.waiting import A_PROCESS

LOADING = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)

class Interrupting:
    def find_spec(self, name, path=None, target=None):
        if name == {name!r}:
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Interrupting())
sys.argv = ["options-helper", "stream", "capture", "--stocks", "SPY", "--out", "nowhere"]
from options_helper.entry import main
main()
"""


@pytest.mark.processes
@pytest.mark.parametrize("name", ["options_helper.cli", "typer", "options_helper.commands.stream"])
def test_ctrl_c_while_the_commands_load_prints_no_traceback(name: str):
    ended = subprocess.run(
        [sys.executable, "-c", LOADING.format(name=name)],
        check=False,
        capture_output=True,
        text=True,
        timeout=A_PROCESS,
    )

    assert (ended.returncode, ended.stderr) == (-signal.SIGINT, "")
