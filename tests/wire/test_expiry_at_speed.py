"""An expiry Friday at speed, from 15:00 to the morning after, for a watch in a process of its own and for `today`.

On a paper account: a call is sold out by the broker, a put is assigned, another put is pinned and expires. What each
became is told over REST on the next day.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import date
from email import message_from_string, policy
from pathlib import Path
from typing import Any

import pytest

from options_helper.analysis.reconcile.account_import import portfolio_text
from options_helper.clock import utc_now
from options_helper.data.firing_log import FiringLog
from options_helper.data.notify.messages import Outcome
from options_helper.model.instants import utc_datetime
from options_helper.settings import DEMO_KEY, DEMO_SECRET
from options_helper.simulator.market.conditions import Conditions
from options_helper.simulator.server import SimulatorServer
from tests.kit.builders import holding, new_york, portfolio, position
from tests.kit.notified import fake_mail, fake_ntfy
from tests.kit.pace import LONG
from tests.kit.programs import Program
from tests.kit.scripted_market import ScriptedMarket
from tests.kit.waiting import A_PROCESS, wait_until

FRIDAY = date(2026, 11, 20)
BOOK = portfolio(
    holding("AAPL", 100.0),
    position("AAPL", 150, "call", contracts=3, expiry=FRIDAY, cost_basis=40.0, identity="sold-out"),
    position("AAPL", 240, "put", contracts=-1, expiry=FRIDAY, cost_basis=30.0, identity="assigned"),
    position("AAPL", 205, "call", contracts=-1, expiry=FRIDAY, cost_basis=1.0, identity="tested"),
    position("AAPL", 200, "put", contracts=-1, expiry=FRIDAY, cost_basis=1.0, identity="pinned"),
    cash=30_000,
)
SOLD_OUT, ASSIGNED, TESTED, PINNED = (
    "AAPL261120C00150000",
    "AAPL261120P00240000",
    "AAPL261120C00205000",
    "AAPL261120P00200000",
)
PRICES = (
    (new_york("2026-11-20 15:00"), 203.0),
    (new_york("2026-11-20 15:22"), 206.5),
    (new_york("2026-11-20 15:40"), 200.02),
)
ACTS = (
    (new_york("2026-11-20 15:00"), new_york("2026-11-20 16:20")),
    (new_york("2026-11-20 17:45"), new_york("2026-11-20 18:45")),
    (new_york("2026-11-23 08:40"), new_york("2026-11-23 09:35")),
)
SPEED = 240
RULES = """
[[rules]]
name = "short in the money"
subject = "each short leg"
figure = "attention:in_the_money_short"

[[rules]]
name = "pin"
subject = "each short leg"
figure = "attention:pin"

[[rules]]
name = "no money"
subject = "book"
figure = "attention:long_without_money"

[[rules]]
name = "apart"
subject = "book"
figure = "attention:file_account"

[[rules]]
name = "fill"
subject = "account"
figure = "fills"
operator = "rises"
"""
# What comes about that day, by the title of its message; what is so at 15:00 already is none.
EXPECTED = (
    "SIMULATED: fill: The account",
    "SIMULATED: apart: The book",
    "SIMULATED: short in the money: AAPL 20 Nov 26 205 C",
    "SIMULATED: pin: AAPL 20 Nov 26 200 P",
)


def friday_market() -> ScriptedMarket:
    """Such a Friday, as often as one wants it."""
    conditions = Conditions(expiries=True, late_expiries=True, sell_out=True)
    return ScriptedMarket(BOOK, "AAPL", PRICES, ACTS, SPEED, conditions)


@contextmanager
def served() -> Iterator[tuple[SimulatorServer, Mapping[str, str]]]:
    """The Friday on a port, and how it is found."""
    with SimulatorServer(friday_market(), key=DEMO_KEY, secret=DEMO_SECRET) as server:
        yield (
            server,
            {
                "APCA_API_KEY_ID": DEMO_KEY,
                "APCA_API_SECRET_KEY": DEMO_SECRET,
                "APCA_API_BASE_URL": server.rest_url,
                "OH_ALPACA_DATA_URL": server.rest_url,
                "OH_ALPACA_STREAM_URL": server.stream_url,
                "OH_ALPACA_REST_PER_MINUTE": "10000",
                "OH_ALPACA_MARKET_TIME": utc_datetime(server.now_ns).isoformat(),
                "OH_RISK_RATES": "2026-11-20 0.04",
            },
        )


def program(*arguments: str | Path, environ: Mapping[str, str], folder: Path) -> subprocess.Popen[str]:
    """`options-helper` with these arguments, in a process of its own."""
    state = str(folder / "state")
    return Program(*map(str, arguments), cwd=folder, env={**os.environ, **environ, "XDG_STATE_HOME": state})


def write_book(folder: Path) -> None:
    (folder / "portfolio.json").write_text(portfolio_text(BOOK), encoding="utf-8")
    (folder / "alerts.toml").write_text(RULES, encoding="utf-8")


class Watched:
    """A watch in a process of its own, which can be ended and begun again."""

    def __init__(self, folder: Path, environ: Mapping[str, str], stack: ExitStack) -> None:
        self._folder, self._environ = folder, environ
        self._process: subprocess.Popen[str] | None = None
        self.said = ""
        self._begun_at = utc_now()
        stack.callback(self._kill)

    def begin(self) -> None:
        self._begun_at = utc_now()
        self._process = program(
            "watch", "--state", self._folder / "health.json", environ=self._environ, folder=self._folder
        )

    def end(self) -> tuple[int, int]:
        """Ask it to end, and wait until it has: its exit code, and what that must be by what it wrote down."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        said, _ = self._process.communicate(timeout=A_PROCESS)
        self.said += said
        given_up = [
            delivered
            for path in (self._folder / "state").rglob("*.jsonl")
            for one in FiringLog(path).look().firings.values()
            if one.firing.fired_at >= self._begun_at
            for delivered in one.deliveries.values()
            if delivered.outcome is Outcome.GAVE_UP
        ]
        return self._process.returncode, int(bool(given_up))

    def _kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()


def today(folder: Path, environ: Mapping[str, str]) -> dict[str, Any]:
    """What `today` says of the book now."""
    told = program("today", "portfolio.json", "--json", environ=environ, folder=folder)
    said, _ = told.communicate(timeout=A_PROCESS)
    found: dict[str, Any] = json.loads(said)
    return found


def kinds(found: Mapping[str, Any]) -> dict[str, list[str]]:
    """The symbols of each kind that needs a hand."""
    named: dict[str, list[str]] = {}
    for one in found["attention"]:
        named[one["kind"]] = sorted({*named.get(one["kind"], []), *one["symbols"]})
    return named


def subject(mail: str) -> str:
    """What a mail is called."""
    return str(message_from_string(mail, policy=policy.default)["subject"])


@pytest.mark.faults
@pytest.mark.processes
@pytest.mark.skipif(not LONG, reason="takes a minute and more: LONG_TESTS=1, or sh scripts/check-long")
def test_what_must_come_comes_once_and_nothing_else(tmp_path: Path):
    """Through a restart after the close, beside a target that is mute and one that refuses."""
    write_book(tmp_path)
    with ExitStack() as stack:
        server, address = stack.enter_context(served())
        ntfy, mute, refusing = (stack.enter_context(fake_ntfy(status=status)) for status in (200, 200, 500))
        mute.mute.set()
        mail = stack.enter_context(fake_mail())
        targets = {"PHONE": ntfy.url, "MAIL": mail.url, "MUTE": mute.url, "REFUSING": refusing.url}
        environ = {
            **address,
            "OH_ALERT_RULES": str(tmp_path / "alerts.toml"),
            **{f"OH_ALERT_TARGET_{name}": url for name, url in targets.items()},
        }
        before = today(tmp_path, environ)
        watch = Watched(tmp_path, environ, stack)
        watch.begin()
        wait_until(
            lambda: utc_datetime(server.now_ns) >= ACTS[0][1],
            A_PROCESS,
            saw=lambda: (utc_datetime(server.now_ns), ntfy.titles),
        )
        codes = [watch.end()]
        watch.begin()
        wait_until(lambda: server.finished, A_PROCESS, saw=lambda: utc_datetime(server.now_ns))
        after = today(tmp_path, environ)
        codes.append(watch.end())

    # What was so at the start is in the list and no message; what came about is one message.
    assert SOLD_OUT in kinds(before)["long_without_money"]
    assert ASSIGNED in kinds(before)["in_the_money_short"]
    expected = Counter(EXPECTED)
    assert Counter(ntfy.titles) == expected, (ntfy.posted, watch.said)
    assert Counter(map(subject, mail.mails)) == expected
    assert set(refusing.titles) == set(mute.titles) == set(expected)
    assert {one["symbol"]: (one["state"], one["why"]) for one in after["morning_after"]} == {
        ASSIGNED: ("explained", "Assigned on 20 Nov 26."),
        PINNED: ("explained", "Expired on 20 Nov 26."),
        TESTED: ("explained", "Expired on 20 Nov 26."),
        SOLD_OUT: ("explained", "Closed by a trade on 20 Nov 26, before it ended."),
    }
    # 1 says that a message of its own run was given up, as those to the target that is mute may be by then.
    assert [code for code, _ in codes] == [by_its_log for _, by_its_log in codes]
    written = "".join(
        one.read_text(encoding="utf-8", errors="replace") for one in tmp_path.rglob("*") if one.is_file()
    )
    assert "hidden-" not in watch.said + written
