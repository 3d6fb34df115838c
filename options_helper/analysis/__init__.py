"""Values in, numbers out: marks, tables, totals, P&L of the day, health in words.

In: a `Portfolio` and a `LiveSnapshot`. Out: tables and frozen summaries, each figure with its source and age.
Imports `model`. Knows nothing of where the values come from, and never reads a clock.
"""

from typing import Final

# What others may use, by module; a test holds them to it.
PUBLIC: Final = {
    "accounts_together": ("AccountLook", "look_together", "portfolio_together"),
    "book_look": ("BookLook", "look_at_book"),
    "contract_terms": ("term_doubts", "with_told_multipliers"),
    "book_ladder": (
        "DepthPoint",
        "LadderRow",
        "Trust",
        "depth_points",
        "ladder",
        "price_decimals",
        "size_decimals",
        "spread_words",
        "trust",
    ),
    "columns": (
        "ACCOUNT_COLUMN",
        "COLUMNS",
        "COLUMNS_OF_ACCOUNTS",
        "CSV_COLUMNS",
        "Column",
        "Kind",
        "Table",
        "amount_names",
        "page_columns",
    ),
    "grades": ("Grade",),
    "live_health": ("Headline", "Level", "book_caveats", "book_remarks", "feed_labels", "headline"),
    "live_portfolio_metrics": (
        "DEFAULT_WIDE_SPREAD_PCT",
        "compute_live_multileg_rows",
        "compute_live_position_rows",
    ),
    "live_tables": ("multileg_tables", "position_table"),
    "marks": ("DELAYED_SECONDS", "MarkSource", "QuoteWarning", "read_marks"),
    "priced_lines": ("price_entries",),
    "own_volatility": ("OptionQuote", "Term", "ThirtyDayVolatility", "thirty_day_volatility"),
    "remembered": ("Itself", "remembered"),
    "structure_kinds": ("structure_kind",),
    "row_table": ("RowTable",),
    "totals": ("LiveTotals", "Tally", "labels", "sum_up"),
}
SHARED: Final = {
    "account_side": ("AccountSide", "account_side", "ended_in_account"),
    "columns": ("RISK_COLUMNS",),
    "contract_terms": ("TermWords",),
    "changed_shares": ("of_yesterdays_share",),
    "deliveries": ("ALL_USUAL", "Usual", "as_usual", "sure_inside", "usual_instruments"),
    "day_pnl": ("AccountDay", "dollars_per_point", "read_account_day"),
    "holdings": ("Holdings", "is_unread", "was_split"),
    "marks": ("Flags", "Integers", "Numbers", "believed_middle", "believed_sides", "plain_middle"),
    "option_events": ("halves",),
    "payoffs": (
        "NEVER",
        "Bounds",
        "End",
        "Given",
        "Uncovered",
        "end_of",
        "given_by",
        "is_apart_by_expiry",
        "is_european",
        "payoff_bounds",
        "slope_of",
        "strike_before",
        "uncovered_ends",
        "uncovered_entries",
        "undefined_risks",
        "worth_at_end",
    ),
    "priced_lines": ("PricedLines", "latest_hours", "numbers"),
    "row_table": ("late_table",),
    "structure_kinds": ("StructureKind",),
}
