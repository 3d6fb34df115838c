"""The recorder beside shares and contracts: coins, news and halts are in files, complete, verified, made again."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from options_helper.capture.plan import Selection, plan_capture
from options_helper.capture.runner import CaptureConfig, CaptureEngine
from options_helper.data.intraday.export import export_rows
from options_helper.data.intraday.scope import EVERYTHING
from options_helper.data.intraday_store import IntradayStore
from options_helper.data.recording.rebuild import rebuild
from options_helper.data.recording.verify import audit
from options_helper.data.streaming.engine.worker import RetryPolicy
from options_helper.model.instants import timestamp_extension
from options_helper.model.streams import StreamName
from options_helper.simulator.market.market import SilentMarket
from options_helper.simulator.server import SimulatorServer
from tests.kit.fakes import NOON, quote_message, trade_message
from tests.kit.news import news_message
from tests.kit.rebuilt import partitions
from tests.kit.simulated import settings_for
from tests.kit.waiting import wait_until

Simulators = Callable[..., SimulatorServer]
STOCKS, CRYPTO, NEWS = StreamName.STOCKS, StreamName.CRYPTO, StreamName.NEWS
SELECTION = Selection(stocks=("AAPL",), halts=True, crypto=("BTC/USD",), news=("AAPL",))
HTML = '<p>First,\r\n"quoted" \\n second</p>\x00' + "more " * 60_000
AT = timestamp_extension(NOON)
BAR = {
    "T": "b",
    "S": "BTC/USD",
    "t": AT,
    "o": 1.0,
    "h": 2.0,
    "l": 0.5,
    "c": 1.5,
    "v": 0.25,
    "n": 3,
    "vw": 1.25,
}
HALT = {"T": "s", "S": "AAPL", "t": AT, "sc": "H", "sm": "Halted", "rc": "T1", "rm": "News pending", "z": "C"}
BAND = {"T": "l", "S": "AAPL", "t": AT, "u": 190.5, "d": 170.25, "i": "B", "z": "C"}


@pytest.fixture
def recorded(running_simulator: Simulators, tmp_path: Path) -> Path:
    """A recording of some of each, with a lost connection of the news."""
    server = running_simulator(SilentMarket(start_ns=NOON))
    streams = plan_capture(SELECTION, ()).streams
    engine = CaptureEngine(
        CaptureConfig(streams, tmp_path / "market"),
        settings_for(server),
        retry=RetryPolicy(slow_base_seconds=0.1),
    )
    engine.start()
    try:
        until_connected(engine, 1, STOCKS, CRYPTO, NEWS)
        server.push(CRYPTO, [quote_message("BTC/USD", 9.5, 10.5), trade_message("BTC/USD", 10.0), BAR])
        server.push(STOCKS, [HALT, BAND])
        server.push(NEWS, [news_message(1, content=HTML), news_message(1, "Corrected", updated_ns=NOON + 1)])
        until_received(engine, server)
        server.reset_all(NEWS)
        until_connected(engine, 2, NEWS)
        server.push(NEWS, [news_message(2, "Later", symbols=("AAPL", "MSFT"), made_ns=NOON + 2)])
        until_received(engine, server)
    finally:
        final = engine.stop()
    assert (final.lost, final.put_off, final.store.total.written) == (0, 0, 8)
    return tmp_path / "market"


def until_connected(engine: CaptureEngine, times: int, *names: StreamName) -> None:
    wait_until(
        lambda: all(engine.status().streams[name].connections >= times for name in names), saw=engine.status
    )


def until_received(engine: CaptureEngine, server: SimulatorServer) -> None:
    server.flush()
    wait_until(
        lambda: all(
            engine.status().streams[name].applied == server.sent[name] for name in (STOCKS, CRYPTO, NEWS)
        ),
        saw=engine.status,
    )


def test_what_was_sent_is_in_the_files_and_the_files_are_made_again_alike(recorded: Path, tmp_path: Path):
    store = IntradayStore(recorded)
    (quote,) = store.read("crypto", "quotes", "BTC/USD").to_dict("records")
    (bar,) = store.read("crypto", "bars", "BTC/USD").to_dict("records")
    (halt,) = store.read("stocks", "statuses", "AAPL").to_dict("records")
    (band,) = store.read("stocks", "limit_bands", "AAPL").to_dict("records")

    assert (quote["bid_price"], quote["ts_ns"]) == (9.5, NOON)
    assert (bar["close"], bar["volume"]) == (1.5, 0.25)
    assert (halt["status_code"], halt["reason_message"]) == ("H", "News pending")
    assert (band["limit_up_price"], band["limit_down_price"], band["indicator"]) == (190.5, 170.25, "B")
    assert (recorded / "crypto/quotes/tick/BTC%2FUSD/2026-11-05.csv.gz").is_file()
    assert (recorded / "news/articles/tick/%2A/2026-11-05.csv.gz").is_file()

    audited = audit(recorded)
    assert (audited.problems, audited.silent) == ((), ())
    rebuild(recorded, tmp_path / "again")
    assert partitions(tmp_path / "again") == partitions(recorded)


def test_each_form_of_an_article_is_a_row_with_every_sign_of_it(recorded: Path):
    rows: list[Any] = IntradayStore(recorded).read("news", "articles", "*").to_dict("records")

    assert [(row["seq"], row["article_id"], row["headline"]) for row in rows] == [
        (1, 1, "Apple opens a shop"),
        (2, 1, "Corrected"),
        (3, 2, "Later"),
    ]
    assert [row["ts_ns"] - row["created_ns"] for row in rows] == [0, 1, 0]
    assert rows[2]["symbols"] == "AAPL|MSFT"
    escaped = rows[0]["content"]
    assert "\n" not in escaped
    assert escaped.encode().decode("unicode_escape") == HTML


def test_a_lost_connection_of_the_news_is_a_row_of_the_gap_ledger(recorded: Path):
    (ledger,) = (recorded / "gaps").glob("*.csv")

    assert [line.split(",")[1] for line in ledger.read_text().splitlines()[1:]].count("news") == 1


def test_articles_can_be_sealed_and_exported(recorded: Path, tmp_path: Path):
    with IntradayStore(recorded) as store:
        (sealed,) = store.seal(datetime(2026, 11, 5, tzinfo=UTC).date(), kind="news", parquet=True)
    report = export_rows(
        recorded, tmp_path / "news.parquet", kind="news", dataset="articles", scope=EVERYTHING
    )

    assert sealed.problem is None
    assert (report.rows, report.problems) == (3, ())
