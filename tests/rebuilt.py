"""Compare two recordings member for member."""

from __future__ import annotations

from pathlib import Path

from options_helper.data.intraday.contents import reading
from options_helper.data.intraday.members import member_text, scan

Members = list[tuple[int, int, bytes | None]]


def partitions(root: Path) -> dict[str, Members]:
    """Each member's numbers and text, by file: of the same text ISA-L now and then makes other bytes."""
    return {str(path.relative_to(root)): _members(path) for path in root.glob("*/*/*/*/*.csv.gz")}


def _members(path: Path) -> Members:
    with reading(path) as (read_at, size):
        return [
            (member.first, member.rows, member_text(read_at, member))
            for member in scan(read_at, size).members
        ]
