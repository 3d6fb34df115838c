"""ICICI's Breeze as a stream: its protocol, one connection, and ticks read into books and quotes.

In: settings and symbols. Out: ticks with their symbol in front, and what they say. `BreezeSource` is its face.
Imports `data.breeze`, `connection`, `engine`, `model` and `settings`.
"""

from typing import Final

# What others may use, by module; a test holds them to it.
PUBLIC: Final = {
    "source": ("BREEZE_BOOKS", "BreezeSource", "breeze_request"),
    "ticks": ("decode_tick",),
}
