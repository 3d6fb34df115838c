"""One socket: the SDK's connection, its frames, and the protocol that subscribes.

In: settings and symbols. Out: raw frames with the number of their events; a StreamError that says whether to try again.
Everything private of alpaca-py is here, in `alpaca_sdk`. Imports `model` and `settings`; does not know the fold.
"""

from typing import Final

# What others may use, by module; a test holds them to it.
PUBLIC: Final = {
    "alpaca_sdk": ("ConnectionTiming",),
    "connection_runner": ("ConnectionRunner", "StreamSink", "Streamer"),
}

# What the neighbours inside this subject use, and nobody else.
SHARED: Final = {
    "alpaca_sdk": ("DEFAULT_TIMING", "SdkConnection", "with_parameters"),
    "connection_runner": ("Handler", "LoggingSink", "require_handlers"),
    "conversation": (
        "Ask",
        "AskForOrderUpdates",
        "GiveUp",
        "MarketConversation",
        "Report",
        "TradingConversation",
        "Wait",
    ),
    "subscription_protocol": ("Request",),
}
