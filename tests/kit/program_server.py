"""The process that programs are forked from: it has loaded what they import, and is otherwise nothing.

Each request is one message on the socket that is its standard input: what to run, and the three streams as
descriptors with one more, on which the program's supervisor tells first its process id and at last its status.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import pkgutil
import signal
import socket
import struct
import sys
import time
from typing import Any, Final

LARGEST: Final = 1 << 20  # bytes of a request
NUMBER: Final = struct.Struct("!i")
# What nearly every command loads as soon as it works.
LIBRARIES: Final = (
    "options_helper.cli",
    "options_helper.capture.runner",
    "options_helper.watch.engine",
    "options_helper.bus.owner",
    "alpaca.data.live",
    "alpaca.trading.client",
    "alpaca.trading.stream",
    "apprise",
    "pandas",
    "pyarrow.parquet",
    "websockets.asyncio.client",
)


def load() -> None:
    """Import the commands and what they stand on; Ctrl-C at the tests' terminal is nothing to this process."""
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    # A shell that runs the tests in the background has it ignored by whatever they start.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    import options_helper.commands

    for found in pkgutil.iter_modules(options_helper.commands.__path__, "options_helper.commands."):
        importlib.import_module(found.name)
    for name in LIBRARIES:
        importlib.import_module(name)
    gc.freeze()


def serve() -> str:
    """Fork what is asked for until nobody asks any more; in a program, return what it is to run."""
    with socket.socket(fileno=os.dup(0)) as asked:
        while True:
            message, descriptors, _, _ = socket.recv_fds(asked, LARGEST, 4)
            if not message:
                os._exit(0)
            supervisor = os.fork()
            if not supervisor:
                break
            for descriptor in descriptors:
                os.close(descriptor)
            os.waitpid(supervisor, 0)
    *streams, told = descriptors
    # The one between has no part in it but to hand the supervisor to the system.
    if os.fork():
        os._exit(0)
    program = os.fork()
    if program:
        supervise(program, streams, told)
    os.close(told)
    return become(json.loads(message), streams)


def supervise(program: int, streams: list[int], told: int) -> None:
    """Tell who it is and how it ended."""
    for descriptor in (0, 1, 2, *streams):
        os.close(descriptor)
    os.write(told, NUMBER.pack(program))
    _, status = os.waitpid(program, 0)
    os.write(told, NUMBER.pack(status))
    os._exit(0)


def become(request: dict[str, Any], streams: list[int]) -> str:
    """Be the process that was asked for, as far as an interpreter can be another's."""
    if request["new_session"]:
        os.setsid()
    for number, descriptor in enumerate(streams):
        os.dup2(descriptor, number)
        os.close(descriptor)
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["env"])
    time.tzset()
    buffering = 1 if os.isatty(1) else -1
    sys.stdin = os.fdopen(0, encoding="utf-8", closefd=False)
    sys.stdout = os.fdopen(1, "w", buffering, encoding="utf-8", closefd=False)
    sys.stderr = os.fdopen(2, "w", 1, encoding="utf-8", errors="backslashreplace", closefd=False)
    sys.__stdin__, sys.__stdout__, sys.__stderr__ = sys.stdin, sys.stdout, sys.stderr  # type: ignore[misc]
    sys.argv = ["-c", *request["words"]]
    # What was sent meanwhile comes now.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])
    return str(request["program"])
