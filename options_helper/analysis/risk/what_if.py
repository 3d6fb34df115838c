"""What is asked for in a what-if, as a value and as text: `spot=-5%,vol=+3,days=7`."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

from options_helper.errors import ConfigError
from options_helper.model.contract_symbols import plain_number

_EXAMPLE: Final = "Write it like spot=-5%,vol=+3,days=7,rate=+0.5."


@dataclass(frozen=True, slots=True)
class WhatIf:
    """How the world differs from now; everything of it together, on all underlyings alike."""

    spot_percent: float = 0.0  # of each underlying's price
    vol_points: float = 0.0  # added to each leg's own volatility: 3 makes 28 % of 25 %
    # Parallel without it. With it the points are those of an option with so many days left, and each leg moves by them
    # times the root of this over its own days.
    term_days: float | None = None
    days: float = 0.0  # calendar days from now
    rate_points: float = 0.0  # added to the rate: 0.5 makes 4.5 % of 4 %

    @property
    def is_now(self) -> bool:
        """Whether nothing differs."""
        return not (self.spot_percent or self.vol_points or self.days or self.rate_points)

    @property
    def words(self) -> str:
        """The same as a person says it: "spot -5 %, volatility +3 points, 7 days later"."""
        said = []
        if self.spot_percent:
            said.append(f"spot {_signed(self.spot_percent)} %")
        if self.vol_points:
            term = "" if self.term_days is None else f" at {plain_number(self.term_days)} days"
            said.append(f"volatility {_signed(self.vol_points)} points{term}")
        if self.rate_points:
            said.append(f"rate {_signed(self.rate_points)} points")
        if self.days:
            said.append(f"{plain_number(self.days)} day{'' if self.days == 1 else 's'} later")
        return ", ".join(said) or "as it is now"


NOW: Final = WhatIf()


class _Key(NamedTuple):
    """One thing that can differ: its field, its unit, and between which numbers it makes sense."""

    field: str
    unit: str  # what has to stand behind the number
    least: float
    most: float
    sentence: str  # what it is


_KEYS: Final = {
    "spot": _Key("spot_percent", "%", -99.0, 1_000.0, "spot is a change of price in percent, as in spot=-5%"),
    "vol": _Key("vol_points", "", -500.0, 500.0, "vol is a change of volatility in points, as in vol=+3"),
    "term": _Key("term_days", "", 1.0, 3_650.0, "term is how many days the option of vol has, as in term=30"),
    "days": _Key("days", "", 0.0, 3_650.0, "days is how many days pass, as in days=7"),
    "rate": _Key("rate_points", "", -25.0, 25.0, "rate is a change of the rate in points, as in rate=+0.5"),
}
_NUMBER: Final = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+))\s*(%?)")


def parse_what_if(text: str) -> WhatIf:
    """Read it from text; ConfigError with a sentence that says what stands where it should not."""
    found = NOW
    seen: set[str] = set()
    for part in text.replace("\N{MINUS SIGN}", "-").split(","):
        name, equals, value = (one.strip() for one in part.partition("="))
        key = _KEYS.get(name.lower())
        if not equals or key is None:
            known = ", ".join(_KEYS)
            raise ConfigError(f"The what-if has {part.strip()!r}, which is none of {known}. {_EXAMPLE}")
        if name.lower() in seen:
            raise ConfigError(f"The what-if names {name.lower()} twice. {_EXAMPLE}")
        seen.add(name.lower())
        found = replace(found, **{key.field: _number(part.strip(), value, key)})
    if "term" in seen and "vol" not in seen:
        raise ConfigError(
            "The what-if has a term without vol, which alone it speaks of. Add vol, as in vol=+3."
        )
    return found


def _number(part: str, value: str, key: _Key) -> float:
    match = _NUMBER.fullmatch(value)
    if match is None or match[2] != key.unit:
        raise ConfigError(f"The what-if has {part!r}, but {key.sentence}.")
    number = float(match[1])
    if not key.least <= number <= key.most:
        between = f"{plain_number(key.least)} to {plain_number(key.most)}"
        raise ConfigError(f"The what-if has {part!r}, which is not within {between}: {key.sentence}.")
    return number


def _signed(number: float) -> str:
    return f"{'+' if number > 0 else ''}{plain_number(number)}"
