"""How an entry says instants, prices, shares and dollars."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from math import isclose

from options_helper.analysis.attention.delivery import Demand, Outcome
from options_helper.model.contract_symbols import short_date
from options_helper.model.market_hours import NEW_YORK


def clock(at: datetime) -> str:
    """The time in New York: "15:00"."""
    return f"{at.astimezone(NEW_YORK):%H:%M}"


def day_word(day: date, today: date) -> str:
    """A day for people: "today", or "on 23 Nov 26"."""
    return "today" if day == today else f"on {short_date(day)}"


def dollars(amount: float) -> str:
    """A whole amount: "$1,200"; less than that is said with its cents."""
    return f"${amount:,.0f}" if abs(amount) >= 100 or isclose(amount, round(amount)) else f"${amount:,.2f}"


def outcome_words(outcome: Outcome | None, underlying: str) -> str:
    """What an end brings: "+200 SPY for $112,000"."""
    if outcome is None:
        return "not known, since what it delivers is not"
    if outcome.shares:
        verb = "and receives" if outcome.cash > 0 else "for"
        return f"{outcome.shares:+,.0f} {underlying} {verb} {dollars(abs(outcome.cash))}"
    if outcome.cash:
        return f"{'receives' if outcome.cash > 0 else 'pays'} {dollars(abs(outcome.cash))}"
    return "nothing"


def money_words(needs: float | None, has: float | None) -> str:
    """What of the buying power is missing: "options buying power $18,250: short by $93,750"; empty where nothing is."""
    if not needs:
        return ""
    if has is None:
        return "the buying power is not known"
    return f"options buying power {dollars(has)}: short by {dollars(needs - has)}" if needs > has else ""


def shortage_words(wanted: Demand, has: float | None, underlying: str) -> str:
    """What is missing for it: "buying power $18,250: short by $93,750"; empty where nothing is."""
    said = [words] if (words := money_words(wanted.dollars, has)) else []
    if wanted.shares is None:
        said.append(
            f"whether the {underlying} to be delivered are free is not known: an adjusted call is sold against them"
        )
    elif wanted.shares:
        said.append(f"{wanted.shares:,.0f} {underlying} are to be delivered that are not free")
    return "; ".join(said)


def listed(words: Sequence[str]) -> str:
    """Several things in a sentence: "a", "a and b", "a, b and c"."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
