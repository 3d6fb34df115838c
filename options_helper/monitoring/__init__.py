"""What a run says about itself to others: heartbeat file, reports, metrics, systemd.

In: a status of the capture or a snapshot. Out: files and pages that hold no secret. Imports `data`, `model` and
`settings`.
"""

from typing import Final

# What others may use, by module; a test holds them to it.
PUBLIC: Final = {
    "heartbeat": (
        "PAGE_VARIABLE",
        "Heartbeat",
        "IngestionStatus",
        "JobBeat",
        "Role",
        "RunState",
        "Waiting",
        "WatchStatus",
    ),
    "heartbeat_file": (
        "CAPTURE_FILE",
        "INGESTION_FILE",
        "dashboard_file",
        "file_of",
        "forget_heartbeats",
        "known_heartbeats",
        "read_heartbeat",
        "remember_run",
    ),
    "heartbeat_writer": ("HeartbeatWriter",),
    "prometheus": ("serve_metrics",),
    "run_readings": ("reports_of_others", "run_readings"),
    "run_report": ("RunReport", "process_lives", "read_run", "report_lines"),
    "stream_holders": ("market_key", "stream_holder", "who_has_it"),
}
