"""What money earns until a contract's end: a small dated table by term, as the user or this program wrote it."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import Final

from options_helper.errors import ConfigError

# Nobody pays as much for dollars, and a percent that was typed as a fraction is beyond it.
RATE_BELOW: Final = 0.25

_TERM: Final = re.compile(r"([1-9][0-9]{0,3})([dwmy])")
_YEARS: Final = {"d": 1 / 365, "w": 7 / 365, "m": 1 / 12, "y": 1.0}
_EXAMPLE: Final = "2026-11-27 1m=0.0395 3m=0.039 6m=0.0385 1y=0.037, or a day and one rate: 2026-11-27 0.04"


@dataclass(frozen=True, slots=True)
class RateTable:
    """Rates by term: `years` ascending, `rates` per year as fractions, compounded continuously; at least one."""

    years: tuple[float, ...]
    rates: tuple[float, ...]
    as_of: date  # the day that they are of
    source: str  # for people

    def at(self, years: float) -> float:
        """The rate of a term: on the line between its neighbours, beyond the ends the nearest one."""
        right = bisect_right(self.years, years)
        if right == 0:
            return self.rates[0]
        if right == len(self.years):
            return self.rates[-1]
        before, after = self.years[right - 1], self.years[right]
        part = (years - before) / (after - before)
        return self.rates[right - 1] + part * (self.rates[right] - self.rates[right - 1])


# No market was asked: a round number near what short bills paid when it was written down.
DEFAULT_RATES: Final = RateTable((1.0,), (0.04,), date(2026, 11, 28), "this program's default")


def parse_rates(text: str, name: str) -> RateTable:
    """Read a day and rates by term, or a day and one rate; ConfigError, which begins with `name`, where it is neither.

    Rates are fractions a year, or percents with a percent sign: 0.043 or 4.3%.
    """
    day, *parts = text.split() or [""]
    try:
        as_of = date.fromisoformat(day)
    except ValueError:
        raise ConfigError(
            f"{name} begins with {day!r} and not with the day of its rates. Write {_EXAMPLE}."
        ) from None
    if not parts:
        raise ConfigError(f"{name} names a day and no rate. Write {_EXAMPLE}.")
    if len(parts) == 1 and "=" not in parts[0]:
        return RateTable((1.0,), (_rate(parts[0], parts[0], name),), as_of, name)
    by_years = dict(_terms(parts, name))
    if len(by_years) < len(parts):
        raise ConfigError(f"{name} names a term twice. Write each once: {_EXAMPLE}.")
    years = tuple(sorted(by_years))
    return RateTable(years, tuple(by_years[term] for term in years), as_of, name)


def _terms(parts: list[str], name: str) -> Iterator[tuple[float, float]]:
    for part in parts:
        term, equals, rate = part.partition("=")
        match = _TERM.fullmatch(term)
        if match is None or not equals:
            raise ConfigError(
                f"{name}: {part!r} is no term with its rate. Write days, weeks, months or years: {_EXAMPLE}."
            )
        yield int(match[1]) * _YEARS[match[2]], _rate(rate, part, name)


def _rate(text: str, where: str, name: str) -> float:
    number, percent, rest = text.partition("%")
    try:
        rate = float(number) / (100 if percent else 1)
    except ValueError:
        rate = float("nan")
    if rest or not rate == rate:  # noqa: PLR0124 - NaN alone differs from itself
        raise ConfigError(f"{name}: {where!r} has no number as its rate. Write {_EXAMPLE}.")
    if not 0 <= rate < RATE_BELOW:
        raise ConfigError(
            f"{name}: {where!r} is {rate:.4g} as a fraction, which is {100 * rate:.4g} % a year. Rates are from 0 to "
            f"below {RATE_BELOW}; 4.3 % a year is written as 0.043 or 4.3%."
        )
    return rate
