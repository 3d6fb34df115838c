"""ICICI's own client, unmodified, in a process and a folder of its own: what it finds goes to stdout, a line each.

It reads its addresses from a module `config` that it imports by that bare name, so they are put there before it is
imported; importing it downloads the list of instruments, makes a folder `logs`, and changes `sys.path`.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import os
import sys
import threading
from pathlib import Path
from typing import Any

_printing = threading.Lock()


def say(**said: Any) -> None:
    """One line for the test that waits; ticks come on threads of their own."""
    with _printing:
        sys.stdout.write(f"{json.dumps(said, default=str)}\n")
        sys.stdout.flush()


def configured(addresses: dict[str, str]) -> None:
    """Load the package's own `config.py`, and lead it to the fake."""
    distribution = importlib.metadata.distribution("breeze-connect")
    folder = Path(str(distribution.locate_file("breeze_connect")))
    spec = importlib.util.spec_from_file_location("config", folder / "config.py")
    assert spec is not None
    assert spec.loader is not None
    config = importlib.util.module_from_spec(spec)
    sys.modules["config"] = config
    spec.loader.exec_module(config)
    http, stream = addresses["BREEZE_REST_URL"], addresses["BREEZE_STREAM_URL"].replace("ws://", "http://")
    for name, address in (
        ("API_URL", f"{http}/"),
        ("BREEZE_NEW_URL", f"{http}/"),
        ("LIVE_STREAM_URL", stream),
        ("LIVE_FEEDS_URL", stream),
        ("LIVE_OHLC_STREAM_URL", stream),
        ("SECURITY_MASTER_URL", addresses["BREEZE_MASTER_URL"]),
    ):
        setattr(config, name, address)


def connect(breeze: Any) -> None:
    """It gives up after three seconds, which a busy machine may need."""
    for _ in range(10):
        try:
            breeze.ws_connect()
        except Exception as error:  # noqa: BLE001 - it raises nothing else
            say(again=str(error))
        else:
            return


def main() -> None:
    """Log in, ask, join, and leave when the test says so."""
    addresses = json.loads(sys.argv[1])
    configured(addresses)
    from breeze_connect import BreezeConnect

    breeze = BreezeConnect(api_key=addresses["BREEZE_API_KEY"])
    breeze.generate_session(
        api_secret=addresses["BREEZE_API_SECRET"], session_token=addresses["BREEZE_SESSION"]
    )
    _, shares, _, _, contracts, _ = breeze.stock_script_dict_list
    say(entered={"user": breeze.user_id, "shares": shares, "contracts": contracts})
    say(signed=breeze.get_quotes(stock_code="RELIND", exchange_code="NSE", product_type="cash"))
    breeze.on_ticks = lambda tick: say(tick=tick)
    connect(breeze)
    say(joined=breeze.subscribe_feeds(exchange_code="NSE", stock_code="RELIND"))
    say(joined=breeze.subscribe_feeds(stock_token=["4.2!11536", "1.2!500325"]))
    contract = {"stock_code": "NIFTY", "product_type": "options", "expiry_date": "29-Dec-2026"}
    say(
        joined=breeze.subscribe_feeds(
            exchange_code="NFO", **contract, strike_price="26000", right="call", get_exchange_quotes=False
        )
    )
    sys.stdin.readline()
    say(left=breeze.unsubscribe_feeds(exchange_code="NSE", stock_code="RELIND"))
    sys.stdin.readline()
    os._exit(0)  # it leaves threads behind


if __name__ == "__main__":
    main()
