"""How far a recording has followed a desk on a bus: by its journals, and by the notes of those that ended in order."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from options_helper.data.recording.journal import reached_places, session_facts, sessions
from options_helper.data.recording.session_notes import SessionNote, session_notes
from options_helper.model.frames import Place
from options_helper.model.streams import StreamId, stream_named


def places_of(root: Path, desk: str) -> dict[StreamId, Place]:
    """Where a capture of that desk goes on in a folder; empty where it begins anew.

    That it does where something else was recorded there since: what that one heard itself would come once more.
    StoreError where a journal cannot be read now: to begin anew would lose what the bus has.
    """
    files = sessions(root)
    notes = {note.session: note for note in session_notes(root)}
    # Those that left a note and no journal come in their place by their number.
    numbers = {name: note.number for name, note in notes.items()}
    order = sorted({*files, *notes}, key=lambda name: (numbers.get(name, 0), name))
    for name in reversed(order):
        note, journal = notes.get(name), files.get(name, ())
        if note is not None and not journal and note.had_nothing:  # so that there never was a journal
            continue
        places = _noted_places(note, desk) or reached_places(journal, desk)
        if places is not None:
            return places
        if not journal or _desk_of(note, journal) != desk:
            return {}
    return {}


def _noted_places(note: SessionNote | None, desk: str) -> dict[StreamId, Place] | None:
    """Where it was at its end; of one that was killed its journal says more, and nothing that it does not have."""
    if note is None or note.desk != desk or note.ended_ns is None or not note.places:
        return None
    return {stream_named(name): place for name, place in note.places.items()}


def _desk_of(note: SessionNote | None, files: Sequence[Path]) -> str | None:
    """Which desk it followed; its journal, whose oldest days may be deleted, is asked where the note is silent."""
    return note.desk if note is not None and note.desk else session_facts(files).get("desk")
