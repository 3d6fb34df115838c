"""A portfolio and a snapshot → the risk of each line, each underlying and the book; pure, and whole in one call."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from math import fsum, isnan
from typing import Any, Final, Self

import numpy as np

from options_helper.analysis.deliveries import Usual, usual_instruments
from options_helper.analysis.marks import (
    Flags,
    Integers,
    MarkSource,
    Numbers,
    QuoteWarning,
    plain_middle,
    read_marks,
)
from options_helper.analysis.priced_lines import PricedLines, numbers, price_entries
from options_helper.analysis.remembered import remembered
from options_helper.analysis.risk.beta import Beta, BetaWeighted, DeltaDollars, beta_of, beta_weighted
from options_helper.analysis.risk.book_values import (
    EUROPEAN,
    LATTICE,
    BookFigures,
    LineRisk,
    Profits,
    SpotSource,
    UnderlyingRisk,
    price_line,
)
from options_helper.analysis.risk.dividends import DividendState
from options_helper.analysis.risk.extremes import BookRisk, Limit, book_risk
from options_helper.analysis.risk.greeks import (
    FigureState,
    GreekAdder,
    PositionGreeks,
    position_greeks,
    share_greeks,
)
from options_helper.analysis.risk.implied_volatility import VolatilityState
from options_helper.analysis.risk.leg_inputs import Contracts, Gathered, RiskChoices, gather
from options_helper.analysis.risk.leg_risk import DEFAULT_BUDGET, LegRisk, refresh, taken
from options_helper.analysis.risk.pricing import Market, Terms, needs_lattice, value
from options_helper.analysis.risk.quantity_doubt import alarms_of, quantity_doubt
from options_helper.analysis.risk.scenario import ScenarioLines
from options_helper.analysis.risk.second_voice import Disagreement, Voice, compare, european_voice
from options_helper.analysis.risk.spot_check import SpotDoubt, spot_doubts
from options_helper.model.alpaca_symbols import fund_of_index
from options_helper.model.contract_records import is_usual
from options_helper.model.portfolio import Instrument, Portfolio, PortfolioLine
from options_helper.model.risk_inputs import DailyCloses, VendorGreeks
from options_helper.model.snapshot import LiveSnapshot
from options_helper.model.text import with_minus

_NOTHING_KNOWN: Final = Profits()
_CHANGES_TODAY: Final = (
    "A split or the like of its share is for today, and the account has not booked it: its quantity and its strike may "
    "be of the old share."
)
_ONE_MOMENT: Final = 5.0  # seconds between two quotes that are compared
# The value of waiting below this, in dollars per share, is none: prices have cents.
_NO_VALUE_OF_WAITING: Final = 0.005


def assess_book(
    portfolio: Portfolio,
    live: LiveSnapshot,
    choices: RiskChoices,
    *,
    stale_after_seconds: float,
    wide_spread_pct: float,
    profits: Profits = _NOTHING_KNOWN,
    priced: PricedLines | None = None,
    earlier: LegRisk | None = None,
    budget: int = DEFAULT_BUDGET,
    remarks: Sequence[str] = (),
) -> BookFigures:
    """The risk of all that is held; `earlier` is what the look before computed, so that only what moved is anew.

    `priced` are all lines of the portfolio, in its order, where they have been priced already; `remarks` are alarms of
    what its contracts are.
    """
    held = _held(portfolio, None)
    owned, lines = held.owned, held.lines
    priced = priced or price_entries(
        portfolio.positions,
        portfolio,
        live,
        stale_after_seconds=stale_after_seconds,
        wide_spread_pct=wide_spread_pct,
    )
    options, others = held.options, held.others
    legs = _option_legs(held, priced, live, choices, earlier=earlier, budget=budget)
    greeks = _in_order(legs.greeks, _of_shares(priced, others), np.concatenate([options, others]))
    adder = GreekAdder(greeks)
    doubts = spot_doubts(live, choices)
    reasons = _reasons(priced, stale_after_seconds)
    plain = _PlainColumns.of(priced, greeks, legs)
    found = tuple(
        _line(
            n,
            *owned[n],
            priced=priced,
            plain=plain,
            legs=legs,
            reasons=reasons[n] + _about_spot(doubts.get(lines[n].instrument.underlying)),
        )
        for n in range(len(lines))
    )
    ended = {one.symbol for one in found if one.has_ended}
    usual = usual_instruments(portfolio.instruments, live.expiry_facts.records)
    extremes = book_risk(portfolio, ended=ended, usual=usual)
    in_doubt = quantity_doubt(portfolio, live, priced.holdings, ended)
    names = held.underlyings
    betas = _betas(
        live.risk_inputs.closes,
        (tuple(dict.fromkeys(names)), choices.index, tuple(choices.own_betas.items())),
    )
    extremes_of = {one.name: one for one in extremes.underlyings}
    entries_of = held.entries_of
    lines_on: dict[str, list[LineRisk]] = {name: [] for name in betas}
    for one in found:
        lines_on[one.underlying].append(one)
    underlyings = tuple(
        UnderlyingRisk(
            symbol=name,
            spot=None if (by := price_line(lines_on[name])) is None else by.spot,
            spot_source=None if by is None else by.spot_source,
            spot_age_seconds=None if by is None else by.spot_age_seconds,
            spot_expiry=_implied_by(by),
            sums=sums,
            beta=betas[name],
            held=extremes_of.get(name),
            ended=extremes.ended.on(name),
            next_expiry=extremes_of[name].first_end if name in extremes_of else None,
            pnl_today=_profit(entries_of[name], profits.today),
            unrealized=_profit(entries_of[name], profits.unrealized),
        )
        for name, sums in adder.by(names).items()
    )
    weighted = beta_weighted(
        [
            DeltaDollars(one.label, one.underlying, one.delta_dollars, one.delta_state is FigureState.BOUND)
            for one in found
            if not one.is_over
        ],
        betas,
        choices.index,
        _price_of(choices.index, live),
    )
    return BookFigures(
        as_of=live.as_of,
        lines=found,
        underlyings=underlyings,
        sums=adder.whole(),
        sums_by_entry=adder.by(held.ids),
        sums_by_expiry=adder.by(held.expiries),
        beta_weighted=weighted,
        extremes=extremes,
        doubt=in_doubt,
        profits=profits,
        alarms=(
            *remarks,
            *alarms_of(in_doubt, extremes.known_worst),
            *(one.words for one in doubts.values()),
            *_alarms(found, weighted, extremes),
            *dict.fromkeys(_counted_as_usual(lines, found, live, usual)),
            *extremes.ended.sentences,
        ),
        computed=legs.risk,
        scenario=_scenario(held, priced, legs),
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Held:
    """What of n lines follows from the portfolio alone; nobody changes it."""

    owned: Sequence[tuple[str, PortfolioLine]]  # with the id of the entry that has it
    lines: Sequence[PortfolioLine]
    ids: Sequence[str]
    underlyings: Sequence[str]
    expiries: Sequence[date | None]
    options: Integers  # the places of the option lines
    others: Integers
    place_of: Mapping[int, int]  # of an option line by its place in the book
    contract: Integers  # of each option line, its place among the contracts
    once: Integers  # the first line of each contract
    contracts: tuple[Instrument, ...]
    entries_of: Mapping[str, tuple[str, ...] | None]  # as `_entries_of` says
    labels: tuple[str, ...]  # of the option lines
    share_labels: tuple[str, ...]


@remembered
def _held(portfolio: Portfolio, _: None) -> _Held:
    owned = [(entry.id, line) for entry in portfolio.positions for line in entry.lines]
    instruments = [line.instrument for _, line in owned]
    options = [n for n, one in enumerate(instruments) if one.is_option]
    first: dict[str, int] = {}
    for n in options:
        first.setdefault(instruments[n].live_symbol, n)
    places = {symbol: place for place, symbol in enumerate(first)}
    return _Held(
        owned=owned,
        lines=[line for _, line in owned],
        ids=[identity for identity, _ in owned],
        underlyings=[one.underlying for one in instruments],
        expiries=[one.expiry for one in instruments],
        options=np.array(options, dtype=np.int64),
        others=np.array([n for n, one in enumerate(instruments) if not one.is_option], dtype=np.int64),
        place_of={n: place for place, n in enumerate(options)},
        contract=np.array([places[instruments[n].live_symbol] for n in options], dtype=np.int64),
        once=np.array(list(first.values()), dtype=np.int64),
        contracts=tuple([instruments[n] for n in first.values()]),
        entries_of=_entries_of(portfolio),
        labels=tuple([instruments[n].label for n in options]),
        share_labels=tuple([one.label for one in instruments if not one.is_option]),
    )


@dataclass(frozen=True, slots=True, eq=False)
class _OptionLegs:
    """The option lines of a book, in its order; several may be of one contract."""

    place_of: Mapping[int, int]  # by the line's place in the book
    contract: Integers  # of each line, its place among the contracts
    gathered: Gathered
    risk: LegRisk
    greeks: PositionGreeks
    second: Voice
    vendor: Voice
    against_second: Disagreement
    against_vendor: Disagreement
    forward: Numbers
    in_exercise_region: Sequence[bool | None]
    is_by_lattice: Any
    worth: Numbers  # shares that it delivers for its quantity, short is negative; NaN: not known
    mark: Numbers  # dollars for each of these shares


def _option_legs(
    held: _Held,
    priced: PricedLines,
    live: LiveSnapshot,
    choices: RiskChoices,
    *,
    earlier: LegRisk | None,
    budget: int,
) -> _OptionLegs:
    options, contract, once = held.options, held.contract, held.once
    columns = priced.columns
    is_mid = columns["mark_source"][once] == MarkSource.MID
    gathered = gather(
        Contracts(
            instruments=held.contracts,
            ended=priced.ended[once],
            bid=columns["bid"][once],
            ask=columns["ask"][once],
            mid=np.where(is_mid, priced.mark[once], np.nan),
            quote_age=columns["quote_age_seconds"][once],
            spot=columns["underlying_price"][once],
            spot_age=columns["underlying_age_seconds"][once],
        ),
        live,
        choices,
    )
    inputs = gathered.inputs
    risk = refresh(inputs, earlier, budget)
    terms, market, volatility, per_share = inputs.terms, inputs.market, risk.volatility, risk.greeks
    if len(held.contracts) < len(options):  # else each line is a contract of its own, in their order
        terms, market = terms.take(contract), market.take(contract)
        volatility, per_share = taken(volatility, contract), taken(per_share, contract)
    points_a_share = gathered.points_a_share[contract]
    worth, mark = priced.worth[options] / points_a_share, priced.mark[options] * points_a_share
    second = european_voice(terms, market, volatility)
    told_of = [live.risk_inputs.vendor_greeks.get(one.live_symbol) for one in held.contracts]
    told = [told_of[place] for place in contract.tolist()]
    vendor = Voice(
        numbers(None if one is None else one.implied_volatility for one in told),
        numbers(None if one is None else one.delta for one in told),
    )
    ours = Voice(volatility.volatility, per_share.delta)
    return _OptionLegs(
        place_of=held.place_of,
        contract=contract,
        gathered=gathered,
        risk=risk,
        greeks=position_greeks(terms, market, volatility, per_share, mark=mark, worth=worth),
        second=Voice(second.volatility, second.delta * worth),
        vendor=Voice(vendor.volatility, vendor.delta * worth),
        against_second=compare(ours, second, volatility, worth),
        against_vendor=compare(ours, _of_one_moment(vendor, told, gathered, contract), volatility, worth),
        forward=np.where(terms.years > 0, market.forward(terms.years), np.nan),
        in_exercise_region=_exercise_regions(
            terms, market, volatility.volatility, per_share.price, risk.is_waiting[contract]
        ),
        is_by_lattice=needs_lattice(terms, market),
        worth=worth,
        mark=mark,
    )


def _exercise_regions(
    terms: Terms, market: Market, volatility: Numbers, price: Numbers, is_waiting: Flags
) -> list[bool | None]:
    """Of each leg, whether exercising it now is worth as much as holding it; None: not known.

    `price` is the model's, dollars per share, as the Greeks have it; of a leg that is waiting for its turn it is of
    other inputs, and asked for anew.
    """
    intrinsic = terms.sign * (market.spot - terms.strike)
    may_be = terms.is_american & (intrinsic > 0) & (terms.years > 0)
    waiting = np.where(may_be, price - intrinsic, np.inf)
    late = np.flatnonzero(may_be & is_waiting)
    if late.size:
        waiting[late] = value(terms.take(late), market.take(late), volatility[late]) - intrinsic[late]
    unknown = np.isnan(waiting) | np.isnan(intrinsic)
    return [
        None if is_unknown else worth < _NO_VALUE_OF_WAITING
        for is_unknown, worth in zip(unknown.tolist(), waiting.tolist(), strict=True)
    ]


_SHOWN: Final = ("delta", "delta_dollars", "gamma", "vega", "theta", "rho")


@dataclass(frozen=True, slots=True)
class _PlainColumns:
    """Figures as `LineRisk` has them, by its names, None for what is not known.

    One by one out of an array each takes as long as a line of some.
    """

    of_lines: Mapping[str, list[float | None]]
    underlying_price: list[float | None]  # of lines too
    underlying_age: list[float | None]
    of_contracts: Mapping[str, list[float | None]]
    of_legs: Mapping[str, list[float | None]]
    # What is no figure: by line, by contract and by leg.
    said_of_lines: Mapping[str, list[Any]]
    said_of_contracts: Mapping[str, list[Any]]
    said_of_legs: Mapping[str, list[Any]]

    @classmethod
    def of(cls, priced: PricedLines, greeks: PositionGreeks, legs: _OptionLegs) -> Self:
        """All that a book's lines have."""
        columns, gathered, volatility = priced.columns, legs.gathered, legs.risk.volatility
        return cls(
            of_lines={
                "mark": _plain(priced.mark),
                "mark_age_seconds": _plain(columns["mark_age_seconds"]),
                **{name: _plain(getattr(greeks, name)) for name in _SHOWN},
            },
            underlying_price=_plain(columns["underlying_price"]),
            underlying_age=_plain(columns["underlying_age_seconds"]),
            of_contracts={
                "spot": _plain(gathered.inputs.market.spot),
                "spot_age_seconds": _plain(gathered.spot_age),
                "iv": _plain(volatility.volatility),
                "iv_low": _plain(volatility.low),
                "iv_high": _plain(volatility.high),
                "rate": _plain(gathered.inputs.market.rate),
            },
            of_legs={
                "forward": _plain(legs.forward),
                "second_delta": _plain(legs.second.delta),
                "second_iv": _plain(legs.second.volatility),
                "vendor_delta": _plain(legs.vendor.delta),
                "vendor_iv": _plain(legs.vendor.volatility),
            },
            said_of_lines={
                "ended": priced.ended.tolist(),
                "mark_source": columns["mark_source"].tolist(),
                "delta_state": greeks.delta_state.tolist(),
                "is_last_day": greeks.is_last_day.tolist(),
            },
            said_of_contracts={
                "iv_state": volatility.state.tolist(),
                "iv_reason": volatility.reason.tolist(),
                "is_waiting": legs.risk.is_waiting.tolist(),
                "is_by_parity": gathered.is_by_parity.tolist(),
                "partner_age": gathered.partner_age.tolist(),
                "as_of": legs.risk.as_of.tolist(),
                "points_a_share": gathered.points_a_share.tolist(),
            },
            said_of_legs={
                "contract": legs.contract.tolist(),
                "is_by_lattice": legs.is_by_lattice.tolist(),
                "voices_apart": legs.against_second.is_flagged.tolist(),
                "vendor_apart": legs.against_vendor.is_flagged.tolist(),
            },
        )


def _plain(values: Numbers) -> list[float | None]:
    return [None if isnan(value) else value for value in values.tolist()]


def _of_one_moment(
    vendor: Voice, told: Sequence[VendorGreeks | None], gathered: Gathered, contract: Integers
) -> Voice:
    """What the vendor says of the quotes that ours are of; what it says of others contradicts nobody."""
    spoken = numbers(
        None if one is None or one.quoted_at is None else one.quoted_at.timestamp() for one in told
    )
    quoted = gathered.at_seconds - gathered.quote_age[contract]
    of_ours = np.abs(spoken - quoted) <= _ONE_MOMENT
    return Voice(np.where(of_ours, vendor.volatility, np.nan), np.where(of_ours, vendor.delta, np.nan))


def _scenario(
    held: _Held,
    priced: PricedLines,
    legs: _OptionLegs,
) -> ScenarioLines:
    inputs, others = legs.gathered.inputs, held.others
    return ScenarioLines(
        labels=held.labels,
        terms=inputs.terms.take(legs.contract),
        market=inputs.market.take(legs.contract),
        volatility=legs.risk.volatility.volatility[legs.contract],
        mark=legs.mark,
        slope=legs.worth,
        share_labels=held.share_labels,
        share_worth=priced.worth[others] * priced.mark[others],
    )


def _of_shares(priced: PricedLines, others: Integers) -> PositionGreeks:
    return share_greeks(priced.worth[others], priced.columns["underlying_price"][others])


def _in_order(options: PositionGreeks, shares: PositionGreeks, places: Integers) -> PositionGreeks:
    return taken(options.followed_by(shares), np.argsort(places, kind="stable"))


def _reasons(priced: PricedLines, stale_after_seconds: float) -> list[tuple[str, ...]]:
    """What the table says against the quote that figures rest on, with its age."""
    stale = priced.findings[QuoteWarning.STALE_QUOTE]
    ages = priced.columns["quote_age_seconds"]
    moved, changing = (priced.findings[one] for one in (QuoteWarning.OTHER_SHARE, QuoteWarning.CHANGES_TODAY))
    unread = frozenset(priced.holdings.unread)
    symbols, in_doubt = priced.columns["live_symbol"], priced.holdings.in_doubt
    return [
        tuple(
            sentence
            for holds, sentence in (
                (stale[n], f"Its quote is stale: {ages[n]:.0f} s old, more than {stale_after_seconds:g} s."),
                (moved[n], "A split or the like moved it: its quantity is not in today's share."),
                (changing[n], _CHANGES_TODAY),
                (
                    symbols[n] in in_doubt,
                    "How much of it the account holds is not known."
                    if symbols[n] in unread
                    else "The account holds another quantity.",
                ),
            )
            if holds
        )
        for n in range(len(priced.ended))
    ]


def _about_spot(doubt: SpotDoubt | None) -> tuple[str, ...]:
    """What speaks against the price that a line's figures rest on."""
    if doubt is None:
        return ()
    alarm = doubt.alarm
    return (f"Options imply a price of {alarm.implied_spot:,.2f}, and its quote {alarm.quoted_spot:,.2f}.",)


def _line(
    n: int,
    identity: str,
    line: PortfolioLine,
    *,
    priced: PricedLines,
    plain: _PlainColumns,
    legs: _OptionLegs,
    reasons: tuple[str, ...],
) -> LineRisk:
    """One line of the book in plain values."""
    instrument, said = line.instrument, plain.said_of_lines
    common: dict[str, Any] = {
        "position_id": identity,
        "symbol": instrument.live_symbol,
        "label": instrument.label,
        "underlying": instrument.underlying,
        "expiry": instrument.expiry,
        "quantity": float(line.quantity),
        "multiplier": instrument.multiplier,
        "has_ended": said["ended"][n],
        # Of what has ended too: no sum has it, and the account may lack it all the same.
        "quantity_in_doubt": instrument.live_symbol in priced.holdings.in_doubt,
        "mark_source": said["mark_source"][n],
        **{name: of_lines[n] for name, of_lines in plain.of_lines.items()},
        "delta_state": FigureState(said["delta_state"][n]),
    }
    place = legs.place_of.get(n)
    if place is None:
        age, spot = plain.underlying_age[n], plain.underlying_price[n]
        unpriced = () if spot is not None else ("It has no price.",)
        return LineRisk(
            **common,
            spot=spot,
            spot_source=None if spot is None else SpotSource.OWN,
            spot_age_seconds=age,
            greek_age_seconds=age,
            reasons=(*reasons, *unpriced),
        )
    said_of_leg, at = plain.said_of_legs, plain.said_of_legs["contract"][place]
    gathered, told = legs.gathered, plain.said_of_contracts
    iv_reason = _iv_reason(told["iv_reason"][at], is_known=not isnan(told["points_a_share"][at]))
    is_known = common["delta"] is not None
    waiting = ("Its inputs moved; it waits for its turn.",) if told["is_waiting"][at] else ()
    by_partner = told["iv_state"][at] is VolatilityState.FROM_PARTNER
    partner_age = told["partner_age"][at] if by_partner else 0.0
    of_contracts: dict[str, Any] = {name: values[at] for name, values in plain.of_contracts.items()}
    of_legs: dict[str, Any] = {name: values[place] for name, values in plain.of_legs.items()}
    apart = _apart(legs, place)
    bound = _about_bound(common["delta"]) if common["delta_state"] is FigureState.BOUND else ()
    spoken = () if iv_reason is None else (_about_volatility(iv_reason, partner_age, by_partner=by_partner),)
    return LineRisk(
        **common,
        **of_contracts,
        **of_legs,
        spot_source=_spot_source(of_contracts["spot"], is_by_parity=told["is_by_parity"][at]),
        reasons=(*spoken, *bound, *reasons, *gathered.notes[at], *waiting, *apart),
        iv_state=VolatilityState(told["iv_state"][at]),
        iv_reason=iv_reason,
        iv_at=gathered.quoted_at[at],
        model=(LATTICE if said_of_leg["is_by_lattice"][place] else EUROPEAN) if is_known else None,
        is_last_day=said["is_last_day"][n],
        greek_age_seconds=_age(told["as_of"][at], gathered.at_seconds, partner_age) if is_known else None,
        dividends_state=gathered.dividends[at].state,
        voices_apart=said_of_leg["voices_apart"][place],
        vendor_apart=said_of_leg["vendor_apart"][place],
        in_exercise_region=legs.in_exercise_region[place],
    )


def _spot_source(spot: float | None, *, is_by_parity: bool) -> SpotSource | None:
    if spot is None:
        return None
    return SpotSource.OPTIONS if is_by_parity else SpotSource.OWN


def _implied_by(line: LineRisk | None) -> date | None:
    """The expiry whose options imply the price of a line's underlying; None where it has its own, or none."""
    return line.expiry if line is not None and line.spot_source is SpotSource.OPTIONS else None


def _iv_reason(reason: Any, *, is_known: bool) -> str | None:
    """`is_known`: what it delivers is."""
    if not is_known and reason is not None:
        return "an adjusted contract delivers something else"
    return None if reason is None else str(reason)


def _about_bound(delta: float) -> tuple[str, ...]:
    return (f"Its delta lies between 0 and {with_minus(delta, ',.2f')} shares, and sums have the latter.",)


def _about_volatility(reason: str, partner_age: float, *, by_partner: bool) -> str:
    if not by_partner:
        return f"No volatility of its own: {reason}."
    return f"It has the {reason}, whose quote is {partner_age:.0f} s old."


def _apart(legs: _OptionLegs, place: int) -> tuple[str, ...]:
    """What the other voices say where they are flagged, with what it would be to hedge by them."""
    voices = (
        ("The European model says", legs.against_second),
        ("Alpaca's own Greeks (Black-Scholes) say", legs.against_vendor),
    )
    return tuple(
        f"{who} otherwise: {_shares_apart(against, place)}."
        for who, against in voices
        if against.is_flagged[place]
    )


def _shares_apart(against: Disagreement, place: int) -> str:
    """By delta, or by volatility where nothing is said of delta."""
    shares = float(against.shares[place])
    if isnan(shares):
        return f"{with_minus(100 * float(against.volatility[place]), '+.1f')} points of volatility from ours"
    return f"{with_minus(shares, '+,.1f')} shares of delta from ours"


def _age(as_of: float, at_seconds: float, partner_age: float) -> float | None:
    """How old the oldest input of its figures was at the snapshot's instant."""
    return _known(max(0.0, partner_age, at_seconds - as_of))


@remembered
def _betas(
    closes: Mapping[str, DailyCloses], of: tuple[tuple[str, ...], str, tuple[tuple[str, float], ...]]
) -> Mapping[str, Beta]:
    """The betas of names on an index, with what the user wrote himself.

    A year of closes is read once a day, and to lay two of them beside each other takes longer than all else of a leg.
    """
    names, index, own = of
    return {name: _beta(name, closes, index, dict(own)) for name in names}


def _beta(name: str, closes: Mapping[str, DailyCloses], index: str, own: Mapping[str, float]) -> Beta:
    def of(symbol: str) -> Mapping[date, float]:
        return closes[symbol].closes if symbol in closes else {}

    fund = fund_of_index(name)
    return beta_of(name, of(fund or name), index, of(index), own, fund=fund)


def _price_of(symbol: str, live: LiveSnapshot) -> float | None:
    quote, trade = live.quotes.get(symbol), live.trades.get(symbol)
    if (middle := plain_middle(quote)) is not None or (quote is None and trade is None):
        return middle
    marks = read_marks(
        [quote],
        [trade],
        is_option=np.zeros(1, dtype=bool),
        as_of=live.as_of,
    )
    return _known(marks.price[0])


def _entries_of(portfolio: Portfolio) -> Mapping[str, tuple[str, ...] | None]:
    """Which entries are wholly on an underlying; None where one on it is on another as well."""
    found: dict[str, tuple[str, ...] | None] = {}
    for entry in portfolio.positions:
        names = dict.fromkeys(line.instrument.underlying for line in entry.lines)
        for name in names:
            before = found.get(name, ())
            found[name] = None if before is None or len(names) > 1 else (*before, entry.id)
    return found


def _profit(entries: Iterable[str] | None, profits: Mapping[str, float | None]) -> float | None:
    """What these entries made together; None while one is not known."""
    if entries is None:
        return None
    amounts = [profits.get(one) for one in entries]
    known = [one for one in amounts if one is not None]
    return fsum(known) if len(known) == len(amounts) else None


def _alarms(lines: Sequence[LineRisk], weighted: BetaWeighted, extremes: BookRisk) -> Iterable[str]:
    """What a person must know before the sums are believed, a sentence each."""
    worst = extremes.known_worst
    if worst.limit is Limit.UNDEFINED:
        yield f"The greatest loss is undefined: {worst.reason}."
        # What has no end is no reason to be silent about what is not known.
        yield from extremes.unknown_words
    elif worst.limit is Limit.UNKNOWN:
        yield f"The greatest loss is not known: {worst.reason}."
    held = [one for one in lines if one.iv_state is not None and not one.is_over]
    unknown = dict.fromkeys(one.underlying for one in held if one.dividends_state is DividendState.UNKNOWN)
    for name in unknown:
        yield f"{name}: its dividends are not known, and none is in its options' figures."
    # A contract is named once, however many lines of the book have it.
    if apart := dict.fromkeys(one.label for one in held if one.voices_apart):
        yield f"The European model says otherwise by more than the quotes allow: {', '.join(apart)}."
    if apart := dict.fromkeys(one.label for one in held if one.vendor_apart and not one.voices_apart):
        yield f"Alpaca's own Greeks (Black-Scholes) say otherwise by more than the quotes allow: {', '.join(apart)}."
    if weighted.bounds:
        yield (
            f"In the beta-weighted delta stand bounds, each of a delta between 0 and that: "
            f"{', '.join(weighted.bounds)}."
        )
    for sentence in weighted.missing:
        yield f"Not in the beta-weighted delta: {sentence}."


def _counted_as_usual(
    lines: Sequence[PortfolioLine], found: Sequence[LineRisk], live: LiveSnapshot, usual: Usual
) -> Iterable[str]:
    """What is not usual by Alpaca's record alone, and delivers what no payoff can be made of."""
    records = live.expiry_facts.records
    for line, one in zip(lines, found, strict=True):
        instrument = line.instrument
        if (
            instrument.is_option
            and not one.is_over
            and not instrument.adjusted
            and instrument.live_symbol not in usual
            and not is_usual(instrument, records)
        ):
            yield (
                f"{one.label} delivers {records[instrument.live_symbol].delivers} by Alpaca's record; payoff and "
                "greatest loss count it as a usual contract."
            )


def _known(value: Any) -> float | None:
    return None if isnan(value) else float(value)
