"""Tell a book's risk: as one object of JSON, or in lines for a person; what is not known is null, or a dash."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from options_helper.analysis.risk.beta import BetaWeighted
from options_helper.analysis.risk.book_values import (
    BookFigures,
    LineRisk,
    SpotSource,
    ThetaParts,
    UnderlyingRisk,
    theta_parts,
)
from options_helper.analysis.risk.dividends import DividendState
from options_helper.analysis.risk.extremes import EndedLegs, Extreme, Limit
from options_helper.analysis.risk.greeks import FigureState, GreekSum, GreekSums
from options_helper.analysis.risk.scenario import Curve
from options_helper.analysis.risk.what_if import WhatIf
from options_helper.model.clock_skew import format_span
from options_helper.model.contract_symbols import short_date
from options_helper.model.text import format_count, price_text, table_lines

_COVERED: Final = ("delta", "gamma", "vega", "theta")
_UNKNOWN: Final = "–"
_SMALL: Final = 0.1
DISCLAIMER: Final = "Not financial advice."
_OF_LINE: Final = (
    "position_id",
    "symbol",
    "quantity",
    "multiplier",
    "mark",
    "mark_source",
    "mark_age_seconds",
    "iv",
    "iv_low",
    "iv_high",
    "iv_state",
    "iv_reason",
    "iv_at",
    "delta",
    "gamma",
    "vega",
    "theta",
    "rho",
    "delta_state",
    "model",
    "spot",
    "spot_age_seconds",
    "forward",
    "rate",
    "dividends_state",
    "second_delta",
    "second_iv",
    "vendor_delta",
    "vendor_iv",
    "reasons",
    "label",
    "underlying",
    "expiry",
    "has_ended",
    "is_last_day",
    "greek_age_seconds",
    "delta_dollars",
    "quantity_in_doubt",
    "spot_source",
)


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """What is held in the world of a what-if."""

    what_if: WhatIf
    book: Curve
    underlyings: Mapping[str, Curve]


Opinion = Sequence[float | None] | None


def could_not_judge(book: BookFigures) -> tuple[str, ...]:
    """What has no figure though it is held, a sentence each."""
    legs = [
        f"{one.label}: its delta is {'only a bound' if one.delta_state is FigureState.BOUND else 'not known'}."
        + "".join(f" {reason}" for reason in one.reasons[:1])
        for one in book.lines
        if not one.is_over and one.delta_state is not FigureState.OK
    ]
    unread = dict.fromkeys(
        f"{one.underlying}: its dividends are not known, and none is in its options' figures."
        for one in book.lines
        if one.dividends_state is DividendState.UNKNOWN and not one.is_over
    )
    unpriced = [
        f"{one.label}: it has no price."
        for one in book.lines
        if one.iv_state is None and one.delta_dollars is None and not one.is_over
    ]
    missing = [
        f"Not in the beta-weighted delta: {one}."
        for one in book.beta_weighted.missing
        # Of these it is said above.
        if not one.endswith("delta is not known")
    ]
    worst = book.max_loss
    unknown = [f"The greatest loss is not known: {worst.reason}."] if worst.limit is Limit.UNKNOWN else []
    ended = (*book.extremes.ended.sentences, *book.doubt.ended_sentences())
    return (*legs, *unpriced, *unread, *missing, *unknown, *book.extremes.unknown_words, *ended)


def json_text(
    book: BookFigures, *, what_if: Elsewhere | None, second_opinion: Opinion, problems: Sequence[str]
) -> str:
    """All of it as one object."""
    import msgspec

    legs = [_facts_of_line(one) for one in book.lines]
    if second_opinion is not None:
        options = iter(second_opinion)
        for line, row in zip(book.lines, legs, strict=True):
            row["quantlib_delta"] = next(options) if line.iv_state is not None else None
    facts = {
        "as_of": book.as_of,
        "what_if": None
        if what_if is None
        else {"words": what_if.what_if.words, **_facts_of_curve(what_if.book)},
        "book": _facts_of_book(book),
        "underlyings": [_facts_of_underlying(one, what_if, book) for one in book.underlyings],
        "legs": legs,
        "problems": list(problems),
    }
    return msgspec.json.format(msgspec.json.encode(facts)).decode()


def _facts_of_line(line: LineRisk) -> dict[str, Any]:
    return {name: getattr(line, name) for name in _OF_LINE}


def _facts_of_underlying(
    one: UnderlyingRisk, elsewhere: Elsewhere | None, book: BookFigures
) -> dict[str, Any]:
    doubt = book.doubt
    sums = one.sums
    return {
        "symbol": one.symbol,
        "spot": one.spot,
        "spot_source": one.spot_source,
        "spot_expiry": one.spot_expiry,
        "delta": sums.delta.amount,
        "delta_between": _ends(sums.delta),
        "delta_dollars": sums.delta_dollars.amount,
        "gamma": sums.gamma.amount,
        "vega": sums.vega.amount,
        "theta": sums.theta.amount,
        **_facts_of_theta(theta_parts(_of_name(one.symbol, book))),
        "beta": one.beta.value,
        "beta_words": one.beta.words,
        "pnl_today": one.pnl_today,
        "unrealized": one.unrealized,
        "coverage": _coverage(sums),
        "next_expiry": one.next_expiry,
        **_facts_of_worst(one.worst),
        "max_loss_without": list(one.ended.labels),
        "quantity_in_doubt": one.symbol in doubt.underlyings,
        **_facts_of_worst(doubt.worst_of(one.symbol), "max_loss_by_account"),
        "max_loss_by_account_without": list(doubt.ended.on(one.symbol).labels),
        "what_if": None if elsewhere is None else _facts_of_curve(elsewhere.underlyings[one.symbol]),
    }


def _facts_of_book(book: BookFigures) -> dict[str, Any]:
    weighted = book.beta_weighted
    return {
        "index": weighted.index,
        "delta_beta_weighted": weighted.shares,
        "delta_beta_weighted_between": weighted.share_ends and list(weighted.share_ends),
        "dollars_per_percent": weighted.dollars_per_percent,
        "dollars_per_percent_between": weighted.dollar_ends and list(weighted.dollar_ends),
        "beta_weighted_legs": {
            "known": weighted.counted - len(weighted.bounds),
            "bound": len(weighted.bounds),
            "of": weighted.of,
        },
        "delta_dollars": book.sums.delta_dollars.amount,
        "theta": book.sums.theta.amount,
        **_facts_of_theta(theta_parts(book.lines)),
        "vega": book.sums.vega.amount,
        "vega_by_expiry": {
            day.isoformat(): sums.vega.amount
            for day, sums in book.sums_by_expiry.items()
            if day is not None and sums.vega.coverage.of
        },
        "expiries_in_doubt": list(_expiries_in_doubt(book)),
        **_facts_of_worst(book.max_loss),
        "max_loss_without": list(book.extremes.ended.labels),
        "quantity_in_doubt": bool(book.doubt.underlyings),
        **_facts_of_worst(book.doubt.worst, "max_loss_by_account"),
        "max_loss_by_account_without": list(book.doubt.ended.labels),
        "undefined_risks": list(book.extremes.undefined),
        "pnl_today": book.profits.book_today,
        "pnl_today_reasons": list(book.profits.today_reasons),
        "unrealized": book.profits.book_unrealized,
        "natural": book.profits.book_natural,
        "alarms": list(book.alarms),
        "coverage": _coverage(book.sums),
    }


def _expiries_in_doubt(book: BookFigures) -> Iterator[str]:
    """Of which the sums rest on a quantity that the account does not hold, or may not."""
    days = {
        one.expiry
        for one in book.lines
        if one.quantity_in_doubt and one.expiry is not None and not one.has_ended
    }
    yield from (day.isoformat() for day in sorted(days))


def _facts_of_worst(worst: Extreme | None, name: str = "max_loss") -> dict[str, Any]:
    """The greatest loss as a positive number of dollars, and until when it holds; below 0 it is a sure gain."""
    if worst is None:
        return dict.fromkeys((name, f"{name}_state", f"{name}_reason", f"{name}_until", f"{name}_given"))
    return {
        name: None if worst.amount is None else float(-worst.amount),
        f"{name}_state": worst.limit,
        f"{name}_reason": worst.reason or None,
        f"{name}_until": worst.until,
        f"{name}_given": worst.given_words or None,
    }


def _of_name(symbol: str, book: BookFigures) -> list[LineRisk]:
    return [one for one in book.lines if one.underlying == symbol]


def _facts_of_theta(parts: ThetaParts) -> dict[str, Any]:
    return {"theta_per_day": parts.per_day, "theta_time_value_left": parts.time_value_left}


def _coverage(sums: GreekSums) -> dict[str, dict[str, int]]:
    found = {name: getattr(sums, name).coverage for name in _COVERED}
    return {name: {"known": one.known, "bound": one.bound, "of": one.of} for name, one in found.items()}


def _ends(one: GreekSum) -> list[float] | None:
    return None if one.ends is None else list(one.ends)


def _facts_of_curve(there: Curve) -> dict[str, Any]:
    return {
        "worth_now": there.now,
        "worth": float(there.worth[0]),
        "change": float(there.change[0]),
        "by_model": there.by_model,
        "of": there.legs,
        "by_intrinsic": list(there.by_intrinsic),
        "without_mark": list(there.without_mark),
        "ended": list(there.ended),
        "left_out": list(there.left_out),
        "at_floor": list(there.at_floor),
    }


def lines_of(
    book: BookFigures, *, what_if: Elsewhere | None, second_opinion: Opinion, problems: Sequence[str]
) -> Iterator[str]:
    """All of it for a person."""
    yield f"As of {book.as_of:%Y-%m-%d %H:%M:%S} UTC. {DISCLAIMER}"
    if book.underlyings:
        yield from _table(book)
    weighted = book.beta_weighted
    yield (
        f"{_money(weighted.dollars_per_percent)} for 1 % of {weighted.index}: beta-weighted delta "
        f"{_number(weighted.shares)} shares of it, {weighted.counted} of {weighted.of} lines{_bounds(weighted)}"
        f"{_doubt_of_book(book)}"
    )
    yield (
        f"natural {_money(book.profits.book_natural)}: if all were closed now, longs at the bid and shorts at the ask"
        f"{_lacking(book.profits.natural_lacks)}{_doubt_of_book(book)}"
    )
    if what_if is not None:
        yield from _lines_of_elsewhere(what_if, book)
    if second_opinion is not None:
        options = [one for one in book.lines if one.iv_state is not None]
        for line, delta in zip(options, second_opinion, strict=True):
            yield f"QuantLib, {line.label}: delta {_number(delta)}, ours {_number(line.delta)}"
    for sentence in book.alarms:
        yield f"alarm: {sentence}"
    for sentence in problems:
        if sentence not in book.alarms:
            yield f"not judged: {sentence}"
    for sentence in book.profits.today_reasons:
        yield f"today: {sentence}"
    yield from _note_lines(book)


def _note_lines(book: BookFigures) -> Iterator[str]:
    for one in book.underlyings:
        if one.spot_words:
            yield f"note: {one.spot_words}"
    for sentence, labels in _notes(book).items():
        yield f"note: {', '.join(labels)}: {sentence}"


def _lacking(names: Sequence[str]) -> str:
    """Of which entries a sum is not known, and so is none."""
    return f"; a price, a cost or a multiplier is not known of {', '.join(names)}" if names else ""


def _bounds(weighted: BetaWeighted) -> str:
    """Which of the lines have only a bound of their delta in it."""
    if not weighted.bounds:
        return ""
    said = f", of which {format_count(len(weighted.bounds), 'bound')}: {', '.join(weighted.bounds)}"
    if weighted.share_ends is None:
        return said
    low, high = weighted.share_ends
    return f"{said}, so it lies between {_number(low)} and {_number(high)}"


def _notes(book: BookFigures) -> dict[str, list[str]]:
    """What is said of lines that were judged, and of which."""
    notes: dict[str, list[str]] = {}
    for one in book.lines:
        if one.is_over:
            continue
        last_day = (_LAST_DAY,) if one.is_last_day and one.theta is not None else ()
        closed = (
            ()
            if one.iv_at is None
            else (f"Its volatility is that of the close, {one.iv_at:%H:%M on %d %b}.",)
        )
        # Of what could not be judged that was said, and why.
        reasons = (*closed, *one.reasons) if one.delta_state is FigureState.OK else ()
        for sentence in (*last_day, *reasons):
            notes.setdefault(sentence, []).append(one.label)
    return notes


_LAST_DAY: Final = "It ends within a day, so its theta is the time value that is left, not a day's."
# What a figure is in, after its name; a loss is a positive number.
_COLUMNS: Final = (
    "underlying",
    "price $",
    "age",
    "delta sh",
    "gamma sh/$",
    "vega $/pt",
    "theta $/day",
    "greatest loss $",
    "next expiry",
    "today $",
    "unrealized $",
)
# After the name of a row whose figures rest on quantities that are not the account's; an alarm says which.
_IN_DOUBT: Final = " (quantity in doubt)"
# After a price that no quote says; a note below says which.
_FROM_OPTIONS: Final = " (from options)"
_RIGHT: Final = frozenset(_COLUMNS) - {"underlying", "next expiry"}


def _table(book: BookFigures) -> Iterator[str]:
    """A row for each underlying and one for all; what a sum does not wholly cover says how much it does."""
    rows = [_row(one, book) for one in book.underlyings]
    profits = book.profits
    last = (
        f"book{_doubt_of_book(book)}",
        "",
        "",
        "",
        "",
        _sum(book.sums.vega),
        _theta(book.sums.theta, book.lines),
        _worst(book.max_loss, book.extremes.ended),
        "",
        _money(profits.book_today),
        _money(profits.book_unrealized),
    )
    return table_lines(_COLUMNS, [*rows, last], _RIGHT)


def _row(one: UnderlyingRisk, book: BookFigures) -> tuple[str, ...]:
    sums = one.sums
    return (
        f"{one.symbol}{_IN_DOUBT if one.symbol in book.doubt.underlyings else ''}",
        _spot(one),
        _age(one.symbol, book),
        _sum(sums.delta),
        _sum(sums.gamma),
        _sum(sums.vega),
        _theta(sums.theta, _of_name(one.symbol, book)),
        _UNKNOWN if one.worst is None else _worst(one.worst, one.ended),
        "" if one.next_expiry is None else short_date(one.next_expiry),
        _money(one.pnl_today),
        _money(one.unrealized),
    )


def _age(symbol: str, book: BookFigures) -> str:
    """How old the oldest figure of an underlying is."""
    ages = [
        one.greek_age_seconds
        for one in book.lines
        if one.underlying == symbol and not one.has_ended and one.greek_age_seconds is not None
    ]
    return format_span(max(ages)) if ages else _UNKNOWN


def _doubt_of_book(book: BookFigures) -> str:
    return _IN_DOUBT if book.doubt.underlyings else ""


def _lines_of_elsewhere(elsewhere: Elsewhere, book: BookFigures) -> Iterator[str]:
    """What is won or lost there, all together and by underlying, and what is no part of it."""
    there = elsewhere.book
    yield f"with {elsewhere.what_if.words}: {_change(there)}{_doubt_of_book(book)}"
    for name, of_name in elsewhere.underlyings.items():
        yield f"  {name}: {_change(of_name)}{_IN_DOUBT if name in book.doubt.underlyings else ''}"
    for labels, words in (
        (there.by_intrinsic, "by intrinsic value and today's time value"),
        (there.at_floor, "at a volatility of 0, where it stops"),
        (there.without_mark, "without a mark"),
        (there.ended, "ended by then, at intrinsic value"),
        (there.left_out, "left out"),
    ):
        if labels:
            yield f"  {words}: {', '.join(labels)}"


def _change(there: Curve) -> str:
    """That it is a change, between which worths, and how much of it is the model's."""
    return (
        f"a change of {_money(float(there.change[0]), signed=True)}, from {_money(there.now)} to "
        f"{_money(float(there.worth[0]))} ({there.words} by the model)"
    )


def _spot(one: UnderlyingRisk) -> str:
    """Its price, and a mark where no quote says it."""
    if one.spot is None:
        return _UNKNOWN
    return price_text(one.spot) + (_FROM_OPTIONS if one.spot_source is SpotSource.OPTIONS else "")


def _sum(one: GreekSum) -> str:
    """A sum, and what it covers where that is not all."""
    covered = one.coverage
    part = f" ({covered.known} of {covered.of}" + (f", {covered.bound} bound)" if covered.bound else ")")
    said = _number(one.amount) if one.ends is None else " to ".join(_number(end) for end in one.ends)
    return said + ("" if one.is_whole else part)


def _theta(one: GreekSum, lines: Sequence[LineRisk]) -> str:
    """The sum, and how much of it is time value left in a last day and no rate."""
    left = theta_parts(lines).time_value_left
    return _sum(one) + ("" if left is None else f" (of which {_number(left)} time value left)")


def _worst(one: Extreme, ended: EndedLegs) -> str:
    """The loss as a positive number, until when it holds, and how many legs that have ended it is without."""
    without = f"without {format_count(len(ended.lines), 'ended leg')}" if ended.lines else ""
    said = "".join(f" ({words})" for words in (one.holds_words, without) if words)
    if one.amount is None:
        return f"{one.limit}{said}"
    loss = (
        _money(float(-one.amount)) if one.amount <= 0 else f"no loss: at least +{_money(float(one.amount))}"
    )
    return f"{loss}{said}"


def _number(value: float | None) -> str:
    """Two decimals, and of what is smaller two digits: a gamma of 0.0041 is not 0."""
    if value is None:
        return _UNKNOWN
    return f"{value:,.2f}" if abs(value) >= _SMALL or not value else f"{value:.2g}"


def _money(value: float | None, *, signed: bool = False) -> str:
    if value is None:
        return _UNKNOWN
    # Without a minus before nothing.
    cents = round(value, 2) + 0.0
    return f"{cents:+,.2f}" if signed and cents else f"{cents:,.2f}"
