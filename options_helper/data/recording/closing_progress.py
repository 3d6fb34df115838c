"""Remember how far a long question was asked, so that the next run goes on there: `<root>/.closing-unfinished.json`.

It is of this folder and of a day at most, and worth nothing but the requests that it saves: what cannot be read is
asked for again.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Final

import msgspec

from options_helper.data.atomic_file import replace_file
from options_helper.data.recording.gap_asking import AskedSoFar
from options_helper.decoders import json_decoder
from options_helper.model.instants import NANOSECONDS

log = logging.getLogger(__name__)

NAME: Final = ".closing-unfinished.json"
_GOOD_FOR_NS: Final = 24 * 60 * 60 * NANOSECONDS


class _Progress(msgspec.Struct):
    at_ns: int
    asked: AskedSoFar


_PROGRESS: Final = json_decoder(_Progress)


def load_progress(root: Path, now_ns: int) -> AskedSoFar | None:
    """The question that was begun and not ended; None where there is none, or an old one."""
    path = root / NAME
    try:
        found = _PROGRESS.decode(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as error:
        log.warning("%s cannot be read, and what it had begun is asked for again: %s", path, error)
        return None
    return found.asked if 0 <= now_ns - found.at_ns < _GOOD_FOR_NS else None


def save_progress(root: Path, now_ns: int, asked: AskedSoFar) -> None:
    """Put it in the place of the one before; OSError when the disk refuses."""
    replace_file(root / NAME, msgspec.json.encode(_Progress(now_ns, asked)))


def forget_progress(root: Path) -> None:
    """The question is answered; OSError when the disk refuses."""
    (root / NAME).unlink(missing_ok=True)
