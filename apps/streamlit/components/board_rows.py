"""What the table of the page has as rows: groups, what is held in each, and the legs of that, as a tree of values.

Pure: a screen in, rows out. Shares and the calls sold against them are one row, whether the file says so or not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from enum import StrEnum
from functools import cached_property
from math import fsum, gcd
from typing import Any, Final, NamedTuple, Self

from options_helper.analysis.columns import ACCOUNT_COLUMN, Table
from options_helper.analysis.grades import Grade
from options_helper.analysis.marks import QuoteWarning
from options_helper.analysis.remembered import remembered
from options_helper.analysis.row_table import RowTable
from options_helper.live.screen import ScreenModel
from options_helper.model.alpaca_symbols import option_root, to_repo_symbol
from options_helper.model.contract_symbols import plain_number, root_of, short_date
from options_helper.model.text import format_count, format_holding, named

LETTERS: Final = {"call": "C", "put": "P"}
STANDARD: Final = 100
NAMED_AT_MOST: Final = 3


class Grouping(StrEnum):
    """What rows are put together by."""

    UNDERLYING = "underlying"
    EXPIRY = "expiry"
    STRUCTURE = "structure"
    ACCOUNT = "account"
    NONE = "none"


class RowKind(StrEnum):
    """What a row is, which decides what its cells are made of."""

    GROUP = "group"
    ENTRY = "entry"  # a position, a structure, or shares with the calls sold against them
    LEG = "leg"
    CLOSED = "closed"  # what the file holds no more, and what several lines share
    BOOK = "book"


class Ref(NamedTuple):
    """One row of one of the screen's tables."""

    table: Table
    place: int


@dataclass(frozen=True)
class Row:
    """One row: of one line of a table, or of several that it adds up. Without slots, as each column asks for `ref`."""

    key: str  # the same at each refresh
    kind: RowKind
    name: str
    level: int
    parts: tuple[Ref, ...] = ()
    children: tuple[Row, ...] = ()
    underlying: str | None = None  # what all of it is written on, in Alpaca's spelling
    account: str = ""  # of several, whose alone it is, of what was closed

    @cached_property
    def ref(self) -> Ref | None:
        """The one line that it is; None where it adds up several."""
        return self.parts[0] if len(self.parts) == 1 and self.kind in (RowKind.ENTRY, RowKind.LEG) else None


class Tables:
    """The screen's three tables, read cell by cell; what is not known is None."""

    def __init__(self, screen: ScreenModel) -> None:
        self._columns = {
            Table.POSITION: _Columns(screen.positions),
            Table.STRUCTURE: _Columns(screen.structures),
            Table.LEG: _Columns(screen.legs),
        }
        self._refs = {
            table: [Ref(table, place) for place in range(len(columns.table))]
            for table, columns in self._columns.items()
        }

    def value(self, ref: Ref, name: str) -> Any:
        """What stands in this column of this line; None also where its table has no such column."""
        table, place = ref
        return self._columns[table][name][place]

    def column(self, table: Table, name: str) -> list[Any]:
        """A whole column."""
        return self._columns[table][name]

    def refs(self, table: Table) -> Sequence[Ref]:
        """A reference to each line of a table."""
        return self._refs[table]


class _Columns(dict[str, list[Any]]):
    """The columns of a table by name, each read when it is first asked for."""

    def __init__(self, table: RowTable) -> None:
        super().__init__()
        self.table = table

    def __missing__(self, name: str) -> list[Any]:
        found = self[name] = self.table.values(name)
        return found


_ENDED: Final = "has ended"
_OF_CONTRACT: Final = ("underlying", "words", "contract_symbol", "option_type", "strike", "expiry")
# What rows are made of, and no figure that a price moves.
_READ: Final[Mapping[Table, tuple[str, ...]]] = {
    Table.POSITION: ("id", "symbol", *_OF_CONTRACT, "quantity", "multiplier", ACCOUNT_COLUMN.name),
    Table.STRUCTURE: ("id", "symbol", "underlying", "words", "kind", "expiry", ACCOUNT_COLUMN.name),
    Table.LEG: ("position_id", *_OF_CONTRACT, "signed_contracts"),
}


@dataclass(frozen=True)
class _Facts:
    """All that the rows of what is held are made of; of two that are equal they are the same.

    There is nothing else to be read here, so nothing else can be in a row.
    """

    columns: Mapping[Table, Mapping[str, list[Any]]]
    order: tuple[str, ...]  # ids of entries, as the portfolio has them
    accounts: tuple[str, ...]
    hides_amounts: bool

    @classmethod
    def of(cls, screen: ScreenModel, tables: Tables) -> Self:
        """Those of a screen."""
        columns = {
            table: {name: tables.column(table, name) for name in names} for table, names in _READ.items()
        }
        ended = [grade == Grade.ENDED for grade in tables.column(Table.POSITION, "grade")]
        columns[Table.POSITION][_ENDED] = ended
        return cls(
            columns,
            tuple(entry.id for entry in screen.portfolio.positions),
            tuple(screen.accounts),
            screen.options.preferences.hide_amounts,
        )

    def value(self, ref: Ref, name: str) -> Any:
        """What stands in this column of this line."""
        table, place = ref
        return self.columns[table][name][place]

    def refs(self, table: Table) -> list[Ref]:
        """A reference to each line of a table."""
        return [Ref(table, place) for place in range(len(self.columns[table]["underlying"]))]


@dataclass(frozen=True, slots=True)
class _Entry:
    """One thing that is held, before it is known what it is grouped by."""

    key: str
    symbol: str  # as the file writes it
    underlying: str  # as the risk counts it: SPX of SPXW, MSFT of MSFT1
    name: str  # without the underlying, and with its root where that is another
    is_told: bool  # whether that begins with its root
    kind: str
    expiry: date | None
    parts: tuple[Ref, ...]
    legs: tuple[tuple[str, str, Ref], ...] = field(default=())  # key, name, line
    account: str = ""  # whose, where several are shown


def build_rows(screen: ScreenModel, tables: Tables, grouping: Grouping) -> tuple[Row, ...]:
    """All rows but the last: groups in the order of their names, in each what is held in the order of the file.

    Those of what is held are the same objects from refresh to refresh, until what they are made of is another.
    """
    return (*_held_rows(grouping, _Facts.of(screen, tables)), *_closed(screen, tables))


@remembered
def _held_rows(grouping: Grouping, facts: _Facts) -> tuple[Row, ...]:
    entries = _entries(facts)
    if grouping is Grouping.NONE:
        return tuple(_entry_row(entry, 1, named_after=True) for entry in _by_symbol(entries))
    return tuple(_groups(entries, grouping, facts.accounts))


def book_row(screen: ScreenModel, tables: Tables) -> Row:
    """The last row: all that is held, so its sums are the tiles'."""
    totals = screen.totals
    name = f"Book · {format_count(totals.legs, 'leg')}"
    if totals.legs and not totals.complete:
        name = f"{name}, {totals.priced_legs} priced"
    if without := totals.holdings.without:
        name = f"{name}, without {' and '.join(without)}"
    parts = (*tables.refs(Table.POSITION), *tables.refs(Table.STRUCTURE))
    return Row("book", RowKind.BOOK, name, 1, parts)


def _groups(entries: Sequence[_Entry], grouping: Grouping, accounts: Sequence[str]) -> Iterator[Row]:
    of_group: dict[str, list[_Entry]] = {}
    rank: dict[str, Any] = {}
    for entry in _by_symbol(entries):
        name, order = _group_of(entry, grouping, accounts)
        of_group.setdefault(name, []).append(entry)
        rank.setdefault(name, order)
    by_underlying = grouping is Grouping.UNDERLYING
    for name in sorted(of_group, key=lambda name: rank[name]):
        held = of_group[name]
        yield Row(
            f"g:{held[0].underlying if by_underlying else name}",
            RowKind.GROUP,
            name,
            1,
            tuple(part for entry in held for part in entry.parts),
            tuple(
                _entry_row(
                    entry, 2, named_after=not by_underlying, of_account=grouping is not Grouping.ACCOUNT
                )
                for entry in held
            ),
            underlying=held[0].underlying if by_underlying else None,
        )


def _group_of(entry: _Entry, grouping: Grouping, accounts: Sequence[str]) -> tuple[str, Any]:
    """The name of its group, and what groups are ordered by."""
    if grouping is Grouping.ACCOUNT:
        return (entry.account, accounts.index(entry.account)) if entry.account else ("This account", 0)
    if grouping is Grouping.UNDERLYING:
        return to_repo_symbol(entry.underlying), entry.underlying
    if grouping is Grouping.STRUCTURE:
        return entry.kind.capitalize(), entry.kind
    if entry.expiry is None:
        return "No expiry", date.max
    return short_date(entry.expiry), entry.expiry


def _entry_row(entry: _Entry, level: int, *, named_after: bool, of_account: bool = True) -> Row:
    """A row, named after its underlying and its account where nothing above it says these."""
    is_named = named_after and not entry.is_told
    name = f"{to_repo_symbol(entry.underlying)} {entry.name}" if is_named else entry.name
    if of_account and entry.account:
        # A phone has no room for the column, and two accounts may hold the same.
        name = f"{name} · {entry.account}"
    legs = tuple(Row(key, RowKind.LEG, words, level + 1, (ref,)) for key, words, ref in entry.legs)
    return Row(entry.key, RowKind.ENTRY, name, level, entry.parts, legs, entry.underlying)


def _by_symbol(entries: Iterable[_Entry]) -> list[_Entry]:
    """By underlying, and of one as the file has them."""
    return sorted(entries, key=lambda entry: entry.underlying)


def _entries(facts: _Facts) -> list[_Entry]:
    legs_of: dict[str, list[Ref]] = {}
    for ref in facts.refs(Table.LEG):
        legs_of.setdefault(facts.value(ref, "position_id"), []).append(ref)
    found = {entry.key: entry for entry in (_single(ref, facts) for ref in facts.refs(Table.POSITION))}
    found = _with_covered_calls(found, facts)
    for ref in facts.refs(Table.STRUCTURE):
        identity = facts.value(ref, "id")
        structure = _structure(ref, legs_of.get(identity, []), facts)
        found[structure.key] = structure
    place = {identity: place for place, identity in enumerate(facts.order)}
    return sorted(found.values(), key=lambda entry: place.get(entry.key.partition(":")[2], len(place)))


def _single(ref: Ref, facts: _Facts) -> _Entry:
    is_option = facts.value(ref, "option_type") is not None
    return _Entry(
        key=f"p:{facts.value(ref, 'id')}",
        symbol=facts.value(ref, "symbol"),
        underlying=facts.value(ref, "underlying"),
        name=_line_name(ref, facts),
        is_told=is_option and bool(_root(ref, facts)),
        kind="single options" if is_option else "shares",
        expiry=facts.value(ref, "expiry"),
        parts=(ref,),
        account=_account(ref, facts),
    )


def _account(ref: Ref, facts: _Facts) -> str:
    return facts.value(ref, ACCOUNT_COLUMN.name) or ""


def _line_name(ref: Ref, facts: _Facts) -> str:
    """A contract without its underlying: "275 C · 15 Jan 27", with its root where that is another; or "shares"."""
    option_type, strike, expiry = (facts.value(ref, name) for name in ("option_type", "strike", "expiry"))
    if option_type is None or strike is None or expiry is None:
        return _without_underlying(ref, facts)
    return f"{_root(ref, facts)}{plain_number(strike)} {LETTERS[option_type]} · {short_date(expiry)}"


def _without_underlying(ref: Ref, facts: _Facts) -> str:
    """Its words; a root that is another, as of an adjusted contract, stays."""
    return str(facts.value(ref, "words")).removeprefix(f"{to_repo_symbol(facts.value(ref, 'underlying'))} ")


def _root(ref: Ref, facts: _Facts) -> str:
    """The root of a contract with a space after it; empty where it is its underlying's."""
    root = root_of(facts.value(ref, "contract_symbol"))
    return "" if root == option_root(facts.value(ref, "underlying")) else f"{root} "


def _with_covered_calls(found: Mapping[str, _Entry], facts: _Facts) -> dict[str, _Entry]:
    """Put shares and the calls that are sold against them together, as far as the shares reach."""
    entries = dict(found)
    for shares in found.values():
        quantity = facts.value(shares.parts[0], "quantity") or 0
        if shares.kind != "shares" or quantity < STANDARD:
            continue
        left, covered = quantity, []
        for call in entries.values():
            # Shares of one account cover nothing in another.
            needed = _shares_owed(call, shares.symbol, facts) if call.account == shares.account else 0.0
            if needed and needed <= left:
                left -= needed
                covered.append(call)
        if covered:
            for one in (shares, *covered):
                entries.pop(one.key, None)
            combined = _covered(shares, covered, facts, whole=left == 0)
            entries[combined.key] = combined
    return entries


def _shares_owed(entry: _Entry, symbol: str, facts: _Facts) -> float:
    """How many shares this row owes as calls sold; 0 where it is anything else."""
    ref = entry.parts[0]
    is_call = len(entry.parts) == 1 and facts.value(ref, "option_type") == "call"
    quantity, multiplier = facts.value(ref, "quantity"), facts.value(ref, "multiplier")
    if not is_call or entry.symbol != symbol or not multiplier or (quantity or 0) >= 0:
        return 0.0
    return 0.0 if facts.value(ref, _ENDED) else -quantity * multiplier


def _covered(shares: _Entry, calls: Sequence[_Entry], facts: _Facts, *, whole: bool) -> _Entry:
    held = _shares_words(facts.value(shares.parts[0], "quantity"), facts)
    words = " + ".join((held, *(call.name for call in calls)))
    entries = (shares, *calls)
    return _Entry(
        key=f"c:{shares.key.partition(':')[2]}",
        symbol=shares.symbol,
        underlying=shares.underlying,
        is_told=False,
        name=f"{'Covered call' if whole else 'Shares and covered call'} · {words}",
        kind="covered call",
        expiry=min(call.expiry for call in calls if call.expiry is not None),
        parts=tuple(part for entry in entries for part in entry.parts),
        legs=tuple((entry.key, entry.name, entry.parts[0]) for entry in entries),
        account=shares.account,
    )


def _shares_words(quantity: float, facts: _Facts) -> str:
    return "shares" if facts.hides_amounts else f"{quantity:,.15g} sh"


def _structure(ref: Ref, legs: Sequence[Ref], facts: _Facts) -> _Entry:
    identity, name = facts.value(ref, "id"), _structure_name(ref, legs, facts)
    roots = (_root(leg, facts) for leg in legs if facts.value(leg, "option_type") is not None)
    return _Entry(
        key=f"s:{identity}",
        symbol=facts.value(ref, "symbol"),
        underlying=facts.value(ref, "underlying"),
        name=name,
        is_told=any(root and name.startswith(root) for root in roots),
        kind=facts.value(ref, "kind") or "other structures",
        expiry=facts.value(ref, "expiry"),
        parts=(ref,),
        legs=tuple(
            (f"l:{identity}:{number}", _line_name(leg, facts), leg) for number, leg in enumerate(legs)
        ),
        account=_account(ref, facts),
    )


def _structure_name(ref: Ref, legs: Sequence[Ref], facts: _Facts) -> str:
    """Say strikes, name and days, or what the file's line is called where that would not say it all."""
    options = [leg for leg in legs if facts.value(leg, "option_type") is not None]
    shares = [leg for leg in legs if facts.value(leg, "option_type") is None]
    kind = facts.value(ref, "kind")
    roots = {root_of(facts.value(leg, "contract_symbol")) for leg in options}
    if kind is None or len(roots) != 1:
        return _without_underlying(ref, facts)
    types = {LETTERS[facts.value(leg, "option_type")] for leg in options}
    strikes = dict.fromkeys(sorted(facts.value(leg, "strike") for leg in options))
    expiries = dict.fromkeys(sorted(facts.value(leg, "expiry") for leg in options))
    letter = f" {types.pop()}" if len(types) == 1 else ""
    terms = f"{_root(options[0], facts)}{'/'.join(map(plain_number, strikes))}{letter}"
    days = " / ".join(map(short_date, expiries))
    if not shares:
        return f"{terms} {kind} · {days}"
    owned = sum(facts.value(leg, "signed_contracts") or 0 for leg in shares)
    return f"{kind.capitalize()} · {_shares_words(owned, facts)} + {terms} · {days}"


def units(legs: Iterable[Ref], tables: Tables) -> int | None:
    """How many times the structure of these legs is held; None where it has no option."""
    counts = [
        abs(int(tables.value(leg, "signed_contracts")))
        for leg in legs
        if tables.value(leg, "option_type") is not None
    ]
    return gcd(*counts) if counts else None


def _closed(screen: ScreenModel, tables: Tables) -> Iterator[Row]:
    """What today's profit counts beside the lines that are held, so that the column adds up; account by account."""
    for name, one in screen.accounts.items():
        for row in _closed(one, one.once(Tables)):
            yield replace(row, key=f"{row.key}:{name}", name=f"{row.name} · {name}", account=name)
    if screen.accounts:
        return
    closed = [format_holding(symbol) for symbol in screen.totals.closed_today]
    rest = closed_today(screen, tables)
    if not closed and not round(rest, 2):
        return
    names = [f"Closed today · {named(closed, NAMED_AT_MOST)}"] if closed else []
    if not closed or _shares_contracts(screen):
        names.append("Held in several lines and traded today")
    yield Row("closed", RowKind.CLOSED, "; ".join(names), 1)


def closed_today(screen: ScreenModel, tables: Tables) -> float:
    """Of today's profit in dollars, what is in no line: closed today, or of a contract that several lines hold."""
    held = (*tables.column(Table.POSITION, "day_pnl"), *tables.column(Table.STRUCTURE, "day_pnl"))
    return screen.totals.day.known - fsum(amount for amount in held if amount is not None)


def _shares_contracts(screen: ScreenModel) -> bool:
    return bool(screen.totals.with_warning(QuoteWarning.SHARED_CONTRACT))


def flatten(rows: Iterable[Row]) -> Iterator[tuple[Row, str]]:
    """Each row with its parent's key, parents first."""

    def walk(row: Row, parent: str) -> Iterator[tuple[Row, str]]:
        yield row, parent
        for child in row.children:
            yield from walk(child, row.key)

    for row in rows:
        yield from walk(row, "")


def sorted_rows(rows: Sequence[Row], number: Callable[[Row], Any], *, descending: bool) -> tuple[Row, ...]:
    """Groups by their sums and in each what it holds; what has no number comes last, legs keep their order."""

    def order(several: Iterable[Row]) -> tuple[Row, ...]:
        known = [(number(row), row) for row in several]
        ranked = sorted(
            (pair for pair in known if pair[0] is not None), key=lambda pair: pair[0], reverse=descending
        )
        return tuple(row for _, row in (*ranked, *(pair for pair in known if pair[0] is None)))

    closed = [row for row in rows if row.kind is RowKind.CLOSED]
    held = order(row for row in rows if row.kind is not RowKind.CLOSED)
    return (
        *(replace(row, children=order(row.children)) if row.kind is RowKind.GROUP else row for row in held),
        *closed,
    )
