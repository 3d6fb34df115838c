"""What could not be had, with its cause and what follows from it apart: one cause of many things is said once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from options_helper.errors import OptionsHelperError, RestError


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that could not be had, and why."""

    cause: str  # what went wrong and what to do, as sentences; the same for all that it keeps away
    unknown: str = (
        ""  # what follows, after "Not known now: "; empty where it is what the task itself is about
    )
    asked: str = ""  # which question it was, such as "/v2/orders"
    again_at: datetime | None = None  # not asked again before, in this computer's time
    accounts: tuple[str, ...] = ()  # whose it is; empty where it is everybody's, or there is one

    @classmethod
    def of(cls, error: Exception, unknown: str = "") -> Problem:
        """Of an error; what is none of ours is told by its kind, since nobody knows what stands in it."""
        match error:
            case RestError():
                return cls(error.cause, unknown, error.asked, error.again_at)
            case OptionsHelperError():
                return cls(str(error), unknown)
            case _:
                return cls(f"Asking failed ({type(error).__name__}); it is tried again.", unknown)


def sentences(problems: Iterable[Problem], *, with_questions: bool = False) -> tuple[str, ...]:
    """Each cause once, with all that is not known for it; `with_questions` says what was asked in vain too."""
    by_cause: dict[str, list[Problem]] = {}
    for problem in problems:
        by_cause.setdefault(problem.cause, []).append(problem)
    return tuple(_sentence(cause, some, with_questions=with_questions) for cause, some in by_cause.items())


def in_words(problems: Iterable[Problem]) -> str | None:
    """All of it as one text; None of nothing."""
    return " ".join(sentences(problems)) or None


def _sentence(cause: str, problems: list[Problem], *, with_questions: bool) -> str:
    of_all = {problem.accounts for problem in problems}
    # Where not all have it, but those that do have the same of it, their names stand before it.
    are_alike = len({(one.cause, one.unknown, one.asked) for one in problems}) == 1
    whose = dict.fromkeys(name for one in problems for name in one.accounts)
    is_named = () not in of_all and (len(of_all) == 1 or are_alike)
    unknown = dict.fromkeys(_unknown(one, named=not is_named) for one in problems if one.unknown)
    asked = dict.fromkeys(one.asked for one in problems if one.asked)
    again = min((one.again_at for one in problems if one.again_at is not None), default=None)
    parts = [
        f"{' and '.join(whose)}: {cause}" if is_named and whose else cause,
        *([] if again is None else [again_words(again)]),
        *([f"Not known now: {'; '.join(unknown)}."] if unknown else []),
        *([f"Asked: {', '.join(asked)}."] if with_questions and asked else []),
    ]
    return " ".join(parts)


def _unknown(problem: Problem, *, named: bool) -> str:
    return (
        f"{problem.unknown} ({' and '.join(problem.accounts)})"
        if named and problem.accounts
        else problem.unknown
    )


def again_words(at: datetime) -> str:
    """When a host may be asked again, as a sentence."""
    return f"It may be asked again at {at:%Y-%m-%d %H:%M:%S} UTC."
