"""Partition files: a file for each symbol, kind and day, of compressed members that survive a kill.

In: events with their receipt. Out: rows on disk and rows read back. `IntradayStore` puts the parts together.
Imports `model`, and of `data.streaming` the names of the columns.
"""

from typing import Final

# What others may use, by module; a test holds them to it.
PUBLIC: Final = {
    "backfill": ("Backfill", "RowTest", "Stretch", "drop_rows", "replace_stretch", "values_of"),
    "book_messages": ("BookMessage", "messages_in"),
    "book_rows": ("BookLevelRow", "BookSnapshotRow", "BookStart", "snapshot_type"),
    "contents": ("extent_of", "lines_of", "reading", "row_texts"),
    "export": ("export_rows", "parts_to_export"),
    "files": ("Disk", "Displaced", "MemberFile", "create_file"),
    "frames": ("frames_of",),
    "layout": (
        "KINDS",
        "Kind",
        "PartitionKey",
        "dataset_named",
        "find_parts",
        "folder_name",
        "kind_named",
        "kinds_of",
        "missing_parts",
        "parts",
    ),
    "listing": ("listing_facts", "listing_lines", "recorded_days", "recorded_symbols"),
    "locking": ("RootLock", "writer_of"),
    "members": ("encode_member", "member_at", "member_text", "numbered_texts", "scan"),
    "meta": ("Session", "load_meta"),
    "pace": ("FLUSH_ROWS", "FLUSH_SECONDS", "MOST_LEVELS"),
    "parquet": ("require_pyarrow",),
    "recording": ("KindCounts", "StorePolicy"),
    "row_file": ("append_rows",),
    "rows": ("DATASET_OF", "RowWriter", "Storable"),
    "scope": ("EVERYTHING", "Scope"),
    "verify_parts": ("PartReport", "verify_parts"),
}

# What the neighbours inside this subject use, and nobody else.
SHARED: Final = {
    "finalize": ("FinalizeReport", "finalize_part"),
    "frames": ("exchange_or_receipt_ns", "read_frame"),
    "layout": ("PartFile", "partition_day", "symbols"),
    "meta": ("require_known_schema", "save_meta"),
    "recording": ("Recording", "StoreCounts"),
    "repair": ("examine",),
    "restore": ("restore_from_copy",),
}
