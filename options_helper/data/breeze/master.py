"""ICICI's list of instruments: the symbols that people know, and the numbers by which Breeze streams them.

It comes as a zip of text files, one for each exchange and segment, made anew each morning. Columns are found by their
heading, and where a file has none at the places at which ICICI's own client looks for them.
"""

from __future__ import annotations

import csv
import io
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from options_helper.errors import ConfigError, StreamError

# A list of all that India trades has some 20 MB; what says of itself that it has more than this is no such list.
LARGEST_BYTES: Final = 512 * 1024 * 1024


class Segment(NamedTuple):
    """One file of the list."""

    file_mark: str  # in the file's name
    number: str  # of the exchange, in Breeze's tokens
    has_contracts: bool


# In this order of looking at a file's name: FONSE has NSE in it.
SEGMENTS: Final[Mapping[str, Segment]] = {
    "NFO": Segment("FONSE", "4", has_contracts=True),
    "NSE": Segment("NSE", "4", has_contracts=False),
    "BSE": Segment("BSE", "1", has_contracts=False),
}
# Files whose names hold one of the marks above by chance: of currencies, and of contracts on BSE's shares, whose depth
# has another form that nobody has tried.
_OTHER_FILES: Final = ("CDNSE", "FOBSE")
_FIRST_SERIES: Final = (
    "EQ",
    "BE",
    "A",
)  # what is meant by a name that stands for a share and a bond of the company
_EXCHANGE_CODES: Final = ("ExchangeCode", "ScripID")


CHANNELS: Final[Mapping[str, int]] = {"quotes": 1, "depth": 2}


@dataclass(frozen=True, slots=True)
class Instrument:
    """One thing that is traded: `name` is ICICI's short name of a share, or the whole name of a contract."""

    exchange: str  # "NSE", "BSE", "NFO"
    token: str
    name: str
    code: str = ""  # the exchange's own, where the list has it
    series: str = ""

    def token_of(self, channel: str) -> str:
        """By which number a channel is streamed: the best prices (`quotes`), or five of each side (`depth`)."""
        return f"{SEGMENTS[self.exchange].number}.{CHANNELS[channel]}!{self.token}"


class Master:
    """Finds instruments by what people write: `NSE:RELIANCE`, `NSE:RELIND`, `NFO:OPT-NIFTY-29-Dec-2026-26000-CE`."""

    def __init__(self, instruments: Iterable[Instrument]) -> None:
        self._known: dict[str, Instrument] = {}
        for instrument in instruments:
            for name in filter(None, (instrument.code, instrument.name)):
                self._note(f"{instrument.exchange}:{name}".upper(), instrument)

    def _note(self, symbol: str, instrument: Instrument) -> None:
        known = self._known.get(symbol)
        if known is None or _rank(instrument) < _rank(known):
            self._known[symbol] = instrument

    def __len__(self) -> int:
        return len({(one.exchange, one.token) for one in self._known.values()})

    def find(self, symbol: str) -> Instrument | None:
        """The instrument of that name, however it is written in capitals; None where the list has none."""
        return self._known.get(symbol.upper())

    def why_unknown(self, symbol: str) -> str:
        """What to do about a symbol that is not found, in a sentence."""
        exchange, colon, name = symbol.upper().partition(":")
        if not (colon and name) or exchange not in SEGMENTS:
            return f"{symbol} names no exchange; write it as NSE:RELIANCE, with one of {', '.join(SEGMENTS)} in front."
        if SEGMENTS[exchange].has_contracts:
            return (
                f"ICICI's list of instruments has no contract {name} on {exchange}. "
                "Write it as NFO:OPT-NIFTY-29-Dec-2026-26000-CE or NFO:FUT-NIFTY-29-Dec-2026, with ICICI's own name of "
                "the underlying."
            )
        return (
            f"ICICI's list of instruments has no {name} on {exchange}. Use the exchange's symbol (NSE:RELIANCE) or "
            "ICICI's short name (NSE:RELIND)."
        )


def _rank(instrument: Instrument) -> int:
    return (
        _FIRST_SERIES.index(instrument.series) if instrument.series in _FIRST_SERIES else len(_FIRST_SERIES)
    )


def read_master(content: bytes) -> Master:
    """Read the zip; StreamError where it is none, or has none of the files.

    A row that cannot be read costs itself only.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            if sum(entry.file_size for entry in archive.infolist()) > LARGEST_BYTES:
                raise StreamError(_unusable("it is far too large"))
            master = Master(_instruments(archive))
    except (zipfile.BadZipFile, zlib.error, OSError, RuntimeError, EOFError) as error:
        raise StreamError(_unusable(f"it is no readable zip ({type(error).__name__})")) from error
    if not len(master):
        raise StreamError(_unusable("no instrument is in it"))
    return master


def _unusable(reason: str) -> str:
    return (
        f"ICICI's list of instruments cannot be used: {reason}. Check BREEZE_MASTER_URL; it is tried again."
    )


def _instruments(archive: zipfile.ZipFile) -> Iterator[Instrument]:
    for name in archive.namelist():
        exchange = _exchange_of(name)
        if exchange is not None:
            with archive.open(name) as file:
                yield from _read_file(
                    exchange, io.TextIOWrapper(file, encoding="utf-8", errors="replace", newline="")
                )


def _exchange_of(file_name: str) -> str | None:
    upper = file_name.upper()
    if not upper.endswith(".TXT") or any(mark in upper for mark in _OTHER_FILES):
        return None
    return next((exchange for exchange, segment in SEGMENTS.items() if segment.file_mark in upper), None)


def _read_file(exchange: str, text: io.TextIOBase) -> Iterator[Instrument]:
    rows = csv.reader(text, skipinitialspace=True)
    code_column: int | None = None
    make = _contract if SEGMENTS[exchange].has_contracts else _share
    while True:
        try:
            row = next(rows)
        except StopIteration:
            return
        except csv.Error:  # a field beyond the limit, a NUL; the reader goes on behind it
            continue
        if row and row[0].strip().upper() == "TOKEN":
            code_column = next((row.index(name) for name in _EXCHANGE_CODES if name in row), None)
        elif row and row[0].strip().isdigit() and (made := make(exchange, row, code_column)) is not None:
            yield made


def _share(exchange: str, row: list[str], code_column: int | None) -> Instrument | None:
    if len(row) < 4:
        return None
    code = row[code_column].strip() if code_column is not None and code_column < len(row) else ""
    return Instrument(exchange, row[0].strip(), row[1].strip(), code, row[2].strip().upper())


def _contract(exchange: str, row: list[str], _code_column: int | None) -> Instrument | None:
    """Named as ICICI's own client names it, so that its users find their symbols here."""
    if len(row) < 7:
        return None
    token, underlying, product, expiry, strike, right = (row[at].strip() for at in (0, 2, 3, 4, 5, 6))
    if "FUT" in product.upper():
        return Instrument(exchange, token, f"FUT-{underlying}-{expiry}")
    side = "CE" if "C" in right.upper() else "PE"
    return Instrument(exchange, token, f"OPT-{underlying}-{expiry}-{strike}-{side}")


def require_symbols(symbols: Iterable[str]) -> None:
    """Raise ConfigError for a text in which no exchange can be; asks no list, so it is quick."""
    for symbol in symbols:
        if symbol.upper().partition(":")[0] not in SEGMENTS or not symbol.partition(":")[2]:
            raise ConfigError(Master(()).why_unknown(symbol))
