"""A portfolio and a snapshot → all that is said of the book at one instant: tables, totals, risk, what needs a hand.

Every line is priced once, and all of it is of that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from options_helper.analysis.attention.assess import Attention, assess_attention
from options_helper.analysis.contract_terms import term_doubts, told_multipliers, with_told_multipliers
from options_helper.analysis.day_pnl import read_account_day
from options_helper.analysis.live_tables import multileg_tables, position_table
from options_helper.analysis.priced_lines import price_entries
from options_helper.analysis.reconcile.reconciliation import Behind
from options_helper.analysis.risk.book_risk import assess_book
from options_helper.analysis.risk.book_values import BookFigures, Profits
from options_helper.analysis.risk.leg_inputs import RiskChoices
from options_helper.analysis.risk.risk_tables import risk_tables
from options_helper.analysis.row_table import RowTable
from options_helper.analysis.totals import LiveTotals, sum_up
from options_helper.model.earnings import Earnings
from options_helper.model.portfolio import Portfolio
from options_helper.model.snapshot import LiveSnapshot


@dataclass(frozen=True, slots=True, eq=False)
class BookLook:
    """One look: what each position, structure and leg is worth and risks, and what they come to."""

    positions: RowTable
    structures: RowTable
    legs: RowTable
    totals: LiveTotals
    risk: BookFigures
    attention: Attention


def look_at_book(
    portfolio: Portfolio,
    live: LiveSnapshot,
    choices: RiskChoices,
    *,
    stale_after_seconds: float,
    wide_spread_pct: float,
    earnings: Sequence[Earnings] = (),
    behind: Behind | None = None,
    earlier: BookLook | None = None,
) -> BookLook:
    """Everything at the snapshot's instant; of the risk, only what moved since the `earlier` look is computed anew.

    `earnings` are the user's, `behind` is what today's executions explain of the difference to the account.
    """
    records = live.expiry_facts.records
    told, doubts = tuple(told_multipliers(portfolio, records)), tuple(term_doubts(portfolio, records))
    portfolio = with_told_multipliers(portfolio, records)
    priced = price_entries(
        portfolio.positions,
        portfolio,
        live,
        stale_after_seconds=stale_after_seconds,
        wide_spread_pct=wide_spread_pct,
    )
    day = read_account_day(portfolio, live)
    positions = position_table(portfolio, live, priced, day)
    structures, legs = multileg_tables(portfolio, live, priced, day)
    totals = sum_up(portfolio, live, positions, structures, legs, account_day=day, holdings=priced.holdings)
    risk = assess_book(
        portfolio,
        live,
        choices,
        stale_after_seconds=stale_after_seconds,
        wide_spread_pct=wide_spread_pct,
        profits=Profits(
            today=_by_id(positions, "day_pnl") | _by_id(structures, "day_pnl"),
            unrealized=_by_id(positions, "pnl_abs") | _by_id(structures, "net_pnl_abs"),
            book_today=totals.day.total,
            today_reasons=totals.day_reasons,
            book_unrealized=totals.pnl_abs,
            book_natural=totals.pnl_natural_abs,
            natural_lacks=tuple(
                name
                for table, column in ((positions, "pnl_natural_abs"), (structures, "net_pnl_natural_abs"))
                for name, amount in _by_id(table, column).items()
                if amount is None
            ),
        ),
        priced=priced,
        earlier=None if earlier is None else earlier.risk.computed,
        remarks=[one.sentence for one in (*doubts, *told)],
    )
    attention = assess_attention(
        portfolio,
        live,
        priced=priced,
        book=risk,
        earnings=earnings,
        behind=behind,
        own_dividends=choices.own_dividends,
        doubts=doubts,
    )
    beside = risk_tables(portfolio, risk)
    return BookLook(
        positions=positions.beside(beside.positions),
        structures=structures.beside(beside.structures),
        legs=legs.beside(beside.legs),
        totals=totals,
        risk=risk,
        attention=attention,
    )


def _by_id(table: RowTable, column: str) -> dict[str, float | None]:
    return dict(zip(table["id"], table.values(column), strict=True))
