"""What a start needs, looked at one by one: this computer, settings, file, REST, streams.

In: settings. Out: findings with a remedy. Imports `monitoring`, `data`, `analysis`, `model`
and `settings`.
"""

from typing import Final

# What others may use, by module; a test holds them to it.
PUBLIC: Final = {
    "findings": ("Check", "Line", "Verdict", "facts", "worst"),
    "run": ("Checkup",),
}
