"""A market on a loopback port that speaks Alpaca's wire protocol and REST, and misbehaves on request.

In: a portfolio or a recording, faults, a seed. Out: a server that unmodified clients talk to.
Imports `data.streaming`, `model` and `settings`.
"""

from typing import Final

# What others may use, by module; a test holds them to it.
PUBLIC: Final = {
    "invented_books": ("EVERY_SECONDS", "INVENTED", "InventedBooks"),
    "faults": ("Faults", "fault_meanings"),
    "session": ("further_accounts", "replayed_market", "serve_market", "simulated_market"),
}

# What the neighbours inside this subject use, and nobody else.
SHARED: Final = {
    "counters": ("SimulatorState",),
    "listening": ("stop_listening",),
    "faults": ("FaultyWire", "Message", "NO_FAULTS", "meanings", "parse_named", "switch", "value"),
}
