"""Parted from the bus for a while, the owner or a viewer: which leg is ill, for how long, and what is missing."""

from __future__ import annotations

import asyncio
import re
import secrets
import threading
import time
from dataclasses import replace

import pytest

from options_helper.bus.connection import BusConnection
from options_helper.bus.publisher import DeskPublisher
from options_helper.bus.stores import stores_of
from options_helper.bus.teller import DeskTeller
from options_helper.bus.truth import DeskHealth, Published
from options_helper.bus.viewer import BusManager
from options_helper.model.announcement import MarketKind
from options_helper.model.frames import Frame
from options_helper.model.snapshot import Phase, StreamHealth
from options_helper.settings import Settings
from tests.bus.test_viewer import STOCKS, WANTED, WELL, bid, is_well, stocks, viewing
from tests.kit.bus import NatsServer, nats_server
from tests.kit.fakes import NOON, deliver, wait_for
from tests.kit.pace import LONG
from tests.kit.serving import KEEP, Relay, Serving, quotes, serving
from tests.kit.waiting import A_PROCESS, AT_ONCE, wait_until

FIRST, SECOND = "From Alpaca to the owner: ", "From the owner to this program: "


@pytest.mark.parametrize("seconds", [1, 10, 60])
def test_an_owner_that_is_parted_from_the_bus_is_the_first_leg_and_nothing_is_missed_once_it_is_back(
    seconds: int,
):
    """The time is the viewer's own clock's; what came to the owner meanwhile waits there, and comes."""
    slept = [0.0]
    with nats_server() as server, Relay(server.port) as relay:
        viewer = BusManager(Settings(), server.address, monotonic=lambda: time.monotonic() + slept[0])
        viewer.start(WANTED)
        try:
            with serving(relay, deliver(*quotes(0, 5))) as owner:
                wait_until(lambda: is_well(viewer), saw=lambda: stocks(viewer))
                wait_until(lambda: bid(viewer.snapshot()) == 104, saw=lambda: stocks(viewer))
                began = stocks(viewer).received
                relay.cut(stays_away=True)
                wait_until(lambda: owner.owner.problem or not push(owner, 1))
                slept[0] = seconds
                # By when an owner is missed: its last word was up to half a second before the cut.
                if seconds > 3:
                    wait_until(lambda: stocks(viewer).phase is Phase.RECONNECTING, saw=lambda: stocks(viewer))
                    assert (stocks(viewer).last_error or "").startswith(f"{FIRST}the owner on here")
                    unheard = re.search(r"not been heard for (\d+)", stocks(viewer).last_error or "")
                    assert unheard is not None, stocks(viewer).last_error
                    assert seconds <= int(unheard[1]) <= seconds + AT_ONCE
                for number in range(10, 30):
                    owner.source_stream().sink.frame(quotes(number, 1)[0], 2)
                relay.heal()
                wait_until(lambda: bid(viewer.snapshot()) == 129, saw=lambda: stocks(viewer))
                wait_until(lambda: is_well(viewer), saw=lambda: stocks(viewer))
                sent = owner.manager.snapshot().streams[STOCKS].received
                wait_until(lambda: stocks(viewer).received - began == sent - 10, saw=lambda: stocks(viewer))
                assert stocks(viewer).missed == 0
        finally:
            viewer.stop()


def push(owner: Serving, count: int) -> bool:
    """Let so many frames come to the owner."""
    for payload in quotes(5, count):
        owner.source_stream().sink.frame(payload, 2)
    return True


def test_a_viewer_that_is_parted_again_and_again_names_its_own_leg_and_counts_all_that_it_missed():
    with (
        nats_server() as server,
        Relay(server.port) as relay,
        serving(server, wait_for(threading.Event())) as owner,
        viewing(relay.address) as viewer,
    ):
        wait_until(lambda: is_well(viewer), saw=lambda: stocks(viewer))
        sink, last = owner.source_stream().sink, 0
        sink.frame(quotes(0, 1)[0], 2)
        wait_until(lambda: bid(viewer.snapshot()) == 100)
        missed = 0
        for parted in (1, 10, 60):
            relay.cut(stays_away=True)
            wait_until(lambda: stocks(viewer).phase is Phase.RECONNECTING, saw=lambda: stocks(viewer))
            assert (stocks(viewer).last_error or "").startswith(SECOND)
            for number in range(last + 1, last + 1 + parted):
                sink.frame(quotes(number, 1)[0], 2)
            last += parted
            missed += 2 * parted
            wait_until(lambda: owner.events() == 2 * (last + 1))  # noqa: B023
            relay.heal()
            wait_until(lambda: is_well(viewer), saw=lambda: stocks(viewer))
            last += 1
            sink.frame(quotes(last, 1)[0], 2)
            wait_until(
                lambda: (stocks(viewer).received, stocks(viewer).missed) == (2 * (last + 1), missed),  # noqa: B023
                saw=lambda: stocks(viewer),
            )
        assert [gap.lost for gap in stocks(viewer).gaps if gap.lost] == [2, 20, 120]


@pytest.mark.skipif(not LONG, reason="a half-open connection is noticed by pings, within fifteen seconds")
def test_a_way_that_is_open_and_brings_nothing_is_noticed_within_fifteen_seconds():
    with (
        nats_server() as server,
        Relay(server.port) as relay,
        serving(server, deliver(*quotes(0, 1))),
        viewing(relay.address) as viewer,
    ):
        wait_until(lambda: is_well(viewer), saw=lambda: stocks(viewer))
        began = time.monotonic()
        relay.mute()
        wait_until(lambda: stocks(viewer).phase not in WELL, saw=lambda: stocks(viewer))
        assert (stocks(viewer).last_error or "").startswith(FIRST), "that the owner is silent is seen first"
        wait_until(lambda: (stocks(viewer).last_error or "").startswith(SECOND), saw=lambda: stocks(viewer))
        assert time.monotonic() - began < 16
        relay.unmute()
        wait_until(lambda: is_well(viewer), saw=lambda: stocks(viewer))


@pytest.mark.parametrize("came_before", [True, False])
def test_a_viewer_that_missed_the_last_for_hours_counts_it_at_once_and_waits_for_nothing(
    *, came_before: bool
):
    """What was published while it was parted never comes: its picture has the price, and silence is no fault then."""
    with (
        nats_server() as server,
        Relay(server.port) as relay,
        serving(server, wait_for(threading.Event())) as owner,
        viewing(relay.address) as viewer,
    ):
        wait_until(lambda: is_well(viewer), saw=lambda: stocks(viewer))
        wait_until(lambda: viewer._source.legs.of(STOCKS).position.begun is not None)  # noqa: SLF001
        if came_before:
            owner.source_stream().sink.frame(quotes(0, 1)[0], 2)
            wait_until(lambda: bid(viewer.snapshot()) == 100, saw=lambda: stocks(viewer))
        relay.cut(stays_away=True)
        wait_until(lambda: stocks(viewer).phase is Phase.RECONNECTING, saw=lambda: stocks(viewer))
        owner.source_stream().sink.frame(quotes(1, 1)[0], 2)
        wait_until(lambda: owner.events() == 2 + 2 * came_before)
        relay.heal()

        wait_until(lambda: bid(viewer.snapshot()) == 101, saw=lambda: stocks(viewer))
        wait_until(lambda: stocks(viewer).missed == 2, saw=lambda: stocks(viewer))
        assert not viewer._is_behind(STOCKS), "nothing of it is to be waited for"  # noqa: SLF001
        assert [gap.lost for gap in stocks(viewer).gaps if gap.lost] == [2]
        assert stocks(viewer).accounted, stocks(viewer)


def test_a_viewer_that_was_parted_before_anything_came_counts_what_it_missed():
    """It was live, so what was published while it was parted is missing, though nothing had come yet to count from."""
    with (
        nats_server() as server,
        Relay(server.port) as relay,
        serving(server, wait_for(threading.Event())) as owner,
        viewing(relay.address) as viewer,
    ):
        wait_until(lambda: is_well(viewer), saw=lambda: stocks(viewer))
        wait_until(lambda: viewer._source.legs.of(STOCKS).position.begun is not None)  # noqa: SLF001
        relay.cut(stays_away=True)
        wait_until(lambda: stocks(viewer).phase is Phase.RECONNECTING, saw=lambda: stocks(viewer))
        for number in range(3):
            owner.source_stream().sink.frame(quotes(number, 1)[0], 2)
        wait_until(lambda: owner.events() == 6)
        relay.heal()
        wait_until(lambda: is_well(viewer), saw=lambda: stocks(viewer))
        wait_until(lambda: bid(viewer.snapshot()) == 102, saw=lambda: stocks(viewer))
        owner.source_stream().sink.frame(quotes(3, 1)[0], 2)
        wait_until(
            lambda: (stocks(viewer).received, stocks(viewer).missed) == (8, 6), saw=lambda: stocks(viewer)
        )
        assert [gap.lost for gap in stocks(viewer).gaps if gap.lost] == [6]


def test_what_came_between_two_words_of_an_owner_is_not_missed_by_one_that_was_held_up_as_it_began():
    """It has all three at once, and counts from the second word what will not come any more."""

    async def story(server: NatsServer, relay: Relay, viewer: BusManager) -> None:
        owner, names = BusConnection(server.address), server.address.names
        await owner.open("an owner")
        for wish in stores_of(names, KEEP):
            await owner.keep(wish)
        made, teller = DeskPublisher(names, [STOCKS], 1), DeskTeller(names)

        async def say(at_ns: int, untold: str = "") -> None:
            streams = {str(STOCKS): StreamHealth(STOCKS, Phase.LIVE)}
            published = {str(STOCKS): Published(*made.progress[STOCKS])}
            word = DeskHealth(
                program="1",
                host="den",
                pid=1,
                at_ns=at_ns,
                market=MarketKind.ALPACA,
                running=True,
                streams=streams,
                published=published,
                untold={"news": untold},
            )
            await teller.tell(owner, "health", word)

        async def publish(number: int) -> None:
            made.offer([Frame(STOCKS, quotes(number, 1)[0], 2, NOON + number)])
            await made.publish(owner)

        await made.begin(owner, {})
        await teller.begin(owner, made.epoch)
        await say(1)
        viewer.start(replace(WANTED, stream_options=False, stream_fills=False))
        # It follows the stream, and has heard no word since.
        await asyncio.to_thread(wait_until, lambda: viewer._source.legs.holes)  # noqa: SLF001
        await publish(0)
        await asyncio.to_thread(wait_until, lambda: stocks(viewer).received == 2, saw=lambda: stocks(viewer))
        relay.mute()
        # More than the relay holds at a time, so that its end comes with the rest.
        await say(2, secrets.token_hex(80_000))
        await publish(1)
        await say(3)
        await owner.settle()
        relay.unmute()
        await asyncio.to_thread(wait_until, lambda: stocks(viewer).received == 4, saw=lambda: stocks(viewer))
        await say(4)
        await asyncio.to_thread(wait_until, lambda: stocks(viewer).applied == 4, saw=lambda: stocks(viewer))
        await owner.close()

    with nats_server() as server, Relay(server.port) as relay:
        viewer = BusManager(Settings(), relay.address)
        try:
            asyncio.run(asyncio.wait_for(story(server, relay, viewer), A_PROCESS))
        finally:
            viewer.stop()
        assert (stocks(viewer).missed, stocks(viewer).gaps) == (0, ())
