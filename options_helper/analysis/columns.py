"""Declare each column of the tables once; types, page, CSV, hidden amounts and docs follow from it.

A new figure is one `Column` here and its computation.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass
from enum import StrEnum
from functools import cache, partial
from typing import Final


class Table(StrEnum):
    """One row for each of these."""

    POSITION = "position"
    STRUCTURE = "structure"
    LEG = "leg"


class Kind(StrEnum):
    """What a column holds, which decides its type in the table and how it is drawn."""

    NAME = "name"  # text that says which row this is; stays in sight
    TEXT = "text"
    NUMBER = "number"  # float64, NaN where it is not known
    WHOLE = "whole number"  # Int64, NA where it is not known
    AGE = "age"  # seconds as a number, drawn against the threshold of what is stale
    DATE = "date"  # of New York, or None
    TIME = "time"  # UTC, or NaT
    WARNINGS = "warnings"  # lists of `QuoteWarning`
    # Made from other columns of the row, where it is drawn.
    QUOTE = "quote"  # bid and ask
    MARK = "mark"  # with its source and age, where it is no fresh streamed mid
    NET_MARK = "net mark"  # of one unit of a structure, per share, as a debit or a credit
    UNITS = "units"  # how many times a structure is held
    GREEK = "greek"  # of the position, with its age where an input is old, and what it covers where a part is missing
    VOLATILITY = "volatility"  # with half of its band
    LIMIT = "limit"  # the most that can be won or lost, or the word for why that is no number
    TREND = "trend"  # this session's marks of the row's id
    MARK_ORIGIN = "mark origin"
    MARKS_ORIGIN = "marks origin"
    PRICE_ORIGIN = "price origin"


@dataclass(frozen=True, slots=True, eq=False)
class Column:
    """One column of one table or of several; each declaration equals itself alone, so it is a cheap key.

    `tables` gives its place on the page for each, from the left, in steps that leave room; None: in the CSV alone.
    What has one heading in several tables is one column of the page. What is `drawn_from` others has no values of its
    own, so it is on the page alone.
    """

    name: str
    tables: Mapping[Table, int | None]
    help: str
    heading: str | None = None
    width: int | None = None  # pixels
    _: KW_ONLY
    kind: Kind = Kind.TEXT
    unit: str = ""
    digits: int | None = None  # behind the decimal point; None: as many as there are
    signed: bool = False  # whether what is above zero is written with its plus
    is_amount: bool = False  # says how much the viewer owns, so it can be hidden
    drawn_from: tuple[str, ...] = ()
    sums: bool = False  # whether a group's cell adds up those of its rows
    toned: bool = False  # whether a gain and a loss have colours
    # Whether it is of all that is held in the row, so that it is about right where that quantity is in doubt.
    counts_quantity: bool = False
    # How long it stays as the window narrows, the higher the longer; None: shown only where the viewer chooses it.
    stays: int | None = None


POSITION, STRUCTURE, LEG = Table
EVERYWHERE: Final = dict.fromkeys(Table)
LINES: Final = dict.fromkeys((POSITION, LEG))
ENTRIES: Final = dict.fromkeys((POSITION, STRUCTURE))

money = partial(Column, kind=Kind.NUMBER, unit="$", digits=2, signed=True, is_amount=True)
# What colours are for; it stays in every window.
profit = partial(money, sums=True, toned=True, stays=99, counts_quantity=True)
price = partial(Column, kind=Kind.NUMBER, unit="$ per share", digits=2)
percent = partial(Column, kind=Kind.NUMBER, unit="%", digits=2, signed=True)
volatility = partial(Column, kind=Kind.NUMBER, unit="%", digits=1)
age = partial(Column, kind=Kind.AGE, unit="s", digits=0)

greek = partial(Column, kind=Kind.GREEK, signed=True, is_amount=True, counts_quantity=True)

# In the order of the tables and of the CSV. On the page what a trader looks for first comes first, because a phone
# shows no more than that. These are what prices say; the risk is computed of them and joined.
PRICE_COLUMNS: Final = (
    Column("id", ENTRIES, "The position's id in the file."),
    Column("position_id", {LEG: None}, "The id of the leg's structure."),
    Column("leg_index", {LEG: None}, "Which leg of its structure, from 0.", kind=Kind.WHOLE),
    Column("kind", {POSITION: None}, "`option` or `shares`."),
    Column(
        "kind",
        {STRUCTURE: 370},
        "What the structure is called; a shape without a name has none.",
        "Kind",
        120,
    ),
    Column("symbol", EVERYWHERE, "Its symbol as the file writes it: `SPXW` and `MSFT1` too."),
    Column(
        "underlying",
        EVERYWHERE,
        "What it is written on, `SPX` or `MSFT`: what the table, `risk` and alerts put together.",
    ),
    Column(
        "words",
        {POSITION: 10, LEG: 10},
        "The contract, or the shares, in words.",
        "Contract",
        150,
        kind=Kind.NAME,
    ),
    Column("words", {STRUCTURE: 10}, "The structure in words.", "Structure", 256, kind=Kind.NAME),
    Column("contract_symbol", LINES, "The contract's OCC symbol; shares have none."),
    Column("live_symbol", LINES, "The symbol that Alpaca streams."),
    Column("side", {LEG: None}, "`long` or `short`."),
    Column("option_type", LINES, "`call` or `put`."),
    Column("expiry", EVERYWHERE, "The expiry; of a structure, the nearest to come.", kind=Kind.DATE),
    Column(
        "dte",
        {POSITION: 130, STRUCTURE: 130, LEG: 130},
        "Days to expiry, counted in New York. 0: expires today, or did.",
        "DTE",
        48,
        kind=Kind.WHOLE,
        unit="days",
        stays=7,
    ),
    Column(
        "last_day",
        {POSITION: 350, LEG: 350},
        "The last day on which the contract is traded: before the expiry where it is settled at the open, or where "
        "the exchange is closed then.",
        "Last traded",
        80,
        kind=Kind.DATE,
    ),
    price("strike", LINES, "The strike."),
    Column(
        "contracts", LINES, "How many contracts; of a leg without a sign.", kind=Kind.WHOLE, is_amount=True
    ),
    Column(
        "quantity",
        {POSITION: 20},
        "Contracts or shares; short is negative. Of a structure: how many times it is held.",
        "Qty",
        46,
        kind=Kind.NUMBER,
        signed=True,
        is_amount=True,
        stays=8,
    ),
    Column(
        "signed_contracts",
        {LEG: 20},
        "Contracts or shares; short is negative. Of a structure: how many times it is held.",
        "Qty",
        46,
        kind=Kind.NUMBER,
        signed=True,
        is_amount=True,
        stays=8,
    ),
    Column(
        "units",
        {STRUCTURE: 20},
        "Contracts or shares; short is negative. Of a structure: how many times it is held.",
        "Qty",
        46,
        kind=Kind.UNITS,
        is_amount=True,
        drawn_from=("id",),
        stays=8,
    ),
    Column("multiplier", LINES, "Shares that one contract stands for; 1 for a share.", kind=Kind.WHOLE),
    price(
        "cost_basis",
        {POSITION: 250, LEG: 250},
        "Average opening price per share.",
        "Cost $",
        72,
        is_amount=True,
    ),
    Column("legs", {STRUCTURE: None}, "How many legs it has.", kind=Kind.WHOLE),
    Column("priced_legs", {STRUCTURE: None}, "How many of them have a mark.", kind=Kind.WHOLE),
    Column(
        "priced",
        {STRUCTURE: 360},
        "How many legs have a mark. A sum with a missing leg is not shown.",
        "Priced",
        80,
    ),
    money(
        "net_debit",
        {STRUCTURE: 220},
        "Paid for the whole structure, shares among its legs included; a credit is negative.",
        "Net debit $",
        88,
    ),
    money(
        "net_mark",
        {STRUCTURE: 230},
        "All legs at their marks; short legs count negative.",
        "Net mark $",
        88,
        counts_quantity=True,
    ),
    money(
        "net_natural",
        {STRUCTURE: None},
        "All legs, if closed now: longs sold at the bid, shorts bought at the ask.",
    ),
    profit("net_pnl_abs", {STRUCTURE: 70}, "Unrealized, at the mark, before fees.", "P&L $", 68),
    percent("net_pnl_pct", {STRUCTURE: 80}, "Of what was paid, or received.", "P&L %", 64, stays=6),
    money(
        "net_pnl_natural_abs",
        {STRUCTURE: 90},
        "Unrealized, if closed now: longs sold at the bid, shorts bought at the ask.",
        "Natural $",
        72,
        sums=True,
        counts_quantity=True,
        stays=1,
    ),
    price("bid", LINES, "The best bid."),
    price("ask", LINES, "The best ask."),
    Column(
        "quote",
        {POSITION: 40, LEG: 40},
        "The best bid and the best ask, per share; of an underlying its change since the close before.",
        "Bid × ask",
        98,
        kind=Kind.QUOTE,
        drawn_from=("bid", "ask"),
        stays=5,
    ),
    price("last", {POSITION: 260, LEG: 260}, "The last trade, which can be old.", "Last $", 72),
    price("mark", LINES, "Per share. Mid of an uncrossed quote, else the last trade.", digits=3),
    Column(
        "mark_words",
        {POSITION: 30, LEG: 30},
        "Per share. Mid of an uncrossed quote, else the last trade. Source and age are said where it is no fresh "
        "streamed mid. Of a structure: one unit, as a debit (db) or a credit (cr). Of an underlying: its price.",
        "Mark",
        72,
        kind=Kind.MARK,
        drawn_from=("mark", "mark_source", "mark_via", "mark_age_seconds"),
        stays=7,
    ),
    Column(
        "net_mark_words",
        {STRUCTURE: 30},
        "Per share. Mid of an uncrossed quote, else the last trade. Source and age are said where it is no fresh "
        "streamed mid. Of a structure: one unit, as a debit (db) or a credit (cr). Of an underlying: its price.",
        "Mark",
        72,
        kind=Kind.NET_MARK,
        drawn_from=("net_mark", "marks_from", "mark_age_seconds"),
        stays=7,
    ),
    Column("mark_source", LINES, "Which price the mark is: `mid`, `trade`, `bid` or `ask`."),
    Column(
        "grade",
        {POSITION: 380, STRUCTURE: 380, LEG: 380},
        "What the figure rests on: `two-sided`, or what speaks against it most; of a structure, of its worst leg.",
        "Grade",
        110,
    ),
    Column("mark_via", LINES, "How it came: `stream`, or `rest` where it was asked for."),
    Column(
        "marks_from",
        {STRUCTURE: None},
        "How many legs are marked by which event, and how many of those were asked for.",
    ),
    age(
        "mark_age_seconds",
        EVERYWHERE,
        "Since the event of the mark was received; of a structure, of its oldest leg.",
    ),
    Column("mark_at", LINES, "When the exchange made the event of the mark.", kind=Kind.TIME),
    Column(
        "mark_origin",
        {POSITION: 270, LEG: 270},
        "Which event the mark came from, and how long ago that came. REST: asked for, not streamed. Of a structure: "
        "how many of its legs' marks came from which, and how long ago the oldest came.",
        "Mark from",
        150,
        kind=Kind.MARK_ORIGIN,
        drawn_from=("mark_source", "mark_via", "mark_age_seconds"),
    ),
    Column(
        "marks_origin",
        {STRUCTURE: 270},
        "Which event the mark came from, and how long ago that came. REST: asked for, not streamed. Of a structure: "
        "how many of its legs' marks came from which, and how long ago the oldest came.",
        "Mark from",
        150,
        kind=Kind.MARKS_ORIGIN,
        drawn_from=("marks_from", "mark_age_seconds"),
    ),
    age(
        "quote_age_seconds",
        {POSITION: 280, STRUCTURE: 280, LEG: 280},
        "Since the last quote was received.",
        "Quote age",
        76,
    ),
    percent(
        "spread_pct",
        {POSITION: 50, LEG: 50},
        "Ask less bid, of their middle.",
        "Spread",
        62,
        signed=False,
        stays=2,
    ),
    price("natural", LINES, "What closing now would fetch or cost."),
    money("market_value", {POSITION: None}, "The position at its mark; short is negative."),
    money("natural_value", {POSITION: None}, "The position, if closed now; short is negative."),
    money(
        "leg_value",
        {LEG: 240},
        "The leg at its mark; short is negative.",
        "Value $",
        88,
        counts_quantity=True,
    ),
    profit("leg_pnl", {LEG: 70}, "Unrealized, at the mark, before fees.", "P&L $", 68),
    money("leg_natural", {LEG: None}, "The leg, if closed now; short is negative."),
    profit("pnl_abs", {POSITION: 70}, "Unrealized, at the mark, before fees.", "P&L $", 68),
    percent("pnl_pct", {POSITION: 80}, "Of what was paid, or received.", "P&L %", 64, stays=6),
    money(
        "pnl_natural_abs",
        {POSITION: 90},
        "Unrealized, if closed now: longs sold at the bid, shorts bought at the ask.",
        "Natural $",
        72,
        sums=True,
        counts_quantity=True,
        stays=1,
    ),
    money("realized", ENTRIES, "What was realized on it so far, as the file says."),
    money("fees", ENTRIES, "What was paid in fees for it so far, as the file says.", signed=False),
    money(
        "pnl_net",
        {POSITION: 210, STRUCTURE: 210},
        "Unrealized at the mark, with what was realized so far and less fees, where the file says either.",
        "Net P&L $",
        84,
        counts_quantity=True,
    ),
    profit(
        "day_pnl",
        {POSITION: 60, STRUCTURE: 60, LEG: 60},
        "Since the close of the session before, with what was traded today, before fees. Days begin in New York.",
        "Today $",
        68,
    ),
    percent(
        "day_pct",
        {POSITION: 200, STRUCTURE: 200, LEG: 200},
        "Of what was held at that close, and of what was opened today.",
        "Today %",
        76,
    ),
    money("day_realized", EVERYWHERE, "Of today's profit, what today's trades closed."),
    money("day_unrealized", EVERYWHERE, "Of today's profit, what is still held."),
    Column(
        "trend",
        {POSITION: 290, STRUCTURE: 290},
        "The mark over this session, from its lowest to its highest.",
        "Trend",
        104,
        kind=Kind.TREND,
        drawn_from=("id",),
    ),
    price(
        "previous_close",
        {POSITION: 330, LEG: 330},
        "The newest close before today that is known, per share; of a coin its price at midnight in New York.",
        "Close before $",
        100,
    ),
    Column(
        "previous_close_day",
        {POSITION: 340, LEG: 340},
        "The session of that close; of a coin the day that ended at that midnight.",
        "Close of",
        80,
        kind=Kind.DATE,
    ),
    price(
        "underlying_price",
        {POSITION: 300, STRUCTURE: 300, LEG: 300},
        "The price of what the contract is written on.",
        "Spot $",
        64,
    ),
    age("underlying_age_seconds", LINES, "Since the event of that price was received."),
    Column("underlying_via", LINES, "How it came: `stream` or `rest`."),
    Column(
        "underlying_origin",
        {POSITION: 310, LEG: 310},
        "How that price came, and how old it is.",
        "Spot from",
        122,
        kind=Kind.PRICE_ORIGIN,
        drawn_from=("underlying_via", "underlying_age_seconds"),
    ),
    percent("moneyness_pct", {POSITION: 320, LEG: 320}, "In the money is positive.", "Moneyness %", 92),
    Column(
        "warnings",
        {POSITION: 150, STRUCTURE: 150, LEG: 150},
        "What speaks against the row's numbers.",
        "Warnings",
        185,
        kind=Kind.WARNINGS,
        stays=9,
    ),
)

_OF_LEGS: Final = (
    "Of a structure the sum of its legs; with one missing it says how many it has, the CSV nothing."
)

RISK_COLUMNS: Final = (
    greek(
        "delta",
        {POSITION: 100, STRUCTURE: 100, LEG: 100},
        f"Of the position, in shares: a short put has a positive one. Not summed over underlyings. {_OF_LEGS}",
        "Delta",
        62,
        unit="shares",
        digits=0,
        sums=True,
        stays=8,
    ),
    Column(
        "delta_state",
        EVERYWHERE,
        "`ok`; `bound`: of a leg it lies between 0 and this, of a structure on either side as far as its legs' "
        "bounds go; `unknown`. Of a structure, of its worst leg.",
    ),
    greek(
        "delta_dollars",
        {POSITION: 390, STRUCTURE: 390, LEG: 390},
        f"Delta times the price of the underlying. {_OF_LEGS}",
        "Delta $",
        84,
        unit="$",
        digits=0,
        sums=True,
    ),
    greek(
        "gamma",
        {POSITION: 400, STRUCTURE: 400, LEG: 400},
        f"Shares of delta for a dollar of the underlying. Not summed over underlyings. {_OF_LEGS}",
        "Gamma",
        66,
        unit="shares per $",
        digits=2,
        sums=True,
    ),
    greek(
        "theta",
        {POSITION: 110, STRUCTURE: 110, LEG: 110},
        f"Dollars that a calendar day brings; in a contract's last 24 hours what is left of its time value. {_OF_LEGS}",
        "Theta",
        58,
        unit="$",
        digits=0,
        sums=True,
        stays=6,
    ),
    Column(
        "theta_is",
        EVERYWHERE,
        "`per day`, or `time value left` in the last 24 hours of a contract; of a structure with both, in how many "
        "legs.",
    ),
    greek(
        "vega",
        {POSITION: 410, STRUCTURE: 410, LEG: 410},
        "Dollars for a point of volatility; points of several expiries are points of several volatilities. "
        f"{_OF_LEGS}",
        "Vega",
        66,
        unit="$",
        digits=0,
        sums=True,
    ),
    greek(
        "rho",
        {POSITION: 420, STRUCTURE: 420, LEG: 420},
        f"Dollars for a point of the interest rate. {_OF_LEGS}",
        "Rho",
        66,
        unit="$",
        digits=0,
        sums=True,
    ),
    *(
        Column(
            f"{name}_coverage",
            {STRUCTURE: None},
            f"Of how many legs that have not ended the {name} is known, as in `1 of 2 legs`.",
        )
        for name in ("delta", "gamma", "theta", "vega", "rho")
    ),
    Column(
        "legs_in_doubt",
        EVERYWHERE,
        "Of how many of its legs the account holds another quantity than the file, or may: its figures are of the "
        "file's. Of a single line and of a leg 1.",
        kind=Kind.WHOLE,
    ),
    Column(
        "iv_band",
        {POSITION: 120, LEG: 120},
        "Implied volatility of the middle of the quote in percent a year, and half of the band between those of bid "
        "and ask. Empty where the quote does not say it; the reason is under the pointer.",
        "IV",
        66,
        kind=Kind.VOLATILITY,
        drawn_from=("iv", "iv_low", "iv_high", "iv_state", "iv_reason"),
        stays=3,
    ),
    volatility("iv", LINES, "Implied volatility of the middle of the quote, a year."),
    volatility("iv_low", {POSITION: 430, LEG: 430}, "The volatility of the bid.", "IV low", 66),
    volatility("iv_high", {POSITION: 440, LEG: 440}, "The volatility of the ask.", "IV high", 66),
    Column(
        "iv_state",
        LINES,
        "`ok`, `from_partner` (of the other type at the same strike), `not_identifiable`, `no_quote` or `expired`.",
    ),
    Column("iv_reason", LINES, "Why the quote does not say its volatility, or whose it has."),
    Column(
        "model",
        {POSITION: 450, LEG: 450},
        "What delta and the like are computed with.",
        "Model",
        150,
    ),
    price(
        "risk_spot",
        EVERYWHERE,
        "The price of the underlying that the risk figures rest on, of delta $ too; empty where legs have several.",
    ),
    Column(
        "risk_spot_source",
        EVERYWHERE,
        "Where that comes from: `its own quote or trade`, or `from options: parity forward, discounted` for an index.",
    ),
    price("forward", {POSITION: 460, LEG: 460}, "The underlying for delivery at the end.", "Forward $", 80),
    percent(
        "rate",
        {POSITION: 470, LEG: 470},
        "The interest rate to the end, continuous, a year.",
        "Rate",
        62,
        signed=False,
    ),
    Column("dividends_state", LINES, "`known`, `none` (until the end) or `unknown`, which is not none."),
    age(
        "greek_age_seconds",
        {POSITION: 480, STRUCTURE: 480, LEG: 480},
        "How old the oldest input of delta and the like is; of a structure, of its oldest leg.",
        "Greek age",
        78,
    ),
    greek(
        "second_delta",
        {POSITION: 490, LEG: 490},
        "Delta by the European model on the same forward: a second voice.",
        "European delta",
        104,
        unit="shares",
        digits=0,
    ),
    volatility("second_iv", LINES, "The volatility that the same quote has by the European model."),
    greek(
        "vendor_delta",
        {POSITION: 500, LEG: 500},
        "Delta by Alpaca's own Greeks (Black-Scholes), as it was told last.",
        "Alpaca's delta",
        100,
        unit="shares",
        digits=0,
    ),
    volatility(
        "vendor_iv",
        {POSITION: 510, LEG: 510},
        "Volatility by Alpaca's own Greeks (Black-Scholes), as it was told last.",
        "Alpaca's IV",
        84,
    ),
    Column("risk_reasons", LINES, "What speaks against the risk figures, in sentences.", is_amount=True),
    percent(
        "percent_of_max",
        {POSITION: 140, STRUCTURE: 140},
        "Unrealized profit of the greatest that it can come to at expiry, where that is a number.",
        "% max",
        60,
        signed=False,
        stays=4,
    ),
    money(
        "max_loss", ENTRIES, "The worst that it alone can come to at expiry, from what was paid; negative."
    ),
    Column("max_loss_state", ENTRIES, "`number`; `undefined`: it has no end; `unknown`."),
    Column(
        "max_loss_until",
        ENTRIES,
        "The last day on which `max_loss` holds: shares can lose more after it. Empty where nothing can.",
        kind=Kind.DATE,
    ),
    Column(
        "max_loss_given",
        ENTRIES,
        "With what `max_loss` counts where a European contract stands for one that ends before it. Empty elsewhere.",
    ),
    money("max_profit", ENTRIES, "The best that it alone can come to at expiry, from what was paid."),
    Column("max_profit_state", ENTRIES, "`number`; `unlimited`: it has no end; `unknown`."),
    Column(
        "limits_without",
        ENTRIES,
        "Its legs that have ended, in words: what they came to is in neither limit.",
    ),
    Column(
        "max_loss_words",
        {POSITION: 520, STRUCTURE: 520},
        "The worst that it alone can come to at expiry, from what was paid. *undefined*: the loss has no end. "
        "*until*: after that day shares can lose more.",
        "Max loss $",
        90,
        kind=Kind.LIMIT,
        is_amount=True,
        counts_quantity=True,
        drawn_from=("max_loss", "max_loss_state", "max_loss_until", "max_loss_given", "limits_without"),
    ),
    Column(
        "max_profit_words",
        {POSITION: 530, STRUCTURE: 530},
        "The best that it alone can come to at expiry, from what was paid. *unlimited*: it grows with the price.",
        "Max profit $",
        94,
        kind=Kind.LIMIT,
        is_amount=True,
        counts_quantity=True,
        drawn_from=("max_profit", "max_profit_state", "limits_without"),
    ),
    percent(
        "probability_of_profit",
        {POSITION: 540, STRUCTURE: 540},
        "Of a cent or more at expiry: risk-neutral, from implied volatility; empty where it ends on several days.",
        "POP",
        62,
        signed=False,
    ),
    price(
        "expected_move",
        {POSITION: 550, STRUCTURE: 550},
        "By how much the underlying is expected to move until expiry, one standard deviation to either side: price "
        "times volatility times the square root of the time.",
        "Expected move $",
        110,
    ),
    Column(
        "days_in_trade",
        {POSITION: 560, STRUCTURE: 560},
        "Calendar days since it was opened, where the file says when.",
        "Days held",
        76,
        kind=Kind.WHOLE,
        unit="days",
    ),
)

COLUMNS: Final = (*PRICE_COLUMNS, *RISK_COLUMNS)
# In tables of several accounts, beside all others.
ACCOUNT_COLUMN: Final = Column(
    "account",
    {POSITION: 5, STRUCTURE: 5, LEG: 5},
    "Whose it is, by the name that you gave the account; only where several are shown.",
    "Account",
    88,
    stays=98,
)
COLUMNS_OF_ACCOUNTS: Final = (*COLUMNS, ACCOUNT_COLUMN)

# What the CSV says of every row before the columns of its table.
CSV_COLUMNS: Final = (
    Column("section", {}, "Which table the row is of: `position`, `structure` or `leg`."),
    Column("as_of", {}, "The instant that all of it is of, on the market's clock.", kind=Kind.TIME),
    Column(
        "market",
        {},
        "Whose prices these are: `alpaca`, `simulated` or `replay`; `local` while a market on this computer has not "
        "said which of these two it is.",
    ),
    Column("state", {}, "The word that stands first on the page, such as `running` or `not started`."),
    Column("stock_feed", {}, "Which feed the stocks come from; empty before Start."),
    Column("options_feed", {}, "Which feed the options come from; empty before Start."),
    Column(
        "cost_source",
        {},
        "Whose costs these are: `file`, as it says them; `account`, Alpaca's average prices without fees.",
    ),
)


@cache
def stored_columns(table: Table, declared: tuple[Column, ...] = COLUMNS) -> tuple[Column, ...]:
    """The columns that have values in this table, in its order."""
    return tuple(column for column in declared if table in column.tables and not column.drawn_from)


def column_names(table: Table, declared: tuple[Column, ...] = COLUMNS) -> tuple[str, ...]:
    """The names of the columns that have values in this table, in its order."""
    return tuple(column.name for column in stored_columns(table, declared))


@cache
def page_columns(table: Table, declared: tuple[Column, ...] = COLUMNS) -> tuple[Column, ...]:
    """The columns that the page shows of this table, from left to right."""
    placed = [column for column in declared if column.tables.get(table) is not None]
    return tuple(sorted(placed, key=lambda column: column.tables[table] or 0))


def amount_names(declared: tuple[Column, ...] = COLUMNS) -> frozenset[str]:
    """The names of all columns that say how much the viewer owns."""
    return frozenset(column.name for column in declared if column.is_amount)
