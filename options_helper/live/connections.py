"""The stream connections of this process: the page's run and a recording beside it share them."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Final

from options_helper.data.streaming.breeze.source import BreezeSource
from options_helper.data.streaming.engine.shared_source import SharedConnections
from options_helper.data.streaming.engine.stream_source import AlpacaSource, JoinedSources

PROCESS_MODULE: Final = "_options_helper_process"


def process_connections() -> SharedConnections:
    """The ones of this process: Alpaca's streams, and Breeze's beside them where they are asked for.

    They hang on a module without a file, which a server that reloads changed code neither watches nor drops.
    """
    anchor = vars(sys.modules.setdefault(PROCESS_MODULE, ModuleType(PROCESS_MODULE)))
    # `setdefault` is one step for all threads, and what loses the race has connected nothing yet.
    connections: SharedConnections = anchor.get("connections") or anchor.setdefault(
        "connections", SharedConnections(JoinedSources(AlpacaSource(), (BreezeSource(),)))
    )
    return connections
