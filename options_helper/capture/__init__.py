"""The recorder: what to record and when, the engine that writes it, and what it says of losses.

In: a selection and settings. Out: a recording on disk, and `CaptureStatus`.
Imports `bus`, `data`, `model` and `settings`.
"""

from typing import Final

# What others may use, by module; a test holds them to it.
PUBLIC: Final = {
    "hours": ("LEAD", "CaptureHours"),
    "plan": ("CapturePlan", "Selection", "plan_capture"),
    "runner": ("CaptureConfig", "CaptureEngine"),
    "sealer": ("Sealer",),
}
