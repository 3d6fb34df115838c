"""The fold: frames and order updates in, an immutable snapshot out.

One writer; no thread, socket or clock. Imports `model`; does not know the sockets.
"""

from typing import Final

# What others may use, by module; a test holds them to it.
PUBLIC: Final = {
    "blotter": ("settled_executions",),
    "books": ("ASKED_ANEW", "BookPolicy", "Books"),
    "live_state": ("StreamTally",),
    "market_clock": ("MarketClock",),
    "order_book": ("are_possible",),
}

# What the neighbours inside this subject use, and nobody else.
SHARED: Final = {
    "blotter": ("Backfill", "Blotter", "KEPT_DAYS"),
    "book_check": ("differences",),
    "books": ("lost_books",),
    "live_state": ("LiveState",),
    "order_book": ("OrderBook", "are_possible"),
    "session_end": ("SessionEnd",),
}
