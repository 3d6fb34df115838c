"""When somebody is told: rules judged by the figures of one instant, once per crossing, whoever evaluates them.

In: rules, readings, the state of before. Out: the state to keep, firings, and where every rule stands. Pure: every
instant comes in. Imports `analysis`, `analysis.attention`, `analysis.risk` and `model`.
"""

from typing import Final

# What others may use, by module; a test holds them to it.
PUBLIC: Final = {
    "evaluator": ("after_absence", "broken_states", "changed_states", "evaluate"),
    "figures": ("book_readings", "stream_readings"),
    "messages": ("evidence_of", "judgement_text", "sentence"),
}
