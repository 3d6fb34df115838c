"""One program's part in the alerts of an account: in what is the account's, and in what is of its portfolio."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from options_helper.alerting.books import AlertBooks, Scope
from options_helper.alerting.judging import Observed, RuleJudge
from options_helper.alerting.runner import AlertRunner, AlertStatus
from options_helper.clock import elapsed_seconds, utc_now
from options_helper.data.alerts_file import RulesFile
from options_helper.data.at_once import do_at_once
from options_helper.data.firing_log import LoggedFiring
from options_helper.data.lease_course import Holder
from options_helper.data.notify.lifesign import Called
from options_helper.data.notify.targets import Targets
from options_helper.model.alerts import Judgement
from options_helper.model.streams import DEFAULT_ACCOUNT


@dataclass(frozen=True, slots=True)
class ProgramStatus:
    """How alerts stand in this program, for whoever shows it."""

    scopes: Mapping[Scope, AlertStatus]

    @property
    def rules(self) -> int:
        """How many are judged."""
        return sum(one.rules for one in self.scopes.values())

    @property
    def judgements(self) -> tuple[Judgement, ...]:
        """What each rule said last."""
        return tuple(said for one in self.scopes.values() for said in one.judgements)

    @property
    def firings(self) -> tuple[LoggedFiring, ...]:
        """The newest first, also those of other programs of this account and portfolio."""
        return newest_first(one.firings for one in self.scopes.values())

    @property
    def problems(self) -> tuple[str, ...]:
        """In sentences, each once."""
        return tuple(dict.fromkeys(said for one in self.scopes.values() for said in one.problems))

    @property
    def life_sign(self) -> Called | None:
        """How a dead-man's service was called last; None: none is named."""
        return self.scopes[Scope.ACCOUNT].life_sign

    @property
    def sends(self) -> str:
        """Who sends, in words: `sends`, `the dashboard (process 12) sends`, or who what, where they are two.

        Whoever has no target has nobody to send to, and says that.
        """
        senders = {scope: None if one.delivers else one.holder for scope, one in self.scopes.items()}
        mine = [scope for scope, one in self.scopes.items() if one.delivers]
        if len(mine) == len(self.scopes):
            return (
                "sends" if any(one.targets for one in self.scopes.values()) else "judges; no target is named"
            )
        if not mine and len(set(map(_process, senders.values()))) == 1:
            return _sends(senders[Scope.ACCOUNT])
        return ", ".join(
            f"{'sends' if scope in mine else _sends(senders[scope])} what is of the {scope}"
            for scope in self.scopes
        )


def newest_first(logs: Iterator[tuple[LoggedFiring, ...]]) -> tuple[LoggedFiring, ...]:
    """The firings of several logs as those of one."""
    merged = [firing for log in logs for firing in log]
    return tuple(sorted(merged, key=lambda one: one.firing.fired_at, reverse=True))


class ProgramAlerts:
    """Owns this program's runs of alerts, one for each scope. Every method may be called from any thread.

    `rules` is read again as it changes; `load` reads the targets and raises ConfigError. `simulated` and a
    named `account` put a word before each title.
    """

    def __init__(
        self,
        books: Mapping[Scope, AlertBooks],
        rules: RulesFile,
        load: Callable[[], Targets],
        *,
        simulated: bool = False,
        account: str = DEFAULT_ACCOUNT,
        now: Callable[[], datetime] = utc_now,
        elapsed: Callable[[], float] = elapsed_seconds,
    ) -> None:
        self._judges = {scope: RuleJudge(rules, scope, now, elapsed) for scope in Scope}
        loads = {Scope.ACCOUNT: load, Scope.BOOK: lambda: replace(load(), life_sign=None)}
        self._runners = {
            scope: AlertRunner(
                books[scope],
                self._judges[scope],
                loads[scope],
                simulated=simulated,
                account=account,
                now=now,
                elapsed=elapsed,
            )
            for scope in Scope
        }

    def start(self) -> None:
        """Ask for the leases, and go on asking."""
        for runner in self._runners.values():
            runner.start()

    def stop(self) -> None:
        """Send no more, and give the leases back; a second at most, harmless twice."""
        do_at_once([runner.stop for runner in self._runners.values()], "live-alerts-end")

    @property
    def needs_book(self) -> bool:
        """Whether some rule asks for a look at the portfolio."""
        return any(judge.needs_book for judge in self._judges.values())

    def observe(self, observed: Observed) -> None:
        """Judge one snapshot; what the rules of one scope cannot take raises, after those of the other were judged."""
        failed: Exception | None = None
        for runner in self._runners.values():
            try:
                runner.observe(observed)
            except Exception as error:  # noqa: BLE001 - it is raised when the others had their turn
                failed = error
        if failed is not None:
            raise failed

    def status(self) -> ProgramStatus:
        """How it stands now."""
        return ProgramStatus({scope: runner.status() for scope, runner in self._runners.items()})


def _process(holder: Holder | None) -> tuple[str, int] | None:
    return None if holder is None else (holder.host, holder.pid)


def _sends(holder: Holder | None) -> str:
    return "nobody sends" if holder is None else f"the {holder.who} (process {holder.pid}) sends"
