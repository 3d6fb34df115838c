"""What a valid portfolio file may still have against it: what expired, what names no cost, what cannot be counted."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from math import gcd
from typing import Final

from options_helper.analysis.payoffs import Bounds, payoff_bounds, slope_of
from options_helper.model.contract_hours import has_ended
from options_helper.model.contract_symbols import plain_number, short_date
from options_helper.model.market_hours import MarketDay, regular_session
from options_helper.model.portfolio import (
    Instrument,
    MultiLegPosition,
    Portfolio,
    PortfolioEntry,
)
from options_helper.model.text import format_count, named, price_text

CORRECT_AS_OF: Final = 'Correct "as_of" or remove it.'
# Alpaca's accounts list it until the next day.
REMOVE_EXPIRED: Final = "Remove it once the account has dropped it."
# A structure that has a least and a most is not opened for less than this, dollars a share; it is if nothing was paid.
_LEAST_PRICE: Final = Decimal("0.05")
# Of the strike: shares that cost less than that have grown twentyfold, or the debit is without them.
_NEXT_TO_NOTHING: Final = Decimal("0.05")
# None is listed for half as long; a year with its last two digits swapped is farther still, 2072 for 2027.
_YEARS_AHEAD: Final = 25
_A_HUNDREDTH: Final = Decimal("0.01")
# Of the strike: what costs more a share was bought far in the money, or its cost is one per contract.
_OFTEN_TOO_MUCH: Final = Decimal("0.25")
REMOVE_AS_OF: Final = 'When it is yours, remove "as_of" from it.'


def judged_as_of(portfolio: Portfolio, today: MarketDay) -> date | None:
    """The day by which it is told what has expired: the one that the file is a picture of, else today.

    None where that picture lies ahead: by a day that has not come nothing has expired.
    """
    day = portfolio.as_of or today.date
    return None if day > today.date else day


def picture(portfolio: Portfolio, name: str, today: MarketDay) -> str | None:
    """That the file called `name` is a picture of another day, and what has become of it by `today`.

    None where the file names no day, or one that has not come: that is a finding.
    """
    if portfolio.as_of is None or judged_as_of(portfolio, today) is None:
        return None
    return (
        f"{name} is a picture of {short_date(portfolio.as_of)}, so its expiries are judged as of that day. "
        f"{expired_by(portfolio, today)} {REMOVE_AS_OF}"
    )


def expired_by(portfolio: Portfolio, today: MarketDay) -> str:
    """How many of its contracts have expired by now, each counted once."""
    contracts = {one.live_symbol: one for one in portfolio.instruments if one.is_option}
    expired = sum(has_expired(one, today) for one in contracts.values())
    return f"Expired by {today.today}: {expired or 'none'} of {format_count(len(contracts), 'contract')}."


def has_expired(instrument: Instrument, today: MarketDay, picture_of: date | None = None) -> bool:
    """Whether a contract has ended at the moment of `today`; a picture of a day is judged as of that day."""
    if instrument.expiry is None:
        return False
    if picture_of is not None or today.at is None:
        return instrument.expiry < (picture_of or today.date)
    return has_ended(
        instrument.live_symbol, instrument.expiry, today.at, today.told, at_open=instrument.settled_at_open
    )


def ahead(portfolio: Portfolio, today: MarketDay) -> str | None:
    """That the file is a picture of a day to come, so that nothing can be judged; None where it is not."""
    if judged_as_of(portfolio, today) is not None:
        return None
    return f"as_of {portfolio.as_of} lies ahead: it is {today.date} in {today.place}. What has expired is not judged."


def findings(portfolio: Portfolio, today: MarketDay) -> tuple[str, ...]:
    """A sentence for everything to look at, in the order of the file.

    What has expired is judged as of the day that the file is a picture of, if it names one that has come.
    """
    early = ahead(portfolio, today)
    return (
        *((f"{early} {CORRECT_AS_OF}",) if early else ()),
        *(
            f"'{entry.id}'{sentence}"
            for entry in portfolio.positions
            for sentence in (
                *(() if early else _expiries(entry, today, portfolio.as_of)),
                *_costs(entry, today),
                *(sentence for _, sentence, cannot_be in _line_costs(entry) if cannot_be),
                *_multipliers(entry),
                *_dates(entry, today),
                *_legs(entry),
            )
        ),
    )


@dataclass(frozen=True, slots=True)
class CostDoubt:
    """A cost that is most often one per contract, and right for what was bought far in the money."""

    sentence: str
    instrument: Instrument

    def is_out_of_the_money(self, price: float) -> bool:
        """Whether it is so at a price of what it is written on."""
        strike = self.instrument.strike or 0.0
        return price <= strike if self.instrument.option_type == "call" else price >= strike

    def at(self, price: float) -> str:
        """The sentence beside a price at which it is out of the money."""
        return f"{self.sentence} It is out of the money: {self.instrument.underlying} stands at {price_text(price)}."


def cost_doubts(portfolio: Portfolio) -> tuple[CostDoubt, ...]:
    """Each contract whose cost may be right, and is most often one per contract."""
    return tuple(
        CostDoubt(f"'{entry.id}'{sentence}", one)
        for entry in portfolio.positions
        for one, sentence, cannot_be in _line_costs(entry)
        if not cannot_be
    )


def judged_costs(
    costs: Iterable[CostDoubt], prices: Mapping[str, float]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What cannot be at the prices of what contracts are written on, and what may be and is remarked; sentences."""
    slips, remarks = [], []
    for one in costs:
        price = prices.get(one.instrument.underlying)
        if price is not None and one.is_out_of_the_money(price):
            slips.append(one.at(price))
        else:
            remarks.append(one.sentence)
    return tuple(slips), tuple(remarks)


def _expiries(entry: PortfolioEntry, today: MarketDay, picture_of: date | None) -> Iterator[str]:
    for one in entry.instruments:
        if one.expiry is None:
            continue
        if has_expired(one, today, picture_of):
            yield f": {one.label} expired on {short_date(one.expiry)}. {REMOVE_EXPIRED}"
        elif (years := one.expiry.year - today.date.year) > _YEARS_AHEAD:
            yield (
                f": {one.label} expires in {one.expiry:%Y}, in {years} years, and options are listed for a few years "
                "at most. Correct the expiry."
            )
        # A closing that was told later moves the end of trading and changes no symbol; an opening makes a session.
        elif regular_session(one.expiry) is None and not today.told.get(one.expiry):
            yield (
                f": {one.label} expires on {one.expiry:%A}, {short_date(one.expiry)}, when the exchange is closed. "
                "Correct the expiry: Alpaca's symbols name a trading day."
            )


def _costs(entry: PortfolioEntry, today: MarketDay) -> Iterator[str]:
    if isinstance(entry, MultiLegPosition):
        if entry.net_debit is None and any(line.cost_basis is None for line in entry.lines):
            yield (
                " names no cost, so there is no P&L. "
                "Add net_debit, the dollars for all of it, or a cost_basis to each leg."
            )
        # Shares are often older than the calls on them, and of what is left when a leg has gone the debit is of before.
        elif entry.has_shares:
            yield from _debit_without_shares(entry)
        elif not any(has_expired(one, today) for one in entry.instruments):
            yield from _debit(entry)
    elif entry.lots and entry.lines[0].points is None:
        yield " has a lot that names no cost, so there is no P&L. Add cost_basis to each lot."
    elif entry.lines[0].points is None:
        yield " names no cost, so there is no P&L. Add cost_basis, the opening price per share."


def _debit(entry: MultiLegPosition) -> Iterator[str]:
    """A debit beyond what the structure can be worth: most often a credit without its minus, or a price per share."""
    if entry.net_debit is None:
        return
    bounds, debit = payoff_bounds(entry.lines), Decimal(str(entry.net_debit))
    if bounds.contains(debit):
        yield from _debit_per_share(entry, bounds, debit)
        return
    least, most = (None if one is None else f"{one:,.2f}" for one in (bounds.least, bounds.most))
    limits = " and ".join(
        filter(None, (least and f"never less than {least}", most and f"never more than {most}"))
    )
    meant = f" A credit is negative: is {-debit:,.2f} meant?" if bounds.contains(-debit) else ""
    apart = "" if meant else " Of legs that were opened apart, name each one's cost_basis."
    yield f" was opened for {debit:,.2f}, and what it holds is worth {limits}. Correct net_debit.{meant}{apart}"


def _debit_without_shares(entry: MultiLegPosition) -> Iterator[str]:
    """A debit that is next to nothing for each share: most often the option's credit alone, or a price per share."""
    shares = sum((line.quantity for line in entry.lines if not line.instrument.is_option), Decimal(0))
    strikes = [Decimal(str(one.strike)) for one in entry.instruments if one.strike is not None]
    if entry.net_debit is None or not shares or not strikes:
        return
    debit, strike = Decimal(str(entry.net_debit)), min(strikes)
    each, meant = debit / shares, debit * abs(shares)
    if each >= strike * _NEXT_TO_NOTHING:
        return
    by_share = Decimal("0.6") * strike <= meant / shares <= Decimal("1.4") * strike
    count, end = plain_number(float(abs(shares))), ". Correct it, unless the shares cost so little."
    yield (
        f" was opened for {debit:,.2f}, which is {price_text(float(each))} for each of its {count} shares beside a "
        f"strike of {plain_number(float(strike))}. net_debit is dollars for all of it, its shares too"
        f"{f': is {meant:,.2f} meant?' if by_share else end}"
    )


def _debit_per_share(entry: MultiLegPosition, bounds: Bounds, debit: Decimal) -> Iterator[str]:
    """A debit that nobody deals for, and that is a price per share where it fits."""
    if bounds.least is None or bounds.most is None or not debit:
        return
    shares = gcd(*(int(abs(slope_of(line))) for line in entry.lines))
    meant = debit * shares
    if abs(debit) < _LEAST_PRICE * shares and bounds.least <= meant <= bounds.most:
        yield (
            f" was opened for {debit:,.2f}, which is {plain_number(float(debit / shares))} a share. "
            f"net_debit is dollars for all of it: is {meant:,.2f} meant?"
        )


def _line_costs(entry: PortfolioEntry) -> Iterator[tuple[Instrument, str, bool]]:
    """What is said of an option's cost beside its strike, and whether it cannot be: then it is one per contract."""
    for line in entry.lines:
        one, cost = line.instrument, line.cost_basis
        if one.strike is None or one.adjusted or cost is None:
            continue
        strike = Decimal(str(one.strike))
        said = f": {one.label} cost {price_text(float(cost))} a share by its cost_basis,"
        meant = f"It is the price per share, not per contract: is {cost * _A_HUNDREDTH:,.2f} meant?"
        if cost > strike:
            limit = (
                "No put is worth that."
                if one.option_type == "put"
                else f"A call is worth that where {one.underlying} stands at about twice as much."
            )
            yield one, f"{said} more than its strike. {limit} {meant}", True
        elif cost > _OFTEN_TOO_MUCH * strike:
            share = 100 * cost / strike
            yield (
                one,
                f"{said} {share:.0f} % of its strike, which is right far in the money alone. {meant}",
                False,
            )


def _multipliers(entry: PortfolioEntry) -> Iterator[str]:
    if any(one.multiplier is None for one in entry.instruments):
        yield (
            " is an adjusted contract, so its dollar amounts are not known. "
            "Add multiplier, the dollars that one point is worth."
        )


def _dates(entry: PortfolioEntry, today: MarketDay) -> Iterator[str]:
    lots = () if isinstance(entry, MultiLegPosition) else entry.lots or ()
    days = [entry.opened_at, *(lot.opened_at for lot in lots)]
    opened_at = max((day for day in days if day is not None), default=today.date)
    if opened_at > today.date:
        yield (
            f" was opened on {short_date(opened_at)}, which lies ahead: it is {short_date(today.date)} in "
            f"{today.place}. Correct opened_at."
        )


def _legs(entry: PortfolioEntry) -> Iterator[str]:
    if not isinstance(entry, MultiLegPosition):
        return
    quantities: defaultdict[str, list[Decimal]] = defaultdict(list)
    for line in entry.lines:
        quantities[line.instrument.label].append(line.quantity)
    opposed = [label for label, some in quantities.items() if min(some) < 0 < max(some)]
    if opposed:
        nothing = all(sum(some) == 0 for some in quantities.values())
        result = "so it holds nothing" if nothing else "of which the account knows the difference only"
        yield f" has {named(opposed, 3)} both bought and sold, {result}. Correct its legs."
