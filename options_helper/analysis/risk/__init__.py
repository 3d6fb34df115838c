"""Prices and quotes in, risk out: implied volatility, Greeks, forwards, and sums that say what they cover.

In: arrays, one element for each option leg: what its contract says, what the market says, what is quoted. Out: arrays
and frozen values in the units of `docs/RISK.md`; NaN in an array and None at the edge mean "not known".
Imports `model`. Pure NumPy and decimals: no clock, no file, no thread; every time comes in as years to the settlement
instant.
"""

from typing import Final

# What others may use, by module; a test holds them to it.
PUBLIC: Final[dict[str, tuple[str, ...]]] = {
    "beta": ("BetaWeighted",),
    "book_reading": ("entry_of", "held_lines", "reading_of"),
    "book_risk": ("assess_book",),
    "book_values": (
        "BookFigures",
        "LineRisk",
        "Profits",
        "SpotSource",
        "ThetaParts",
        "UnderlyingRisk",
        "theta_parts",
    ),
    "change_subject": ("BOOK", "DayProfits", "day_profits", "has_closed_line", "keys_of"),
    "dividends": ("DividendState",),
    "extremes": ("EndedLegs", "Extreme", "Held", "Limit", "together"),
    "figures_together": ("AccountFigures", "figures_together", "id_of", "in_all_or_of"),
    "fill_costs": ("DayTrades", "FillCosts", "trades_of_day"),
    "greeks": ("OF_ONE_UNDERLYING", "FigureState", "GreekSum", "GreekSums"),
    "leg_inputs": ("RiskChoices",),
    "payoff_progress": ("Progress", "progress_of"),
    "payoff_view": ("PayoffView", "Subject", "payoff_view", "shortened", "subjects"),
    "pricing": ("CashDividends", "Market", "Terms", "value"),
    "readings": ("Reading",),
    "risk_tables": ("risk_tables",),
    "scenario": ("Curve", "curve"),
    "second_opinion": ("require_second_opinion", "second_delta"),
    "trade_progress": ("percent_of_best",),
    "what_changed": ("Change", "Part", "Strip", "begin", "change_of", "fold", "is_due", "of_day"),
    "what_if": ("WhatIf", "parse_what_if"),
}
SHARED: Final[dict[str, tuple[str, ...]]] = {
    "dividends": ("LegDividends", "dividends_of_leg", "own_words"),
    "leg_inputs": ("made_until", "session_ended_ns"),
}
