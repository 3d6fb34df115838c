"""Market data asked for at steady times: what is due, who is asked, and where the answers are kept.

In: a portfolio, a folder, the time. Out: files of whole windows and the ledger that says which are there.
Imports `monitoring`, `data`, `analysis`, `model` and `settings`.
"""

from typing import Final

# What others may use, by module; a test holds them to it.
PUBLIC: Final = {
    "asking": ("Asker", "offered_jobs"),
    "course": ("Task",),
    "jobs": ("DEFAULT_CHAINS_EVERY", "Job", "JobName", "all_jobs"),
    "plan": ("IngestPlan", "PlannedJob", "plan_ingestion"),
    "selection": ("Selection",),
    "store": ("Entry", "IngestStore"),
    "work": ("Ingestion",),
    "worker": ("IngestWorker", "Outcome", "job_beats"),
}
