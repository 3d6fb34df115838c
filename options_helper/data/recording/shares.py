"""Let several processes work on one recording, some of its symbols each.

Each reads the whole journal, because a frame has many symbols, and makes rows of its own symbols alone.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Generic, NamedTuple, TypeVar
from zlib import crc32

from options_helper.data.intraday.layout import find_parts
from options_helper.data.intraday.scope import Scope

log = logging.getLogger(__name__)

T = TypeVar("T")

# Not by a fork: that would take the locks of the other threads along as they are.
_CONTEXT: Final = multiprocessing.get_context("spawn")


class Share(NamedTuple):
    """Some of the symbols: those whose place, or whose checksum where they have none, is this number."""

    number: int = 0
    of: int = 1
    places: Mapping[str, int] = MappingProxyType({})

    def has(self, symbol: str) -> bool:
        """Whether the symbol is one of them."""
        if self.of == 1:
            return True
        place = self.places.get(symbol)
        return (crc32(symbol.encode()) % self.of if place is None else place) == self.number


WHOLE: Final = Share()


class IsShared(dict[str, bool]):
    """Whether a symbol is of a share; asked for each row."""

    def __init__(self, share: Share) -> None:
        super().__init__()
        self._share = share

    def __missing__(self, symbol: str) -> bool:
        self[symbol] = has = self._share.has(symbol)
        return has


def shares_of(root: Path, scope: Scope, processes: int) -> list[Share]:
    """As many shares of what is meant, with about as many bytes of files each; fewer where there are fewer symbols."""
    sizes: Counter[str] = Counter()
    for part in find_parts(root):
        if scope.holds(part.key):
            with suppress(OSError):
                sizes[part.key.symbol] += part.path.stat().st_size
    count = max(1, min(processes, len(sizes)))
    if count == 1:
        return [WHOLE]
    held = [0] * count
    places: dict[str, int] = {}
    for symbol, size in sizes.most_common():
        places[symbol] = least = held.index(min(held))
        held[least] += size
    return [Share(number, count, places) for number in range(count)]


class Beside(Generic[T]):
    """A process that does a share of the work; it ends with this one, however that ends.

    What it calls and what that is given and returns travel as a pickle.
    """

    def __init__(self, name: str, work: Callable[..., T], *given: Any) -> None:
        self._receive, send = _CONTEXT.Pipe(duplex=False)
        self._process = _CONTEXT.Process(target=_work, args=(send, work, given), name=name, daemon=True)
        self._process.start()
        send.close()

    def result(self) -> T | None:
        """What the work returned; None where it ended without."""
        try:
            found: T = self._receive.recv()
        except (EOFError, OSError):
            return None
        return found

    def end(self) -> None:
        """End it, also amid its work."""
        self._process.terminate()
        self._process.join()
        self._receive.close()


def _work(send: Connection, work: Callable[..., Any], given: tuple[Any, ...]) -> None:
    # Ctrl-C goes to all processes of a terminal; who began this one ends it, also by its own end.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, name="parent", daemon=True).start()
    try:
        send.send(work(*given))
    except (
        Exception
    ):  # this process' last line: the share is done again by who began it, and fails there, or not
        log.exception("a share of the work failed in a process of its own")


def _end_with_parent() -> None:
    if (parent := multiprocessing.parent_process()) is not None:
        wait([parent.sentinel])
        os._exit(1)
