"""What a capture leaves on disk: journal, rows, losses, notes; and how they are verified and rebuilt.

In: frames and health. Out: records, a loss log, reports. Owns no thread.
Imports `data.intraday`, `data.streaming`, `data.rest` and `model`.
"""

from typing import Final

# What others may use, by module; a test holds them to it.
PUBLIC: Final = {
    "bus_places": ("places_of",),
    "close_gaps": ("close_gaps",),
    "journal": (
        "JOURNAL_SUFFIX",
        "JournalWriter",
        "Record",
        "RecordKind",
        "break_record",
        "bus_record",
        "facts_record",
        "gap_record",
        "journal_files",
        "last_heard",
        "last_record",
        "read_records",
        "record_parts",
        "recorded_market",
        "records_in",
        "session_began",
        "session_name",
        "session_number",
        "sessions",
        "unnoted_sessions",
    ),
    "latest_books": ("LatestBooks",),
    "loss_log": (
        "JOURNAL_LACKS",
        "JOURNAL_LOST",
        "NOTE_UNREADABLE",
        "JOURNAL_GONE",
        "KILLED",
        "KILLED_WITHOUT_JOURNAL",
        "LossLog",
        "NOT_RECORDED",
        "loss_rows",
    ),
    "rebuild": ("rebuild",),
    "book_recorder": ("BookSampling",),
    "decoders": ("decoder_of",),
    "recorder": ("Recorder",),
    "recover": ("Completion", "UNREADABLE_JOURNAL", "complete"),
    "session_notes": ("SessionNote", "replace_unreadable", "save_note", "session_notes"),
    "status": ("CaptureState", "CaptureStatus", "unsynced_words"),
    "verify": ("audit", "unheard"),
    "verify_report": ("audit_facts", "audit_lines", "unheard_lines"),
}
