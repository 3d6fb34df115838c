"""Counts, symbols, prices and long lists as people say them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from decimal import Decimal
from math import floor, isfinite, log10
from typing import Final

from options_helper.errors import SymbolError
from options_helper.model.contract_symbols import format_contract, parse_contract_symbol

HIDDEN: Final = "•••••"
_NOTHING: Final = 5e-10
_SAYS_NOTHING: Final = 0.0005  # of a price's third decimal


def format_count(count: int, noun: str) -> str:
    """How many of them: "1 gap", "1,204 gaps"."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def named(words: Sequence[str], at_most: int = 5) -> str:
    """The first few of a list, and how many more there are."""
    more = len(words) - at_most
    return ", ".join(words[:at_most]) + (f" and {more} more" if more > 0 else "")


def without_quotes(value: object) -> str:
    """What to do about a number that is written as a text, at a sentence's end; empty where it is none."""
    try:
        is_number = isinstance(value, str) and isfinite(float(value))
    except ValueError:
        is_number = False
    return ": write it without quotation marks" if is_number else ""


def table_lines(
    columns: Sequence[str], rows: Iterable[Sequence[str]], right: AbstractSet[str] = frozenset()
) -> Iterator[str]:
    """A table in columns as wide as they need to be; those named `right` are aligned there."""
    lines = [columns, *rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        fields = [
            text.rjust(width) if name in right else text.ljust(width)
            for name, text, width in zip(columns, line, widths, strict=True)
        ]
        yield "  ".join(fields).rstrip()


def with_minus(value: float, form: str) -> str:
    """A number in this form, with a true minus in place of a hyphen, as figures beside it have."""
    return format(value, form).replace("-", "\N{MINUS SIGN}")


def digits_of(value: float, least: int, figures: int) -> int:
    """How many decimals to show: `least`, and of what is below 1 as many as its first `figures` figures take."""
    size = abs(value)
    # Of a difference of prices that is 0 something is left.
    if size >= 1 or not size >= _NOTHING:
        return least
    return max(least, figures - 1 - floor(log10(size)))


def figure_text(value: float, least: int, figures: int = 2, sign: str = "") -> str:
    """A figure with `least` decimals; below 1 with as many more as its first figures take, so that none reads as 0."""
    digits = digits_of(value, least, figures)
    text = with_minus(value if abs(value) >= _NOTHING else 0.0, f"{sign},.{digits}f")
    always = len(text) - (digits - least)
    # Without decimals, what is rounded up to 1 has but the zero that is left out.
    return (text[:always] + text[always:].rstrip("0")).removesuffix(".")


def price_text(price: float, sign: str = "") -> str:
    """A price, as of a share, a contract or a coin: 1,234.50, and 7.375 with the third decimal that it has.

    Below a dollar it has four figures, as 0.1534 or 0.0000125: no price that is not 0 reads as 0.
    """
    if abs(price) < 1:
        return figure_text(price, 2, 4, sign)
    return with_minus(price, f"{sign},.{3 if abs(round(price, 2) - price) > _SAYS_NOTHING else 2}f")


def between_words(ends: tuple[float, float]) -> str:
    """Two ends of what is not known better: "−12.50 and 3.00"."""
    return " and ".join(with_minus(end, ",.2f") for end in ends)


def format_symbol(symbol: str) -> str:
    """A contract as a trader says it; any other symbol as it is."""
    try:
        contract = parse_contract_symbol(symbol)
    except SymbolError:
        return symbol
    return format_contract(contract.underlying, contract.expiry, contract.option_type, contract.strike)


def format_holding(symbol: str) -> str:
    """What is held of a symbol, as a trader says it: a contract, or "AAPL shares"."""
    words = format_symbol(symbol)
    return f"{words} shares" if words == symbol else words


def format_price(price: Decimal) -> str:
    """An amount with its cents, and whatever digits it has beyond them."""
    exponent = price.as_tuple().exponent
    return f"{price:,f}" if isinstance(exponent, int) and exponent < -2 else f"{price:,.2f}"


def without_quantities(sentence: str) -> str:
    """What is sold and not covered, as "calls on 500 shares are sold until 18 Dec 26", without how much that is."""
    return re.sub(r"\$?\d[\d,]*(\.\d+)? (?=shares\b|a point\b)", f"{HIDDEN} ", sentence)


def without_amounts(sentence: str) -> str:
    """A problem as "portfolio.json, position 'x', cost_basis: must be 0 or more, found -2", without the numbers."""
    where, colon, reason = sentence.partition(": ")
    said, found, value = reason.partition("found ")
    if found:
        more = re.search(r"( \(\d+ more after this one\))?\.?$", value)
        return where + colon + said + found + HIDDEN + (more[0] if more else "")
    return where + colon + re.sub(r"[-+]?\d[\d.,]*(?<![.,])", HIDDEN, reason)
