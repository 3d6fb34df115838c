"""ICICI's Breeze over HTTP, read-only: the day's session and the list of instruments.

In: settings. Out: what opens the stream, and instruments by their symbols; a StreamError that says whether to try
again. Imports `settings`.
"""

from typing import Final

# What others may use, by module; a test holds them to it.
PUBLIC: Final = {
    "account": ("Access", "BreezeAccount", "LONGEST_MESSAGE", "SESSION_OVER", "without_secrets"),
    "master": ("CHANNELS", "Instrument", "Master", "require_symbols"),
}
