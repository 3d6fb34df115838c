"""Read and write contract symbols: the one place that knows how a contract is spelled."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Final, Literal

from options_helper.errors import SymbolError

OptionType = Literal["call", "put"]

# The last fifteen characters have fixed places; what stands before them is the root, padded to six or not.
_CONTRACT: Final = re.compile(
    r"(?P<root>[A-Z0-9]{1,6}|[A-Z]{1,4}[.\-/][A-Z]) *(?P<expiry>[0-9]{6})(?P<side>[CP])(?P<mills>[0-9]{8})"
)
_AFTER_ROOT: Final = 15
# Type and strike at its end: "C00180000".
_TAIL: Final = 9
# What the names of class shares are written with, and roots are not.
_NO_PUNCTUATION: Final = str.maketrans("", "", ".-/ ")
_SIDES: Final[dict[str, OptionType]] = {"C": "call", "P": "put"}
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_LARGEST_MILLS: Final = 99_999_999
# Asked of each line several times at each refresh; so many symbols are remembered.
_ROOTS: Final = 8_192

# A root has no dot, so the class of a share cannot be read from it: these are known by name.
CLASS_SHARES: Final = {
    "BFB": "BF-B",
    "BRKB": "BRK-B",
    "HEIA": "HEI-A",
    "LENB": "LEN-B",
    "MOGA": "MOG-A",
    "PBRA": "PBR-A",
}
# Index options trade under more roots than the index has names (weeklies, afternoon-settled series).
INDEX_ROOTS: Final = {
    "DJX": "DJX",
    "MRUT": "MRUT",
    "NDX": "NDX",
    "NDXP": "NDX",
    "OEX": "OEX",
    "RUT": "RUT",
    "RUTW": "RUT",
    "SPX": "SPX",
    "SPXW": "SPX",
    "VIX": "VIX",
    "VIXW": "VIX",
    "XEO": "XEO",
    "XND": "XND",
    "XSP": "XSP",
}
# Dollars per point, and shares delivered, of nearly all contracts.
STANDARD_MULTIPLIER: Final = 100
# Dollars per point of the classes that have no digit in their root and are no hundred all the same.
ODD_MULTIPLIERS: Final = {"NANOS": 1}


@dataclass(frozen=True, slots=True)
class ParsedContract:
    """The parts of a contract symbol; the strike is the double nearest to its value in mills."""

    underlying: str  # the root, as the symbol has it: "AAPL1", "BRKB", "SPXW"
    underlying_norm: str  # what it is written on, in our spelling: "AAPL", "BRK-B", "SPX"
    expiry: date
    option_type: OptionType
    strike: float

    @property
    def adjusted(self) -> bool:
        """Whether it may deliver something else than 100 shares (a corporate action or a FLEX series)."""
        return is_adjusted_root(self.underlying)


# Of the same few symbols at each refresh, many times.
@lru_cache(maxsize=4_096)
def parse_contract_symbol(text: str) -> ParsedContract:
    """Take a contract symbol apart, padded or not; SymbolError for any other text."""
    match = _CONTRACT.fullmatch(text.strip().upper())
    if match is None:
        raise SymbolError(f"{text!r} is no option contract symbol; one looks like AAPL260320C00180000.")
    mills = int(match["mills"])
    if mills == 0:
        raise SymbolError(f"{text!r} is no option contract symbol: its strike is zero.")
    root = re.sub(r"[.\-/]", "", match["root"])
    return ParsedContract(
        underlying=root,
        underlying_norm=underlying_of_root(root),
        expiry=_expiry(match["expiry"], text),
        option_type=_SIDES[match["side"]],
        strike=mills / 1000,
    )


@lru_cache(maxsize=_ROOTS)
def root_of(symbol: str) -> str:
    """The root of a contract's symbol, or of what its contracts are written on: never read further, so it is quick."""
    name = symbol[:-_AFTER_ROOT] if has_contract_length(symbol) else symbol
    return name.translate(_NO_PUNCTUATION).upper()


def other_type(symbol: str) -> str:
    """The call beside a put, or the put beside a call: the same strike and expiry. The symbol is a compact one."""
    other = "P" if symbol[-_TAIL] == "C" else "C"
    return f"{symbol[:-_TAIL]}{other}{symbol[1 - _TAIL :]}"


def class_and_expiry(symbol: str) -> str:
    """What a compact symbol begins with, before type and strike: "SPXW261218"."""
    return symbol[:-_TAIL]


def has_contract_length(symbol: str) -> bool:
    """Whether a symbol of a feed is a contract's, told by its length: no share, pair or index is spelled that long."""
    return len(symbol) > _AFTER_ROOT


def is_contract_symbol(text: str) -> bool:
    """Whether a text is the symbol of a contract; those of shares are not."""
    try:
        parse_contract_symbol(text)
    except SymbolError:
        return False
    return True


def _expiry(digits: str, text: str) -> date:
    try:
        return date(2000 + int(digits[:2]), int(digits[2:4]), int(digits[4:]))
    except ValueError as error:
        raise SymbolError(f"{text!r} is no option contract symbol: {digits} is no date (yymmdd).") from error


def is_adjusted_root(root: str) -> bool:
    """Whether a root carries a digit: `AAPL1` after a corporate action, `1SPX` for a FLEX series."""
    return any(letter.isdigit() for letter in root)


def usual_multiplier(root: str) -> int | None:
    """Dollars per point of contracts with this root; None for adjusted ones, of which the root does not tell it."""
    return None if is_adjusted_root(root) else ODD_MULTIPLIERS.get(root, STANDARD_MULTIPLIER)


@lru_cache(maxsize=_ROOTS)
def underlying_of_root(root: str) -> str:
    """What contracts of this root are written on, in our spelling, as far as the root can tell."""
    name = root.strip("0123456789") or root
    return CLASS_SHARES.get(name) or INDEX_ROOTS.get(name, name)


def format_osi(contract: ParsedContract) -> str:
    """The 21 characters of the industry's symbol, root padded with spaces."""
    return f"{contract.underlying:<6}{_tail(contract)}"


def format_osi_compact(contract: ParsedContract) -> str:
    """The same without padding, as Alpaca writes it."""
    return f"{contract.underlying}{_tail(contract)}"


def compact_symbol(symbol: str) -> str:
    """A contract's symbol without its padding, as all of ours are; any other symbol as it is."""
    try:
        return format_osi_compact(parse_contract_symbol(symbol))
    except SymbolError:
        return symbol


def _tail(contract: ParsedContract) -> str:
    expiry = contract.expiry
    if not 2000 <= expiry.year <= 2099:
        raise SymbolError(f"{expiry} cannot be written in a contract symbol: its year must be 2000 to 2099.")
    side = "C" if contract.option_type == "call" else "P"
    return f"{expiry:%y%m%d}{side}{strike_mills(contract.strike):08d}"


def strike_mills(strike: float | Decimal) -> int:
    """A strike in mills, exactly; SymbolError for one that the eight digits of a symbol cannot hold."""
    try:
        # The shortest text of a float is what was written, so 172.115 is not seen as 172.11500000000001.
        mills = Decimal(str(strike)) * 1000
        whole = int(mills)
    except (InvalidOperation, ValueError, OverflowError) as error:
        raise SymbolError(f"{strike} is no strike.") from error
    if mills != whole or not 0 < whole <= _LARGEST_MILLS:
        raise SymbolError(f"{strike} is no strike: it must be 0.001 to 99999.999 in steps of 0.001.")
    return whole


def format_contract(symbol: str, expiry: date, option_type: OptionType, strike: float) -> str:
    """A contract as a trader says it: "AAPL 20 Mar 26 180 C"."""
    side = "C" if option_type == "call" else "P"
    return f"{symbol} {short_date(expiry)} {plain_number(strike)} {side}"


def short_date(day: date) -> str:
    """A day as contracts name it, the same in every locale: "20 Mar 26"."""
    return f"{day.day} {_MONTHS[day.month - 1]} {day:%y}"


def plain_number(value: float) -> str:
    """A price or a quantity with no more digits than it needs, to the mill: 180, 172.5; of less, all: 0.00004."""
    text = f"{value:.3f}".rstrip("0").rstrip(".")
    return f"{value:.9f}".rstrip("0").rstrip(".") if value and not text.strip("-0") else text
