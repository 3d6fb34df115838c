"""The markets it plays: made up or recorded, with an account and its orders.

Pure: a seed and an instant decide everything. Imports `wire` for spellings, `data` for recordings, and `model`.
"""

from typing import Final

# What others may use, by module; a test holds them to it.
PUBLIC: Final = {
    "book_walk": ("BookWalk",),
    "replay": ("ReplayMarket",),
}

# What the neighbours inside this subject use, and nobody else.
SHARED: Final = {
    "account": ("CLOSED_STATUSES", "Holding", "Number", "Placed", "SimulatedAccount", "plain"),
    "last_values": ("LastValues", "SymbolSnapshot"),
    "market": ("HoldingMarket", "Interest", "ListingMarket", "Market", "PlayingClock", "QuotingMarket"),
    "past": ("BAR_NS", "PastMarket", "PlayedPast"),
    "seeded": ("DEFAULT_SEED", "SeededMarket"),
}
