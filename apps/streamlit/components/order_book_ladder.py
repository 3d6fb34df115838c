"""Draw one order book as a trader reads it: how far it can be believed, what it costs to trade, and its levels."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from apps.streamlit.components.formatting import UNKNOWN, age
from apps.streamlit.components.live_tile import figure_html
from apps.streamlit.components.live_truth import LEVELS as COLOURS
from apps.streamlit.components.style import tag
from options_helper.analysis.book_ladder import (
    LadderRow,
    Trust,
    ladder,
    price_decimals,
    size_decimals,
    spread_words,
    trust,
)
from options_helper.analysis.live_health import Level
from options_helper.model.events import BookLevel
from options_helper.model.order_book import Book
from options_helper.model.text import format_count, with_minus

IMBALANCE_LEVELS: Final = 5
# A sign beside every colour: a state must be readable without its colour.
SIGNS: Final = {Level.OK: "●", Level.INFO: "◌", Level.WARNING: "▲", Level.ERROR: "✕"}
BOOK_STYLE: Final = """
<style>
.oh-ladder { width: 100%; border-collapse: collapse; font-size: .86rem; table-layout: fixed; }
.oh-ladder th { color: var(--quiet); font-weight: 500; text-align: right; padding: .15rem .4rem; }
.oh-ladder td { text-align: right; padding: .16rem .4rem; border: 0; height: 1.75rem; overflow: hidden;
  border-bottom: 1px solid color-mix(in srgb, currentColor 9%, transparent); }
.oh-ladder .oh-bid { color: var(--gain); font-weight: 650; }
.oh-ladder .oh-ask { color: var(--loss); font-weight: 650; text-align: left; }
.oh-ladder th:nth-child(n+4), .oh-ladder td:nth-child(n+4) { text-align: left; }
.oh-ladder .oh-total { color: var(--quiet); }
.oh-ladder .oh-best td { font-weight: 650; }
.st-key-book-choice { gap: .6rem 1.2rem; }
.oh-book-tiles { grid-template-columns: repeat(6, minmax(0, 1fr)); margin-top: .45rem; }
@media (max-width: 1000px) { .oh-book-tiles { grid-template-columns: repeat(3, minmax(0, 1fr)); } }
@media (max-width: 640px) {
  .oh-book-tiles { grid-template-columns: repeat(2, minmax(0, 1fr)); }
  /* The bars tell what is offered up to a level; a phone has no room for the figures too. */
  .oh-ladder .oh-total { display: none; }
}
</style>
"""


STOPPED: Final = Trust(Level.INFO, "stopped", "Nothing is streamed, so nothing is known of it; press Start.")


def book_bar(symbol: str, book: Book | None, as_of: datetime, source: str, *, running: bool) -> str:
    """The book's own line: its state, what that means, whose numbers these are, and how old its last message is.

    Of a run that somebody ended no book is lost: that is no alarm, and its line is grey.
    """
    trusted = trust(book, as_of) if running else STOPPED
    colour = COLOURS[trusted.level] if running else "quiet"
    seconds = None if book is None else book.age_seconds(as_of)
    aside = "nothing has come yet" if seconds is None else f"last message {age(seconds)} ago"
    return (
        f'<div class="oh-bar oh-whole" style="--level:var(--{colour})">'
        + tag(
            "span",
            f"{SIGNS[trusted.level]} {symbol} {trusted.word.upper()}",
            "oh-word",
            **{"data-book": trusted.word},
        )
        + tag("span", trusted.sentence or _told(book), "oh-sentence")
        + tag("span", f"{source} · {aside}", "oh-time")
        + "</div>"
    )


def _told(book: Book | None) -> str:
    """What happened to a book that is well."""
    if book is None:
        return ""
    counts = book.counts
    facts = [format_count(counts.messages, "message")]
    facts += [f"{counts.late:,} late"] if counts.late else []
    facts += [f"asked for anew {format_count(counts.resyncs, 'time')}"] if counts.resyncs else []
    if counts.verified or counts.differed:
        facts.append(f"compared with REST {format_count(counts.verified + counts.differed, 'time')}")
        facts += [f"{counts.differed:,} differed"] if counts.differed else []
    return f"{', '.join(facts)}; {book.bid_levels:,} bids and {book.ask_levels:,} asks known."


def book_tiles(book: Book | None, size: float) -> str:
    """What can be read from it; a dash where it cannot."""
    known = _figures(book, size) if book is not None and book.state.has_levels else {}
    tiles = "".join(
        f'<div class="oh-tile">{tag("div", name, "oh-name")}'
        + figure_html(known.get(name) or UNKNOWN, **{"data-tile": name})
        + f"{tag('div', note, 'oh-note')}</div>"
        for name, note in _notes(book, size).items()
    )
    return f'<div class="oh-tiles oh-book-tiles">{tiles}</div>'


def _figures(book: Book, size: float) -> dict[str, str | None]:
    """By tile; None where there is none."""
    digits = price_decimals(book) + 1
    imbalance = book.imbalance(IMBALANCE_LEVELS)
    prices = {
        "Mid": book.mid,
        "Microprice": book.microprice,
        f"Buy {size:g}": book.price_to_buy(size),
        f"Sell {size:g}": book.price_to_sell(size),
    }
    return {
        **{name: None if price is None else f"{price:,.{digits}f}" for name, price in prices.items()},
        "Spread": spread_words(book),
        "Imbalance": None if imbalance is None else with_minus(imbalance, "+.2f"),
    }


def _notes(book: Book | None, size: float) -> dict[str, str]:
    """What each tile says, in their order."""
    return {
        "Mid": "halfway between bid and ask",
        "Spread": "ask less bid",
        "Microprice": "the mid, drawn to the thinner side",
        "Imbalance": f"of {IMBALANCE_LEVELS} levels: +1 all bids, −1 all asks",
        f"Buy {size:g}": _slip(book, size, buys=True),
        f"Sell {size:g}": _slip(book, size, buys=False),
    }


def _slip(book: Book | None, size: float, *, buys: bool) -> str:
    """How far the average price of a market order is from the mid."""
    if book is None or not book.state.has_levels:
        return "average price of a market order"
    average = book.price_to_buy(size) if buys else book.price_to_sell(size)
    if average is None:
        return "the levels known are not enough"
    if book.mid is None:
        return "average price of a market order"
    return f"average price, {abs(average - book.mid) / book.mid * 10_000:,.2f} bp from the mid"


def ladder_table(book: Book | None, levels: int) -> str:
    """The best levels of both sides, always as many rows, with bars for what is offered up to each."""
    rows = ladder(book, levels) if book is not None and book.state.has_levels else ()
    largest = max((max(row.bid_total, row.ask_total) for row in rows), default=0.0)
    head = (
        '<tr><th class="oh-total">total</th><th>size</th><th>bid</th>'
        '<th>ask</th><th>size</th><th class="oh-total">total</th></tr>'
    )
    lines = [
        _row(book, row, largest, best=number == 0) for number, row in enumerate(rows) if book is not None
    ]
    empty = [f"<tr>{'<td></td>' * 6}</tr>"] * (levels - len(lines))
    return f'<table class="oh-ladder">{head}{"".join([*lines, *empty])}</table>'


def _row(book: Book, row: LadderRow, largest: float, *, best: bool) -> str:
    bid = _side(book, row.bid, row.bid_total, largest, "bid")
    ask = _side(book, row.ask, row.ask_total, largest, "ask")
    return f"<tr{' class=oh-best' if best else ''}>{''.join([*bid, *reversed(ask)])}</tr>"


def _side(book: Book, level: BookLevel | None, total: float, largest: float, side: str) -> list[str]:
    """Total, size and price, outermost first."""
    if level is None:
        return ['<td class="oh-total"></td>', "<td></td>", "<td></td>"]
    prices, sizes = price_decimals(book), size_decimals(book)
    # The bar grows from the price outwards, behind the figures.
    share = 100 * total / largest if largest else 0.0
    colour, towards = ("gain", "left") if side == "bid" else ("loss", "right")
    tint = f"color-mix(in srgb, var(--{colour}) 22%, transparent)"
    bar = f"background:linear-gradient(to {towards},{tint} {share:.1f}%,transparent {share:.1f}%)"
    return [
        tag("td", f"{total:,.{sizes}f}", "oh-total"),
        tag("td", f"{level.size:,.{sizes}f}", "", style=bar),
        tag("td", f"{level.price:,.{prices}f}", f"oh-{side}"),
    ]
