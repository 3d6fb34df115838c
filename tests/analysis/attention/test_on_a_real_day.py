"""A recorded day of SPXW, minute by minute: what needs a hand against a computation of the test's own."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from math import sqrt
from pathlib import Path

import pytest

from options_helper.analysis.attention.assess import Attention
from options_helper.analysis.attention.cockpit import EndState
from options_helper.analysis.attention.entries import AttentionKind
from tests.analysis.attention.world import attention, live_at, of_kind
from tests.kit.builders import leg, position, structure
from tests.kit.spxw import Minute, minutes, prices_of, symbol

DAY = date(2018, 1, 5)
# The index went from 2731 to 2743: over some of these, past none, and near others at the end.
PUT = position("SPXW", 2730, "put", contracts=-1, expiry=DAY, identity="put")
CALL = position("SPXW", 2740, "call", contracts=2, expiry=DAY, identity="call")
SPREAD = structure(
    leg("long", 2735, expiry=DAY),
    leg("short", 2745, expiry=DAY),
    symbol="SPXW",
    identity="spread",
    net_debit=400.0,
)
BOOK = [PUT, CALL, SPREAD]
# Strike, whether it is a call, and contracts.
HELD = {(2730, False): -1, (2740, True): 2, (2735, True): 1, (2745, True): -1}
MINUTES_A_YEAR = 525_600


def found_at(at: str, minute: Minute, *, with_risk: bool) -> Attention:
    live = live_at(f"2018-01-05 {at}", prices_of(minute), held=BOOK, executions_since=date(2018, 1, 2))
    return attention(BOOK, live, with_risk=with_risk)


def inside(strike: int, spot: float, *, call: bool) -> float:
    return round(spot - strike if call else strike - spot, 6)


def session(real_data: Path, step: int) -> Iterator[tuple[str, Minute]]:
    """Every so many minutes of the shares' session."""
    every = [(at, one) for at, one in sorted(minutes(real_data).items()) if at < "16:00"]
    return iter(every[::step])


def test_each_minute_the_shorts_in_the_money_and_the_cash_are_those_of_the_record(real_data: Path):
    """All of it settles in cash: a hundred dollars a point."""
    seen: set[frozenset[str]] = set()
    for at, minute in session(real_data, 1):
        found = found_at(at, minute, with_risk=False)
        shorts = {
            symbol(strike, call=call)
            for (strike, call), count in HELD.items()
            if count < 0 and inside(strike, minute.spot, call=call) >= 0.01
        }
        cash = sum(
            count * 100 * max(0.0, inside(strike, minute.spot, call=call))
            for (strike, call), count in HELD.items()
        )

        told = {one.symbols[0] for one in of_kind(found, AttentionKind.IN_THE_MONEY_SHORT)}
        (expiring,) = of_kind(found, AttentionKind.EXPIRING)
        assert told == shorts, at
        assert expiring.shares == 0, at
        assert (expiring.needs or 0.0) == pytest.approx(max(0.0, -cash), abs=2), at
        assert f"{expiring.by:%H:%M}" == "16:00", at
        assert of_kind(found, AttentionKind.LONG_WITHOUT_MONEY) == []
        seen.add(frozenset(shorts))

    assert len(seen) > 1, "the day crossed no strike of a short leg"


def test_pins_are_where_the_vendors_own_deviation_of_what_is_left_puts_them(real_data: Path):
    """The vendor's clock ends half an hour later; volatility times the root of the time left is the same by either."""
    compared = pinned = 0
    for at, minute in session(real_data, 7):
        hours, mins = int(at[:2]), int(at[3:])
        left = 16 * 60 + 30 - hours * 60 - mins
        lines = [one for one in found_at(at, minute, with_risk=True).cockpit if not one.is_structure]
        for one in lines:
            (key,) = [key for key in HELD if symbol(key[0], call=key[1]) == one.symbols[0]]
            vendor = minute.chain[key]
            if one.iv is None or one.pin_band is None or vendor.volatility < 0.03:
                continue
            band = 0.5 * minute.spot * vendor.volatility * sqrt(left / MINUTES_A_YEAR)
            band = max(band, 2 * (minute.index[1] - minute.index[0]))
            assert one.pin_band == pytest.approx(band, rel=0.15), (at, one.symbols)
            distance = abs(inside(key[0], minute.spot, call=key[1]))
            if abs(distance / band - 1) > 0.15:
                assert (one.state is EndState.PIN) is (distance <= band), (at, one.symbols)
                compared += 1
                pinned += distance <= band

    assert compared > 50
    assert 0 < pinned < compared
