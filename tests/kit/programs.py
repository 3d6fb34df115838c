"""Programs in processes of their own, forked from one that has loaded what they import (`program_server.py`).

Of what a command's start costs, nine tenths are imports, and more than a hundred tests start one. What is
forked is the program all the same: it has its own process id, session, signals and streams, and ends as an interpreter
does. A test of how a program loads starts `sys.executable` itself.
"""

from __future__ import annotations

import atexit
import json
import os
import select
import socket
import subprocess
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from tests.kit.program_server import NUMBER

REPOSITORY = Path(__file__).parents[2]
SERVER = """
import sys
sys.path[1:1] = {here}
from tests.kit import program_server
program_server.load()
exec(compile(program_server.serve(), "<string>", "exec"), {{"__name__": "__main__"}})
"""
MAIN = "from options_helper.entry import main; main()"


@cache
def server() -> socket.socket:
    """Where programs are asked for, as long as this worker lives."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    command = [sys.executable, "-c", SERVER.format(here=[str(REPOSITORY)])]
    with theirs:
        process = subprocess.Popen(command, stdin=theirs.fileno())

    def end() -> None:
        ours.close()
        process.wait()

    atexit.register(end)
    return ours


class Program(subprocess.Popen[str]):
    """`options-helper` with some words, as `Popen` has any process; `program` is what runs in it."""

    def __init__(
        self,
        *words: str,
        program: str = MAIN,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        stdout: int | None = subprocess.PIPE,
        stderr: int | None = subprocess.STDOUT,
        start_new_session: bool = False,
    ) -> None:
        self._asked = {
            "words": words,
            "program": program,
            "cwd": str(cwd or Path.cwd()),
            "env": dict(os.environ if env is None else env),
            "new_session": start_new_session,
        }
        self._told, self._tells = os.pipe()
        self._status: int | None = None
        super().__init__([sys.executable, *words], stdout=stdout, stderr=stderr, text=True)

    def __exit__(self, kind: type[BaseException] | None, *more: object) -> None:
        """Wait for its end; where the test has failed, which may be because it does not end, end it."""
        if kind is not None:
            self.kill()
        super().__exit__(kind, *more)  # type: ignore[arg-type]

    def _execute_child(self, *arguments: Any) -> None:
        """Ask for the process where `Popen` would fork it."""
        # As the standard library passes them: behind ten others, the ends of the three pipes; -1 where there is none.
        ends = list(zip(arguments[10:16:2], arguments[11:16:2], strict=True))
        (stdin, _), (_, stdout), (_, stderr) = ends
        given = [number if end == -1 else end for number, end in enumerate((stdin, stdout, stderr))]
        try:
            socket.send_fds(server(), [json.dumps(self._asked).encode()], [*given, self._tells])
        finally:
            os.close(self._tells)
            for ours, theirs in ((ends[0][1], stdin), (ends[1][0], stdout), (ends[2][0], stderr)):
                if ours != -1:
                    os.close(theirs)
        self.pid = NUMBER.unpack(os.read(self._told, NUMBER.size))[0]
        self._child_created = True

    def _try_wait(self, wait_flags: int) -> tuple[int, int]:
        """As `os.waitpid`, which knows children of one's own alone."""
        if self._status is None:
            if wait_flags and not select.select([self._told], [], [], 0)[0]:
                return 0, 0
            (self._status,) = NUMBER.unpack(os.read(self._told, NUMBER.size))
            os.close(self._told)
        return self.pid, self._status

    def _internal_poll(self, _deadstate: int | None = None, **_: Any) -> int | None:
        def look(_pid: int, flags: int) -> tuple[int, int]:
            return self._try_wait(flags)

        return super()._internal_poll(_deadstate, _waitpid=look)  # type: ignore[misc,no-any-return]
