"""The tables as a file to take away: every column, as a spreadsheet reads it."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Final

from options_helper.analysis.columns import ACCOUNT_COLUMN, COLUMNS, CSV_COLUMNS, Column, Table, amount_names
from options_helper.live.account_book import PortfolioSource
from options_helper.live.screen import ScreenModel
from options_helper.model.market_hours import new_york_date
from options_helper.model.streams import StreamName
from options_helper.model.text import digits_of

if TYPE_CHECKING:
    from pandas import DataFrame

MOST_DIGITS: Final = 6  # behind the point: more is the noise of a computation
# Of a price, a delta and a quantity, as of a coin, there may be so little that it takes more.
_MAY_BE_SMALL: Final = frozenset(
    one.name for one in COLUMNS if one.unit in ("$ per share", "shares") or one.name == "quantity"
)


def csv_name(as_of: datetime) -> str:
    """The file for tables of that instant: named after the market's day in New York."""
    return f"live-portfolio-{new_york_date(as_of):%Y%m%d}.csv"


def tables_as_csv(screen: ScreenModel, declared: tuple[Column, ...] = COLUMNS) -> str:
    """Every column of every table, positions first, then structures, then their legs; hidden amounts are left out."""
    import pandas as pd

    if screen.accounts:
        declared = (*declared, ACCOUNT_COLUMN)
    tables = {Table.POSITION: screen.positions, Table.STRUCTURE: screen.structures, Table.LEG: screen.legs}
    sections = {name: table.frame() for name, table in tables.items()}
    table = pd.concat(
        [
            rows.drop(columns="warnings").assign(
                section=name.value,
                as_of=screen.snapshot.as_of.isoformat(),
                market=screen.snapshot.market.value,
                state=screen.state.value,
                stock_feed=screen.snapshot.streams[StreamName.STOCKS].feed,
                options_feed=screen.snapshot.streams[StreamName.OPTIONS].feed,
                cost_source=_cost_sources(screen, rows),
                warnings=[", ".join(warning.label for warning in warnings) for warnings in rows["warnings"]],
            )
            for name, rows in sections.items()
        ],
        ignore_index=True,
    )
    first = [column.name for column in CSV_COLUMNS]
    first += [ACCOUNT_COLUMN.name] if screen.accounts else []
    table = table[[*first, *(name for name in table if name not in first)]]
    if screen.options.preferences.hide_amounts:
        table = table.drop(columns=[name for name in table if name in amount_names(declared)])
    # What rounds to nothing has no sign; 0.0 added to -0.0 is 0.0.
    numbers = table.select_dtypes("float")
    small = [name for name in numbers if name in _MAY_BE_SMALL]
    rounded = numbers.round(MOST_DIGITS).assign(**numbers[small].map(_without_noise)) + 0.0
    return table.assign(**rounded).to_csv(index=False)


def _without_noise(number: float) -> float:
    return round(number, digits_of(number, MOST_DIGITS, MOST_DIGITS))


def _cost_sources(screen: ScreenModel, rows: DataFrame) -> str | list[str]:
    """Whose costs they are; of several accounts one may have a file, and another have none."""
    if not screen.accounts:
        return _cost_source(screen)
    return [_cost_source(screen.accounts[account]) for account in rows[ACCOUNT_COLUMN.name]]


def _cost_source(screen: ScreenModel) -> str:
    return (PortfolioSource.ACCOUNT if screen.of_account else PortfolioSource.FILE).value
