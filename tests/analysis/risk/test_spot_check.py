"""A share's own options are asked whether its price can be: by one look at both, and never at two moments."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from math import exp
from types import MappingProxyType

import numpy as np
import pytest

from options_helper.analysis.risk.leg_inputs import RiskChoices
from options_helper.analysis.risk.pricing import CashDividends, Market, Terms, value
from options_helper.analysis.risk.spot_check import SpotDoubt, spot_doubts
from options_helper.model.events import Quote
from options_helper.model.rates import RateTable
from options_helper.model.risk_inputs import CorporateActions, Dividend, ExpiryChain, RiskInputs
from options_helper.model.snapshot import LiveSnapshot
from tests.kit.builders import AS_OF, quote, snapshot_with

EXPIRY = date(2026, 12, 18)
SETTLED = datetime(2026, 12, 18, 21, 0, tzinfo=UTC)
YEARS = (SETTLED - AS_OF).total_seconds() / (365 * 86_400)
RATE = 0.04
OWN_RATE = RiskChoices(RateTable((1.0,), (RATE,), date(2026, 11, 20), "the test"))
STRIKES = (170.0, 175.0, 180.0, 185.0, 190.0)
NOTHING_PAID = CorporateActions("AAPL", AS_OF, date(2027, 3, 1))


def prices(spot: float, *, carry: float = 0.0, dividend: float = 0.0) -> Iterable[tuple[str, float]]:
    """American prices of calls and puts, by the lattice, for a share that costs this much."""
    for kind in "CP":
        count = len(STRIKES)
        ex = 14 / 365
        paid = CashDividends(np.full((1, count), ex), np.full((1, count), dividend))
        worth = value(
            Terms(
                np.array(STRIKES), np.full(count, kind == "C"), np.ones(count, bool), np.full(count, YEARS)
            ),
            Market(np.full(count, spot), np.full(count, RATE), np.full(count, carry), paid),
            np.full(count, 0.3),
        )
        for strike, price in zip(STRIKES, worth.tolist(), strict=True):
            yield f"AAPL261218{kind}{strike * 1000:08.0f}", price


def chain(
    spot: float = 180.0,
    *,
    quoted: float = 180.0,
    quote_age: float = 0.0,
    option_age: float = 0.0,
    **more: float,
) -> ExpiryChain:
    """A look at options that know `spot`, beside a share that is quoted at `quoted`."""
    options = [
        quote(symbol, price - 0.02, price + 0.02, age=option_age) for symbol, price in prices(spot, **more)
    ]
    share: Quote | None = quote("AAPL", quoted - 0.01, quoted + 0.01, age=quote_age)
    return ExpiryChain("AAPL", EXPIRY, AS_OF, MappingProxyType({one.symbol: one for one in options}), share)


def doubt_of(
    look: ExpiryChain,
    *,
    actions: CorporateActions | None = NOTHING_PAID,
    as_of: datetime = AS_OF,
    choices: RiskChoices = OWN_RATE,
) -> SpotDoubt | None:
    """What is said of AAPL after this look."""
    known = {} if actions is None else {"AAPL": actions}
    live: LiveSnapshot = replace(
        snapshot_with(as_of=as_of), risk_inputs=RiskInputs(actions=known, chains={"AAPL261218": look})
    )
    return spot_doubts(live, choices).get("AAPL")


def test_a_price_that_its_options_know_too_raises_no_doubt():
    assert doubt_of(chain()) is None


@pytest.mark.parametrize("quoted", [178.0, 179.7, 180.3, 182.0])
def test_another_price_does_and_says_how_old_it_was(quoted: float):
    doubt = doubt_of(chain(quoted=quoted, quote_age=14))

    assert doubt is not None
    assert doubt.alarm.implied_spot == pytest.approx(180, abs=0.03)
    assert doubt.words.startswith(
        f"AAPL: options imply {doubt.alarm.implied_spot:.2f}, the quote says {quoted:.2f}"
    )
    assert "(age 14 s at " in doubt.words


def test_shares_that_cost_a_quarter_a_year_to_borrow_do():
    """What exercising a put early is worth is taken off as if borrowing cost nothing, so it is found about."""
    doubt = doubt_of(chain(carry=0.25))

    assert doubt is not None
    assert doubt.alarm.implied_spot == pytest.approx(180 * exp(-0.25 * YEARS), abs=0.5)


def test_a_dividend_does_unless_it_is_told_of():
    paid = chain(dividend=1.0)
    told = replace(NOTHING_PAID, dividends=(Dividend("AAPL", (AS_OF + timedelta(days=14)).date(), 1.0),))

    assert doubt_of(paid) is not None
    assert doubt_of(paid, actions=told) is None


def test_a_rate_that_nobody_wrote_down_is_doubted_before_the_price():
    """Half a point of rate for a month is seven cents on this share."""
    look = chain(quoted=180.1)

    assert doubt_of(look) is not None
    assert doubt_of(look, choices=RiskChoices()) is None


def test_options_of_the_close_say_nothing_of_a_price_of_the_evening():
    assert doubt_of(chain(quoted=185.0, option_age=3_600)) is None
    assert doubt_of(chain(quoted=185.0, quote_age=3_600, option_age=3_600)) is not None


@pytest.mark.parametrize("minutes", [11, -11])
def test_what_was_asked_for_long_ago_says_nothing_of_now(minutes: int):
    """Nor does what is of later, by a clock that was put back since: how old it is, nobody knows."""
    assert doubt_of(chain(quoted=185.0), as_of=AS_OF + timedelta(minutes=minutes)) is None


@pytest.mark.parametrize("share", [None, quote("AAPL", None, 180.0), quote("AAPL", 180.1, 179.9)])
def test_without_a_price_of_the_share_nothing_is_said(share: Quote | None):
    assert doubt_of(replace(chain(), spot=share)) is None


def test_two_strikes_prove_nothing():
    look = chain(quoted=185.0)
    few = {symbol: one for symbol, one in look.quotes.items() if symbol[-8:] in ("00180000", "00185000")}

    assert doubt_of(replace(look, quotes=few)) is None
