"""What needs a hand: what ends, is assigned, goes ex or cannot be believed, with whose instant that is and its source.

In: a portfolio, a snapshot, its risk figures, the user's list of reports. Out: frozen entries, worst first, the lines
of the expiry cockpit, and what became of contracts that ended. Never an order. Pure: every instant comes in.
Imports `analysis`, `analysis.reconcile`, `analysis.risk` and `model`.
"""

from typing import Final

# What others may use, by module; a test holds them to it.
PUBLIC: Final[dict[str, tuple[str, ...]]] = {
    "assess": ("Attention", "assess_attention"),
    "cockpit": ("CockpitLine", "EndState"),
    "delivery": ("Outcome",),
    "entries": ("AttentionKind", "Deadline", "Entry", "in_order"),
    "morning_after": ("EndedContract", "EndedState"),
    "words": ("outcome_words",),
}
