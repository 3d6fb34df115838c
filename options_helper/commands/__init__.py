"""The commands of the terminal: they own clocks, signals and exit codes, and print.

In: arguments. Out: what is printed, and an exit code. Imports `live`, `capture`, `doctor`, `ingest`, `watch`,
`alerting`, `bus`, `monitoring`, `simulator`, `data`, `analysis`, `model` and `settings`; nothing below imports it.
Heavy ones are loaded by the command that needs them.
"""

from typing import Final

# What others may use, by module; a test holds them to it.
PUBLIC: Final = {
    "alerts": ("alerts",),
    "bus": ("bus",),
    "bus_request": ("asked_bus",),
    "common_options": ("DeskOption", "DetailOption", "FollowOption"),
    "doctor": ("run_checkup",),
    "help_style": ("plain_typer",),
    "ingest": ("ingest",),
    "logs": ("set_up_logging",),
    "exit_codes": ("code_of",),
    "page_launcher": (),
    "page_recording": (
        "PageRecording",
        "RecordingView",
        "process_recording",
        "recording_environment",
        "symbols_of",
    ),
    "page_server": ("FOLDER_VARIABLE",),
    "portfolio": ("portfolio",),
    "risk": ("risk",),
    "shutdown_signals": ("ShutdownSignals",),
    "stream": ("stream",),
    "today": ("today",),
    "watch": ("watch",),
}
