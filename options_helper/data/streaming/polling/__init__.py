"""What REST is asked for beside the streams, each in a thread of its own, never in anybody's way.

In: a `LiveStreamConfig`. Out: seeds for the state, the account's state, fills of before.
Imports `engine`, `state`, `data.rest`, `model` and `settings`.
"""

from typing import Final

# What others may use, by module; a test holds them to it.
PUBLIC: Final = {
    "expiry_reading": ("BEHIND", "read_expiry_facts"),
    "account_look": ("look_at_account",),
    "book_poller": ("read_books",),
    "pace": ("WatchPolicy",),
    "fill_backfill": ("read_backfill",),
}

# What the neighbours inside this subject use, and nobody else.
SHARED: Final = {
    "account_watch": ("AccountWatch",),
}
