"""One time of leading a desk: its streams, the owner that carries them to the bus, and the end of both."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

from options_helper.bus.accounts_owner import AccountsOwner
from options_helper.bus.address import BusAddress
from options_helper.bus.owner import AnnouncedSource, BusOwner
from options_helper.bus.owner_term import Require, no_lease
from options_helper.bus.term_carrier import Owner, TermCarrier
from options_helper.clock import utc_now_ns
from options_helper.data.at_once import do_at_once
from options_helper.data.rest.rate_limit import RequestLimits
from options_helper.data.streaming.engine.stream_source import AlpacaSource
from options_helper.data.streaming.engine.worker import RetryPolicy
from options_helper.data.streaming.live_manager import LiveStreamConfig, LiveStreamManager
from options_helper.live.further_accounts import FurtherAccount, FurtherAccounts
from options_helper.model.account import RestPhase, RestTask
from options_helper.model.portfolio import Portfolio
from options_helper.model.snapshot import LiveSnapshot, Phase
from options_helper.model.snapshots_together import snapshots_together
from options_helper.model.streams import DEFAULT_ACCOUNT, StreamId, fills_of
from options_helper.settings import Settings

# After a takeover the connection that Alpaca still holds is that of an owner which is known to be gone.
TAKEOVER_PAUSES: Final = (1.0, 2.0, 5.0)


def feeds_of(settings: Settings, streams: Sequence[StreamId]) -> dict[StreamId, str]:
    """Of which feed each stream is that these settings open."""
    config = LiveStreamConfig(stock_feed=settings.stock_feed, options_feed=settings.options_feed)
    return {stream: config.feed(stream) for stream in streams}


class ServeTerm:
    """Alpaca's streams on the bus, from `open` to `end`. `step_down` may be called from any thread.

    `took_over`: another led the desk just now, so its connection may be there for a moment. `account` is the name of
    the desk's own account, whose settings these are; the `further` ones have a run each, and nothing of theirs holds up
    its streams. Without what `require_lease` requires no term begins.
    """

    def __init__(
        self,
        address: BusAddress,
        settings: Settings,
        limits: RequestLimits,
        *,
        keep_bytes: int,
        plan: Mapping[StreamId, int | None],
        took_over: bool,
        account: str = DEFAULT_ACCOUNT,
        further: Sequence[FurtherAccount] = (),
        require_lease: Require = no_lease,
        now_ns: Callable[[], int] = utc_now_ns,
        manager_cls: Callable[..., LiveStreamManager] = LiveStreamManager,
    ) -> None:
        source = AnnouncedSource(AlpacaSource())
        who = Owner(socket.gethostname(), os.getpid(), now_ns())
        accounts = (account, *(one.name for one in further))
        self.owner = BusOwner(
            address,
            who,
            source.streams,
            now_ns=now_ns,
            announced=lambda: source.announced,
            keep_bytes=keep_bytes,
            limits=plan,
            feeds=feeds_of(settings, source.streams),
            accounts=accounts,
            require_lease=require_lease,
        )
        self._retry = RetryPolicy(slow_pauses=TAKEOVER_PAUSES) if took_over else RetryPolicy()
        self._limits, self._manager_cls = limits, manager_cls
        self.manager = manager_cls(
            settings, source=source, limits=limits, carry=self.owner.carry, retry=self._retry
        )
        self._account, self._wanted = account, tuple(further)
        self._accounts_owner = (
            AccountsOwner(address, who, accounts, now_ns=now_ns, require_lease=require_lease)
            if further
            else None
        )
        self._further = FurtherAccounts(self._manager_of)
        self._managers: dict[
            str, LiveStreamManager
        ] = {}  # of the further accounts; written at the first start
        self._has_begun = False
        # Set once, by whoever is first; `start` looks before streams begin and after, so that nobody waits for it.
        self._stepped_down: str | None = None

    def open(self) -> None:
        """Begin the term on the bus, of all accounts or of none, and to tell of the streams.

        After an error nothing is left behind.
        """
        self.owner.open()
        if self._accounts_owner is not None:
            try:
                self._accounts_owner.open()
            except BaseException:
                self.owner.close()
                raise
        self.owner.tell_of(self.manager.snapshot)

    def _manager_of(self, settings: Settings) -> LiveStreamManager:
        """The run of a further account: its fills, and what is asked of it."""
        source = AnnouncedSource(AlpacaSource())
        carry = (
            None if self._accounts_owner is None else self._accounts_owner.carry_of(settings.account, source)
        )
        made = self._manager_cls(settings, source=source, limits=self._limits, carry=carry, retry=self._retry)
        self._managers[settings.account] = made
        return made

    def start(self, config: LiveStreamConfig) -> None:
        """Stream this, and the fills of each account, unless another leads."""
        if self.yields is None:
            self.manager.start(config)
            if self._wanted and not self._has_begun:
                # Once: what Alpaca refuses one of them is tried again by itself, and not at each change of symbols.
                self._has_begun = True
                self._further.start(self._wanted)
                if self._accounts_owner is not None:
                    self._accounts_owner.tell_of(self.snapshot)
        if self.yields is not None:
            self._stop_all()  # it was stepped down meanwhile, when there was nothing to close yet

    def look_after_accounts(self) -> None:
        """Have each further account asked what becomes of the contracts that it holds now."""
        if not self._wanted:
            return
        if self.yields is None:
            self._further.follow_ends()
        if self.yields is not None:
            self._stop_all()  # as above: of a run that was begun anew meanwhile nobody else knows

    def snapshot(self) -> LiveSnapshot:
        """Everything; where there are several accounts with each one's own."""
        if not self._wanted:
            return self.manager.snapshot()
        # The others first, so that nothing that one of them was told is newer than the whole.
        others = self._further.snapshots([one.name for one in self._wanted])
        return snapshots_together(self._account, self.manager.snapshot(), others)

    def portfolios(self) -> list[Portfolio]:
        """What the further accounts hold, as far as that is known."""
        found = self._further.with_portfolios(self._wanted)
        return [one.portfolio for one in found if one.portfolio is not None]

    def step_down(self, why: str) -> None:
        """Another leads, or may lead: publish nothing from now on, at once, and close the connections to Alpaca."""
        self._stepped_down = self._stepped_down or why
        for owner in self._owners:
            owner.yield_to_another(why)
        self._stop_all()

    def _stop_all(self) -> None:
        """Close all connections to Alpaca, those of the accounts beside the market's."""
        further = [self._further.stop] if self._wanted else []
        do_at_once([self.manager.stop, *further], "live-accounts-end")

    @property
    def _owners(self) -> tuple[TermCarrier, ...]:
        return (self.owner,) if self._accounts_owner is None else (self.owner, self._accounts_owner)

    @property
    def yields(self) -> str | None:
        """Why another leads, as a sentence; None while this one does. Who is refused for one account is for all."""
        return self._stepped_down or next((one.fenced for one in self._owners if one.fenced), None)

    def trouble(self, snapshot: LiveSnapshot) -> str | None:
        """What is wrong with further accounts, each by its name, as sentences; None where all is well."""
        said = []
        for one in self._wanted if self._has_begun else ():
            manager, own = self._managers.get(one.name), snapshot.accounts[one.name]
            why = None if manager is None else manager.failure
            fills = own.streams.get(fills_of(one.name))
            if why is None and fills is not None and fills.phase is Phase.FAILED:
                why = fills.last_error
            if why is None:
                reports = (own.account.reports[task] for task in (RestTask.POSITIONS, RestTask.FILLS))
                why = next((report.problem for report in reports if report.phase is RestPhase.FAILED), None)
            if why is not None:
                said.append(f"The account {one.name}: {why}")
        if self._accounts_owner is not None:
            said += [
                f"The bus was not told the {what}: {why}" for what, why in self._accounts_owner.untold.items()
            ]
        return " ".join(said) or None

    @property
    def problem(self) -> str | None:
        """Why what comes waits for the bus, as a sentence."""
        return next((one.problem for one in self._owners if one.problem), None)

    @property
    def failure(self) -> str | None:
        """Why it cannot go on though it leads, as a sentence."""
        return None if self.yields else self.manager.failure

    def end(self) -> None:
        """Close Alpaca's connections, have the bus store what came, and say goodbye where this one still leads."""
        self._stop_all()
        if (why := self.yields) is not None:
            for owner in self._owners:
                owner.yield_to_another(why)
        do_at_once([owner.close for owner in self._owners], "live-accounts-end")

    def losses(self) -> list[tuple[int, str]]:
        """What did not get there, with how many; after the end."""
        healths = self.manager.snapshot().streams.values()
        unstored = sum(health.dropped + health.queued for health in healths)
        unknown = self.owner.unknown
        lost = [
            (
                max(0, unstored - self.owner.stored_unsettled - unknown),
                "events found no place and are not stored",
            ),
            (unknown, "events were on their way at the end, and nobody knows whether they are stored"),
            (
                sum(counts.unsendable for counts in self.owner.counts.values()),
                "events were in messages larger than the bus takes",
            ),
            (self.owner.lost_messages, "batches were lost by the bus after it had acknowledged them"),
        ]
        return [(count, what) for count, what in (*lost, *self._lost_of_accounts()) if count]

    def _lost_of_accounts(self) -> Iterator[tuple[int, str]]:
        """The same of each further account, by its name."""
        owner = self._accounts_owner
        if owner is None:
            return
        for name, manager in self._managers.items():
            stream = fills_of(name)
            health, counts = manager.snapshot().streams.get(stream), owner.counts[stream]
            if health is not None:
                yield (
                    owner.found_no_place(name, health),
                    f"events of {name} found no place and are not stored",
                )
            yield (
                counts.waiting,
                f"events of {name} were on their way, and nobody knows whether they are stored",
            )
            yield counts.unsendable, f"events of {name} were in messages larger than the bus takes"
        yield (
            owner.lost_messages,
            "batches of further accounts were lost by the bus after it had acknowledged them",
        )
