"""The run without a page: streams where they are free, REST where another program has them, and alerts of all that.

In: settings, where the portfolio comes from, a runner of alerts. Out: turns, each with how it stands.
Imports `monitoring`, `alerting`, `data`, `analysis`, `model` and `settings`.
"""

from typing import Final

# What others may use, by module; a test holds them to it.
PUBLIC: Final = {
    "book": ("AccountBook", "Book", "FileBook"),
    "engine": ("Manager", "Watch", "Watching"),
    "kept_alerts": ("KeptAlerts", "KeyOf", "same_key"),
    "readings": ("Observer",),
    "rest_follower": ("RestFollower",),
}
