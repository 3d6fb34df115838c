"""The markets it plays: made up or recorded, with an account and its orders.

Pure: a seed and an instant decide everything. Imports `wire` for spellings, `data` for recordings, `analysis` for
what early exercise is worth, and `model`.
"""

from typing import Final

# What others may use, by module; a test holds them to it.
PUBLIC: Final = {
    "book_walk": ("BookWalk",),
    "conditions": ("Conditions", "DEMO_CONDITIONS", "condition_meanings"),
    "replay": ("ReplayMarket",),
}

# What the neighbours inside this subject use, and nobody else.
SHARED: Final = {
    "account": ("CLOSED_STATUSES", "Holding", "Number", "Placed", "SimulatedAccount", "plain"),
    "collateral": ("set_aside",),
    "conditions": ("NO_CONDITIONS",),
    "expiries": ("ExpiryClerk", "ExpiryRules"),
    "last_values": ("LastValues", "SymbolSnapshot", "daily_bar"),
    "market": (
        "HoldingMarket",
        "Interest",
        "ChainMarket",
        "ListingMarket",
        "Market",
        "PeculiarMarket",
        "SharedMarket",
        "PlayingClock",
        "QuotingMarket",
    ),
    "past": ("BAR_NS", "PastMarket", "PlayedPast"),
    "payouts": ("announced_actions",),
    "pricing": ("RATE",),
    "seeded": ("DEFAULT_SEED", "SeededMarket"),
}
