"""Tell how a watch goes: one line that is drawn anew at a terminal, and a line now and then elsewhere."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from options_helper.analysis.alerts.messages import sentence
from options_helper.data.firing_log import LoggedFiring
from options_helper.model.alerts import Judgement, Verdict
from options_helper.model.market_hours import NEW_YORK
from options_helper.model.snapshots_together import streams_together
from options_helper.monitoring.heartbeat import WatchStatus
from options_helper.watch.engine import Watching

if TYPE_CHECKING:
    from rich.console import Console
    from rich.live import Live

LINE_EVERY: Final = timedelta(minutes=5)


def activity_of(watchings: Mapping[str, Watching]) -> str:
    """In one line what a watch is at; by account where it has several, whose names they have then."""
    return " | ".join(of_account(account, one.activity) for account, one in watchings.items())


def problems_of(watchings: Mapping[str, Watching]) -> tuple[str, ...]:
    """What is wrong with the portfolios and the streams, as sentences, each with its account likewise.

    What several accounts meet alike is said once: of all of them without their names.
    """
    whose: dict[str, list[str]] = {}
    for account, one in watchings.items():
        for said in one.problems:
            whose.setdefault(said, []).append(account)
    return tuple(
        said if len(accounts) == len(watchings) else of_account(" and ".join(accounts), said)
        for said, accounts in whose.items()
    )


def status_of(watchings: Mapping[str, Watching]) -> WatchStatus | None:
    """How a watch is, for its heartbeat; None where it has not looked yet. Each account has streams of its own."""
    first = next(iter(watchings.values()), None)
    if first is None:
        return None
    streams = streams_together({account: one.snapshot.streams for account, one in watchings.items()})
    snapshot = replace(first.snapshot, streams=streams)
    return WatchStatus(snapshot, activity_of(watchings), " ".join(problems_of(watchings)) or None)


def of_account(account: str, text: str) -> str:
    """The text with the account's name before it; an only one has none."""
    return f"{account}: {text}" if account else text


class WatchDisplay:
    """Tells each thing once; called on one thread.

    `amounts` says whether how much is held may be told; None: at a terminal, whose reader is the user, and not where it
    ends up in a file, a mail or a journal.
    """

    def __init__(self, console: Console, live: Live | None, *, amounts: bool | None = None) -> None:
        self._console, self._live = console, live
        self._amounts = console.is_terminal if amounts is None else amounts
        self._said: str | None = None
        self._said_at: datetime | None = None
        self._problems: frozenset[str] = frozenset()
        self._firings: dict[tuple[str, str], tuple[str, ...]] = {}  # by account, and key
        self._judged: set[tuple[str, str, str]] = set()  # once at least: account, rule and subject

    def say(self, sentence: str, at: datetime) -> None:
        """Print it with the time in New York."""
        self._console.print(
            f"{at.astimezone(NEW_YORK):%H:%M:%S} {sentence}", markup=False, highlight=False, soft_wrap=True
        )

    def show(self, watchings: Mapping[str, Watching], at: datetime) -> None:
        """How it stands: problems and firings when they are new, the rest at a change and every few minutes.

        By account; the name of an only one is empty.
        """
        of_alerts = [
            of_account(account, said) for account, one in watchings.items() for said in one.alerts.problems
        ]
        problems = frozenset((*problems_of(watchings), *of_alerts))
        for problem in sorted(problems - self._problems):
            self.say(problem, at)
        self._problems = problems
        for account, watching in watchings.items():
            fired = {
                (one.firing.rule, one.firing.subject)
                for one in watching.alerts.firings
                if (account, one.firing.key) not in self._firings
            }
            for said in self._news(account, watching.alerts.firings):
                self.say(said, at)
            for one in self._first_looks(account, watching.alerts.judgements):
                if one.verdict is Verdict.MET and (one.rule.name, one.subject) not in fired:
                    self.say(self._met_already(account, one), at)
        text = activity_of(watchings)
        if self._live is not None:
            from rich.text import Text

            self._live.update(Text(f"{at.astimezone(NEW_YORK):%H:%M:%S} {text}"), refresh=True)
        elif text != self._said or self._said_at is None or at - self._said_at >= LINE_EVERY:
            self._said, self._said_at = text, at
            self.say(text, at)

    def known(self, account: str, firings: Iterable[LoggedFiring]) -> None:
        """What has fired of an account before this run, which is not told again."""
        for one in firings:
            self._firings[account, one.firing.key] = _states(one)

    def _first_looks(self, account: str, judgements: Iterable[Judgement]) -> list[Judgement]:
        """Those of a rule and a subject that were not judged before; a subject that was gone is new."""
        by_key = {(account, one.rule.key, one.subject): one for one in judgements}
        rules = {(account, one.rule.key) for one in by_key.values()}
        # Of a rule that has nothing to judge for a while, where it stands is kept, and nothing is new afterwards.
        self._judged = {key for key in self._judged if key in by_key or key[:2] not in rules}
        found = {
            key: one
            for key, one in by_key.items()
            if one.is_awake and one.verdict is not Verdict.UNKNOWN and key not in self._judged
        }
        self._judged |= found.keys()
        return list(found.values())

    def _met_already(self, account: str, one: Judgement) -> str:
        text = sentence(one.rule, one.reading, one.verdict, with_amounts=self._amounts)
        return (
            f"Met at the first look: {of_account(account, f'{one.rule.name}: {one.reading.label}')}. {text}"
        )

    def _news(self, account: str, firings: Iterable[LoggedFiring]) -> Iterable[str]:
        for one in reversed(tuple(firings)):
            before, now = self._firings.get((account, one.firing.key)), _states(one)
            self._firings[account, one.firing.key] = now
            title = of_account(account, one.firing.title)
            if before is None:
                text = one.firing.text_with_amounts if self._amounts else one.firing.text
                yield f"{one.firing.severity.upper()}: {title}. {text}"
            for state in now:
                if state not in (before or ()):
                    yield f"  {title}: {state}"


def _states(one: LoggedFiring) -> tuple[str, ...]:
    """Where it has arrived, or why not."""
    return tuple(
        f"{name} {delivered.outcome}{'' if delivered.why is None else f', because {delivered.why}'}"
        for name, delivered in one.deliveries.items()
        if delivered.outcome is not None
    )
