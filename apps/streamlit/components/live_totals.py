"""The book in a few tiles; each says what it counts, how much of it is known, and how old its oldest part is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

from apps.streamlit.components.formatting import UNKNOWN, age, arrow, money, percent
from apps.streamlit.components.style import draw, line, tag
from options_helper.analysis.marks import QuoteWarning
from options_helper.analysis.totals import LiveTotals, NearestExpiry, Tally, labels
from options_helper.live.screen import ScreenModel
from options_helper.model.account import Source
from options_helper.model.announcement import MarketKind
from options_helper.model.contract_symbols import short_date
from options_helper.model.text import format_count, format_holding, named

NOTHING_YET: Final = "nothing to count yet"
NO_POSITIONS: Final = "no positions"


@dataclass(frozen=True, slots=True)
class Tile:
    """One figure, its name, and what must be known about it."""

    name: str
    figure: str
    note: str
    tone: str = ""  # gain or loss
    caveat: str = ""  # why the figure is not the whole truth


def totals_tiles(screen: ScreenModel) -> None:
    """Draw the totals in one piece."""
    hero = "".join(_tile(tile, "oh-profit") for tile in profit_tiles(screen))
    # Always there, so that nothing moves when the account's answer comes.
    known = bool(screen.totals.day.counted)
    hero += line(" ".join(day_sentences(screen)), "oh-note oh-today", role="note", whole=not known)
    small = "".join(_tile(tile, "oh-tile") for tile in book_tiles(screen))
    draw(f'<div class="oh-tiles"><div class="oh-tile oh-hero">{hero}</div>{small}</div>')


def profit_tiles(screen: ScreenModel) -> Iterator[Tile]:
    """Unrealized P&L: by the marks, and if everything were closed now; and what today made."""
    totals = screen.totals
    source = "\n".join(filter(None, (_provenance(screen), _with_gains_and_fees(screen))))
    yield _profit("Unrealized P&L at mark", totals.pnl, source, screen)
    yield _profit(
        "P&L at natural",
        totals.pnl_natural,
        "closing now: bid for longs, ask for shorts",
        screen,
    )
    yield _profit(
        "P&L today",
        totals.day,
        _parts_of_today(screen),
        screen,
        missing="n/a; the reason is below",
        caveat=_without_later_trades(totals.day_behind),
    )


def day_sentences(screen: ScreenModel) -> Iterator[str]:
    """What the profit of today rests on, what was closed, and why what is missing is missing."""
    totals = screen.totals
    if screen.run is None:
        yield "Today: known after Start, when the account was asked."
        return
    if screen.snapshot.market is MarketKind.REPLAY:
        yield "Today: n/a. A replay has no account, so what was traded is not known."
        return
    if not totals.day.counted:
        yield "Today: n/a."
    elif totals.day_base is not None:
        yield f"Today: against the close of {short_date(totals.day_base)}."
        if any(not item.is_option for item in screen.portfolio.instruments):
            yield "A dividend that goes ex today counts as a loss."
    else:
        yield "Today: nothing of it was held overnight."
    if totals.closed_today:
        yield f"Closed today: {named([format_holding(symbol) for symbol in totals.closed_today], 3)}."
    # What the account's answer was stands above already, with the remedy.
    problems = {report.problem for report in screen.snapshot.account.reports.values() if report.problem}
    for reason in totals.day_reasons:
        told = next((problem for problem in problems if problem in reason), None)
        yield reason if told is None else _with_reason_above(reason, told)


def _with_reason_above(reason: str, told: str) -> str:
    """The reason up to what was told already: "Today's fills could not be read; the reason is above."."""
    return f"{reason.partition(told)[0].rstrip(' :').removesuffix(', after this')}; the reason is above."


def book_tiles(screen: ScreenModel) -> Iterator[Tile]:
    """What the book is worth, risks and waits for."""
    totals, hidden = screen.totals, screen.options.preferences.hide_amounts
    opened_for = totals.opened_for
    yield Tile(
        "P&L %",
        percent(totals.pnl_pct, signed=True),
        f"of {money(opened_for.total, hidden=hidden)} paid or received"
        if totals.pnl_pct is not None
        else _why_no_share(totals),
        _tone(totals.pnl_pct),
        totals.holdings.caveat,
    )
    yield Tile(
        "Liquidation value",
        money(totals.liquidation_value, hidden=hidden),
        f"{_cash_counted(totals, hidden=hidden)}, at natural",
        caveat="\n".join(filter(None, (totals.holdings.caveat, *_reservations(totals.at_natural)))),
    )
    yield Tile(
        "Long premium paid",
        money(totals.long_premium_paid, hidden=hidden) if totals.long_premium.of else UNKNOWN,
        "paid for what is held long" if totals.long_premium.of else "no option is held long",
        caveat="\n".join(
            filter(None, (totals.holdings.caveat, *_reservations(totals.long_premium), _undefined(totals)))
        ),
    )
    yield Tile(
        "Legs priced",
        f"{totals.priced_legs} of {totals.legs}" if totals.legs else UNKNOWN,
        _legs_note(screen),
    )
    expiry, spread = totals.nearest_expiry, totals.widest_spread
    yield Tile(
        "Nearest expiry",
        UNKNOWN if expiry is None else "today" if expiry.dte == 0 else f"{expiry.dte} d",
        _first_to_expire(expiry)
        if expiry
        else "all expired"
        if totals.with_warning(QuoteWarning.EXPIRED)
        else "no options",
    )
    yield Tile(
        "Widest spread",
        percent(spread.spread_pct) if spread else UNKNOWN,
        spread.label if spread else "no quote with two sides in order",
    )


def _profit(
    name: str,
    tally: Tally,
    source: str,
    screen: ScreenModel,
    *,
    of: str = "positions",
    missing: str = NOTHING_YET,
    caveat: str = "",
) -> Tile:
    file_only = screen.totals.holdings.caveat
    if not tally.counted:
        return Tile(name, UNKNOWN, missing if tally.of else NO_POSITIONS, caveat=file_only)
    amount = money(tally.known, signed=True, hidden=screen.options.preferences.hide_amounts)
    partial = "" if tally.complete else f"PARTIAL: {tally.counted} of {tally.of} {of}"
    grades = f"of which {tally.caveat}" if tally.caveat else ""
    return Tile(
        name,
        f"{arrow(tally.known)} {amount}".strip(),
        source,
        tone=_tone(tally.known),
        caveat="\n".join(filter(None, (partial, file_only, caveat, grades))),
    )


def _undefined(totals: LiveTotals) -> str:
    """What the premium paid says nothing of."""
    count = len(totals.undefined_risks)
    return f"UNDEFINED RISK: {format_count(count, 'position')}" if count else ""


def _cash_counted(totals: LiveTotals, *, hidden: bool) -> str:
    """Which cash is in the figure; where the account's is another, that too."""
    cash, of_account = totals.cash, totals.holdings.cash
    beside = "" if of_account is None else f" (the account has {money(float(of_account), hidden=hidden)})"
    if cash is None:
        return f"positions only{beside}"
    agrees = of_account is None or abs(float(of_account) - cash) < 0.005
    return "positions and cash" if agrees else f"positions and the file's cash{beside}"


def _with_gains_and_fees(screen: ScreenModel) -> str:
    """What the profit comes to with what the file says was realized and paid in fees; a market price has neither."""
    carried, pnl = screen.totals.carried, screen.totals.pnl
    if not carried.entries:
        return ""
    hidden = screen.options.preferences.hide_amounts
    parts = (
        f"before fees; {money(carried.realized, signed=True, hidden=hidden)} realized and "
        f"{money(carried.fees, hidden=hidden)} fees so far, named by "
        f"{format_count(carried.entries, 'position')} of the file"
    )
    if pnl.total is None:
        return parts
    return f"{parts}: {money(pnl.total + carried.net, signed=True, hidden=hidden)} net"


def _why_no_share(totals: LiveTotals) -> str:
    """Why the profit is not told in percent of what the positions were opened for."""
    if not totals.pnl.counted:
        return NOTHING_YET if totals.pnl.of else NO_POSITIONS
    if totals.pnl.complete and totals.opened_for.complete:
        return "nothing was paid or received"
    return "not known while the sum is partial"


def _without_later_trades(contracts: Sequence[str]) -> str:
    """What the file is behind of is not in its profit."""
    return f"WITHOUT LATER TRADES in {format_count(len(contracts), 'contract')}" if contracts else ""


def _parts_of_today(screen: ScreenModel) -> str:
    totals = screen.totals
    parts = (("realized", totals.day_realized), ("unrealized", totals.day_unrealized))
    return "\n".join(f"{word} {_part(tally, screen)}" for word, tally in parts)


def _part(tally: Tally, screen: ScreenModel) -> str:
    amount = money(tally.known, signed=True, hidden=screen.options.preferences.hide_amounts)
    return amount if tally.complete else f"{amount} ({tally.counted} of {tally.of})"


def _first_to_expire(expiry: NearestExpiry) -> str:
    """The first contract that expires then, and how many more."""
    first, *others = labels(expiry.lines)
    return f"{first} and {len(others)} more" if others else first


def _legs_note(screen: ScreenModel) -> str:
    """Why some legs have no price: those that expired never will have one."""
    totals = screen.totals
    if not totals.legs:
        return NO_POSITIONS
    if totals.complete:
        return "all, shares included"
    reasons = ((totals.unpriced, "without a price"), (totals.with_warning(QuoteWarning.EXPIRED), "expired"))
    return ", ".join(f"{len(lines)} {what}" for lines, what in reasons if lines)


def _provenance(screen: ScreenModel) -> str:
    """Where the marks came from, and how old the oldest is: "11 mid, 1 trade · 2 by REST · oldest 12 s"."""
    sources: Counter[str] = Counter()
    from_rest = 0
    oldest = 0.0
    for table in (screen.positions, screen.legs):
        columns = (table["mark_source"], table["mark_via"], table["mark_age_seconds"])
        for source, via, seconds in zip(*(column.tolist() for column in columns), strict=True):
            # A missing word is NaN in a column of words.
            if isinstance(source, str):
                sources[source] += 1
                from_rest += via == Source.REST
                oldest = max(oldest, seconds)
    counts = ", ".join(f"{count} {source}" for source, count in sources.most_common())
    by_rest = f" · {from_rest} by REST" if from_rest else ""
    no_bid = len(screen.totals.with_warning(QuoteWarning.ZERO_BID))
    beside_nothing = f" · {no_bid} with no bid, at half the ask" if no_bid else ""
    return f"{counts}{by_rest} · oldest {age(oldest)}{beside_nothing}"


def _reservations(tally: Tally) -> Iterator[str]:
    """What must stand at a sum that is not known, or not surely, in all its parts."""
    if tally.counted and not tally.complete:
        yield f"{tally.counted} of {tally.of} known"
    if tally.counted and tally.caveat:
        yield tally.caveat


def _tone(amount: float | None) -> str:
    sign = arrow(amount)
    return {"▲": "gain", "▼": "loss"}.get(sign, "")


def _tile(tile: Tile, css_class: str) -> str:
    figure = f"oh-figure oh-{tile.tone}" if tile.tone else "oh-figure"
    caveat = tag("div", tile.caveat, "oh-note oh-caveat") if tile.caveat else ""
    note = "".join(line(part, "oh-note") for part in tile.note.split("\n"))
    parts = tag("div", tile.name, "oh-name") + tag("div", tile.figure, figure) + caveat + note
    return f'<div class="{css_class}" role="group" data-tile="{escape(tile.name)}">{parts}</div>'
