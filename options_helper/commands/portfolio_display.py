"""Show a portfolio and its comparison with the account: tables at a terminal, a line for each thing elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from decimal import Decimal
from math import ceil, gcd
from typing import TYPE_CHECKING, Any, Final, assert_never

from options_helper.analysis.reconcile.reconciliation import ReconciledRow
from options_helper.analysis.structure_kinds import structure_kind
from options_helper.model.portfolio import (
    Instrument,
    MultiLegPosition,
    Portfolio,
    PortfolioEntry,
    Position,
    ShareHolding,
)
from options_helper.model.text import format_count, price_text

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

_VERDICTS: Final[Mapping[bool | None, str]] = {True: "agrees", False: "differs", None: "not known"}
_SIGNS: Final[Mapping[bool | None, str]] = {
    True: "[green]=[/]",
    False: "[bold red]≠[/]",
    None: "[yellow]?[/]",
}
_UNKNOWN: Final = "–"
# An answer that takes longer is worth a word.
PATIENCE_SECONDS: Final = 2.0


class RequestStatus:
    """What a blocked command asks for; a terminal draws it anew, because only time tells what is waited for."""

    def __init__(
        self, what: str, held: Callable[[], float], *, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._held = held
        self._now = now
        # Replaced in one step: the terminal's thread reads it.
        self._requested = (what, now())

    def request(self, what: str) -> None:
        """From now on this is asked for."""
        self._requested = (what, self._now())

    @property
    def text(self) -> str:
        """What is asked for, and after some seconds what is waited for."""
        what, since = self._requested
        text = f"asking Alpaca for {what} …"
        waited = self._now() - since
        if waited < PATIENCE_SECONDS:
            return text
        if pause := self._held():
            return f"{text} it wants a pause: {ceil(pause)} s left"
        return f"{text} no complete answer after {waited:.0f} s"

    def __rich__(self) -> Text:
        """The words as Rich draws them."""
        from rich.text import Text

        return Text(self.text)


class Screen:
    """Where a command tells what it found: results on stdout, everything beside them on stderr."""

    def __init__(self, console: Console | None = None, beside: Console | None = None) -> None:
        from rich.console import Console

        self._console = console or Console(highlight=False)
        self._beside = beside or Console(highlight=False, stderr=True)

    def say(self, sentence: str) -> None:
        """Print a result."""
        self._console.print(sentence, markup=False, soft_wrap=True)

    def remark(self, sentence: str) -> None:
        """Print something about the result."""
        self._beside.print(sentence, markup=False, soft_wrap=True)

    @contextmanager
    def waiting(self, what: str, held: Callable[[], float]) -> Iterator[RequestStatus]:
        """Show at a terminal what is asked for; `held` are the seconds of pause that the server wants."""
        waiting = RequestStatus(what, held)
        if not self._beside.is_terminal:
            yield waiting
        elif self._beside.is_dumb_terminal:
            # It cannot draw a line anew.
            self.remark(waiting.text)
            yield waiting
        else:
            with self._beside.status(waiting):
                yield waiting

    def portfolio(self, portfolio: Portfolio) -> None:
        """Print what a file holds."""
        rows = [(entry.id, *_format_entry(entry)) for entry in portfolio.positions]
        if not self._console.is_terminal:
            for identity, held, cost in rows:
                self.say(f"{identity}: {held}, {cost}")
            return
        table = _table("entry", "holds", "cost")
        for row in rows:
            table.add_row(*map(_escaped, row))
        self._console.print(table)

    def comparison(self, rows: Sequence[ReconciledRow]) -> None:
        """Print every row of a reconciliation, the file's figure before the account's where they are not the same."""
        if not self._console.is_terminal:
            for row in rows:
                self.say(_row_line(row))
            return
        table = _table("", "what", "quantity", "cost", "value", numbers=range(2, 5))
        for row in rows:
            table.add_row(_SIGNS[row.agrees], _what(row), *_figures(row).values())
        table.caption = "file → account; where there is one figure, both have it"
        self._console.print(table)

    def cash(self, portfolio: Portfolio, cash: Decimal | None) -> None:
        """Print the cash of file and account."""
        self.say(cash_line(portfolio, cash))

    def finding(self, sentence: str) -> None:
        """Print what is to be looked at."""
        self.say(f"look: {sentence}")

    def edit(self, text: str, *, differs: bool) -> None:
        """Print what to put into the file, which `differs` or only leaves something out."""
        purpose = "To make the file agree" if differs else "To name in the file what it leaves out"
        self.say(f"\n{purpose}:\n\n{text}\n")

    def verdict(self, sentence: str) -> None:
        """Print what all of it comes to."""
        self.say(sentence)

    def end(self, code: int) -> int:
        """Nothing more comes; the exit code."""
        return code


class JsonScreen(Screen):
    """Tells all of it at the end, as one object of JSON; what is asked for meanwhile is shown as ever."""

    def __init__(self, console: Console | None = None, beside: Console | None = None) -> None:
        super().__init__(console, beside)
        self._facts: dict[str, Any] = {"verdict": None, "exit_code": None, "notes": [], "remarks": []}

    def say(self, sentence: str) -> None:
        """Keep what is said beside the figures."""
        self._facts["notes"].append(sentence)

    def remark(self, sentence: str) -> None:
        """Keep it, too."""
        self._facts["remarks"].append(sentence)

    def portfolio(self, portfolio: Portfolio) -> None:
        """Keep what a file holds."""
        rows = ((entry.id, *_format_entry(entry)) for entry in portfolio.positions)
        self._facts["entries"] = [{"id": name, "holds": held, "cost": cost} for name, held, cost in rows]
        self._facts["findings"] = []

    def comparison(self, rows: Sequence[ReconciledRow]) -> None:
        """Keep every row, figures as numbers."""
        self._facts["lines"] = [_facts_of(row) for row in rows]

    def cash(self, portfolio: Portfolio, cash: Decimal | None) -> None:
        """Keep the cash of both."""
        self._facts |= {"file_cash": portfolio.cash, "account_cash": _number(cash)}

    def finding(self, sentence: str) -> None:
        """Keep what is to be looked at."""
        self._facts["findings"].append(sentence)

    def edit(self, text: str, *, differs: bool) -> None:  # noqa: ARG002  # the verdict says it
        """Keep what to put into the file."""
        self._facts["edit"] = text

    def verdict(self, sentence: str) -> None:
        """Keep what all of it comes to."""
        self._facts["verdict"] = sentence

    def end(self, code: int) -> int:
        """Print it; the exit code."""
        import msgspec

        self._facts["exit_code"] = code
        super().say(msgspec.json.format(msgspec.json.encode(self._facts)).decode())
        return code


def screen_for(*, as_json: bool) -> Screen:
    """Where a command tells what it found: to a person, or to a program."""
    return JsonScreen() if as_json else Screen()


def _facts_of(row: ReconciledRow) -> dict[str, Any]:
    figures = (
        "file_quantity",
        "account_quantity",
        "file_cost",
        "account_cost",
        "file_value",
        "account_value",
    )
    return {
        "symbol": row.symbol,
        "label": row.label,
        "agrees": row.agrees,
        **{name: _number(getattr(row, name)) for name in figures},
        "causes": [cause.label for cause in row.causes],
        "advice": row.advice,
        "edit": row.edit,
    }


def _number(amount: Decimal | None) -> float | None:
    return None if amount is None else float(amount)


def _format_entry(entry: PortfolioEntry) -> tuple[str, str]:
    """What an entry holds, and what it cost."""
    match entry:
        case Position():
            return f"{entry.contracts} × {_format_contract(entry.instrument)}", _format_cost(entry)
        case ShareHolding():
            return f"{_plain(Decimal(str(entry.shares)), ',')} {entry.instrument.label}", _format_cost(entry)
        case MultiLegPosition():
            kind = structure_kind(entry)
            return (
                f"{_format_structure(entry)}, {kind or 'a structure without a name'}",
                f"{_format_debit(entry)}{_format_carried(entry)}",
            )
        case _:
            assert_never(entry)


def _format_contract(one: Instrument) -> str:
    """A contract with what the file says of its settlement."""
    at = {None: None, True: "settled at the open", False: "settled at the close"}[one.settled_at_open]
    delivery = {None: None, "cash": "in cash", "physical": "by delivery"}[one.delivery]
    style = None if one.exercise_style is None else one.exercise_style.capitalize()
    said = [style, " ".join(filter(None, (at, delivery))) or None]
    return " ".join(filter(None, (one.label, f"({', '.join(filter(None, said))})" if any(said) else None)))


def _format_structure(entry: MultiLegPosition) -> str:
    """The structure in one line, and how many of it; legs of unequal quantity are said one by one."""
    many = gcd(*(leg.contracts for leg in entry.contract_legs)) or 1
    if len({abs(line.quantity) for line in entry.lines}) == 1 and not entry.has_shares:
        return f"{many} × {entry.label}"
    ratio = "/".join(f"{_plain(line.quantity / many, '+')}" for line in entry.lines)
    return f"{many} × {entry.label} ({ratio})"


def _format_cost(entry: Position | ShareHolding) -> str:
    price = entry.lines[0].cost_basis
    lots = f" in {format_count(len(entry.lots), 'lot')}" if entry.lots else ""
    return f"{_format_price(None if price is None else float(price))}{lots}{_format_carried(entry)}"


def _format_price(price: float | None) -> str:
    if price is None:
        return "cost not named"
    return f"at {price_text(price)}"


def _format_carried(entry: PortfolioEntry) -> str:
    """What was realized so far and paid in fees, where the file says so."""
    realized = "" if entry.realized is None else f", realized {entry.realized:+,.2f}"
    return realized + ("" if entry.fees is None else f", fees {entry.fees:,.2f}")


def _format_debit(entry: MultiLegPosition) -> str:
    cost = entry.opening_cost
    if cost is None:
        return "cost not named"
    return f"{'paid' if cost >= 0 else 'received'} {abs(cost):,.2f}"


def _plain(amount: Decimal, sign: str = "") -> str:
    """A quantity with no more digits than it needs."""
    whole = amount.to_integral_value()
    return f"{whole if amount == whole else amount.normalize():{sign}f}"


def _row_line(row: ReconciledRow) -> str:
    figures = ", ".join(f"{name} {text}" for name, text in _figures(row).items() if text != _UNKNOWN)
    return f"{_VERDICTS[row.agrees]}: {row.label}: {'; '.join(filter(None, (figures, _causes(row))))}"


def _what(row: ReconciledRow) -> str:
    """The words of a row with the causes below them, where a narrow terminal has room."""
    causes = f"\n[dim]{_escaped(_causes(row))}[/]" if row.causes else ""
    return _escaped(row.label) + causes


def _figures(row: ReconciledRow) -> dict[str, str]:
    return {
        "quantity": _both(_quantity(row.file_quantity), _quantity(row.account_quantity)),
        "cost": _both(_dollars(row.file_cost), _dollars(row.account_cost)),
        "value": _both(_dollars(row.file_value), _dollars(row.account_value)),
    }


def _causes(row: ReconciledRow) -> str:
    return "; ".join(row.reasons)


def _both(file: str, account: str) -> str:
    return file if file == account else f"{file} → {account}"


def _quantity(amount: Decimal | None) -> str:
    return _UNKNOWN if amount is None else f"{amount.normalize():f}"


def _dollars(amount: Decimal | None) -> str:
    return _UNKNOWN if amount is None else f"{amount:,.2f}"


def cash_line(portfolio: Portfolio, cash: Decimal | None) -> str:
    """The cash of file and account."""
    named = None if portfolio.cash is None else Decimal(str(portfolio.cash))
    return f"cash: {_both(_dollars(named), _dollars(cash))}"


def _table(*columns: str, numbers: Iterable[int] = ()) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), caption_justify="left")
    right = set(numbers)
    for index, column in enumerate(columns):
        if index in right:
            table.add_column(column, justify="right", no_wrap=True)
        else:
            table.add_column(column, overflow="fold")
    return table


def _escaped(text: str) -> str:
    from rich.markup import escape

    return escape(text)
