"""Ports that a server of a test is given before it begins."""

from __future__ import annotations

import itertools
import os
import socket
from typing import Final

# Below those that a system gives to whoever connects or asks for any: one of these stays free until it is used, while
# one of those may be another test's by then. Ten processes at a time begin in places of their own.
_FIRST: Final = 10_000
_COUNT: Final = 20_000
_OF_A_PROCESS: Final = 199
_numbers: Final = itertools.count(os.getpid() * _OF_A_PROCESS)


def free_port() -> int:
    """A port of this computer that nobody listens on, and nobody is given but whoever asks here."""
    while True:
        port = _FIRST + next(_numbers) % _COUNT
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
