"""The book in a few tiles; each says what it counts, how much of it is known, and how old its oldest part is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

from apps.streamlit.components.live_screen import Screen
from apps.streamlit.components.look import draw, tag
from apps.streamlit.components.words import UNKNOWN, age, arrow, money, percent

if TYPE_CHECKING:
    from options_helper.analysis.live_portfolio_metrics import Tally


@dataclass(frozen=True, slots=True)
class Tile:
    """One figure, its name, and what must be known about it."""

    name: str
    figure: str
    note: str
    tone: str = ""  # gain or loss
    caveat: str = ""  # why the figure is not the whole truth


def totals_tiles(screen: Screen) -> None:
    """Draw the totals in one piece."""
    hero = "".join(_tile(tile, "") for tile in profit_tiles(screen))
    small = "".join(_tile(tile, "oh-tile") for tile in book_tiles(screen))
    draw(f'<div class="oh-tiles"><div class="oh-tile oh-hero">{hero}</div>{small}</div>', screen.look.colours)


def profit_tiles(screen: Screen) -> Iterator[Tile]:
    """Unrealized P&L: by the marks, and if everything were closed now."""
    totals = screen.totals
    yield _profit("Unrealized P&L at mark", totals.pnl, _provenance(screen), screen)
    yield _profit(
        "P&L at natural",
        totals.pnl_natural,
        "closing now: bid for longs, ask for shorts",
        screen,
    )


def book_tiles(screen: Screen) -> Iterator[Tile]:
    """What the book is worth, risks and waits for."""
    totals, hidden = screen.totals, screen.look.preferences.hide_amounts
    opened_for = totals.opened_for
    yield Tile(
        "P&L %",
        percent(totals.pnl_pct, signed=True),
        f"of {money(opened_for.total, hidden=hidden)} paid or received"
        if totals.pnl_pct is not None
        else "not known while the sum is partial",
        _tone(totals.pnl_pct),
    )
    yield Tile(
        "Liquidation value",
        money(totals.liquidation_value, hidden=hidden),
        f"{totals.liquidation_covers}, at natural{_missing(totals.at_natural)}",
    )
    yield Tile(
        "Premium at risk",
        money(totals.premium_at_risk, hidden=hidden),
        f"paid for what is held long{_missing(totals.at_risk)}",
    )
    yield Tile(
        "Legs priced",
        f"{totals.priced_legs} of {totals.legs}",
        _legs_note(screen),
    )
    expiry, spread = totals.nearest_expiry, totals.widest_spread
    yield Tile(
        "Nearest expiry",
        UNKNOWN if expiry is None else "today" if expiry.dte == 0 else f"{expiry.dte} d",
        expiry.words if expiry else "no options",
    )
    yield Tile(
        "Widest spread",
        percent(spread.pct) if spread else UNKNOWN,
        spread.words if spread else "no quote with two sides in order",
    )


def _profit(name: str, tally: Tally, source: str, screen: Screen) -> Tile:
    if not tally.counted:
        return Tile(name, UNKNOWN, "nothing to count yet" if tally.of else "no positions")
    amount = money(tally.known, signed=True, hidden=screen.look.preferences.hide_amounts)
    partial = f"PARTIAL: {tally.counted} of {tally.of} positions"
    return Tile(
        name,
        f"{arrow(tally.known)} {amount}".strip(),
        source,
        tone=_tone(tally.known),
        caveat="" if tally.complete else partial,
    )


def _legs_note(screen: Screen) -> str:
    """Why some legs have no price: those that expired never will have one."""
    totals = screen.totals
    if totals.complete:
        return "all, shares included"
    reasons = ((len(totals.unpriced), "without a price"), (len(totals.expired), "expired"))
    return ", ".join(f"{count} {what}" for count, what in reasons if count)


def _provenance(screen: Screen) -> str:
    """Where the marks came from, and how old the oldest of them is: "11 mid, 1 trade · oldest 12 s"."""
    sources: Counter[str] = Counter()
    oldest = 0.0
    for table in (screen.positions, screen.legs):
        ages = table["mark_age_seconds"].tolist()
        for source, seconds in zip(table["mark_source"].tolist(), ages, strict=True):
            # A missing word is NaN in a column of words.
            if isinstance(source, str):
                sources[source] += 1
                oldest = max(oldest, seconds)
    counts = ", ".join(f"{count} {source}" for source, count in sources.most_common())
    no_bid = len(screen.totals.zero_bid)
    beside_nothing = f" · {no_bid} with no bid, at half the ask" if no_bid else ""
    return f"{counts} · oldest {age(oldest)}{beside_nothing}"


def _missing(tally: Tally) -> str:
    if not tally.counted:
        return ""
    return "" if tally.complete else f" · {tally.counted} of {tally.of} known"


def _tone(amount: float | None) -> str:
    sign = arrow(amount)
    return {"▲": "gain", "▼": "loss"}.get(sign, "")


def _tile(tile: Tile, css_class: str) -> str:
    figure = f"oh-figure oh-{tile.tone}" if tile.tone else "oh-figure"
    caveat = tag("div", tile.caveat, "oh-note oh-caveat") if tile.caveat else ""
    note = tag("div", tile.note, "oh-note")
    parts = tag("div", tile.name, "oh-name") + tag("div", tile.figure, figure) + caveat + note
    return f'<div class="{css_class}" role="group" data-tile="{escape(tile.name)}">{parts}</div>'
