"""From a book's option contracts and a snapshot to what their risk is computed from, each input with its age."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import date, datetime
from functools import lru_cache
from math import isnan
from types import MappingProxyType
from typing import Final, NamedTuple

import numpy as np

from options_helper.analysis.marks import Flags, MarkSource, Numbers, read_marks
from options_helper.analysis.priced_lines import latest_hours, numbers
from options_helper.analysis.remembered import Itself, remembered
from options_helper.analysis.risk.dividends import (
    DividendState,
    LegDividends,
    cash_dividends,
    dividends_after,
)
from options_helper.analysis.risk.forward import (
    ParityForward,
    StrikePairs,
    american_parity_forward,
    parity_forward,
)
from options_helper.analysis.risk.implied_volatility import OptionQuotes, usual_tick
from options_helper.analysis.risk.leg_risk import LegInputs
from options_helper.analysis.risk.pricing import CashDividends, Market, Terms
from options_helper.model.alpaca_symbols import is_index
from options_helper.model.contract_hours import (
    MINUTES_A_YEAR,
    latest_session,
    option_trading_ends_at,
    settles_at,
)
from options_helper.model.contract_records import (
    ContractRecord,
    delivery_of,
    is_american,
    is_usual,
    named_at_open,
)
from options_helper.model.contract_symbols import class_and_expiry, other_type, plain_number
from options_helper.model.events import Quote
from options_helper.model.instants import datetime_nanoseconds
from options_helper.model.market_hours import ToldSessions, new_york_date
from options_helper.model.portfolio import Instrument
from options_helper.model.rates import DEFAULT_RATES, RateTable
from options_helper.model.risk_inputs import CorporateActions, Dividend, ExpiryChain
from options_helper.model.snapshot import LiveSnapshot

# Type and strike, the end of a contract's symbol: "C00180000".
_TAIL: Final = 9
_MILLS: Final = 1000
# Classes that are quoted in cents at every price.
_PENNY_CLASSES: Final = frozenset({"SPY", "QQQ", "IWM"})
_CENT: Final = 0.01
_APART_AT_MOST: Final = 5.0  # seconds; what is older than that beside the other is of another moment
# A share that moved by less after hours has not moved.
_MOVED_AFTER_HOURS: Final = 0.001
_FREED: Final = (
    "Options on its index may be exercised early: the forward is what they imply less what that is worth by the model, "
    "and what the index pays until the end is taken as paid by now."
)
# More than a book has expiries of such a class; each keeps some dozens of quotes.
_CHAINS: Final = 32
_RATE_DIGITS: Final = 6
_NOT_READ: Final = LegDividends(DividendState.UNKNOWN, notes=("Its dividends were not read.",))


@dataclass(frozen=True, slots=True)
class RiskChoices:
    """What the user decides of the risk figures."""

    rates: RateTable = DEFAULT_RATES
    assume_dividends: bool = False
    own_betas: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    index: str = "SPY"  # of which a book is told in shares
    # By symbol in Alpaca's spelling and by ex-date, as the user wrote them down.
    own_dividends: Mapping[str, tuple[Dividend, ...]] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True, eq=False)
class Contracts:
    """n contracts, each once, as a table prices them; dollars per share, seconds, NaN for what is not known."""

    instruments: tuple[Instrument, ...]
    ended: Flags
    bid: Numbers
    ask: Numbers
    mid: Numbers  # NaN where the quote supports no middle
    quote_age: Numbers
    spot: Numbers
    spot_age: Numbers


@dataclass(frozen=True, slots=True, eq=False)
class Gathered:
    """What the risk of n contracts is computed from, and what is to be said of it."""

    inputs: LegInputs
    quoted_at: tuple[
        datetime | None, ...
    ]  # the end of the session that its quote is of; None: it is traded now
    spot_age: Numbers  # seconds; of the parity forward where that is the spot
    quote_age: Numbers  # seconds
    partner_age: Numbers  # seconds, of the quote that may say its volatility
    dividends: tuple[LegDividends, ...]
    is_by_parity: Flags
    notes: tuple[tuple[str, ...], ...]  # sentences for each contract
    at_seconds: float  # the snapshot's instant, epoch seconds
    # Its dollars a point for each share that it delivers: 1 of a usual one; NaN where it is not known what it delivers.
    points_a_share: Numbers


def gather(contracts: Contracts, live: LiveSnapshot, choices: RiskChoices) -> Gathered:
    """All inputs of these contracts, at the snapshot's instant."""
    legs = contracts.instruments
    known = _known_of(legs, (Itself(live.told_sessions), Itself(live.expiry_facts.records)))
    years = known.years_from(live.as_of)
    years[contracts.ended] = 0.0
    rate = numbers(choices.rates.at(max(one, 0.0)) for one in np.nan_to_num(years).tolist())
    rate[np.isnan(years)] = np.nan
    notes: list[list[str]] = [[] for _ in legs]
    spot, spot_age, is_by_parity = _spots(contracts, live, years, rate, notes, is_any_on_index=known.on_index)
    points_a_share = known.points_a_share
    for place, said in known.notes:
        notes[place].append(said)
    spot[np.isnan(points_a_share)] = np.nan
    dividends = _dividends_of(
        legs,
        _DividendsOf(
            new_york_date(live.as_of),
            known,
            Itself(live.risk_inputs.actions),
            Itself(choices),
            tuple(is_by_parity.tolist()),
            tuple((years <= 0).tolist()),
        ),
    )
    for place, found in enumerate(dividends):
        notes[place] += found.notes
    ended_at = _session_ends(contracts, live)
    _note_ages(contracts, spot_age, ended_at, notes)
    partners, names, partner_age = _partners(legs, known, live)
    terms = Terms(
        strike=known.strike,
        is_call=known.is_call,
        is_american=known.is_american,
        years=years,
    )
    oldest = np.fmax(contracts.quote_age, spot_age)
    quoted_years = _quoted_years(live, years, ended_at)
    inputs = LegInputs(
        keys=known.symbols,
        terms=terms,
        market=Market(spot, rate, np.zeros(len(legs)), cash_dividends(dividends, live.as_of)),
        quotes=_of_one_share(
            OptionQuotes(
                contracts.bid, contracts.ask, contracts.mid, known.ticks(contracts.bid, contracts.ask)
            ),
            points_a_share,
        ),
        quoted_spot=np.where(
            is_by_parity,
            # What their options imply is the forward, which no night moves.
            spot * np.exp(-rate * (quoted_years - years)),
            _quoted_spots(contracts, live, spot, ended_at, notes),
        ),
        quoted_years=quoted_years,
        as_of=live.as_of.timestamp() - oldest,
        partners=partners,
        partner_names=names,
    )
    return Gathered(
        inputs,
        ended_at,
        spot_age,
        contracts.quote_age,
        partner_age,
        dividends,
        is_by_parity,
        tuple(map(tuple, notes)),
        live.as_of.timestamp(),
        points_a_share,
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Known:
    """What of n contracts follows from themselves, calendar and records; nobody changes it."""

    symbols: tuple[str, ...]
    is_call: Flags
    is_american: Flags
    is_penny: Flags  # quoted in cents at every price
    on_index: bool  # whether any is written on an index
    points_a_share: Numbers
    strike: Numbers  # for one share
    notes: tuple[tuple[int, str], ...]  # of contracts by their places
    settles: tuple[datetime | None, ...]  # None: the calendar does not reach
    settles_microseconds: Numbers  # since the epoch; NaN: it does not

    def years_from(self, at: datetime) -> Numbers:
        """Calendar years until each is settled, 0 from then on; NaN where the calendar does not reach."""
        left = self.settles_microseconds - datetime_nanoseconds(at) // 1000
        return np.maximum(0.0, left / 1e6 / 60) / MINUTES_A_YEAR

    def ticks(self, bid: Numbers, ask: Numbers) -> Numbers:
        """The least difference between two prices of each."""
        return np.where(self.is_penny, _CENT, usual_tick(np.fmin(bid, ask)))


@remembered
def _known_of(
    legs: Sequence[Instrument], told: tuple[Itself[ToldSessions], Itself[Mapping[str, ContractRecord]]]
) -> _Known:
    sessions, records = told[0].value, told[1].value
    notes: list[tuple[int, str]] = []
    points, strike = _deliveries(legs, records, notes)
    settles = [
        None
        if one.expiry is None
        else settles_at(one.live_symbol, one.expiry, sessions, at_open=named_at_open(one, records))
        for one in legs
    ]
    return _Known(
        symbols=tuple([one.live_symbol for one in legs]),
        is_call=_flags([one.option_type == "call" for one in legs]),
        is_american=_flags([is_american(one, records) for one in legs]),
        is_penny=_flags([one.underlying in _PENNY_CLASSES for one in legs]),
        on_index=any(is_index(one.underlying) for one in legs),
        points_a_share=points,
        strike=strike,
        notes=tuple(notes),
        settles=tuple(settles),
        settles_microseconds=numbers(
            None if one is None else datetime_nanoseconds(one) // 1000 for one in settles
        ),
    )


def _deliveries(
    legs: Sequence[Instrument], records: Mapping[str, ContractRecord], notes: list[tuple[int, str]]
) -> tuple[Numbers, Numbers]:
    """`points_a_share` of each contract, and its strike for one share.

    A right to N shares and C dollars for K times its M dollars a point is N rights to a share for (K M - C) / N: what
    the dollars are worth is fixed, so they come off the strike.
    """
    points, strike = np.ones(len(legs)), numbers(one.strike for one in legs)
    for place, one in enumerate(legs):
        if is_usual(one, records):
            continue
        record, delivery = records.get(one.live_symbol), delivery_of(one, records)
        told = "" if record is None else record.delivers
        if delivery is None or one.multiplier is None:
            points[place] = np.nan
            said = f"it delivers {told} by Alpaca's record" if told else "what it delivers is not known"
            notes.append((place, f"An adjusted contract: {said}."))
            continue
        shares = float(delivery.shares)
        points[place] = one.multiplier / shares
        strike[place] = (strike[place] * one.multiplier - float(delivery.cash)) / shares
        said = (
            f"An adjusted contract: by Alpaca's record it delivers {told}, so its figures are those of "
            f"{plain_number(shares)} rights to a share for {strike[place]:,.4g}."
        )
        notes.append((place, said))
    return points, strike


def _of_one_share(quotes: OptionQuotes, points_a_share: Numbers) -> OptionQuotes:
    return OptionQuotes(*(getattr(quotes, one.name) * points_a_share for one in fields(OptionQuotes)))


def _session_ends(contracts: Contracts, live: LiveSnapshot) -> tuple[datetime | None, ...]:
    """When the session ended that the last quotes are of; None while it goes on."""
    session = latest_session(live.as_of, live.told_sessions)
    if session is None:
        return (None,) * len(contracts.instruments)
    ends, first = _ends_of(contracts.instruments, (session.opens.date(), Itself(live.told_sessions)))
    if first is None or live.as_of < first:
        return (None,) * len(ends)
    return tuple([ends_at if ends_at is not None and ends_at <= live.as_of else None for ends_at in ends])


@remembered
def _ends_of(
    legs: Sequence[Instrument], of: tuple[date, Itself[ToldSessions]]
) -> tuple[tuple[datetime | None, ...], datetime | None]:
    """When the trading of each ends on a day, and the first of these; None where it has no end."""
    day, told = of[0], of[1].value
    ends = {name: option_trading_ends_at(name, day, told) for name in {one.underlying for one in legs}}
    each = tuple([ends[one.underlying] for one in legs])
    return each, min((one for one in each if one is not None), default=None)


def _quoted_years(live: LiveSnapshot, years: Numbers, ended_at: Sequence[datetime | None]) -> Numbers:
    """Years to settlement from when the quotes were made: from the end of the session, if that is over."""
    if not any(ended_at):
        return years
    since = numbers(0.0 if one is None else (live.as_of - one).total_seconds() for one in ended_at)
    return years + since / 60 / MINUTES_A_YEAR


def _quoted_spots(
    contracts: Contracts,
    live: LiveSnapshot,
    spot: Numbers,
    ended_at: Sequence[datetime | None],
    notes: list[list[str]],
) -> Numbers:
    """The price of the underlying when the quotes were made: at the close, if that is over, and else that of now."""
    if not any(ended_at):
        return spot
    quoted = spot.copy()
    for place, (one, ended) in enumerate(zip(contracts.instruments, ended_at, strict=True)):
        if ended is None or is_index(one.underlying) or contracts.ended[place] or np.isnan(spot[place]):
            continue
        close = _close_of(one.underlying, live)
        if close is None:
            notes[place].append(
                "What its underlying cost at the close is not known, so its volatility is of the newest price."
            )
            continue
        # In today's share: what was paid since was in the price of the close, and is nowhere among what is to come.
        quoted[place] = close - _paid_since(one.underlying, ended, live)
        if abs(spot[place] / close - 1) > _MOVED_AFTER_HOURS:
            notes[place].append(
                f"{one.underlying} was {close:,.2f} at the close and is {spot[place]:,.2f} now; options are not traded."
            )
    return quoted


def _close_of(symbol: str, live: LiveSnapshot) -> float | None:
    """What a share cost at the end of the newest session; None where that was not read since."""
    session = latest_session(live.as_of, live.told_sessions)
    found = None if session is None else live.risk_inputs.session_closes.get((symbol, session.opens.date()))
    if session is None or found is None:
        return None
    return found.price if found.read_at >= session.closes else None


def _paid_since(symbol: str, close: datetime, live: LiveSnapshot) -> float:
    """The dividends of a share that went ex after a close and until now, dollars."""
    actions = live.risk_inputs.actions.get(symbol)
    first, today = new_york_date(close), new_york_date(live.as_of)
    dividends = () if actions is None else actions.dividends
    return sum(one.amount for one in dividends if first < one.ex_date <= today and not one.special)


class _DividendsOf(NamedTuple):
    """All that the dividends of contracts follow from, beside the contracts."""

    today: date  # New York's
    known: _Known
    actions: Itself[Mapping[str, CorporateActions]]
    choices: Itself[RiskChoices]
    is_by_parity: tuple[bool, ...]
    has_ended: tuple[bool, ...]


@remembered
def _dividends_of(legs: Sequence[Instrument], of: _DividendsOf) -> tuple[LegDividends, ...]:
    return tuple([_dividends(place, one, of) for place, one in enumerate(legs)])


def _dividends(place: int, contract: Instrument, of: _DividendsOf) -> LegDividends:
    """Those of what is left of its life; an index pays none itself: they are in the forward, or not known."""
    if of.is_by_parity[place] or of.has_ended[place]:
        return LegDividends(DividendState.NONE)
    if is_index(contract.underlying):
        return LegDividends(
            DividendState.UNKNOWN,
            notes=("What the shares of the index pay is not known and not subtracted.",),
        )
    end, choices = of.known.settles[place], of.choices.value
    if end is None:
        return _NOT_READ
    actions = of.actions.value.get(contract.underlying)
    own = choices.own_dividends.get(contract.underlying, ())
    return dividends_after(actions, of.today, end, assume=choices.assume_dividends, own=own)


def _settles(contract: Instrument, live: LiveSnapshot) -> datetime | None:
    """When its worth is fixed; None for what has no end that is known."""
    if contract.expiry is None:
        return None
    at_open = named_at_open(contract, live.expiry_facts.records)
    return settles_at(contract.live_symbol, contract.expiry, live.told_sessions, at_open=at_open)


def _spots(
    contracts: Contracts,
    live: LiveSnapshot,
    years: Numbers,
    rate: Numbers,
    notes: list[list[str]],
    *,
    is_any_on_index: bool,
) -> tuple[Numbers, Numbers, Flags]:
    """Spot and its age: of an index's legs what call and put of their expiry imply, where enough are quoted."""
    spot, age = contracts.spot.copy(), contracts.spot_age.copy()
    by_parity = np.zeros(len(spot), dtype=bool)
    if not is_any_on_index:
        return spot, age, by_parity
    on_index = {
        class_and_expiry(one.live_symbol): place
        for place, one in enumerate(contracts.instruments)
        if is_index(one.underlying) and years[place] > 0
    }
    american = {
        place
        for place, one in enumerate(contracts.instruments)
        if is_index(one.underlying) and is_american(one, live.expiry_facts.records)
    }
    streamed = _by_expiry(live.quotes) if on_index else {}
    implied = {
        expiry: _implied_early(contracts.instruments[place], live, float(rate[place]))
        if place in american
        else _implied_by(
            contracts.instruments[place].live_symbol,
            live,
            streamed.get(expiry, ()),
            rate=float(rate[place]),
            years=float(years[place]),
        )
        for expiry, place in on_index.items()
    }
    for place, one in enumerate(contracts.instruments):
        expiry = class_and_expiry(one.live_symbol)
        if (told := implied.get(expiry)) is not None:
            found, age[place] = told
            spot[place] = found.spot(float(rate[place]), float(years[place]))
            by_parity[place] = True
            if place in american:
                notes[place].append(_FREED)
        elif expiry in on_index:
            notes[place].append(
                "Fewer than three strikes of its expiry are quoted on both sides, so its options imply no forward"
                + ("." if np.isnan(spot[place]) else "; the index itself is used.")
            )
    return spot, age, by_parity


def _implied_by(
    symbol: str, live: LiveSnapshot, streamed: Sequence[Quote], *, rate: float, years: float
) -> tuple[ParityForward, float] | None:
    """What call and put of a contract's class and expiry imply, and how old the oldest quote in it is, in seconds.

    They are as they were asked for last, or as they are `streamed` where enough are and these are of a later moment.
    """
    chain = live.risk_inputs.chains.get(class_and_expiry(symbol))
    ended_ns = session_ended_ns(symbol, live.as_of, live.told_sessions)
    asked = () if chain is None else (_quoted_in(chain, ended_ns),)
    found = [
        (forward, _age_of(forward, quoted, live))
        for quoted in (*asked, strike_pairs(made_until(ended_ns, streamed)))
        if (forward := parity_forward(quoted.pairs, rate=rate, years=years)) is not None
    ]
    return min(found, key=lambda one: one[1] // _APART_AT_MOST, default=None)


def _by_expiry(quotes: Mapping[str, Quote]) -> Mapping[str, Sequence[Quote]]:
    """All that are streamed by class and expiry; shares are among none of them."""
    found: defaultdict[str, list[Quote]] = defaultdict(list)
    for name, quote in quotes.items():
        found[class_and_expiry(name)].append(quote)
    return found


@lru_cache(maxsize=_CHAINS)  # a look never changes, and is asked at each refresh
def _quoted_in(chain: ExpiryChain, ended_ns: int | None) -> QuotedPairs:
    return strike_pairs(made_until(ended_ns, chain.quotes.values()))


def _implied_early(
    contract: Instrument, live: LiveSnapshot, rate: float
) -> tuple[ParityForward, float] | None:
    """The same of a class that may be exercised early: as its options were asked for last."""
    chain = live.risk_inputs.chains.get(class_and_expiry(contract.live_symbol))
    end = _settles(contract, live)
    if chain is None or end is None or isnan(rate):
        return None
    ended_ns = session_ended_ns(contract.live_symbol, live.as_of, live.told_sessions)
    found = _freed_of_early_exercise(chain, end, round(rate, _RATE_DIGITS), ended_ns)
    return None if found is None else (found[0], _age_of(*found, live))


@lru_cache(maxsize=_CHAINS)
def _freed_of_early_exercise(
    chain: ExpiryChain, end: datetime, rate: float, ended_ns: int | None
) -> tuple[ParityForward, QuotedPairs] | None:
    """What one look at a chain says; it never changes, and takes the lattice some milliseconds."""
    quoted = _quoted_in(chain, ended_ns)
    years = (end - chain.read_at).total_seconds() / 60 / MINUTES_A_YEAR
    forward = american_parity_forward(quoted.pairs, CashDividends.none(1), rate=rate, years=years)
    return None if forward is None else (forward, quoted)


def session_ended_ns(symbol: str, at: datetime, told: ToldSessions) -> int | None:
    """When the latest session of a contract's class ended, epoch nanoseconds; None while it goes on at `at`."""
    session = latest_session(at, told)
    if session is None or at <= session.closes:
        return None  # no class ends before the shares
    ends = option_trading_ends_at(symbol, session.opens.date(), told) or session.closes
    return datetime_nanoseconds(ends) if ends < at else None


def made_until(ended_ns: int | None, quotes: Iterable[Quote]) -> Iterable[Quote]:
    """Those that were not made after a session: what is left standing then is no quote."""
    if ended_ns is None:
        return quotes
    return [one for one in quotes if (one.timestamp_ns or one.received_ns) <= ended_ns]


def _age_of(forward: ParityForward, quoted: QuotedPairs, live: LiveSnapshot) -> float:
    """Of the oldest quote in it, seconds."""
    oldest = float(min(quoted.received[place] for place in forward.places))
    return max(0.0, live.as_of.timestamp() - oldest)


@dataclass(frozen=True, slots=True, eq=False)
class QuotedPairs:
    """The strikes of one class and expiry at which call and put are quoted."""

    pairs: StrikePairs
    received: Numbers  # when the older of the two quotes was, epoch seconds


def strike_pairs(quotes: Iterable[Quote]) -> QuotedPairs:
    """Call and put of each strike; a contract without the other drops out."""
    sides: defaultdict[str, dict[str, Quote]] = defaultdict(dict)
    for quote in quotes:
        sides[quote.symbol[1 - _TAIL :]][quote.symbol[-_TAIL]] = quote
    pairs = {strike: both for strike, both in sides.items() if len(both) == 2}
    columns = (
        numbers(getattr(both[side], name) for both in pairs.values())
        for side in "CP"
        for name in ("bid_price", "ask_price")
    )
    received = numbers(min(one.received_ns for one in both.values()) / 1e9 for both in pairs.values())
    return QuotedPairs(StrikePairs(numbers(int(strike) / _MILLS for strike in pairs), *columns), received)


def _partners(
    legs: Sequence[Instrument], known: _Known, live: LiveSnapshot
) -> tuple[OptionQuotes, tuple[str, ...], Numbers]:
    """The quotes of the other type at the same strike and expiry where there are any, their names, and their ages."""
    symbols, names = _partners_of(legs, None)
    asked = live.risk_inputs.partners
    found = [live.quotes.get(symbol) or asked.get(symbol) for symbol in symbols]
    if not any(found):
        unknown = np.full(len(legs), np.nan)
        return OptionQuotes(unknown, unknown, unknown, known.ticks(unknown, unknown)), names, unknown
    marks = read_marks(
        found,
        [None] * len(legs),
        is_option=np.ones(len(legs), dtype=bool),
        as_of=live.as_of,
        # What is quoted after the session says nothing of a volatility, whoever is to take it.
        hours=latest_hours(legs, live),
    )
    mid = np.where(marks.source == MarkSource.MID, marks.price, np.nan)
    quotes = OptionQuotes(marks.bid, marks.ask, mid, known.ticks(marks.bid, marks.ask))
    return _of_one_share(quotes, known.points_a_share), names, marks.quote_age


@remembered
def _partners_of(legs: Sequence[Instrument], _: None) -> tuple[Sequence[str], tuple[str, ...]]:
    """Symbols and names of the other type at the same strike and expiry."""
    return [other_type(one.live_symbol) for one in legs], tuple(
        [
            f"{plain_number(one.strike or 0.0)} {'put' if one.option_type == 'call' else 'call'}"
            for one in legs
        ]
    )


def _note_ages(
    contracts: Contracts,
    spot_age: Numbers,
    ended_at: Sequence[datetime | None],
    notes: list[list[str]],
) -> None:
    """While it is traded; what was quoted at the close is compared with the price of the close."""
    apart = np.abs(contracts.quote_age - spot_age)
    for place in np.flatnonzero(apart > _APART_AT_MOST).tolist():
        if ended_at[place] is None:
            notes[place].append(f"Its inputs are {apart[place]:.0f} s apart.")


def _flags(values: Sequence[bool]) -> Flags:
    return np.array(values, dtype=bool)
