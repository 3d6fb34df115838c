"""What a start needs, looked at one by one: this computer, settings, file, REST, streams.

In: settings. Out: findings with a remedy. Imports `bus`, `monitoring`, `data`, `analysis`, `model`
and `settings`.
"""

from typing import Final

# What others may use, by module; a test holds them to it.
PUBLIC: Final = {
    "bus": ("Looked", "look_at_bus"),
    "findings": ("Check", "Line", "Verdict", "facts", "worst"),
    "run": ("Checkup",),
}
