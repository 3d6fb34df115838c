"""Another library's client reads what the simulator compresses, in the window that both agreed on."""

from __future__ import annotations

import asyncio
import json
import random

import pytest
from websockets.asyncio.client import connect
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory

from options_helper.model.streams import StreamName
from options_helper.simulator.market.market import SilentMarket
from options_helper.simulator.server import SimulatorServer
from tests.kit.fakes import NOON
from tests.kit.simulated import settings_for
from tests.kit.waiting import FOREVER


@pytest.mark.parametrize(
    "offer",
    [
        ClientPerMessageDeflateFactory(client_max_window_bits=True),
        ClientPerMessageDeflateFactory(server_max_window_bits=9),
        ClientPerMessageDeflateFactory(server_no_context_takeover=True),
    ],
    ids=["as usual", "a small window", "a window for each message"],
)
def test_a_client_reads_messages_that_repeat_what_lies_beyond_its_window(
    offer: ClientPerMessageDeflateFactory,
):
    chance = random.Random(1)
    repeated = chance.randbytes(3_000).hex()
    texts = [repeated, chance.randbytes(2_500).hex()] * 2

    async def read(server: SimulatorServer) -> list[str]:
        key, secret = settings_for(server).require_credentials()
        url = f"ws://127.0.0.1:{server.port}/v2/iex"
        async with asyncio.timeout(FOREVER), connect(url, compression=None, extensions=[offer]) as client:
            assert client.protocol.extensions
            for request in (
                {"action": "auth", "key": key, "secret": secret},
                {"action": "subscribe", "quotes": ["AAPL"]},
            ):
                await client.recv()
                await client.send(json.dumps(request))
            await client.recv()
            heard = []
            for text in texts:
                quote = {"T": "q", "S": "AAPL", "bp": 1.0, "x": text, "t": NOON}
                await asyncio.to_thread(server.push, StreamName.STOCKS, [quote])
                heard.append(json.loads(await client.recv())[0]["x"])
            return heard

    with SimulatorServer(SilentMarket(start_ns=NOON), compression=True) as server:
        assert asyncio.run(read(server)) == texts
