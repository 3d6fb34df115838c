"""How far a recording has followed a desk on a bus: by its journals, which alone can say it."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from options_helper.data.recording.journal import RecordKind, reached_places, read_records, sessions
from options_helper.data.recording.session_notes import session_notes
from options_helper.errors import StoreError
from options_helper.model.frames import Place
from options_helper.model.streams import StreamId


def places_of(root: Path, desk: str) -> dict[StreamId, Place]:
    """Where a capture of that desk goes on in a folder; empty where it begins anew.

    That it does where something else was recorded there since: what that one heard itself would come once more.
    """
    files = sessions(root)
    notes = {note.session: note for note in session_notes(root)}
    # Those that left a note and no journal come in their place by their number.
    numbers = {name: note.number for name, note in notes.items()}
    order = sorted({*files, *notes}, key=lambda name: (numbers.get(name, 0), name))
    for name in reversed(order):
        if name not in files:
            if notes[name].had_nothing:  # so that there never was a journal
                continue
            return {}
        if _desk_of(files[name]) != desk:
            return {}
        places = reached_places(files[name], desk)
        if places is not None:
            return places
    return {}


def _desk_of(files: Sequence[Path]) -> str | None:
    with suppress(OSError, ValueError, StoreError, IndexError, struct.error):
        first = next(read_records(files), None)
        if first is not None and first.kind is RecordKind.SESSION:
            return first.facts.get("desk")
    return None
