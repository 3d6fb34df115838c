"""What history tells of a recording's gaps, well or badly, and what may be said of a gap after that."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from options_helper.data.recording.close_gaps import close_gaps
from options_helper.data.recording.closings import read_closings
from options_helper.data.recording.gap_verdict import ClosingState
from options_helper.data.recording.loss_log import loss_rows
from options_helper.errors import RestError, StoreError
from options_helper.model.announcement import MarketKind
from options_helper.model.instants import epoch_nanoseconds, nanosecond_text, utc_datetime
from tests.days.clocks import NS
from tests.days.recorder.disk import Killed
from tests.days.recorder.oracle import RecorderOracle, recorded_rows
from tests.days.world.market import Made

_A_PAGE: Final = 40
_HOUR_NS: Final = 3_600 * NS
# What was recorded so close to a gap is held against the answer in any case.
_BESIDE_NS: Final = 45 * NS
# How an answer is wrong: it ends early, lacks a symbol or rows, is refused, or ends in its midst with who asks.
WRONG: Final = ("short", "empty of one", "lacking", "too many", "refused", "killed", "whole")


class History:
    """In the place of `AlpacaRest`: what was quoted, page by page."""

    market = MarketKind.ALPACA

    def __init__(self, made: Sequence[Made], how: str, dice: random.Random) -> None:
        self._made, self._how, self._dice = made, how, dice
        self._pages_left = dice.randrange(6)
        # Each question has an answer of its own: what one lacked, another may have had.
        self.left_out: set[tuple[str, int]] = set()
        self.given: set[tuple[str, int]] = set()

    def past(self, _: str, path: str, query: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """The pages of an answer."""
        first_ns, last_ns = (epoch_nanoseconds(query[name]) or 0 for name in ("start", "end"))
        symbols = query["symbols"].split(",")
        match self._how:
            case "short":
                last_ns -= int((last_ns - first_ns) * self._dice.uniform(0.05, 0.9))
            case "empty of one":
                symbols = symbols[1:]
            case "refused":
                raise RestError("Alpaca refuses it.", status=403)
            case _:
                pass
        found = [one for one in self._made if first_ns <= one.made_ns <= last_ns and one.symbol in symbols]
        if self._how == "lacking":
            lacking = [one for one in found if self._dice.random() < 0.05]
            self.left_out |= {(one.symbol, one.made_ns) for one in lacking}
            found = [one for one in found if one not in lacking]
            self.given |= {(one.symbol, one.made_ns) for one in found}
        if not path.endswith("/quotes"):
            found = []
        for first in range(0, max(1, len(found)), _A_PAGE):
            self._end_here()
            by_symbol: dict[str, list[dict[str, Any]]] = {}
            for one in found[first : first + _A_PAGE]:
                row = {**one.wire(), "t": nanosecond_text(one.made_ns)}
                by_symbol.setdefault(one.symbol, []).append(row)
            yield {"quotes": by_symbol}

    def _end_here(self) -> None:
        if self._pages_left == 0:
            if self._how == "too many":
                raise RestError("Too many requests.", status=429)
            if self._how == "killed":
                raise Killed
        self._pages_left -= 1


def broken_closing(
    root: Path,
    made: Sequence[Made],
    oracle: RecorderOracle,
    wall_ns: int,
    dice: random.Random,
    *,
    first: str | None = None,
) -> str | None:
    """Ask for the gaps, first of a history that is wrong somehow; a sentence where something is said that is not so."""
    lacked = False
    wrong = dice.choice(WRONG), dice.choice(WRONG)
    for number, how in enumerate((first or wrong[0], wrong[1], "whole")):
        # That a row is missing which nobody heard either, nobody can know, nor asks for it once its gap is closed.
        lacked = lacked or how == "lacking"
        history = History(made, how, dice)
        rest: Any = history
        at_ns = wall_ns + (1 + 60 * number) * _HOUR_NS
        with suppress(RestError, Killed, StoreError):
            close_gaps(root, rest, now=utc_datetime(at_ns))
        if (sentence := _broken(root, made, oracle, "lacking" if lacked else how)) is not None:
            return sentence
        if (sentence := _unproven(root, oracle, history, at_ns)) is not None:
            return sentence
    return None


def _unproven(root: Path, oracle: RecorderOracle, history: History, at_ns: int) -> str | None:
    """A gap that was closed just now, though the answer lacked what was recorded beside it."""
    closings, lacking = read_closings(root), history.left_out - history.given
    rows = set(recorded_rows(root))
    heard = [
        one
        for one in oracle.received
        if (one.symbol, one.made_ns) in lacking and (one.stream, one.symbol, one.made_ns) in rows
    ]
    for gap in loss_rows(root):
        closing = closings.of_gap(gap)
        is_new = closing is not None and abs(closing.asked_at_ns - at_ns) < NS
        if closing is None or closing.state is not ClosingState.CLOSED or not is_new:
            continue
        reach = range(gap.since_ns - _BESIDE_NS, (gap.until_ns or gap.since_ns) + _BESIDE_NS)
        if any(one.stream == gap.stream and one.made_ns in reach for one in heard):
            return (
                f"{gap.stream}: a gap of {gap.seconds} s is closed, and the answer lacked what was recorded"
            )
    return None


def _broken(root: Path, made: Sequence[Made], oracle: RecorderOracle, how: str) -> str | None:
    rows = Counter(recorded_rows(root))
    known = {(one.symbol, one.made_ns) for one in made}
    for (stream, symbol, made_ns), count in rows.items():
        if count > 1:
            return f"{stream} {symbol} of {made_ns} is there {count} times, after a history that is {how}"
        if (symbol, made_ns) not in known:
            return f"{stream} {symbol} of {made_ns} is there, and was never quoted"
    if how == "lacking":
        return None
    closings = read_closings(root)
    for gap in loss_rows(root):
        closing = closings.of_gap(gap)
        if closing is None or closing.state is not ClosingState.CLOSED:
            continue
        for lost in (*oracle.unheard, *oracle.dropped):
            is_in = lost.stream == gap.stream and gap.since_ns <= lost.wall_ns <= (gap.until_ns or 0)
            if is_in and not rows[lost.stream, lost.symbol, lost.made_ns]:
                return (
                    f"{gap.stream}: a gap of {gap.seconds} s is closed ({closing.words}), and {lost.symbol} of "
                    f"{lost.made_ns} is missing, after a history that is {how}"
                )
    return None
