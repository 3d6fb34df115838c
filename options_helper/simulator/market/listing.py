"""Which contracts a made-up market lists beside those that are held: both types, at strikes around the money."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Final, get_args

from options_helper.model.contract_symbols import OptionType, format_osi_compact, parse_contract_symbol
from options_helper.model.portfolio import Instrument

STRIKES_A_SIDE: Final = 6
# Up to which price strikes are how far apart, dollars.
_STEPS: Final = ((25.0, 0.5), (100.0, 1.0), (250.0, 2.5), (1_000.0, 5.0))
_WIDEST_STEP: Final = 25.0


def listed_beside(held: Iterable[Instrument], spots: Mapping[str, float]) -> frozenset[str]:
    """The contracts of each class and expiry of which one is held; `spots` are where the underlyings start.

    Adjusted contracts are in no list: nothing new is listed on what a company's action left behind.
    """
    options = (one for one in held if one.is_option and not one.adjusted and one.underlying in spots)
    return frozenset(symbol for one in options for symbol in _beside(one, spots[one.underlying]))


def _beside(held: Instrument, spot: float) -> Iterator[str]:
    terms = parse_contract_symbol(held.live_symbol)
    for strike in (terms.strike, *_around(spot)):
        for option_type in get_args(OptionType):
            yield format_osi_compact(replace(terms, strike=strike, option_type=option_type))


def _around(spot: float) -> list[float]:
    step = next((step for limit, step in _STEPS if spot <= limit), _WIDEST_STEP)
    middle = round(spot / step)
    first = max(1, middle - STRIKES_A_SIDE)
    return [place * step for place in range(first, middle + STRIKES_A_SIDE + 1)]
