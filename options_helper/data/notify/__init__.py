"""Messages to phones, mailboxes and whatever else Apprise knows; each target on threads of its own.

In: targets from the user's file, messages. Out: what became of each, and never an address. Imports `model`.
"""

from typing import Final

# What others may use, by module; a test holds them to it.
PUBLIC: Final = {
    "delivery": ("Delivery",),
    "lifesign": ("Called", "LifeSign"),
    "messages": ("Attempt", "Message", "Outcome", "Urgency"),
    "sending": ("require_apprise",),
    "target_queue": ("WAITING_AT_MOST",),
    "targets": ("DEFAULT_TARGETS_FILE", "LifeSignTarget", "NO_TARGETS", "Targets", "load_targets"),
    "trial": ("LIFE_SIGN", "Tried", "try_all"),
}
