"""What is wanted of a server that acknowledges nothing: which numbers to ask for, and whose ticks have come."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from options_helper.data.breeze.master import Instrument, Master


class Joins:
    """Knows what is wanted, what was asked for and what was heard; the owner guards it, and sends what it says.

    A symbol that the list of instruments has not is refused here and never asked for: Breeze would take it without a
    word and send nothing. One that was asked for counts as acknowledged with its first tick.
    """

    def __init__(self) -> None:
        self._wanted: dict[str, tuple[str, ...]] = {}  # symbol → channels
        self._master = Master(())  # the list of instruments, once there is one
        self._symbols: dict[str, str] = {}  # token → symbol, of all that was asked for
        self._heard: set[str] = set()
        self._left: dict[str, None] = {}  # the tokens to be left and asked for again
        self._joins_again: tuple[str, ...] = ()  # those of them that were left

    def begin(self, master: Master) -> None:
        """Start a conversation with a server that knows nothing of us yet, by that list of instruments."""
        self._master, self._symbols, self._heard = master, {}, set()
        self._left, self._joins_again = {}, ()

    def want(self, symbols: Iterable[str], channels: Sequence[str]) -> None:
        """Ask for these symbols on these channels, besides what is wanted already."""
        for symbol in symbols:
            self._wanted[symbol] = tuple(dict.fromkeys((*self._wanted.get(symbol, ()), *channels)))

    def unwant(self, symbols: Iterable[str], channels: Sequence[str]) -> None:
        """Leave these symbols on these channels; what was not wanted is passed over."""
        for symbol in symbols:
            left = tuple(channel for channel in self._wanted.pop(symbol, ()) if channel not in channels)
            if left:
                self._wanted[symbol] = left

    def renew(self, symbols: Iterable[str], channel: str) -> None:
        """Leave those of these that were asked for on this channel and ask again; what was not is passed over."""
        known = {symbol: instrument for symbol, instrument in self._found().items() if symbol in set(symbols)}
        tokens = (instrument.token_of(channel) for instrument in known.values())
        self._left.update(dict.fromkeys(token for token in tokens if token in self._symbols))

    def next_leave(self) -> tuple[str, ...]:
        """The numbers to leave now; from here on they are nobody's."""
        wanted = self._tokens()
        gone = tuple(token for token in self._symbols if token not in wanted)
        for token in gone:
            del self._symbols[token]
        self._heard.intersection_update(self._symbols.values())
        # Those keep their symbols: a tick that is on its way meanwhile is still theirs.
        self._joins_again = tuple(token for token in self._left if token in self._symbols)
        self._left = {}
        return (*gone, *self._joins_again)

    def next_join(self) -> tuple[str, ...]:
        """The numbers to ask for now."""
        new = {token: symbol for token, symbol in self._tokens().items() if token not in self._symbols}
        self._symbols.update(new)
        again, self._joins_again = self._joins_again, ()
        return (*new, *again)

    def _tokens(self) -> dict[str, str]:
        return {
            instrument.token_of(channel): symbol
            for symbol, instrument in self._found().items()
            for channel in self._wanted[symbol]
        }

    def _found(self) -> dict[str, Instrument]:
        """The wanted symbols that the list has, each instrument by its first name only."""
        found: dict[str, Instrument] = {}
        named: set[Instrument] = set()
        for symbol in self._wanted:
            instrument = self._master.find(symbol)
            if instrument is not None and instrument not in named:
                named.add(instrument)
                found[symbol] = instrument
        return found

    def symbol_of(self, token: str) -> str:
        """Whose tick it is; one that was not asked for keeps its number for a name."""
        return self._symbols.get(token, token)

    def hear(self, symbol: str) -> bool:
        """Note a tick of a symbol; whether it is its first."""
        if symbol in self._heard:
            return False
        self._heard.add(symbol)
        return True

    @property
    def requested(self) -> tuple[str, ...]:
        """Every wanted symbol, in order of asking."""
        return tuple(self._wanted)

    @property
    def acknowledged(self) -> tuple[str, ...]:
        """Those of which something was heard on this connection."""
        return tuple(symbol for symbol in self._wanted if symbol in self._heard)

    @property
    def refusals(self) -> dict[str, str]:
        """The wanted symbols that cannot be asked for, each with a sentence."""
        found = self._found()
        return {symbol: self._why_not(symbol, found) for symbol in self._wanted if symbol not in found}

    def _why_not(self, symbol: str, found: dict[str, Instrument]) -> str:
        instrument = self._master.find(symbol)
        if instrument is None:
            return self._master.why_unknown(symbol)
        twin = next(name for name, other in found.items() if other == instrument)
        return f"{symbol} is the same instrument as {twin}; ask for it by one name."
