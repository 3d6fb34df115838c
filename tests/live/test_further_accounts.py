"""Whatever one further account's run comes to, the others have theirs, and each that was begun can be stopped."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from pydantic import SecretStr

from options_helper.data.streaming.live_manager import LiveStreamConfig
from options_helper.errors import ConfigError
from options_helper.live.further_accounts import BROKEN, FurtherAccount, FurtherAccounts
from options_helper.model.snapshots_together import Unusable
from options_helper.settings import Settings
from tests.live.test_session_accounts import AccountManager

IRA, ROTH = (
    Settings(api_key=SecretStr(name), api_secret=SecretStr("s"), account=name) for name in ("ira", "roth")
)
BOTH = (FurtherAccount("ira", IRA), FurtherAccount("roth", ROTH))
CALL = "AAPL261218C00180000"
FAULTS = [ConfigError("The key is missing."), RuntimeError("can't start new thread")]


class Faulty(AccountManager):
    """Raises at its start what it is told to."""

    fault: BaseException | None = None

    def start(self, config: LiveStreamConfig) -> None:
        self.is_running = True  # as one of which a part runs already
        if self.fault is not None:
            raise self.fault
        super().start(config)


class Accounts:
    """Further accounts whose runs are stand-ins that may be refused."""

    def __init__(self) -> None:
        self.made: list[Faulty] = []
        self.faults: dict[str, BaseException] = {}
        self.now = datetime(2026, 11, 20, 15, 32, tzinfo=UTC)
        self.runs = FurtherAccounts(self._build, lambda: self.now)

    def _build(self, settings: Settings) -> Faulty:
        self.made.append(Faulty(settings))
        self.made[-1].fault = self.faults.get(settings.account)
        return self.made[-1]

    def hold(self, *contracts: str) -> None:
        for one in self.made:
            one.hold(dict.fromkeys(contracts or (CALL,), -1))
        self.runs.snapshots(["ira", "roth"])

    @property
    def running(self) -> list[str]:
        return [one.settings.account for one in self.made if one.is_running]


def said(accounts: Accounts) -> str:
    found = accounts.runs.snapshots(["ira"])["ira"]
    assert isinstance(found, Unusable)
    return found.problem


@pytest.mark.parametrize("fault", FAULTS, ids=["refused", "broken"])
@pytest.mark.parametrize("anew", [False, True], ids=["at first", "anew"])
def test_one_that_cannot_be_started_is_left_stopped_and_costs_the_others_nothing(
    fault: Exception, *, anew: bool
):
    accounts = Accounts()
    if anew:
        accounts.runs.start(BOTH)
        accounts.made[0].fault = fault
    accounts.faults["ira"] = fault

    accounts.runs.start(BOTH)

    assert accounts.running == ["roth"]
    assert said(accounts) == (str(fault) if isinstance(fault, ConfigError) else BROKEN)
    accounts.runs.stop()
    assert accounts.running == []


@pytest.mark.parametrize("order", [tuple, lambda both: tuple(reversed(both))], ids=["before", "after"])
def test_where_a_start_is_broken_off_all_that_was_begun_can_be_stopped(
    order: Callable[[tuple[FurtherAccount, ...]], tuple[FurtherAccount, ...]],
):
    accounts = Accounts()
    accounts.faults["roth"] = KeyboardInterrupt()

    with pytest.raises(KeyboardInterrupt):
        accounts.runs.start(order(BOTH))
    assert "roth" in accounts.running

    accounts.runs.stop()
    assert accounts.running == []


@pytest.mark.parametrize("fault", FAULTS, ids=["refused", "broken"])
def test_one_that_cannot_be_asked_of_its_ends_is_asked_again_and_the_others_are_asked(fault: Exception):
    accounts = Accounts()
    accounts.runs.start(BOTH)
    accounts.hold()
    ira, roth = accounts.made
    ira.fault = fault

    accounts.runs.follow_ends()

    assert roth.configs[-1].ending_contracts == (CALL,)
    assert ira.configs[-1].ending_contracts == ()

    ira.fault = None
    accounts.runs.follow_ends()

    assert tuple(one.ending_contracts for one in ira.configs)[-1:] == ((CALL,),)
    asked = len(ira.configs)
    accounts.runs.follow_ends()
    assert len(ira.configs) == asked, "who is asked already is not asked again"


def test_of_contracts_that_ended_more_than_a_week_ago_nothing_is_asked_any_more():
    """A run that lasts for months would ask each second whether of all that it ever held nothing is to be asked."""
    accounts = Accounts()
    accounts.runs.start(BOTH[:1])
    (ira,) = accounts.made
    for day, kept in ((20, [0]), (21, [0, 1]), (27, [0, 1, 7]), (28, [1, 7, 8])):
        accounts.now = accounts.now.replace(day=day)
        accounts.hold(f"AAPL2611{day}C00180000")

        accounts.runs.follow_ends()

        assert ira.configs[-1].ending_contracts == tuple(f"AAPL2611{20 + one}C00180000" for one in kept)


def test_new_keys_begin_another_run_and_end_the_one_before():
    accounts = Accounts()
    accounts.runs.start(BOTH)

    accounts.runs.start([FurtherAccount("ira", replace(IRA, api_key=SecretStr("new")))])

    assert [one.is_running for one in accounts.made] == [False, False, True]
