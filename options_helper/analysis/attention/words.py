"""How an entry says instants, prices, shares and dollars."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from functools import lru_cache
from math import isclose

from msgspec import Struct

from options_helper.analysis.attention.delivery import Demand, Outcome
from options_helper.model.contract_symbols import short_date
from options_helper.model.market_hours import NEW_YORK
from options_helper.model.text import price_text, with_minus


def clock(at: datetime) -> str:
    """The time in New York: "15:00"."""
    return f"{at.astimezone(NEW_YORK):%H:%M}"


def day_word(day: date, today: date) -> str:
    """A day for people: "today", or "on 23 Nov 26"."""
    return "today" if day == today else f"on {short_date(day)}"


def place_words(inside: float) -> str:
    """Where a price is beside a strike: "in the money by 0.89"."""
    if not inside:
        return "at the money"
    return f"{'in' if inside > 0 else 'out of'} the money by {price_text(abs(inside))}"


def dollars(amount: float) -> str:
    """A whole amount: "$1,200"; less than that is said with its cents."""
    return f"${amount:,.0f}" if abs(amount) >= 100 or isclose(amount, round(amount)) else f"${amount:,.2f}"


@lru_cache(maxsize=4_096)  # said of each end several times at each refresh
def outcome_words(outcome: Outcome | None, underlying: str) -> str:
    """What an end brings: "+200 SPY for $112,000"."""
    if outcome is None:
        return "not known, since what it delivers is not"
    if outcome.shares:
        verb = "and receives" if outcome.cash > 0 else "for"
        return f"{with_minus(outcome.shares, '+,.0f')} {underlying} {verb} {dollars(abs(outcome.cash))}"
    if outcome.cash:
        return f"{'receives' if outcome.cash > 0 else 'pays'} {dollars(abs(outcome.cash))}"
    return "nothing"


class Purse(Struct, frozen=True, gc=False):
    """What is there for an end, dollars."""

    has: float | None  # the account's options buying power; None: not known
    aside: float = 0.0  # set aside for what was sold of it, as computed here
    others: float = 0.0  # what else takes of the buying power
    by: str = "what else ends soon"  # which is that

    @property
    def left(self) -> float:
        """What is there of it, 0 or more; nothing where that is not known."""
        return max(0.0, (self.has or 0.0) - self.others) + self.aside

    def lacks(self, needs: float | None) -> float:
        """What is missing of so much."""
        return max(0.0, (needs or 0.0) - self.left)

    @property
    def words(self) -> str:
        """As in "options buying power $300 and $19,000 set aside for it, as computed here"."""
        said = f"options buying power {dollars(self.has or 0.0)}"
        if self.others and self.has:
            left = max(0.0, (self.has or 0.0) - self.others)
            said += f", {dollars(left)} of it left by {self.by}{',' if self.aside else ''}"
        return f"{said} and {dollars(self.aside)} set aside for it, as computed here" if self.aside else said


def money_words(needs: float | None, purse: Purse) -> str:
    """What of it is missing: "options buying power $18,250: short by $93,750"; empty where that alone is enough."""
    if not needs:
        return ""
    if purse.has is None:
        return "the buying power is not known"
    if short := purse.lacks(needs):
        return f"{purse.words}: short by {dollars(short)}"
    return f"{purse.words}: enough" if needs > purse.has - purse.others else ""


def shortage_words(wanted: Demand, purse: Purse, underlying: str) -> str:
    """The same, and shares that are missing; empty where nothing is."""
    said = [words] if (words := money_words(wanted.dollars, purse)) else []
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
