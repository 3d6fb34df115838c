"""The market: what each quote was worth and when it was made, of all that is traded."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from options_helper.model.instants import timestamp_extension
from tests.days.clocks import NS
from tests.days.stage import Stage

_encode: Final = msgspec.msgpack.encode
# Of each thirty quotes that a market with odd ones makes, which are odd, and how.
_ODD: Final = {3: "wide", 9: "crossed", 14: "one side", 19: "no size", 24: "too wide"}
# Options on funds are traded a quarter of an hour longer.
LATE_SECONDS: Final = 900.0


@dataclass(frozen=True, slots=True)
class Made:
    """One quote, as the exchange made it."""

    symbol: str
    made_ns: int
    bid: float
    kind: str = ""  # how it is no good one

    @property
    def ask(self) -> float:
        """What is asked; 0 where nobody does."""
        apart = {"": 0.02, "no size": 0.02, "wide": self.bid / 2, "crossed": -0.5, "too wide": 3 * self.bid}
        return 0.0 if self.kind == "one side" else round(self.bid + apart[self.kind], 2)

    def wire(self) -> dict[str, Any]:
        """As Alpaca sends it."""
        return {
            "T": "q",
            "S": self.symbol,
            "bp": self.bid,
            "bs": 0 if self.kind == "no size" else 3,
            "ap": self.ask,
            "as": 2,
            "t": timestamp_extension(self.made_ns),
        }


@dataclass(frozen=True, slots=True)
class Board:
    """What one stream brings, how often, and what of it is traded longer than shares."""

    stream: str
    symbols: tuple[str, ...]
    pace_seconds: float
    late_symbols: tuple[str, ...] = ()  # traded a quarter of an hour longer


class Market:
    """Makes quotes while its boards are open, and hands them to whoever carries them."""

    def __init__(self, stage: Stage, boards: Sequence[Board], *, odd: bool = False) -> None:
        self._stage, self._has_odd = stage, odd
        self._boards = {board.stream: board for board in boards}
        self._dice = {board.stream: stage.dice(f"market/{board.stream}") for board in boards}
        self._made = 0
        self.newest: dict[str, Made] = {}
        self.history: list[Made] | None = None  # kept where somebody asks for it
        # Closed by decree in this stretch, whatever the calendar says.
        self.decreed: tuple[int, int] = (0, 0)
        self._carriers: dict[str, Callable[[Sequence[Made]], None]] = {}

    @property
    def boards(self) -> Mapping[str, Board]:
        """What each stream brings."""
        return self._boards

    def carry(self, stream: str, carrier: Callable[[Sequence[Made]], None]) -> None:
        """Hand this stream's quotes over here, and begin."""
        self._carriers[stream] = carrier
        self._tick_later(self._boards[stream])

    def open_symbols(self, stream: str) -> Sequence[str]:
        """What of it is traded now."""
        now, board = self._stage.clocks.true_ns, self._boards[stream]
        if self.decreed[0] <= now < self.decreed[1]:
            return ()
        if self._stage.day.is_open(now):
            return board.symbols
        return board.late_symbols if self._stage.day.is_open(now, LATE_SECONDS) else ()

    def _tick_later(self, board: Board) -> None:
        now = self._stage.clocks.true_ns
        pause = board.pace_seconds * (0.4 + 1.2 * self._dice[board.stream].random())
        if not self.open_symbols(board.stream) and not self._stage.day.is_open(now, LATE_SECONDS):
            upcoming = [one.opens_ns for one in self._stage.day.sessions if one.opens_ns > now]
            if not upcoming:
                return
            self._stage.agenda.at(min(upcoming) + int(pause / 2 * NS), lambda: self._tick(board))
            return
        self._stage.agenda.after(pause, lambda: self._tick(board))

    def _tick(self, board: Board) -> None:
        if symbols := self.open_symbols(board.stream):
            dice = self._dice[board.stream]
            count = 1 + int(dice.random() * len(symbols))
            self._carriers[board.stream](self.make(dice.sample(symbols, count)))
        self._tick_later(board)

    def make(self, symbols: Sequence[str]) -> list[Made]:
        """New quotes of these, made now."""
        made = [self._new(symbol) for symbol in symbols]
        self.newest.update({quote.symbol: quote for quote in made})
        if self.history is not None:
            self.history += made
        return made

    def _new(self, symbol: str) -> Made:
        self._made += 1
        # Each has a price of its own, so that a price says which quote it is of; and a time of its own.
        kind = _ODD.get(self._made % 30, "") if self._has_odd else ""
        return Made(symbol, self._stage.clocks.true_ns + self._made % 1_000, 50 + self._made / 100, kind)

    def burst(self, stream: str, frames: int, each: int) -> None:
        """So many frames at once, of so many quotes each."""
        dice = self._dice[stream]
        if symbols := self.open_symbols(stream):
            for _ in range(frames):
                self._carriers[stream](self.make([dice.choice(symbols) for _ in range(each)]))


def frame_of(messages: Sequence[Mapping[str, Any]]) -> bytes:
    """One websocket message of market data."""
    return _encode(list(messages))
