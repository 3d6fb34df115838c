"""Keep beside a recording what each capture was to record and how it ended, so that one that was killed is found out.

`<root>/sessions/<session>.json`, replaced as a whole every few seconds. With or without a journal: what nobody wrote
down nobody can miss.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import msgspec

from options_helper.data.atomic_file import replace_file
from options_helper.data.read_errors import is_passing, not_read_now
from options_helper.decoders import converter, json_decoder
from options_helper.model.frames import Place
from options_helper.model.gaps import Gap
from options_helper.model.instants import NANOSECONDS

log = logging.getLogger(__name__)

FOLDER: Final = "sessions"


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionNote:
    """One run of the recorder. Times are the computer's, epoch nanoseconds."""

    session: str
    began_ns: int
    seen_ns: int  # it was at work then
    journal: bool
    flush_events: int
    flush_seconds: float
    asked: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # stream → symbols
    gaps: tuple[Gap, ...] = ()  # those that last
    ended_ns: int | None = None  # None: it records still, or it was ended without warning
    put_off: int = 0  # events that its journal has and its files had not when it ended
    missed: bool = False  # a later capture has written down that this one ended without warning
    refused: tuple[Gap, ...] = ()  # of those gaps, at its end, what the server would not send
    completed: bool = False  # a later capture has made the rows that only the journal had
    feeds: Mapping[str, str] = field(default_factory=dict)  # stream → feed
    channels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    market: str = ""  # whose it was (`MarketKind`), of a replay whose was recorded; empty: not known
    number: int = 0  # counts the sessions of a folder from 1, in their order; 0: an older version's
    desk: str = ""  # followed on a bus, which is asked for what was not received; empty: none
    ran_seconds: float = 0.0  # from its beginning until it was seen, by a clock that nobody sets
    # When it was seen, by what nobody sets and no end of a process stops: seconds of this start of the computer.
    seen_elapsed: float = 0.0
    boot: str = ""  # which start that was; empty: not known
    places: Mapping[str, Place] = field(
        default_factory=dict
    )  # stream → how far that desk was followed, at the end
    filed: int = 0  # records of its journal, from the first on, whose rows are in the files: needed no more
    # Stretches that its clock showed twice, since it was put back; None: an older version did not look.
    repeated: tuple[tuple[int, int], ...] | None = None
    unproven: bool = False  # whether its files have all that its journal has, nobody knows

    @property
    def had_nothing(self) -> bool:
        """Whether it was ended before it was connected to anything."""
        return self.ended_ns is None and not self.market and not self.filed

    @property
    def never_worked(self) -> bool:
        """Whether it was ended as it began: it has its note before its journal, and was never seen at work."""
        return self.had_nothing and self.seen_ns == self.began_ns

    @property
    def stretch(self) -> tuple[int, int]:
        """From when to when it was at work, by the clock of its end: that of its beginning may have been put back."""
        until_ns = self.seen_ns if self.ended_ns is None else self.ended_ns
        return min(self.began_ns, until_ns - int(self.ran_seconds * NANOSECONDS)), until_ns

    @property
    def was_put_back(self) -> bool:
        """Whether its clock was put back while it ran, and stayed so."""
        return self.stretch[0] < self.began_ns - NANOSECONDS

    @property
    def behind(self) -> bool:
        """Whether its journal may have rows that its files have not."""
        return (
            self.journal
            and not self.completed
            and (self.ended_ns is None or self.put_off > 0 or self.unproven)
        )


def save_note(root: Path, note: SessionNote, *, durable: bool = False) -> None:
    """Write it in place of the one before; OSError when the disk refuses."""
    path = root / FOLDER / f"{note.session}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(
        path, msgspec.json.format(msgspec.json.encode(_written(note)), indent=1) + b"\n", durable=durable
    )


def session_notes(root: Path) -> list[SessionNote]:
    """Those of a root, in the order of their sessions; one that is not readable is left out, see `unreadable_notes`.

    StoreError where one is there and the disk does not give it now.
    """
    found = [note for note in map(_read, _paths(root)) if note is not None]
    return sorted(found, key=lambda note: (note.number, note.session))


def unreadable_notes(root: Path) -> list[str]:
    """The sessions whose note is there and says nothing: a loss of power, or a broken disk.

    StoreError where the disk does not give one now: what it says is known again later.
    """
    return [path.stem for path in _paths(root) if _read(path) is None and path.exists()]


def replace_unreadable(root: Path, note: SessionNote) -> None:
    """Put a note in the place of one that is not readable, which is kept beside it; OSError when the disk refuses."""
    path = root / FOLDER / f"{note.session}.json"
    with suppress(FileNotFoundError):
        path.rename(path.with_name(f"{path.name}.unreadable"))
    save_note(root, note, durable=True)


def _paths(root: Path) -> list[Path]:
    return sorted((root / FOLDER).glob("*.json"))


def _read(path: Path) -> SessionNote | None:
    try:
        return _decode(path.read_bytes())
    except FileNotFoundError:
        return None  # since it was looked for
    except OSError as error:
        if is_passing(error):
            raise not_read_now(path, error) from error
        log.warning("%s cannot be read: %s", path, error)
        return None
    except (
        msgspec.MsgspecError,
        UnicodeDecodeError,
        ValueError,
        TypeError,
        AttributeError,
    ) as error:
        log.warning("%s cannot be read: %s", path, error)
        return None


def _written(note: SessionNote) -> dict[str, Any]:
    # Their ends and counts are not written: they last, and nobody can count what is not heard.
    gaps = {"gaps": _written_gaps(note.gaps), "refused": _written_gaps(note.refused)}
    return {**msgspec.to_builtins(replace(note, gaps=(), refused=())), **gaps}


def _written_gaps(gaps: Iterable[Gap]) -> list[dict[str, Any]]:
    return [
        {"stream": str(gap.stream), "since_ns": gap.since_ns, "reason": gap.reason, "symbols": gap.symbols}
        for gap in gaps
    ]


_FACTS: Final = json_decoder(dict[str, Any])
_rows: Final = converter(list[dict[str, Any]])
_note: Final = converter(SessionNote)


def _decode(data: bytes) -> SessionNote:
    found = _FACTS.decode(data)
    for name in ("gaps", "refused"):
        gaps = _rows(found.get(name, []))
        found[name] = [{**gap, "until_ns": None} for gap in gaps]
    return _note(found)
