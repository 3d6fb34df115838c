"""An expiry Friday from 15:00 to the morning after, as a watch hears it: what must be told comes once, nothing else.

The simulator's market jumps from one instant to the next, with a quote for each symbol there; alpaca-py, the manager,
the watch, its rules and Apprise are the real ones, and so are the servers that the messages go to.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from email import message_from_string
from pathlib import Path
from typing import Any

import pytest

from options_helper.alerting.judging import Observed, named_rules
from options_helper.alerting.program import ProgramAlerts
from options_helper.analysis.attention.morning_after import EndedState
from options_helper.analysis.reconcile.account_import import portfolio_text
from options_helper.analysis.risk.leg_inputs import RiskChoices
from options_helper.clock import utc_now
from options_helper.data.notify.messages import Outcome
from options_helper.data.notify.sending import ANSWER_SECONDS
from options_helper.data.notify.targets import load_targets
from options_helper.data.streaming.live_manager import LiveStreamManager
from options_helper.model.contract_symbols import is_contract_symbol
from options_helper.model.portfolio import Portfolio
from options_helper.model.snapshot import LiveSnapshot
from options_helper.model.streams import StreamName
from options_helper.settings import DEMO_KEY, DEMO_SECRET
from options_helper.simulator.faults import Message
from options_helper.simulator.market.conditions import Conditions
from options_helper.simulator.market.market import SilentMarket
from options_helper.simulator.server import SimulatorServer
from options_helper.watch.book import FileBook
from options_helper.watch.engine import Watch, Watching
from options_helper.watch.readings import Observer
from options_helper.watch.rest_follower import RestFollower
from tests.kit.alerting import alert_books
from tests.kit.builders import holding, nanoseconds, new_york, portfolio, position
from tests.kit.notified import FakeMail, FakeNtfy, fake_mail, fake_ntfy
from tests.kit.simulated import settings_for
from tests.kit.waiting import A_PROCESS, until_no_thread, wait_until
from tests.wire.test_account_watch import SOON

DAY = date(2026, 11, 20)
SLOW_SECONDS = 0.5
# Its answer comes when nobody waits for it any more.
TOO_LATE_SECONDS = ANSWER_SECONDS + 1
LONG, PUT, COVERED, LOTTERY = (
    "AAPL261120C00185000",  # two of them take more than the account has
    "F261120P00012000",  # short, its strike where the shares will be
    "KO261120C00060000",  # short, above 100 shares
    "F261120C00015000",
)
BOOK = portfolio(
    position("AAPL", 185, "call", contracts=2, expiry=DAY, cost_basis=3.0, identity="long"),
    position("F", 12, "put", contracts=-1, expiry=DAY, cost_basis=0.4, identity="put"),
    position("KO", 60, "call", contracts=-1, expiry=DAY, cost_basis=1.0, identity="covered"),
    position("F", 15, "call", contracts=1, expiry=DAY, cost_basis=0.1, identity="lottery"),
    holding("KO", 100),
    cash=30_000,
)
# The market leaps over minutes while a reading of the account takes as long as it does, so what is not known for five
# of its minutes is nothing that had to be told.
RULES = "".join(
    f'[[rules]]\nname = "{name}"\nsubject = "{subject}"\nfigure = "{figure}"\n'
    'targets = ["phone", "mail", "deaf", "slow", "late"]\nunknown_seconds = 86400\n'
    for name, subject, figure in (
        ("money", "each leg", "attention:long_without_money"),
        ("pin", "each leg", "attention:pin"),
        ("tested", "each leg", "attention:in_the_money_short"),
        ("trade", "account", "fills"),
        ("apart", "book", "attention:file_account"),
    )
)
TOLD = (
    "tested: KO 20 Nov 26 60 C",
    "money: AAPL 20 Nov 26 185 C",
    "trade: The account",
    "apart: The book",  # from then on until the file is mended
    "pin: F 20 Nov 26 12 P",
    "tested: F 20 Nov 26 12 P",  # from 15:55 on the shares are below its strike
)
AS_AT_ALPACA = Conditions(expiries=True, late_expiries=True, sell_out=True)
CALM = {"AAPL": 180.0, "F": 13.2, "KO": 58.0}


@dataclass(frozen=True, slots=True)
class Friday(SilentMarket):
    """A day on which contracts end as they do at Alpaca."""

    conditions: Conditions = AS_AT_ALPACA

    def past_days(self, symbol: str, first: date, last_session: date) -> Mapping[date, Message]:
        """Of no interest here."""
        return {}


class Station:
    """The market, and a watch whose turns the test takes."""

    def __init__(self, folder: Path, stack: ExitStack, targets: Mapping[str, str]) -> None:
        market = Friday(start_ns=nanoseconds(new_york("2026-11-20 15:00")))
        self.server = SimulatorServer(market, key=DEMO_KEY, secret=DEMO_SECRET)
        self.server.start()
        stack.callback(self.server.stop)
        for line in BOOK.lines:
            self.server.account.set_position(line.instrument.live_symbol, line.quantity, 1)
        self.server.account.set_cash(30_000)
        file = folder / "portfolio.json"
        file.write_text(portfolio_text(BOOK), encoding="utf-8")
        (folder / "alerts.toml").write_text(RULES, encoding="utf-8")
        settings = settings_for(self.server)
        alerts = ProgramAlerts(
            alert_books(folder / "alerts", "watch", utc_now()),
            named_rules(folder / "alerts.toml"),
            lambda: load_targets(targets),
        )
        self.alerts = alerts
        stack.callback(alerts.stop)
        alerts.start()
        self.seen = Seeing(RiskChoices(), utc_now)
        self.watch = Watch(
            settings,
            FileBook(file),
            manager=LiveStreamManager(settings, watch=replace(SOON, expiries=0.2)),
            follower=RestFollower(settings, now=utc_now, pace_seconds=0.2),
            alerts=alerts,
            observer=self.seen,
            holder=lambda: None,
            now=utc_now,
            monotonic=time.monotonic,
        )
        stack.callback(self.watch.stop)

    def at(self, moment: str, **spots: float) -> None:
        """Let it be this moment in New York, with these prices, and the watch have judged it."""
        now = new_york(moment)
        self.server.jump(now)
        quotes: dict[StreamName, list[Any]] = {StreamName.STOCKS: [], StreamName.OPTIONS: []}
        spots = CALM | spots
        for symbol, spot in spots.items():
            quotes[StreamName.STOCKS].append(raw_quote(symbol, spot, now))
        for line in BOOK.lines:
            symbol = line.instrument.live_symbol
            if is_contract_symbol(symbol) and now.date() == DAY and now.hour < 16:
                quotes[StreamName.OPTIONS].append(raw_quote(symbol, worth(symbol, spots), now))
        for stream, messages in quotes.items():
            self.server.push(stream, messages)
        self.server.flush()
        self.turn_until(lambda: self.seen.account_as_of >= now)

    def outcomes(self, target: str) -> list[Outcome | None]:
        """How the last try of each message to this target ended, as the log has it."""
        return [one.deliveries[target].outcome for one in self.alerts.status().firings]

    def turn_until(self, holds: Callable[[], object]) -> None:
        """Take turns until this is so."""
        last: list[Watching] = []

        def turn() -> bool:
            last[:] = [self.watch.turn()]
            return bool(holds())

        wait_until(turn, A_PROCESS, saw=lambda: (last[0].activity, last[0].problems, last[0].alerts.problems))


class Seeing(Observer):
    """The watch's own, which keeps what it saw last."""

    last: LiveSnapshot | None = None
    observed: Observed | None = None

    @property
    def account_as_of(self) -> datetime:
        """The newest reading of the account that was judged."""
        view = None if self.last is None else self.last.account.view
        return datetime.min.replace(tzinfo=UTC) if view is None else view.as_of

    def observe(self, portfolio: Portfolio | None, snapshot: LiveSnapshot) -> Observed:
        """As the watch has it."""
        self.observed = super().observe(portfolio, snapshot)
        self.last = snapshot
        return self.observed


def raw_quote(symbol: str, middle: float, at: datetime) -> dict[str, Any]:
    half = 0.01 if middle > 0.05 else 0.005
    sides = {"bp": round(max(0.0, middle - half), 3), "ap": round(middle + half, 3)}
    return {
        "T": "q",
        "S": symbol,
        "bs": 5,
        "as": 5,
        "bx": "C",
        "ax": "C",
        "t": at.astimezone(UTC),
        "c": "A",
    } | sides


def worth(symbol: str, spots: Mapping[str, float]) -> float:
    """What it is in the money, and two cents."""
    line = next(one for one in BOOK.lines if one.instrument.live_symbol == symbol).instrument
    over = spots[line.underlying] - float(line.strike or 0)
    return max(0.0, over if symbol[-9] == "C" else -over) + 0.02


Stage = tuple[Station, FakeNtfy, FakeMail, FakeNtfy, FakeNtfy, FakeNtfy]


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    with ExitStack() as stack:
        phone, mail = stack.enter_context(fake_ntfy()), stack.enter_context(fake_mail())
        deaf = stack.enter_context(fake_ntfy())
        deaf.mute.set()
        slow = stack.enter_context(fake_ntfy(slow_seconds=SLOW_SECONDS))
        late = stack.enter_context(fake_ntfy(slow_seconds=TOO_LATE_SECONDS))
        targets = {
            "OH_ALERT_TARGET_PHONE": phone.url,
            "OH_ALERT_TARGET_MAIL": mail.url,
            "OH_ALERT_TARGET_DEAF": deaf.url,
            "OH_ALERT_TARGET_SLOW": slow.url,
            "OH_ALERT_TARGET_LATE": late.url,
        }
        yield Station(tmp_path, stack, targets), phone, mail, deaf, slow, late
    until_no_thread("live-")


def subjects(mail: FakeMail) -> Counter[str]:
    return Counter(str(message_from_string(one)["Subject"]) for one in mail.mails)


def test_an_expiry_friday_is_told_once_each_at_every_target_that_answers(stage: Stage):
    station, phone, mail, deaf, slow, late = stage
    seen = station.seen
    station.at("2026-11-20 15:01")
    assert phone.posted == [], "nothing has happened yet"

    station.at("2026-11-20 15:05", KO=65.0)  # the covered call is in the money
    station.at("2026-11-20 15:10", KO=65.0, AAPL=190.0)  # two calls that the account cannot exercise
    station.at("2026-11-20 15:14", KO=65.0, AAPL=190.0)
    station.turn_until(lambda: len(phone.posted) >= 2)

    station.at("2026-11-20 15:16", KO=65.0, AAPL=190.0)  # the broker closes them
    station.turn_until(lambda: len(phone.posted) >= 4)
    station.at("2026-11-20 15:50", KO=65.0, AAPL=190.0, F=12.01)  # a put whose strike is where its shares are
    station.turn_until(lambda: len(phone.posted) >= 5)
    for moment in ("15:55", "16:01", "16:20", "18:30"):
        station.at(f"2026-11-20 {moment}", KO=65.0, AAPL=190.0, F=11.9)
    station.at("2026-11-21 09:05", KO=65.0, AAPL=190.0, F=11.9)
    station.turn_until(lambda: seen.last is not None and len(seen.last.expiry_facts.executions) >= 5)
    station.at("2026-11-21 09:06", KO=65.0, AAPL=190.0, F=11.9)
    station.turn_until(lambda: sum(subjects(mail).values()) >= len(TOLD) and len(phone.posted) >= len(TOLD))

    assert Counter(phone.titles) == subjects(mail) == Counter(TOLD)
    # Who takes half a second for each has each once too, and nobody waited for it.
    station.turn_until(lambda: len(slow.posted) >= len(TOLD))
    assert Counter(slow.titles) == Counter(TOLD)
    assert deaf.posted, "it was asked like the others, and held up none of them"
    # What is answered too late counts as unanswered there, and held up none of them either.
    station.turn_until(lambda: Outcome.UNANSWERED in station.outcomes("late"))
    assert late.titles[0] in TOLD
    all_came = [Outcome.DELIVERED] * len(TOLD)
    station.turn_until(lambda: all(station.outcomes(name) == all_came for name in ("phone", "mail", "slow")))
    assert Counter(phone.titles) == subjects(mail) == Counter(slow.titles) == Counter(TOLD)
    assert "$" not in str(phone.posted), "no target has asked for amounts"
    assert station.seen.observed is not None
    assert station.seen.observed.look is not None
    ended = {one.symbol: (one.state, one.why) for one in station.seen.observed.look.attention.morning_after}
    assert ended == {
        LONG: (EndedState.EXPLAINED, "Closed by a trade on 20 Nov 26, before it ended."),
        PUT: (EndedState.EXPLAINED, "Assigned on 20 Nov 26."),
        COVERED: (EndedState.EXPLAINED, "Assigned on 20 Nov 26."),
        LOTTERY: (EndedState.EXPLAINED, "Expired on 20 Nov 26."),
    }
