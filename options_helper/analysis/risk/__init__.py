"""Prices and quotes in, risk out: implied volatility, Greeks, forwards, and sums that say what they cover.

In: arrays, one element for each option leg: what its contract says, what the market says, what is quoted. Out: arrays
and frozen values in the units of `docs/RISK.md`; NaN in an array and None at the edge mean "not known".
Imports `model`. Pure NumPy and decimals: no clock, no file, no thread; every time comes in as years to the settlement
instant.
"""

from typing import Final

# What others may use, by module; a test holds them to it.
PUBLIC: Final[dict[str, tuple[str, ...]]] = {
    "pricing": ("CashDividends", "Market", "Terms", "value"),
}
