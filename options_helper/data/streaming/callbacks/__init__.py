"""A library user's callbacks: who wants what, a bounded queue and a ledger for each, and the threads they run on.

In: what the fold has taken in. Out: calls, beside the engine, which waits for none of them. Imports `model`.
"""

from typing import Final

# What others may use, by module; a test holds them to it.
PUBLIC: Final = {
    "delivery": ("QUEUE_SIZE", "Callback", "Symbols"),
    "dispatcher": ("STATES", "CallbackHandle", "Callbacks"),
    "health_news": ("HealthNews",),
    "pulling": ("Pull",),
}
