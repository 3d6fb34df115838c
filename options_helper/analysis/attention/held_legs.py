"""Each line of a book with what deciding about it needs: prices, volatility, and when it ends."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from functools import cached_property
from math import fsum, isnan
from typing import Any, Final

import numpy as np
from msgspec import Struct, structs

from options_helper.analysis.attention.deadlines import ContractLife, contract_life
from options_helper.analysis.changed_shares import of_yesterdays_share
from options_helper.analysis.deliveries import Usual, sure_inside, usual_instruments
from options_helper.analysis.marks import Numbers, QuoteWarning, believed_middle, believed_sides
from options_helper.analysis.priced_lines import PricedLines
from options_helper.analysis.risk.book_values import BookFigures, LineRisk, SpotSource
from options_helper.analysis.risk.leg_inputs import made_until, session_ended_ns
from options_helper.model.contract_symbols import STANDARD_MULTIPLIER, has_contract_length
from options_helper.model.events import Quote
from options_helper.model.market_hours import new_york_date
from options_helper.model.portfolio import Instrument, Portfolio
from options_helper.model.snapshot import LiveSnapshot

CENT: Final = 0.01
# After the close holders may still decide for an hour and a half.
MINUTES_TO_DECIDE: Final = 90.0
# Of prices, so that what equals in decimals equals here.
_DIGITS: Final = 6
_NO_WARNINGS: Final[frozenset[QuoteWarning]] = frozenset()


class HeldLine(Struct, frozen=True, dict=True):
    """One line of the book; prices are dollars per share, None is "not known".

    With a dictionary: whether it is in the money is asked eight times at each look, and worked out once.
    """

    entry_id: str
    # Of an adjusted contract whose record says what it delivers, the usual one that comes to the same.
    instrument: Instrument
    quantity: float  # signed
    ended: bool
    life: ContractLife | None  # None: shares
    spot: float | None
    spot_spread: float | None  # of the underlying's quote
    bid: float | None  # of such a contract, like its strike, for each share that it delivers
    ask: float | None
    warnings: frozenset[QuoteWarning]
    iv: float | None = None  # per year, as a fraction
    near_iv: float | None = None  # its own, or that of the nearest strike which ends with it
    delta: float | None = None  # of the position, in shares
    rate: float | None = None  # per year, as a fraction
    # Whether by the model exercising now is worth as much as waiting; None: not known.
    in_exercise_region: bool | None = None
    spot_source: SpotSource | None = None  # None: its underlying has no price
    # What is quoted on it was made after its session, so there is no bid: what is left standing then is none.
    is_quoted_late: bool = False
    is_crossed: bool = False  # more is bid for it than asked, so neither is believed and there is no bid
    in_doubt: bool = False  # the account holds another quantity than the file, or may
    in_account: float | None = None  # which, signed; None: not known of this line, or not in doubt
    account_alone: bool = False  # the file lacks it
    points_a_share: float = (
        1.0  # of such a contract, a dollar of whose point is so much for each share delivered
    )
    delivers: str = ""  # of such a contract, what each delivers: "110 AAPL and $12.50"; of any other empty
    # Of a call that delivers something else: dollars for each contract by which it is in the money at least; None: by
    # none surely.
    sure_inside: float | None = None
    beside: frozenset[str] = (
        frozenset()
    )  # ids of the entries that have it too, where it stands for all of them

    @property
    def counted(self) -> float:
        """The quantity that counts, signed: the account's where it is another and known."""
        return self.quantity if self.in_account is None else self.in_account

    @property
    def is_short(self) -> bool:
        """Whether it was sold, by the quantity that counts: nobody is assigned what only the file has sold."""
        return self.counted < 0

    @property
    def is_long(self) -> bool:
        """Whether it was bought, by the same."""
        return self.counted > 0

    @property
    def delivers_something_else(self) -> bool:
        """Whether it is no right to so many shares as its dollars a point are, nor comes to the same as one."""
        return self.instrument.adjusted or (self.life is not None and self.life.is_odd)

    @cached_property
    def inside(self) -> float | None:
        """By how many dollars a share it is in the money, out of it where negative; None of shares too."""
        strike = self.instrument.strike
        if self.spot is None or strike is None or self.delivers_something_else:
            return None
        return inside_at(self.instrument, self.spot)

    @cached_property
    def is_in_the_money(self) -> bool | None:
        """Whether it is exercised by exception: by a cent, the least that counts (OCC)."""
        return None if self.inside is None else is_exercised(self.inside)

    @property
    def extrinsic_at_bid(self) -> float | None:
        """What selling it brings beyond what exercising does: the time value that exercising gives up."""
        if self.bid is None or self.inside is None:
            return None
        return round(self.bid - max(self.inside, 0.0), _DIGITS)

    @property
    def no_bid(self) -> str:
        """Why there is no bid, where there is none."""
        if self.is_quoted_late:
            return "what is quoted on it is of after its session"
        return (
            "more is bid for it than asked, which is not believed"
            if self.is_crossed
            else "nobody bids for it"
        )

    @property
    def no_bid_shortly(self) -> str:
        """The same where there is no room."""
        return (
            "quoted after its session"
            if self.is_quoted_late
            else "bid above ask"
            if self.is_crossed
            else "no bid"
        )

    @property
    def shares(self) -> float:
        """How many shares its contracts deliver, without a sign."""
        return abs(self.counted) * (self.instrument.multiplier or STANDARD_MULTIPLIER)


class Entries:
    """The lines of a book by the entries that have them, for those who ask line after line."""

    def __init__(self, book: Iterable[HeldLine]) -> None:
        self._of_entry: dict[str, list[tuple[int, HeldLine]]] = {}
        for place, one in enumerate(book):
            for entry_id in (one.entry_id, *one.beside):
                self._of_entry.setdefault(entry_id, []).append((place, one))

    def of(self, entry_id: str) -> list[HeldLine]:
        """The lines of one entry, in the order of the book."""
        return [one for _, one in self._of_entry.get(entry_id, ())]

    def beside(self, one: HeldLine) -> list[HeldLine]:
        """The other lines of the entries that have this one, in the order of the book."""
        found = {
            place: other
            for entry_id in (one.entry_id, *one.beside)
            for place, other in self._of_entry.get(entry_id, ())
        }
        return [found[place] for place in sorted(found) if found[place] is not one]


def inside_at(one: Instrument, spot: float) -> float:
    """By how many dollars a share a contract is in the money at a price of what it is written on."""
    strike = one.strike or 0.0
    return round(spot - strike if one.option_type == "call" else strike - spot, _DIGITS)


def is_exercised(inside: float) -> bool:
    """Whether so much is exercised by exception."""
    return inside >= CENT


def held_lines(
    portfolio: Portfolio,
    live: LiveSnapshot,
    *,
    priced: PricedLines,
    book: BookFigures | None,
) -> tuple[HeldLine, ...]:
    """Every line in the order of the book as it is `priced`; `book` adds what the models say of it.

    Multipliers are the portfolio's: what Alpaca's records add to the file is in it already (`with_told_multipliers`).
    """
    owned = [(entry.id, line) for entry in portfolio.positions for line in entry.lines]
    if not owned:
        return ()
    risks = _risks(book, [(entry_id, line.instrument.live_symbol) for entry_id, line in owned])
    lives = _lives([line.instrument for _, line in owned], live)
    usual = usual_instruments((line.instrument for _, line in owned), live.expiry_facts.records)
    is_crossed = priced.findings[QuoteWarning.CROSSED_MARKET]
    spots = _known(priced.columns["underlying_price"])
    bids, asks = (_known(np.where(is_crossed, np.nan, priced.columns[name])) for name in ("bid", "ask"))
    warnings = _warnings(priced)
    spreads = {name: _spread(live, name) for name in {line.instrument.underlying for _, line in owned}}
    near = _Neighbours(zip((line.instrument for _, line in owned), risks, strict=True))
    ended_ns = {name: session_ended_ns(name, live.as_of, live.told_sessions) for name in spreads}
    found = []
    for n, (entry_id, line) in enumerate(owned):
        risk = risks[n]
        decided = _close_that_decided(line.instrument, lives[n], live)
        spot = spots[n] if decided is None else decided
        instrument, life, each = _as_usual(line.instrument, lives[n], usual)
        own_iv = None if risk is None else risk.iv
        is_late = _is_late(live.quotes.get(instrument.live_symbol), ended_ns[instrument.underlying])
        found.append(
            HeldLine(
                entry_id=entry_id,
                instrument=instrument,
                quantity=float(line.quantity),
                ended=bool(priced.ended[n]),
                life=life,
                # An index has no quote of its own: what its options imply stands in for it.
                spot=risk.spot if spot is None and risk is not None else spot,
                spot_source=_source(spot, risk),
                spot_spread=spreads[instrument.underlying],
                bid=None if is_late else _times(bids[n], each),
                ask=None if is_late else _times(asks[n], each),
                is_quoted_late=is_late,
                is_crossed=bool(is_crossed[n]),
                warnings=warnings.get(n, _NO_WARNINGS),
                iv=own_iv,
                near_iv=near.of(instrument) if own_iv is None else own_iv,
                delta=None if risk is None else risk.delta,
                rate=None if risk is None else risk.rate,
                in_exercise_region=None if risk is None else risk.in_exercise_region,
                points_a_share=each,
                delivers=_delivers(line.instrument, life, usual),
            )
        )
        if found[-1].delivers_something_else:
            sure = sure_inside(line.instrument, found[-1].spot, live.expiry_facts.records)
            found[-1] = structs.replace(found[-1], sure_inside=sure)
    return tuple(found)


def _close_that_decided(one: Instrument, life: ContractLife | None, live: LiveSnapshot) -> float | None:
    """What its share cost at its end, once nobody can decide any more; None: it can go on, or that was not read.

    What the share costs after that decides nothing, however far it has gone until the match in the morning.
    """
    settles = None if life is None else life.settles
    if settles is None or live.as_of < settles + timedelta(minutes=MINUTES_TO_DECIDE):
        return None
    close = live.risk_inputs.session_closes.get((one.underlying, new_york_date(settles)))
    return close.price if close is not None and close.read_at >= settles else None


def _as_usual(
    one: Instrument, life: ContractLife | None, usual: Usual
) -> tuple[Instrument, ContractLife | None, float]:
    """What stands in its place with its life, and what a dollar of its point is for each share that it delivers."""
    found, points = usual.get(one.live_symbol), one.multiplier
    if found is None or found.multiplier is None or points is None:
        return one, life, 1.0
    return found, None if life is None else replace(life, is_odd=False), points / found.multiplier


def _delivers(one: Instrument, life: ContractLife | None, usual: Usual) -> str:
    return life.delivers if life is not None and one.live_symbol in usual else ""


def _times(price: float | None, each: float) -> float | None:
    return None if price is None else price * each


def _warnings(priced: PricedLines) -> dict[int, frozenset[QuoteWarning]]:
    """What is said against each line of which anything is."""
    found: dict[int, list[QuoteWarning]] = {}
    for kind, flags in priced.findings.items():
        for n in np.flatnonzero(flags).tolist():
            found.setdefault(n, []).append(kind)
    return {n: frozenset(kinds) for n, kinds in found.items()}


def by_contract(lines: Sequence[HeldLine]) -> tuple[HeldLine, ...]:
    """Each contract once, in the place of its first line: what is exercised or assigned knows no entries."""
    of_symbol: dict[str, list[HeldLine]] = {}
    for one in lines:
        of_symbol.setdefault(one.instrument.live_symbol, []).append(one)
    return tuple(same[0] if len(same) == 1 else _as_one(same) for same in of_symbol.values())


def _as_one(same: Sequence[HeldLine]) -> HeldLine:
    deltas = [one.delta for one in same]
    known = [one for one in deltas if one is not None]
    return structs.replace(
        same[0],
        quantity=fsum(one.quantity for one in same),
        warnings=frozenset().union(*(one.warnings for one in same)),
        delta=fsum(known) if len(known) == len(deltas) else None,
        beside=frozenset(one.entry_id for one in same[1:]),
    )


def _source(spot: float | None, risk: LineRisk | None) -> SpotSource | None:
    if spot is not None:
        return SpotSource.OWN
    return None if risk is None else risk.spot_source


def basis_words(lines: Sequence[HeldLine]) -> str:
    """What prices rest on that are no usual ones, sentences after others: what options imply, what is delivered."""
    odd = {one.instrument.label: one.delivers for one in lines if one.delivers}
    said = [
        f" {label} delivers {delivers} by Alpaca's record; its strike and prices are told for each share of that."
        for label, delivers in odd.items()
    ]
    return f"{_implied(lines)}{''.join(said)}"


def _implied(lines: Iterable[HeldLine]) -> str:
    """That the price is what options imply; empty where it is the underlying's own."""
    name = next((one.instrument.underlying for one in lines if one.spot_source is SpotSource.OPTIONS), None)
    return (
        "" if name is None else f" {name} has the price that its options imply (parity forward, discounted)."
    )


def lone_line(
    instrument: Instrument, quantity: float, live: LiveSnapshot, *, beside: Sequence[HeldLine]
) -> HeldLine:
    """A line that the file lacks, and no model knows; its underlying has the price that it has `beside`."""
    own, share = live.quotes.get(instrument.live_symbol), live.quotes.get(instrument.underlying)
    # The price of what has ended may be that of its close.
    neighbours = [
        one
        for one in beside
        if one.instrument.underlying == instrument.underlying and not is_fixed(one, live.as_of)
    ]
    life = contract_life(instrument, live.expiry_facts, live.told_sessions)
    usual = usual_instruments([instrument], live.expiry_facts.records)
    held, life, each = _as_usual(instrument, life, usual)
    spots = [_close_that_decided(instrument, life, live), *(one.spot for one in neighbours)]
    if not of_yesterdays_share([instrument.live_symbol], live):
        spots.append(believed_middle(share))
    bid, ask = believed_sides(own)
    found = HeldLine(
        entry_id="",
        instrument=held,
        quantity=quantity,
        ended=False,
        life=life,
        spot=next((spot for spot in spots if spot is not None), None),
        spot_source=next((one.spot_source for one in neighbours if one.spot is not None), SpotSource.OWN),
        spot_spread=_spread(live, instrument.underlying),
        bid=_times(bid, each),
        ask=_times(ask, each),
        is_crossed=own is not None and own.bid_price is not None and (bid, ask) == (None, None),
        warnings=frozenset(),
        account_alone=True,
        points_a_share=each,
        delivers=_delivers(instrument, life, usual),
    )
    if not found.delivers_something_else:
        return found
    sure = sure_inside(instrument, found.spot, live.expiry_facts.records)
    return structs.replace(found, sure_inside=sure)


class _Neighbours:
    """Where a leg has no volatility of its own, as in the last minutes, a neighbour's says how far the price may go."""

    def __init__(self, lines: Iterable[tuple[Instrument, LineRisk | None]]) -> None:
        self._known: dict[tuple[str, date | None], list[tuple[float, float]]] = {}
        for one, risk in lines:
            if risk is not None and risk.iv is not None:
                of_end = self._known.setdefault((one.underlying, one.expiry), [])
                of_end.append((one.strike or 0.0, risk.iv))

    def of(self, one: Instrument) -> float | None:
        """The volatility of the nearest strike that ends with it."""
        strike = one.strike or 0.0
        neighbours = self._known.get((one.underlying, one.expiry), ())
        nearest = min(neighbours, key=lambda other: abs(other[0] - strike), default=None)
        return None if nearest is None else nearest[1]


def _lives(instruments: Sequence[Instrument], live: LiveSnapshot) -> list[ContractLife | None]:
    """Worked out once for all contracts of one class and expiry, unless a record tells them apart."""
    known: dict[tuple[Any, ...], ContractLife | None] = {}
    found = []
    for one in instruments:
        key = (
            one.live_symbol if one.live_symbol in live.expiry_facts.records else one.symbol,
            one.expiry,
            one.settled_at_open,
            one.delivery,
            one.exercise_style,
        )
        if key not in known:
            known[key] = contract_life(one, live.expiry_facts, live.told_sessions)
        found.append(known[key])
    return found


def _risks(book: BookFigures | None, owned: Sequence[tuple[str, str]]) -> Sequence[LineRisk | None]:
    """What the models say of each line; nothing where the figures are of another book."""
    if book is None or [(one.position_id, one.symbol) for one in book.lines] != list(owned):
        return [None] * len(owned)
    return book.lines


def _is_late(quote: Quote | None, ended_ns: int | None) -> bool:
    """Of a contract; a share is quoted on after its session."""
    return (
        quote is not None
        and ended_ns is not None
        and has_contract_length(quote.symbol)
        and not made_until(ended_ns, [quote])
    )


def _spread(live: LiveSnapshot, symbol: str) -> float | None:
    bid, ask = believed_sides(live.quotes.get(symbol))
    return None if bid is None or ask is None else max(0.0, ask - bid)


def _known(column: Numbers) -> list[float | None]:
    return [None if isnan(number) else number for number in column.tolist()]


def is_fixed(one: HeldLine, at: datetime) -> bool:
    """Whether the price that decides has been made, though it may still be traded for a quarter of an hour."""
    settles = None if one.life is None else one.life.settles
    return one.ended if settles is None else at >= settles


def is_over(one: HeldLine, at: datetime) -> bool:
    """Whether nothing can be done about it any more: its worth is fixed, and it is traded no more."""
    ends = None if one.life is None else one.life.trading_ends
    return is_fixed(one, at) and (ends is None or at >= ends)
