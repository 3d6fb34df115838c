"""A fake of ICICI's Breeze on loopback ports: the session, the list of instruments, and a Socket.IO stream of ticks.

It was written from what ICICI's own client sends and reads, and knows nothing of ours. In: listings, faults, a seed.
Out: a server that both clients talk to. Imports `model`.
"""

from typing import Final

# What others may use, by module; a test holds them to it.
PUBLIC: Final = {"server": ("BREEZE_PACE_SECONDS", "BreezeServer")}
