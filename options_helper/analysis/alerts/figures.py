"""One look at a book and its snapshot → the figures that rules ask for, with source, age and what speaks against each.

A figure that a thing cannot have (the volatility of shares, the share of a profit without end) is left out; one that it
has and that is not known is a reading without a value, which says why.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from math import fsum
from typing import Any, Final

from options_helper.analysis.attention.entries import AttentionKind, Entry
from options_helper.analysis.book_look import BookLook
from options_helper.analysis.contract_terms import with_told_multipliers
from options_helper.analysis.deliveries import usual_instruments
from options_helper.analysis.grades import Grade
from options_helper.analysis.marks import believed_middle
from options_helper.analysis.risk.book_values import LineRisk, SpotSource, UnderlyingRisk, theta_parts
from options_helper.analysis.risk.extremes import Extreme, Limit
from options_helper.analysis.risk.greeks import FigureState, GreekSum, GreekSums
from options_helper.analysis.risk.trade_progress import percent_of_best
from options_helper.analysis.totals import Tally
from options_helper.model.account import ExecutionKind, RestPhase, RestTask
from options_helper.model.alerts import ATTENTION, Reading, Readings, Rule, Side, SubjectKind
from options_helper.model.contract_symbols import parse_contract_symbol, short_date
from options_helper.model.market_hours import in_regular_hours, new_york_date
from options_helper.model.portfolio import Instrument, Portfolio
from options_helper.model.snapshot import LiveSnapshot, Phase
from options_helper.model.text import between_words, format_count, with_minus

_Found = dict[str, Reading]
_SUMS: Final = "the sum of its legs"
_TABLE: Final = (
    "words",
    "natural",
    "spread_pct",
    "quote_age_seconds",
    "mark_via",
    "grade",
    "dte",
    "moneyness_pct",
)


def book_readings(
    rules: Iterable[Rule],
    portfolio: Portfolio,
    live: LiveSnapshot,
    look: BookLook,
    *,
    stale_after_seconds: float = 30.0,
) -> Readings:
    """What the rules ask of a book and its account, as of the snapshot.

    `look` is at the same portfolio and snapshot. The price of an underlying that is older than `stale_after_seconds`
    while its market is open is stale, as that of a line is.
    """
    rules = tuple(rules)
    book = _Book(portfolio, live, look, stale_after_seconds)
    found: dict[tuple[SubjectKind, str], _Found] = {}
    for kind, figure in dict.fromkeys((rule.subject.kind, rule.figure) for rule in rules):
        if (make := _MAKERS.get(kind)) is not None:
            found[kind, figure] = make(book, figure)
    for rule in rules:
        subject = rule.subject
        of_kind = found.get((subject.kind, rule.figure))
        if subject.kind is SubjectKind.UNDERLYING and subject.name and of_kind is not None:
            of_kind.setdefault(subject.name, _not_held(subject.name, rule.figure, live))
    return found


def stream_readings(rules: Iterable[Rule], live: LiveSnapshot) -> Readings:
    """What the rules ask of this run's streams, which needs no portfolio."""
    return {
        (SubjectKind.STREAM, rule.figure): _of_streams(live)
        for rule in rules
        if rule.subject.kind is SubjectKind.STREAM
    }


@dataclass(slots=True)
class _Leg:
    """One symbol that is held, in one line or several."""

    lines: list[LineRisk]
    row: Mapping[str, Any]  # of the tables, of the first of its lines
    profits: list[float | None] = field(default_factory=list)
    usual: Instrument | None = None  # which comes to the same as an adjusted one whose record says so

    @property
    def is_option(self) -> bool:
        return self.lines[0].expiry is not None

    @property
    def side(self) -> Side:
        return Side.SHORT if fsum(one.quantity for one in self.lines) < 0 else Side.LONG


class _Book:
    """One look, taken apart as far as it is asked for."""

    def __init__(
        self, portfolio: Portfolio, live: LiveSnapshot, look: BookLook, stale_after_seconds: float
    ) -> None:
        self.portfolio = portfolio
        self.live = live
        self.look = look
        self._legs: dict[str, _Leg] | None = None
        self._stale_after = stale_after_seconds
        self._is_open = in_regular_hours(live.as_of, live.told_sessions)

    def about_spot(self, age: float | None) -> str:
        """What speaks against the price of an underlying that is so old."""
        return "the underlying's price is stale" if self._is_open and (age or 0.0) > self._stale_after else ""

    @property
    def legs(self) -> dict[str, _Leg]:
        if self._legs is None:
            self._legs = dict(self._found_legs())
        return self._legs

    def _found_legs(self) -> Iterator[tuple[str, _Leg]]:
        rows: dict[str, Mapping[str, Any]] = {}
        profits: defaultdict[str, list[float | None]] = defaultdict(list)
        for table, profit in ((self.look.positions, "pnl_abs"), (self.look.legs, "leg_pnl")):
            for symbol, amount, row in zip(
                table["live_symbol"], table.values(profit), table.rows(_TABLE), strict=True
            ):
                rows.setdefault(symbol, row)
                profits[symbol].append(amount)
        lines: defaultdict[str, list[LineRisk]] = defaultdict(list)
        for line in self.look.risk.lines:
            if not line.has_ended:
                lines[line.symbol].append(line)
        records = self.live.expiry_facts.records
        held = with_told_multipliers(self.portfolio, records) if records else self.portfolio
        usual = usual_instruments((line.instrument for line in held.lines), records)
        for symbol, of_symbol in lines.items():
            yield symbol, _Leg(of_symbol, rows[symbol], profits[symbol], usual.get(symbol))

    def entries(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """Each entry of the file that has not ended, and its row."""
        names = ("words", "grade", "dte", "mark_age_seconds")
        rows = {
            row["id"]: row
            for table in (self.look.positions, self.look.structures)
            for row in table.rows(("id", *names))
        }
        living = {line.position_id for line in self.look.risk.lines if not line.has_ended}
        return ((entry.id, rows[entry.id]) for entry in self.portfolio.positions if entry.id in living)


def _known(value: Any) -> float | None:
    return None if value is None else float(value)


def _of_legs(book: _Book, figure: str) -> _Found:
    if figure.startswith(ATTENTION):
        named = {symbol: (symbol,) for symbol in book.legs}
        labels = {symbol: leg.lines[0].label for symbol, leg in book.legs.items()}
        return _attention(book, figure, named, labels, {s: one.side for s, one in book.legs.items()})
    found = ((symbol, _leg_reading(book, leg, figure)) for symbol, leg in book.legs.items())
    return {symbol: reading for symbol, reading in found if reading is not None}


def _leg_reading(book: _Book, leg: _Leg, figure: str) -> Reading | None:
    line, row = leg.lines[0], leg.row
    if figure in _OF_OPTIONS and not leg.is_option:
        return None
    value, source, age, why = _LEG_FIGURES[figure](leg)
    grade = Grade(row["grade"])
    caveats = [] if grade is Grade.TWO_SIDED else [str(grade)]
    if figure in ("delta", "theta", "iv"):
        if any(one.delta_state is FigureState.BOUND for one in leg.lines) and figure == "delta":
            caveats.append("a bound")
    elif figure == "dte":
        caveats = []
    elif figure == "distance_to_strike":
        # It rests on no quote of the leg's own.
        caveats = [said] if (said := book.about_spot(line.spot_age_seconds)) else []
    return Reading(
        value,
        line.label,
        source,
        age,
        why="" if value is not None else why,
        caveat=", ".join(caveats),
        side=leg.side,
    )


_OF_OPTIONS: Final = ("iv", "dte", "theta", "distance_to_strike")
_Told = tuple[float | None, str, float | None, str]  # value, source, age, why there is none
_NO_PRICE: Final = "it has no price"


def _why(leg: _Leg) -> str:
    return next((one.reasons[0].rstrip(".") for one in leg.lines if one.reasons), _NO_PRICE)


def _total(values: Iterable[float | None]) -> float | None:
    known = list(values)
    return None if None in known else fsum(one for one in known if one is not None)


def _mark(leg: _Leg) -> _Told:
    line = leg.lines[0]
    source = f"its {line.mark_source or 'price'}"
    via = f" by {leg.row['mark_via']}" if leg.row["mark_via"] else ""
    return line.mark, source + via, line.mark_age_seconds, _NO_PRICE


def _greek(leg: _Leg, name: str) -> _Told:
    line = leg.lines[0]
    total = _total(getattr(one, name) for one in leg.lines)
    return total, line.model or "", line.greek_age_seconds, _why(leg)


def _volatility(leg: _Leg) -> _Told:
    line = leg.lines[0]
    return None if line.iv is None else 100 * line.iv, line.model or "", line.greek_age_seconds, _why(leg)


def _distance(leg: _Leg) -> _Told:
    inside, line, source = _known(leg.row["moneyness_pct"]), leg.lines[0], "the underlying's price"
    if inside is None and line.spot and line.spot_source is SpotSource.OPTIONS:
        # An index has no quote of its own; its price is that by which everything else about the leg is judged.
        terms = parse_contract_symbol(line.symbol)
        inside = _percent_inside(terms.option_type, terms.strike, line.spot)
        source = f"the index's price {SpotSource.OPTIONS}"
    if inside is None and line.spot and leg.usual is not None:
        # As what needs a hand judges it: its strike for each share that it delivers.
        inside = _percent_inside(leg.usual.option_type, leg.usual.strike or 0.0, line.spot)
        source = f"the underlying's price, and its strike for each of {leg.usual.multiplier} shares by Alpaca's record"
    why = "the price of what it is written on is not known, or it delivers something else"
    return None if inside is None else -inside, source, line.spot_age_seconds, why


def _percent_inside(option_type: str | None, strike: float, spot: float) -> float:
    """By how much it is in the money, in percent of the price."""
    over = 100 * (spot - strike) / spot
    return over if option_type == "call" else -over


_LEG_FIGURES: Final[Mapping[str, Callable[[_Leg], _Told]]] = {
    "mark": _mark,
    "natural": lambda leg: (
        _known(leg.row["natural"]),
        "the side of its quote that closing needs",
        _known(leg.row["quote_age_seconds"]),
        "that side of its quote is not known",
    ),
    "unrealized": lambda leg: (
        _total(leg.profits),
        "its mark and its cost",
        leg.lines[0].mark_age_seconds,
        "its price or its cost is not known",
    ),
    "delta": lambda leg: _greek(leg, "delta"),
    "theta": lambda leg: _greek(leg, "theta"),
    "iv": _volatility,
    "dte": lambda leg: (_known(leg.row["dte"]), "its expiry", None, "its expiry is not known"),
    "spread": lambda leg: (
        # Below 0 it is no width: more is bid than asked.
        None if (width := _known(leg.row["spread_pct"])) is None or width < 0 else width,
        "its quote",
        _known(leg.row["quote_age_seconds"]),
        "its quote has not two sides in order",
    ),
    "age": lambda leg: (leg.lines[0].mark_age_seconds, "its price", None, _NO_PRICE),
    "distance_to_strike": _distance,
}


def _of_structures(book: _Book, figure: str) -> _Found:
    profits = book.look.risk.profits
    best = {one.name: one.best for one in book.look.risk.extremes.entries}
    lines = _lines_by(book, lambda line: line.position_id)
    found: _Found = {}
    for identity, row in book.entries():
        label, age = str(row["words"] or identity), _known(row["mark_age_seconds"])
        grade = Grade(row["grade"])
        caveat = "" if grade is Grade.TWO_SIDED else str(grade)
        if figure == "dte":
            days = _known(row["dte"])
            if days is not None:
                found[identity] = Reading(days, label, "its nearest expiry")
        elif figure in ("delta", "theta"):
            sums = {identity: (label, book.look.risk.sums_by_entry[identity])}
            found |= _of_sums(sums, figure, lines)
        elif figure == "percent_of_max_profit":
            reading = _progress(profits.unrealized.get(identity), best.get(identity), label, age, caveat)
            found |= {} if reading is None else {identity: reading}
        else:
            amounts = profits.today if figure == "pnl_today" else profits.unrealized
            found[identity] = _profit(amounts.get(identity), label, age=age, caveat=caveat)
    return found


def _progress(
    profit: float | None, best: Extreme | None, label: str, age: float | None, caveat: str
) -> Reading | None:
    """None where there is no greatest profit, or none to win."""
    if best is None or best.limit in (Limit.UNLIMITED, Limit.UNDEFINED):
        return None
    if best.amount is not None and best.amount <= 0:
        return None
    share = percent_of_best(profit, best)
    why = (
        best.reason or "its greatest profit is not known"
        if best.amount is None
        else "its profit is not known"
    )
    source = "its mark, its cost and its greatest profit"
    return Reading(share, label, source, age, why="" if share is not None else why.rstrip("."), caveat=caveat)


def _profit(
    amount: float | None,
    label: str,
    *,
    age: float | None = None,
    caveat: str = "",
    why: str = "a price, a cost or a fill of it is not known",
) -> Reading:
    return Reading(
        amount, label, "its marks", age, why="" if amount is not None else why.rstrip("."), caveat=caveat
    )


def _of_sums(
    sums: Mapping[str, tuple[str, GreekSums]], figure: str, lines: Mapping[str, Sequence[LineRisk]]
) -> _Found:
    """Sums of what has option legs, or has a delta at least."""
    found: _Found = {}
    for name, (label, of_name) in sums.items():
        one: GreekSum = getattr(of_name, figure)
        if figure == "theta" and not one.coverage.of:
            continue
        is_known = one.amount is not None and not one.missing
        found[name] = Reading(
            one.amount if is_known else None,
            label,
            _SUMS,
            why="" if is_known else f"only {one.coverage.words} are known",
            caveat=", ".join(_against_sum(one, figure, lines[name])),
        )
    return found


def _against_sum(one: GreekSum, figure: str, lines: Sequence[LineRisk]) -> Iterator[str]:
    """What of a sum is a bound, of a quantity that is not the account's, or no rate."""
    if one.coverage.bound:
        between = "" if one.ends is None else f"between {between_words(one.ends)}, "
        yield f"a bound: {between}{one.coverage.words}"
    yield from _doubt(lines)
    left = theta_parts(lines)
    if figure == "theta" and left.time_value_left is not None:
        amount = with_minus(left.time_value_left, ",.2f")
        yield f"of which {amount} is time value left in {format_count(left.last_day_legs, 'leg')}"


def _doubt(lines: Sequence[LineRisk]) -> Iterator[str]:
    if count := sum(line.quantity_in_doubt for line in lines):
        yield Grade.QUANTITY.counted(count)


def _lines_by(book: _Book, key: Callable[[LineRisk], str]) -> defaultdict[str, list[LineRisk]]:
    """The lines that have not ended, by what a sum is of."""
    found: defaultdict[str, list[LineRisk]] = defaultdict(list)
    for line in book.look.risk.lines:
        if not line.has_ended:
            found[key(line)].append(line)
    return found


def _of_underlyings(book: _Book, figure: str) -> _Found:
    held = [one for one in book.look.risk.underlyings if one.held is not None]
    if figure.startswith(ATTENTION):
        symbols = {
            one.symbol: (
                one.symbol,
                *(line.symbol for line in book.look.risk.lines if line.underlying == one.symbol),
            )
            for one in held
        }
        return _attention(book, figure, symbols, {name: name for name in symbols})
    if figure in ("delta", "theta"):
        lines = _lines_by(book, lambda line: line.underlying)
        return _of_sums({one.symbol: (one.symbol, one.sums) for one in held}, figure, lines)
    if figure in ("price", "age"):
        return {one.symbol: _spot(book, one, figure) for one in held}
    return {
        one.symbol: _profit(one.pnl_today if figure == "pnl_today" else one.unrealized, one.symbol)
        for one in held
    }


def _spot(book: _Book, one: UnderlyingRisk, figure: str) -> Reading:
    age = one.spot_age_seconds
    value = one.spot if figure == "price" else age
    why = "" if value is not None else _NO_PRICE
    if figure == "age":
        return Reading(value, one.symbol, "its price", why=why)
    source = "its price" if one.spot_source is not SpotSource.OPTIONS else f"its price {one.spot_source}"
    return Reading(value, one.symbol, source, age, why=why, caveat=book.about_spot(age))


def _not_held(symbol: str, figure: str, live: LiveSnapshot) -> Reading:
    """Of what is named and not held only what the run hears of it is known."""
    if figure not in ("price", "age"):
        return Reading(None, symbol, why="it is not held", is_held=False)
    quote, trade = live.quotes.get(symbol), live.trades.get(symbol)
    if quote is not None and (middle := believed_middle(quote)) is not None:
        price, source, received_ns = middle, "its mid", quote.received_ns
    elif trade is not None:
        price, source, received_ns = trade.price, "its last trade", trade.received_ns
    else:
        return Reading(None, symbol, why="it is not held, and no price of it is read", is_held=False)
    age = max(0.0, live.as_of.timestamp() - received_ns / 1e9)
    value, its_age = (price, age) if figure == "price" else (age, None)
    return Reading(value, symbol, source, its_age, is_held=False)


def _of_expiries(book: _Book, figure: str) -> _Found:
    today = new_york_date(book.live.as_of)
    living = {line.expiry for line in book.look.risk.lines if not line.has_ended}
    days: list[date] = sorted(
        day for day in book.look.risk.sums_by_expiry if day is not None and day in living
    )
    labels = {day.isoformat(): f"Expiry {short_date(day)}" for day in days}
    if figure == "dte":
        return {
            day.isoformat(): Reading(float((day - today).days), labels[day.isoformat()], "its day")
            for day in days
        }
    sums = {day.isoformat(): (labels[day.isoformat()], book.look.risk.sums_by_expiry[day]) for day in days}
    return _of_sums(
        sums, figure, _lines_by(book, lambda line: line.expiry.isoformat() if line.expiry else "")
    )


_BOOK: Final = "The book"


def _of_book(book: _Book, figure: str) -> _Found:
    look = book.look
    profits, totals = look.risk.profits, look.totals
    if figure.startswith(ATTENTION):
        return _attention(book, figure, {"": None}, {"": _BOOK})
    if figure in ("delta", "theta"):
        return _of_sums({"": (_BOOK, look.risk.sums)}, figure, _lines_by(book, lambda _: ""))
    match figure:
        case "pnl_today":
            reasons = " ".join(profits.today_reasons) or "a price, a cost or a fill is not known"
            of = f"only {totals.day.counted} of {totals.day.of} profits are known. " * bool(
                totals.day.counted
            )
            found = _of_tally(profits.book_today, totals.day, f"{of}{reasons}")
        case "unrealized":
            why = f"only {totals.pnl.counted} of {totals.pnl.of} profits are known"
            found = _of_tally(profits.book_unrealized, totals.pnl, why)
        case "delta_beta_weighted":
            weighted = look.risk.beta_weighted
            value = weighted.shares if weighted.complete else None
            why = " ".join(weighted.missing).rstrip(".") or f"{weighted.index} has no price"
            source = f"deltas and betas to {weighted.index}"
            bounds = [f"a bound of {label}" for label in weighted.bounds]
            bounds += [] if weighted.share_ends is None else [f"between {between_words(weighted.share_ends)}"]
            caveat = ", ".join((*bounds, *_doubt(_lines_by(book, lambda _: "")[""])))
            found = Reading(value, _BOOK, source, why="" if value is not None else why, caveat=caveat)
        case _:
            if totals.nearest_expiry is None:
                return {}
            found = Reading(float(totals.nearest_expiry.dte), _BOOK, "its nearest expiry")
    return {"": found}


def _of_tally(amount: float | None, tally: Tally, why: str) -> Reading:
    """A profit of the book; where a part lacks, what the others come to, which is no judgement of the whole."""
    found = _profit(amount, _BOOK, caveat=tally.caveat, why=why)
    if amount is not None or not tally.counted:
        return found
    known = f"{'−' if tally.known < 0 else ''}${abs(tally.known):,.2f}"
    return replace(found, part=f"What is known of it comes to {known}, in {tally.counted} of {tally.of}.")


def _of_account(book: _Book, figure: str) -> _Found:
    label, account, live = "The account", book.live.account, book.live
    if figure == "buying_power":
        found = book.look.attention
        at = found.buying_power_at
        age = None if at is None else (live.as_of - at).total_seconds()
        why = "" if found.buying_power is not None else "the account has not been asked, or does not say it"
        return {"": Reading(found.buying_power, label, "the account", age, why=why)}
    day = account.executions_day
    if day is None or day != new_york_date(live.as_of):
        # Those of another day would begin another count, and tell again what was told of this one.
        return {"": Reading(None, label, why="today's executions are not known")}
    fills = {one.identity for one in (*account.executions, *account.later) if one.kind is ExecutionKind.FILL}
    return {"": Reading(float(len(fills)), label, "the account's executions", period=day.isoformat())}


def _attention(
    book: _Book,
    figure: str,
    symbols: Mapping[str, Sequence[str] | None],
    labels: Mapping[str, str],
    sides: Mapping[str, Side] | None = None,
) -> _Found:
    """Whether an entry of the kind is about any of the symbols; None: whatever it is about.

    What nobody can judge is not known, and no "not met": else what was met before a restart would fire anew after it.
    """
    kind = figure.removeprefix(ATTENTION)
    entries: list[Entry] = [one for one in book.look.attention.entries if one.is_of(kind)]
    found: _Found = {}
    for name, wanted in symbols.items():
        of_name = [one for one in entries if wanted is None or not set(wanted).isdisjoint(one.symbols)]
        said = _told((one.what, one.discreet_remedy) for one in of_name)
        side = None if sides is None else sides[name]
        why = _unasked(book, kind) if of_name else _not_seen(book, kind, wanted)
        value = None if why else float(bool(of_name))
        found[name] = Reading(
            value,
            labels[name],
            "what needs a hand",
            why=why,
            said=said or f"{labels[name]} needs no hand of kind {kind}.",
            said_with_amounts=_told((one.sentence, one.remedy) for one in of_name),
            side=side,
        )
    return found


def _told(entries: Iterable[tuple[str, str]]) -> str:
    """What is so, each with what can be done; what is one thing to do for several is said once, after them."""
    by_remedy: dict[str, list[str]] = {}
    for what, remedy in entries:
        by_remedy.setdefault(remedy, []).append(what)
    return " ".join(said for remedy, whats in by_remedy.items() for said in (*whats, remedy) if said)


def _not_seen(book: _Book, kind: str, wanted: Sequence[str] | None) -> str:
    """Why no entry does not mean that there is nothing: what it would rest on is not known now; empty: it is."""
    account = book.live.account
    if kind == AttentionKind.FILE_ACCOUNT:
        if account.view is None:
            return "the account has not been read"
        is_open = account.unsettled if wanted is None else account.unsettled.intersection(wanted)
        return "whether the last fills are in the account's positions is open" if is_open else ""
    if kind == AttentionKind.UNDEFINED_RISK and (why := _unasked(book, kind)):
        return why
    unjudged = book.look.attention.unjudged.get(AttentionKind(kind), frozenset())
    unknown = unjudged if wanted is None else unjudged.intersection(wanted)
    what = (
        "how much the account holds is" if kind == AttentionKind.UNDEFINED_RISK else "price or dividends are"
    )
    return f"{what} not known of {format_count(len(unknown), 'contract')}" if unknown else ""


def _unasked(book: _Book, kind: str) -> str:
    """Why an entry rests on nothing yet; empty: it does not."""
    if kind == AttentionKind.UNPRICED and _are_first_prices_to_come(book.live):
        return "the first prices have not come yet"
    account = book.live.account
    is_asked = account.reports[RestTask.POSITIONS].phase is not RestPhase.OFF
    # Without an account what is sold and what covers it is the file's word; beside one it may be another.
    rests_on_account = kind in (AttentionKind.FILE_ACCOUNT, AttentionKind.LONG_WITHOUT_MONEY) or (
        kind == AttentionKind.UNDEFINED_RISK and is_asked
    )
    return "the account has not been read" if rests_on_account and account.view is None else ""


def _are_first_prices_to_come(live: LiveSnapshot) -> bool:
    """Whether a line may lack a price for no other reason than that a program has just begun."""
    report = live.account.reports[RestTask.PRICES]
    is_asked = report.phase in (RestPhase.WAITING, RestPhase.REQUESTING)
    is_first = is_asked and report.finished_at is None and report.problem is None
    return is_first or not (live.quotes or live.trades)


def _of_streams(live: LiveSnapshot) -> _Found:
    if not live.running:
        return {}
    return {
        str(name): Reading(
            str(one.phase), f"The {name} stream", "this run", is_held=one.phase is not Phase.OFF
        )
        for name, one in live.streams.items()
    }


_MAKERS: Final[Mapping[SubjectKind, Callable[[_Book, str], _Found]]] = {
    SubjectKind.LEG: _of_legs,
    SubjectKind.STRUCTURE: _of_structures,
    SubjectKind.UNDERLYING: _of_underlyings,
    SubjectKind.EXPIRY: _of_expiries,
    SubjectKind.BOOK: _of_book,
    SubjectKind.ACCOUNT: _of_account,
}
