"""Which journals have to be read for a part of a recording."""

from __future__ import annotations

from datetime import date
from itertools import chain
from pathlib import Path

from options_helper.data.intraday.layout import find_parts, missing_parts
from options_helper.data.intraday.meta import load_meta
from options_helper.data.intraday.scope import Scope
from options_helper.data.recording.journal import sessions


def sessions_in(root: Path, scope: Scope) -> dict[str, list[Path]]:
    """The journals that may have rows of it, by session: of those that wrote its files, and of those that day."""
    found = sessions(root)
    if scope.first is None and scope.last is None:
        return found
    metas = (
        load_meta(part) for part in chain(find_parts(root), missing_parts(root)) if scope.holds(part.key)
    )
    wrote = {session.id for meta in metas if meta is not None for session in meta.sessions}
    return {
        session: files
        for session, files in found.items()
        if session in wrote or any(scope.has_day(_day_of(path)) for path in files)
    }


def _day_of(journal: Path) -> date | None:
    try:
        return date.fromisoformat(journal.parent.name)
    except ValueError:
        return None
