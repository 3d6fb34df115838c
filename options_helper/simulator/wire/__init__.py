"""The simulator's side of the websocket protocol: messages in, replies out, and how frames are pushed.

Imports `model`, `settings` and the readers of `data.streaming`.
"""

from typing import Final

# What the neighbours inside this subject use, and nobody else.
SHARED: Final = {
    "outgoing": (
        "BATCH",
        "Deflater",
        "EncodedFrame",
        "MessageFrame",
        "OutgoingFrame",
        "PUSH_PATIENCE_SECONDS",
        "PushQueue",
        "framed",
    ),
    "protocol": (
        "COIN_PAIR",
        "ENDPOINTS",
        "Encoding",
        "Endpoint",
        "FIRST_ACCOUNT",
        "Keys",
        "Limits",
        "NO_LIMITS",
        "COIN_PAIR",
        "OPTION_SYMBOL",
        "Reply",
        "STOCK_SYMBOL",
        "ServerProtocol",
        "TO_JSON",
        "TRADE_UPDATES",
        "protocol_for",
        "rfc3339",
    ),
}
