"""The stream engine: plan the subscriptions, stream the events, fold them into state, draw a snapshot.

In: a `LiveStreamConfig` and `Settings`. Out: `LiveSnapshot`. `LiveStreamManager` is its face; a streamer alone is one
connection. Imports `data.rest`, `model` and `settings`.
"""

from typing import Final

# What others may use, by module; a test holds them to it.
PUBLIC: Final = {
    "alpaca_stream": ("AlpacaOptionStreamer", "AlpacaStockStreamer"),
    "alpaca_trading_stream": ("AlpacaTradingStreamer",),
    "live_manager": ("LiveStreamConfig", "LiveStreamManager"),
    "live_run": ("LiveRun",),
    "messages": ("Decode", "count_messages", "decode_frame"),
    "normalizers": (
        "BAR_COLUMNS",
        "CONDITIONS_SEPARATOR",
        "QUOTE_COLUMNS",
        "TRADE_COLUMNS",
        "join_conditions",
    ),
    "subscriptions": ("SubscriptionPlan", "build_subscription_plan"),
}

# What the neighbours inside this subject use, and nobody else.
SHARED: Final = {
    "alpaca_stream": ("AlpacaCryptoStreamer", "AlpacaNewsStreamer"),
    "messages": ("Decode", "DecodedFrame", "Message", "UNREADABLE", "read_message"),
    "trading_normalizers": (
        "ENDS_OF_CONTRACTS",
        "FILL_ACTIVITY",
        "POSITION_MOVES",
        "SHARES_MOVED",
        "is_payment",
        "read_activity",
        "read_order",
        "read_trade_update",
    ),
}
