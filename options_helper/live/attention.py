"""What needs the viewer's hand, worst first: each warning and each banner of one screen as a line with its remedy.

Pure: a screen in, values out.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache, partial
from typing import Any, Final

from options_helper.analysis.attention.entries import AttentionKind, Entry
from options_helper.analysis.attention.morning_after import EndedState
from options_helper.analysis.live_health import Level
from options_helper.analysis.marks import DELAYED_SECONDS, QuoteWarning
from options_helper.analysis.risk.figures_together import in_all_or_of
from options_helper.analysis.row_table import RowTable
from options_helper.live.screen import ACCOUNT, Banner, ScreenModel
from options_helper.model.text import HIDDEN, format_count, named

# Today's, or wrong.
GRAVE_WARNINGS: Final = frozenset(
    {
        QuoteWarning.EXPIRED,
        QuoteWarning.EXPIRES_TODAY,
        QuoteWarning.MISSING_LEGS,
        QuoteWarning.IMPOSSIBLE_MARK,
        QuoteWarning.REFUSED_SYMBOL,
        QuoteWarning.MISSING_QUOTE,
        QuoteWarning.CROSSED_MARKET,
    }
)
# Before Start nothing is priced, so only what follows from the contracts themselves is worth saying.
WARNINGS_WITHOUT_PRICES: Final = frozenset(
    {
        QuoteWarning.EXPIRED,
        QuoteWarning.EXPIRES_TODAY,
        QuoteWarning.ADJUSTED_CONTRACT,
        QuoteWarning.NO_COST_BASIS,
    }
)
# What speaks against the day's profit alone; where it speaks against all of it, the total says it once.
WARNINGS_ABOUT_TODAY: Final = frozenset(
    {
        QuoteWarning.TRADES_UNKNOWN,
        QuoteWarning.SHARED_CONTRACT,
        QuoteWarning.NO_PREVIOUS_CLOSE,
        QuoteWarning.UNLIKELY_CLOSE,
    }
)
# Told of the account as a whole, with the reason; or of today as a whole.
_TOLD_OF_ALL: Final = frozenset(
    {
        *WARNINGS_ABOUT_TODAY,
        QuoteWarning.QUANTITY_IN_DOUBT,
        QuoteWarning.ACCOUNT_DIFFERS,
        QuoteWarning.FILE_BEHIND,
        QuoteWarning.POSITION_MOVED,
        QuoteWarning.MISSING_LEGS,  # the leg says it
        # Told of all that ends together, by its entry.
        QuoteWarning.EXPIRES_TODAY,
        QuoteWarning.LAST_TRADING_DAY,
        QuoteWarning.SETTLED_AT_OPEN,
    }
)
# Kinds that the tables and banners do not tell already, with the prices and the account beside them.
_OF_BOOK: Final = frozenset(
    {
        AttentionKind.PIN,
        AttentionKind.LONG_WITHOUT_MONEY,
        AttentionKind.IN_THE_MONEY_SHORT,
        AttentionKind.EARLY_EXERCISE,
        AttentionKind.UNDEFINED_RISK,
        AttentionKind.AM_SETTLED,
        AttentionKind.EXPIRING,
        AttentionKind.EX_DIVIDEND,
        AttentionKind.EARNINGS,
        AttentionKind.DEAF,
        AttentionKind.CLOCK_SKEW,
    }
)
# The kind of what a table's warnings and the banners tell in words of their own.
_KIND_OF: Final = {
    QuoteWarning.STALE_QUOTE: AttentionKind.STALE,
    QuoteWarning.STALE_TRADE: AttentionKind.STALE,
    QuoteWarning.WIDE_SPREAD: AttentionKind.WIDE,
    QuoteWarning.TOO_WIDE: AttentionKind.WIDE,
    QuoteWarning.MISSING_QUOTE: AttentionKind.UNPRICED,
    QuoteWarning.REFUSED_SYMBOL: AttentionKind.UNPRICED,
    QuoteWarning.NOT_SUBSCRIBED: AttentionKind.UNPRICED,
}
_WITHOUT_PRICES: Final = frozenset(
    {
        AttentionKind.UNDEFINED_RISK,
        AttentionKind.AM_SETTLED,
        AttentionKind.EXPIRING,
        AttentionKind.EARNINGS,
    }
)
_GRAVER_THAN_EXPIRING: Final = frozenset(
    {AttentionKind.PIN, AttentionKind.LONG_WITHOUT_MONEY, AttentionKind.IN_THE_MONEY_SHORT}
)
_TO_KNOW: Final = {
    AttentionKind.IN_THE_MONEY_SHORT: "Short and in the money, to be assigned any day",
    AttentionKind.EX_DIVIDEND: "Ex-dates in the life of options",
    AttentionKind.EARNINGS: "Expiries that span earnings",
}
_MULTIPLIER_IS_KNOWN: Final = {"multiplier": 1}  # as a row's facts, whatever it is
LINES_AT_MOST: Final = 2  # of one warning; more of them are one item
NAMED_AT_MOST: Final = 6
TODAY: Final = "P&L today"


@dataclass(frozen=True, slots=True)
class Item:
    """One thing that needs a hand; `level` is ERROR (today's, or wrong), WARNING (to look at) or INFO (to know)."""

    level: Level
    subject: str
    what: str
    remedy: str = ""
    kind: AttentionKind | None = None  # None: a warning or a banner that is of none
    by: datetime | None = None  # the instant that counts down
    left_seconds: float | None = None  # until then, negative once it has passed

    @property
    def counts(self) -> bool:
        """Whether something can be done about it."""
        return self.level is not Level.INFO


def worth_saying(warnings: Collection[QuoteWarning], screen: ScreenModel) -> tuple[QuoteWarning, ...]:
    """Of one row's warnings those that mean something in this state of the screen, gravest first."""
    if not warnings:
        return ()
    return _worth_saying(
        tuple(warnings), is_priced=screen.priced, day_is_known_in_part=screen.totals.day.counted > 0
    )


@lru_cache(maxsize=1_024)  # rows have few combinations of them
def _worth_saying(
    warnings: tuple[QuoteWarning, ...], *, is_priced: bool, day_is_known_in_part: bool
) -> tuple[QuoteWarning, ...]:
    return tuple(
        sorted(
            (
                warning
                for warning in warnings
                if (is_priced or warning in WARNINGS_WITHOUT_PRICES)
                and (day_is_known_in_part or warning not in WARNINGS_ABOUT_TODAY)
            ),
            key=lambda warning: warning not in GRAVE_WARNINGS,
        )
    )


def attention(screen: ScreenModel) -> tuple[Item, ...]:
    """Everything that needs a hand, worst first; what is only to be known comes last."""
    items = [*_of_banners(screen.banners), *_of_accounts(screen)]
    ranks = {Level.ERROR: 0, Level.WARNING: 1}
    return tuple(sorted(items, key=lambda item: ranks.get(item.level, 2)))


def _of_banners(banners: Iterable[Banner]) -> Iterator[Item]:
    for banner in banners:
        what, _, remedy = banner.text.partition(". ")
        kind = AttentionKind.FILE_ACCOUNT if banner.subject == ACCOUNT else None
        said = what if remedy else banner.text.removesuffix(".")
        item = Item(banner.level, banner.subject, said, remedy, kind=kind)
        yield _of_one_account(banner.account, item) if banner.account else item


def _of_accounts(screen: ScreenModel) -> tuple[Item, ...]:
    """What is not a banner; of several accounts, whose it is, unless it is said of each of them."""
    if not screen.accounts:
        return (*_of_book(screen), *_of_ended(screen), *_of_lines(screen), *_of_today(screen))
    return in_all_or_of({name: _of_accounts(one) for name, one in screen.accounts.items()}, _of_one_account)


def _of_one_account(account: str, item: Item) -> Item:
    return replace(item, subject=f"{item.subject} ({account})")


def _of_book(screen: ScreenModel) -> Iterator[Item]:
    """What ends, is assigned or goes ex; several of one kind that are only to be known are one item."""
    entries = [one for one in screen.attention.entries if one.kind in _OF_BOOK]
    graver = {symbol for one in entries if one.kind in _GRAVER_THAN_EXPIRING for symbol in one.symbols}
    by_kind: dict[AttentionKind, list[Entry]] = {}
    for entry in entries:
        if not screen.priced and entry.kind not in _WITHOUT_PRICES:
            continue
        if entry.kind is AttentionKind.EXPIRING and graver.issuperset(entry.symbols):
            continue
        if entry.level is Level.INFO:
            by_kind.setdefault(entry.kind, []).append(entry)
        else:
            yield _entry_item(entry, screen)
    for kind, known in by_kind.items():
        if len(known) > LINES_AT_MOST:
            names = named(list(dict.fromkeys(one.subject for one in known)), NAMED_AT_MOST)
            yield Item(Level.INFO, format_count(len(known), "thing"), f"{_TO_KNOW[kind]}: {names}", kind=kind)
        else:
            yield from (_entry_item(one, screen) for one in known)


def _entry_item(entry: Entry, screen: ScreenModel) -> Item:
    amounts = entry.amounts if screen.priced else ""
    is_hidden = screen.options.preferences.hide_amounts
    if amounts and is_hidden:
        beginning, colon, _ = amounts.partition(": ")
        amounts = f"{beginning}{colon}{HIDDEN}" if colon else HIDDEN
    now = screen.snapshot.as_of
    return Item(
        entry.level,
        entry.subject,
        f"{entry.what} {amounts}".strip().removesuffix("."),
        entry.discreet_remedy if is_hidden else entry.remedy,
        kind=entry.kind,
        by=entry.by,
        left_seconds=None if entry.by is None else (entry.by - now).total_seconds(),
    )


def _of_ended(screen: ScreenModel) -> Iterator[Item]:
    """Contracts that ended and of which nobody knows what they became."""
    if screen.run is None:
        return
    for one in screen.attention.morning_after:
        if one.state is EndedState.UNEXPLAINED:
            yield Item(
                Level.ERROR,
                one.label,
                one.why.removesuffix("."),
                "Look at the account's activities and positions.",
            )


def _of_today(screen: ScreenModel) -> Iterator[Item]:
    """Why today's profit is not all of it; before Start, nothing is missing."""
    if screen.run is not None and screen.totals.day_reasons and screen.totals.day.counted:
        what, *others = screen.totals.day_reasons
        yield Item(Level.WARNING, TODAY, what.removesuffix("."), " ".join(others))


@dataclass(frozen=True, slots=True)
class _Line:
    """One row of a table, and what is said against it most."""

    subject: str
    table: RowTable
    place: int
    warning: QuoteWarning
    others: tuple[QuoteWarning, ...]

    @property
    def is_to_know(self) -> bool:
        """Whether nothing is left to do: an adjusted contract has its multiplier."""
        return self.warning is QuoteWarning.ADJUSTED_CONTRACT and _has_multiplier(self.table, self.place)

    @property
    def facts(self) -> Mapping[str, Any]:
        """The whole row; costly, and asked for only where it is told."""
        return self.table.row(self.place)


def _of_lines(screen: ScreenModel) -> Iterator[Item]:
    by_warning: dict[tuple[QuoteWarning, bool], dict[str, _Line]] = {}
    for line in _lines(screen):
        # A contract that stands in several positions is one thing to do.
        by_warning.setdefault((line.warning, line.is_to_know), {}).setdefault(line.subject, line)
    for (warning, is_to_know), lines in by_warning.items():
        level = Level.ERROR if warning in GRAVE_WARNINGS else Level.INFO if is_to_know else Level.WARNING
        say = (_OF_ACCOUNT if screen.of_account else _SAY).get(warning, _label)
        if len(lines) > LINES_AT_MOST:
            what, remedy = say(_MULTIPLIER_IS_KNOWN if is_to_know else {}, screen)
            yield Item(
                level,
                f"{len(lines)} lines",
                f"{what}: {named(list(lines), NAMED_AT_MOST)}",
                remedy,
                kind=_KIND_OF.get(warning),
            )
            continue
        for line in lines.values():
            what, remedy = say(line.facts, screen)
            also = f" Also: {', '.join(other.label for other in line.others)}." if line.others else ""
            yield Item(level, line.subject, what, f"{remedy}{also}".strip(), kind=_KIND_OF.get(warning))


def _lines(screen: ScreenModel) -> Iterator[_Line]:
    for table in (screen.positions, screen.legs, screen.structures):
        for place, (words, warnings) in enumerate(zip(table["words"], table["warnings"], strict=True)):
            said = [one for one in worth_saying(warnings, screen) if one not in _TOLD_OF_ALL]
            # What a leg says is not said again of its structure.
            if table is screen.structures:
                said = [one for one in said if one is QuoteWarning.IMPOSSIBLE_MARK]
            if QuoteWarning.ADJUSTED_CONTRACT in said and _has_multiplier(table, place):
                # Whatever else is said against it is more.
                said.sort(key=lambda one: one is QuoteWarning.ADJUSTED_CONTRACT)
            if said:
                yield _Line(words, table, place, said[0], tuple(said[1:]))


def _has_multiplier(table: RowTable, place: int) -> bool:
    return table.values("multiplier")[place] is not None


Say = Callable[[Mapping[str, Any], ScreenModel], tuple[str, str]]


def _label(
    _facts: Mapping[str, Any], _screen: ScreenModel, what: str = "", remedy: str = ""
) -> tuple[str, str]:
    return what, remedy


def _wide(facts: Mapping[str, Any], screen: ScreenModel) -> tuple[str, str]:
    spread = _number(facts, "spread_pct")
    if spread is None:
        return "Quoted wide", "The mark is a rough guess; natural is what closing would fetch."
    return f"Spread {spread:.0f} % of mid", _cost_of_closing(facts, screen)


def _cost_of_closing(facts: Mapping[str, Any], screen: ScreenModel) -> str:
    value, natural = (
        (_number(facts, name) or _number(facts, other))
        for name, other in (("market_value", "leg_value"), ("natural_value", "leg_natural"))
    )
    if value is None or natural is None:
        return "The mark is a rough guess."
    cost = HIDDEN if screen.options.preferences.hide_amounts else f"${value - natural:,.0f}"
    return f"The mark is a rough guess: closing now costs {cost} against it."


def _adjusted(facts: Mapping[str, Any], _screen: ScreenModel, remedy: str) -> tuple[str, str]:
    what = "Adjusted contract: it may deliver something other than 100 shares"
    if _number(facts, "multiplier") is None:
        return what, remedy
    return what, "Its multiplier is known, so it has a value; what it delivers is in its record at Alpaca."


def _aged(
    facts: Mapping[str, Any], _screen: ScreenModel, what: str, column: str, remedy: str
) -> tuple[str, str]:
    seconds = _number(facts, column)
    old = (
        ""
        if seconds is None
        else f", {seconds:,.0f} s old"
        if seconds < 100
        else f", {seconds / 60:,.0f} min old"
    )
    return f"{what}{old}", remedy


def _number(facts: Mapping[str, Any], name: str) -> float | None:
    value = facts.get(name)
    return None if value is None else float(value)


def _says(what: str, remedy: str = "") -> Say:
    return partial(_label, what=what, remedy=remedy)


_SAY: Final[Mapping[QuoteWarning, Say]] = {
    QuoteWarning.EXPIRED: _says(
        "Expired; what became of it is not known here", "Take it out of the portfolio file."
    ),
    QuoteWarning.ADJUSTED_CONTRACT: partial(_adjusted, remedy="Name its multiplier in the portfolio file."),
    QuoteWarning.IMPOSSIBLE_MARK: _says(
        "Its marks come to more, or less, than it can be worth",
        "Not believed, so not shown. Look at its quotes.",
    ),
    QuoteWarning.NOT_SUBSCRIBED: _says(
        "Not subscribed, so without live prices",
        "Raise the limit of contracts, or switch its stream on, in the settings.",
    ),
    QuoteWarning.REFUSED_SYMBOL: _says(
        "Refused by the server, so nothing of it is streamed", "Check its symbol in the portfolio file."
    ),
    QuoteWarning.MISSING_QUOTE: _says("No quote yet", "Without a price it is in no sum."),
    QuoteWarning.STALE_QUOTE: partial(
        _aged,
        what="Stale quote",
        column="quote_age_seconds",
        remedy="The market is open: the mark is as old as that.",
    ),
    QuoteWarning.DELAYED_PRICE: _says(
        "Its price came late",
        f"It was made more than {DELAYED_SECONDS} s before it came; ages count from when it came.",
    ),
    QuoteWarning.CROSSED_MARKET: _says("Bid above ask", "Such a quote is not believed."),
    QuoteWarning.LOCKED_MARKET: _says("Bid equal to ask"),
    QuoteWarning.ONE_SIDED: _says("Quoted on one side only", "The mark is a bound: at least, or at best."),
    QuoteWarning.ZERO_BID: _says("Nobody bids", "Selling it now would fetch nothing."),
    QuoteWarning.WIDE_SPREAD: _wide,
    QuoteWarning.TOO_WIDE: _says(
        "Quoted too wide for a middle", "Marked by a trade between, else where closing would be."
    ),
    QuoteWarning.NO_SIZE: _says("No order stands behind its quote", "It supports no middle."),
    QuoteWarning.AFTER_HOURS: _says("Priced after hours", "The other prices are of the session."),
    QuoteWarning.OTHER_SESSION: _says("Priced before the latest session", "Nobody has quoted it since."),
    QuoteWarning.MARK_FROM_TRADE: partial(
        _aged, what="Mark is the last trade", column="mark_age_seconds", remedy="There is no usable quote."
    ),
    QuoteWarning.STALE_TRADE: partial(
        _aged, what="Stale trade", column="mark_age_seconds", remedy="The mark is as old as that."
    ),
    QuoteWarning.NO_COST_BASIS: _says("No cost, so no P&L", "Name its cost_basis in the portfolio file."),
    QuoteWarning.OTHER_SHARE: _says(
        "Moved by a split, a transfer or the like: no value, no P&L", "Bring the portfolio file up to date."
    ),
    QuoteWarning.CHANGES_TODAY: _says(
        "A split or the like of its share is for today: no value, no P&L",
        "Whether its quantity is of the new share is known once the account has booked it.",
    ),
}
# What is done where nobody keeps a file.
_OF_ACCOUNT: Final[Mapping[QuoteWarning, Say]] = {
    **_SAY,
    QuoteWarning.EXPIRED: _says(
        "Expired; what became of it is not known here", "It leaves the account when that is settled."
    ),
    QuoteWarning.ADJUSTED_CONTRACT: partial(
        _adjusted,
        remedy="Its multiplier follows from Alpaca's two costs; only a portfolio file can name another.",
    ),
    QuoteWarning.REFUSED_SYMBOL: _says(
        "Refused by the server, so nothing of it is streamed",
        "The account holds it; the feed does not have it.",
    ),
    QuoteWarning.NO_COST_BASIS: _says("No cost, so no P&L", "The account does not say it, or says two."),
    QuoteWarning.OTHER_SHARE: _says(
        "Moved by a split, a transfer or the like: no value, no P&L",
        "Alpaca's next prices are of the new share.",
    ),
}
