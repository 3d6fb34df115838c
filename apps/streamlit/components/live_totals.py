"""The book in a row of tiles; each says what it counts, how much of it is known, and how old its oldest part is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from apps.streamlit.components.board_cell import ROUGHLY
from apps.streamlit.components.formatting import UNKNOWN, age, arrow, clock, money, percent
from apps.streamlit.components.live_risk_tiles import NAMED_AT_MOST, risk_tiles
from apps.streamlit.components.live_tile import NO_POSITIONS, NOTHING_YET, Tile, tile_html
from options_helper.analysis.grades import Grade
from options_helper.analysis.live_health import Level
from options_helper.analysis.marks import QuoteWarning
from options_helper.analysis.totals import LiveTotals, Tally
from options_helper.live.attention import Item
from options_helper.live.screen import ScreenModel
from options_helper.model.account import Source
from options_helper.model.announcement import MarketKind
from options_helper.model.contract_symbols import short_date
from options_helper.model.text import format_count, format_holding, named


def tiles_html(screen: ScreenModel, items: Sequence[Item]) -> str:
    """The row of tiles; `items` are what needs a hand."""
    tiles = (*profit_tiles(screen), *risk_tiles(screen), liquidation_tile(screen), hand_tile(items))
    return f'<div class="oh-row"><div class="oh-tiles">{"".join(map(tile_html, tiles))}</div></div>'


def profit_tiles(screen: ScreenModel) -> Iterator[Tile]:
    """What today made; and what is open, by the marks and if everything were closed now."""
    totals = screen.totals
    yield _profit(
        "P&L today",
        totals.day,
        f"{_parts_of_today(screen)}\n{' '.join(day_sentences(screen))}",
        screen,
        missing=" ".join(day_sentences(screen)),
        caveat=_without_later_trades(totals.day_behind),
    )
    natural = _part(totals.pnl_natural, screen) if totals.pnl_natural.counted else ""
    details = (
        "at Alpaca's costs, before fees" if screen.of_account else "",
        f"closing now, bid for longs and ask for shorts: {natural}" if natural else "",
        _provenance(screen),
        _with_gains_and_fees(screen),
        _legs_note(screen),
    )
    yield _profit(
        "Unrealized P&L",
        totals.pnl,
        "\n".join(filter(None, (_share_of(screen), *details))),
        screen,
        beside=_share(totals),
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
    else:
        yield from _bases(screen)
    if totals.closed_today:
        yield f"Closed today: {named([format_holding(symbol) for symbol in totals.closed_today], 3)}."
    # What the account's answer was stands above already, with the remedy.
    problems = {report.problem for report in screen.snapshot.account.reports.values() if report.problem}
    for reason in totals.day_reasons:
        told = next((problem for problem in problems if problem in reason), None)
        yield reason if told is None else _with_reason_above(reason, told)


def _bases(screen: ScreenModel) -> Iterator[str]:
    """What today is measured from, of all that was held overnight."""
    held, session = screen.portfolio.instruments, screen.totals.day_base
    has_coins = any(item.is_coin for item in held)
    if session is not None:
        yield f"Today: against the close of {short_date(session)}."
    elif not has_coins:
        yield "Today: nothing of it was held overnight."
    if has_coins:
        yield "Coins: against their price at midnight in New York."
    if session is not None and any(not item.is_option and not item.is_coin for item in held):
        yield "A dividend that goes ex today counts as a loss."


def _with_reason_above(reason: str, told: str) -> str:
    """The reason up to what was told already: "Today's fills could not be read; the reason is above."."""
    return f"{reason.partition(told)[0].rstrip(' :').removesuffix(', after this')}; the reason is above."


def liquidation_tile(screen: ScreenModel) -> Tile:
    """What the book would fetch, and what the account lets be bought."""
    totals, hidden = screen.totals, screen.options.preferences.hide_amounts
    value = totals.liquidation_value
    cash = _cash_of_each(screen) if screen.accounts else _cash_counted(totals, hidden=hidden)
    notes = (_buying_power(screen), f"{cash}, at natural")
    return Tile(
        "Liquidation value",
        f"{_roughly(totals.at_natural) if value is not None else ''}{money(value, hidden=hidden)}",
        "\n".join(filter(None, notes)),
        caveat="\n".join(filter(None, (totals.holdings.caveat, *_reservations(totals)))),
    )


def _buying_power(screen: ScreenModel) -> str:
    """What the account said it has for options, and when that was read; of several each its own, which is no sum."""
    if screen.accounts:
        each = {name: _buying_power(one) for name, one in screen.accounts.items()}
        return "; ".join(f"{name}: {said or 'buying power not known'}" for name, said in each.items())
    view, read_at = screen.snapshot.account.view, screen.totals.holdings.read_at
    if view is None or view.options_buying_power is None:
        return ""
    amount = money(float(view.options_buying_power), hidden=screen.options.preferences.hide_amounts)
    when = "" if read_at is None else f" at {clock(read_at, screen.options.zone)}"
    return f"buying power {amount}{when}"


def hand_tile(items: Sequence[Item]) -> Tile:
    """How many things need a hand, and the worst of them."""
    urgent = [item for item in items if item.counts]
    if not urgent:
        return Tile(
            "Needs your hand", "nothing", "see Attention for what to know" if items else "all is well"
        )
    worst = urgent[0]
    grave = worst.level is Level.ERROR
    return Tile(
        "Needs your hand",
        format_count(len(urgent), "item"),
        "" if grave else f"{worst.subject}: {worst.what}",
        tone="error" if grave else "warning",
        caveat=f"{worst.subject}: {worst.what}" if grave else "",
    )


def _profit(
    name: str,
    tally: Tally,
    source: str,
    screen: ScreenModel,
    *,
    missing: str = NOTHING_YET,
    caveat: str = "",
    beside: str = "",
) -> Tile:
    file_only = screen.totals.holdings.caveat
    if not tally.counted:
        return Tile(name, UNKNOWN, missing if tally.of else NO_POSITIONS, caveat=file_only)
    amount = money(tally.known, signed=True, hidden=screen.options.preferences.hide_amounts)
    partial = "" if tally.complete else f"PARTIAL: {tally.counted} of {tally.of} positions\n{_missing(tally)}"
    grades = f"positions: {tally.caveat}" if tally.caveat else ""
    return Tile(
        name,
        f"{_roughly(tally)}{arrow(tally.known)} {amount}".strip(),
        source,
        tone=_tone(tally.known),
        caveat="\n".join(filter(None, (partial, file_only, caveat, grades))),
        # A line that has no price for a moment takes its profit out of the sum, and the figure itself has to say so.
        beside=beside if tally.complete else f"{tally.counted} of {tally.of}",
    )


def _cash_counted(totals: LiveTotals, *, hidden: bool) -> str:
    """Which cash is in the figure; where the account's is another, that too."""
    cash, of_account = totals.cash, totals.holdings.cash
    beside = "" if of_account is None else f" (the account has {money(float(of_account), hidden=hidden)})"
    if cash is None:
        return f"positions only{beside}"
    agrees = of_account is None or abs(float(of_account) - cash) < 0.005
    return "positions and cash" if agrees else f"positions and the file's cash{beside}"


def _cash_of_each(screen: ScreenModel) -> str:
    """The same of several accounts: whose cash is how much, and who says so, since no account has their sum."""
    hidden = screen.options.preferences.hide_amounts
    each = []
    for name, one in screen.accounts.items():
        cash, of_account = one.totals.cash, one.totals.holdings.cash
        has = "" if of_account is None else f"the account has {money(float(of_account), hidden=hidden)}"
        if cash is None or not one.loaded:
            each.append(f"{name} not known" if not has else f"{name} not counted ({has})")
            continue
        differs = of_account is not None and abs(float(of_account) - cash) >= 0.005
        source = "account" if one.of_account else f"file; {has}" if differs else "file"
        each.append(f"{name} ({source}) {money(cash, hidden=hidden)}")
    counted = "positions only" if screen.totals.cash is None else "positions and each account's cash"
    return f"{counted}: {', '.join(each)}"


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


def _share(totals: LiveTotals) -> str:
    return percent(totals.pnl_pct, signed=True)


def _share_of(screen: ScreenModel) -> str:
    """What the percentage is of; or why there is none."""
    totals, hidden = screen.totals, screen.options.preferences.hide_amounts
    if totals.pnl_pct is None:
        return f"P&L %: {_why_no_share(totals)}"
    return f"of {money(totals.opened_for.total, hidden=hidden)} paid or received"


def _why_no_share(totals: LiveTotals) -> str:
    """Why the profit is not told in percent of what the positions were opened for."""
    if not totals.pnl.counted:
        return NOTHING_YET if totals.pnl.of else NO_POSITIONS
    if totals.pnl.complete and totals.opened_for.complete:
        return "nothing was paid or received"
    return "not known while the sum is partial"


def _without_later_trades(contracts: Sequence[str]) -> str:
    """What the file is behind of is not in its profit."""
    return f"FILE BEHIND in {format_count(len(contracts), 'contract')}" if contracts else ""


def _parts_of_today(screen: ScreenModel) -> str:
    totals = screen.totals
    parts = (("realized", totals.day_realized), ("unrealized", totals.day_unrealized))
    return " · ".join(f"{word} {_part(tally, screen)}" for word, tally in parts)


def _part(tally: Tally, screen: ScreenModel) -> str:
    amount = money(tally.known, signed=True, hidden=screen.options.preferences.hide_amounts)
    return amount if tally.complete else f"{amount} ({tally.counted} of {tally.of})"


def _legs_note(screen: ScreenModel) -> str:
    """How many lines have a value, and why some have none: those that expired never will have one."""
    totals = screen.totals
    if not totals.legs or totals.complete:
        return ""
    reasons = (
        (totals.unpriced, "without a price"),
        (totals.without_multiplier, "without a multiplier"),
        (totals.with_warning(QuoteWarning.EXPIRED), "expired"),
    )
    why = ", ".join(f"{len(lines)} {what}" for lines, what in reasons if lines)
    return f"{totals.priced_legs} of {format_count(totals.legs, 'line')} priced" + (f", {why}" if why else "")


def _provenance(screen: ScreenModel) -> str:
    """Where the marks came from, and how old the oldest is: "11 mid, 1 trade · 2 by REST · oldest 12 s"."""
    sources: Counter[str] = Counter()
    from_rest = 0
    oldest = 0.0
    for table in (screen.positions, screen.legs):
        names = ("mark_source", "mark_via", "mark_age_seconds")
        for source, via, seconds in zip(*map(table.values, names), strict=True):
            if source is not None:
                sources[source] += 1
                from_rest += via == Source.REST
                oldest = max(oldest, seconds)
    counts = ", ".join(f"{count} {source}" for source, count in sources.most_common())
    by_rest = f" · {from_rest} by REST" if from_rest else ""
    no_bid = len(screen.totals.with_warning(QuoteWarning.ZERO_BID))
    beside_nothing = f" · {no_bid} with no bid, at half the ask" if no_bid else ""
    return f"{counts}{by_rest} · oldest {age(oldest)}{beside_nothing}"


def _roughly(tally: Tally) -> str:
    """Where a quantity in it is not the account's, or may not be, as in the table's last row."""
    return ROUGHLY if Grade.QUANTITY in tally.grades else ""


def _reservations(totals: LiveTotals) -> Iterator[str]:
    """What must stand at what closing would bring that is not known, or not surely, in all its parts."""
    tally = totals.at_natural
    # Before the first prices there is nothing to name; with prices that nobody can close at there is all of it.
    if not tally.complete and (tally.counted or totals.at_mark.counted):
        yield f"{tally.counted} of {format_count(tally.of, 'position')} known"
        yield _missing(tally)
    if tally.counted and tally.caveat:
        yield f"positions: {tally.caveat}"


def _missing(tally: Tally) -> str:
    """Which positions are not in it."""
    return f"missing: {named(tally.missing, NAMED_AT_MOST)}" if tally.missing else ""


def _tone(amount: float | None) -> str:
    sign = arrow(amount)
    return {"▲": "gain", "▼": "loss"}.get(sign, "")
