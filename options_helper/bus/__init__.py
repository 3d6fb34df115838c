"""One owner of the account's connection and any number of programs that follow it, over NATS.

In: frames and what the owner knows of its streams. Out: the same on another computer, every loss counted.
Imports `data`, `model` and `settings`.
"""

from typing import Final

# What others may use, by module; a test holds them to it.
PUBLIC: Final = {
    "address": ("BusAddress", "bus_environment", "bus_of"),
    "owner": ("DEFAULT_KEEP_BYTES", "AnnouncedSource", "BusOwner", "Owner"),
    "recording": ("BusRecording",),
    "viewer": ("BusManager",),
}
