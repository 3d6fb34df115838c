"""The run of alerts in one process: each new snapshot is judged, logged, and sent by whoever has the lease.

In: snapshots with what they come to. Out: rows in the log, messages, and how it stands, as values. Used alike by the
page's process and by a watch. Imports `data`, `analysis`, `model` and `settings`.
"""

from typing import Final

# What others may use, by module; a test holds them to it.
PUBLIC: Final = {
    "books": ("AlertBooks", "Scope", "open_books"),
    "judging": ("Observed", "followed_rules", "named_rules"),
    "program": ("ProgramAlerts", "ProgramStatus", "newest_first"),
}
