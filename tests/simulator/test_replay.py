"""Recorded partitions become the messages they came from, in time, exactly."""

from __future__ import annotations

import gzip
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from options_helper.errors import ConfigError
from options_helper.model.instants import NANOSECONDS, epoch_nanoseconds
from options_helper.model.streams import StreamName
from options_helper.simulator.market.market import Interest, Step
from options_helper.simulator.market.past import BAR_NS
from options_helper.simulator.market.replay import ReplayMarket, find_partitions
from tests.kit.few_files import few_files
from tests.kit.pace import LONG
from tests.kit.recordings import OPENING_ROWS, SPXW_CLOSE, SPXW_OPENING, spxw_rows, taq_rows, write_partition

STOCKS, OPTIONS = StreamName.STOCKS, StreamName.OPTIONS
QUOTE_COLUMNS = (
    *("seq", "recv_ns", "ts_ns", "timestamp", "symbol", "bid_price", "bid_size", "bid_exchange"),
    *("ask_price", "ask_size", "ask_exchange", "conditions"),
)
TRADE_COLUMNS = ("ts_ns", "symbol", "price", "size", "exchange", "conditions", "trade_id")
CALL = "SPXW180105C02730000"
OPENING_NS = (epoch_nanoseconds(datetime(2018, 1, 5, 14, 30, tzinfo=UTC)) or 0) + 7


def trades(
    folder: Path, symbol: str, *rows: Sequence[object], kind: str = "stocks", day: str = "2018-01-05"
) -> None:
    write_partition(folder, f"{kind}/trades/tick/{symbol}/{day}", TRADE_COLUMNS, rows)


def trade_at(ns: int, symbol: str = "AAPL", price: object = 1.5) -> tuple[object, ...]:
    return (OPENING_NS + ns, symbol, price, 100, "V", "@|I", 7)


def steps(folder: Path, **options: Any) -> list[Step]:
    return list(ReplayMarket(folder, **options).steps(Interest()))


def messages(found: Iterable[Step]) -> list[dict[str, Any]]:
    return [message for step in found for message in step.messages]


# One row.


def test_a_quote_is_played_with_every_value_and_nanosecond_it_was_recorded_with(tmp_path):
    row = (0, OPENING_NS + 5, OPENING_NS, "…", CALL, 1.05, 12, "C", 1.1, 3, "A", " ")
    write_partition(tmp_path, f"options/quotes/tick/{CALL}/2018-01-05", QUOTE_COLUMNS, [row])
    (step,) = steps(tmp_path)
    (quote,) = step.messages
    assert (step.stream, step.market_ns) == (OPTIONS, OPENING_NS)
    assert next(iter(quote)) == "T"
    assert epoch_nanoseconds(quote.pop("t")) == OPENING_NS
    assert quote == {
        "T": "q",
        "S": CALL,
        "bp": 1.05,
        "bs": 12,
        "bx": "C",
        "ap": 1.1,
        "as": 3,
        "ax": "A",
        "c": " ",
    }


def test_what_was_not_recorded_is_not_played(tmp_path):
    row = (0, "", OPENING_NS, "", CALL, "", "", "", 1.1, "", "", "")
    write_partition(tmp_path, f"options/quotes/tick/{CALL}/2018-01-05", QUOTE_COLUMNS, [row])
    (quote,) = messages(steps(tmp_path))
    assert set(quote) == {"T", "S", "ap", "t"}


def test_a_stock_trade_has_a_list_of_conditions_and_its_id(tmp_path):
    trades(tmp_path, "AAPL", trade_at(0))
    (trade,) = messages(steps(tmp_path))
    assert (trade["c"], trade["i"], trade["p"], trade["s"], trade["x"]) == (["@", "I"], 7, 1.5, 100, "V")


def test_a_bar_is_played_when_its_minute_is_over_and_keeps_its_time(tmp_path):
    columns = ("ts_ns", "symbol", "open", "high", "low", "close", "volume", "trade_count", "vwap")
    row = (OPENING_NS, "AAPL", 1, 3, 0.5, 2, 1_000, 9, 1.75)
    write_partition(tmp_path, "stocks/bars/1Min/AAPL/2018-01-05", columns, [row])
    (step,) = steps(tmp_path)
    (bar,) = step.messages
    assert step.market_ns == OPENING_NS + BAR_NS
    assert epoch_nanoseconds(bar.pop("t")) == OPENING_NS
    assert bar == {"T": "b", "S": "AAPL", "o": 1, "h": 3, "l": 0.5, "c": 2, "v": 1_000, "n": 9, "vw": 1.75}


def test_a_row_without_an_exchange_time_is_played_at_its_receipt_and_without_a_time(tmp_path):
    row = (0, OPENING_NS, "", "", CALL, 1.0, 1, "C", 1.1, 1, "C", "")
    write_partition(tmp_path, f"options/quotes/tick/{CALL}/2018-01-05", QUOTE_COLUMNS, [row])
    (step,) = steps(tmp_path)
    assert step.market_ns == OPENING_NS
    assert "t" not in step.messages[0]


def test_an_unreadable_row_is_left_out_and_said(tmp_path, caplog):
    trades(tmp_path, "AAPL", trade_at(0), trade_at(1, price="much"), trade_at(2)[:3], trade_at(3))
    assert len(messages(steps(tmp_path))) == 2
    assert caplog.text.count("unreadable row") == 2


# Many rows, many files.


def test_files_are_merged_in_time_and_each_keeps_its_order(tmp_path):
    trades(tmp_path, "AAPL", trade_at(10, price=1), trade_at(30, price=2))
    trades(tmp_path, "SPY", trade_at(20, "SPY", 3), trade_at(40, "SPY", 4))
    trades(tmp_path, CALL, trade_at(25, CALL, 5), kind="options")
    found = steps(tmp_path)
    assert [message["p"] for message in messages(found)] == [1, 3, 5, 2, 4]
    assert [step.stream for step in found] == [STOCKS, STOCKS, OPTIONS, STOCKS, STOCKS]


def test_a_late_row_is_played_in_its_place_with_its_own_time(tmp_path):
    trades(tmp_path, "AAPL", trade_at(10), trade_at(5), trade_at(20))
    found = steps(tmp_path)
    assert [epoch_nanoseconds(trade["t"]) for trade in messages(found)] == [
        OPENING_NS + ns for ns in (10, 5, 20)
    ]
    assert [step.market_ns - OPENING_NS for step in found] == [10, 20]


def test_events_of_one_instant_share_frames_of_a_bounded_size(tmp_path):
    trades(tmp_path, "AAPL", *[trade_at(0, price=number) for number in range(250)])
    trades(tmp_path, "SPY", *[trade_at(0, "SPY")] * 10)
    trades(tmp_path, CALL, trade_at(0, CALL), kind="options")
    found = steps(tmp_path)
    assert [(step.stream, len(step.messages)) for step in found] == [
        (STOCKS, 100),
        (STOCKS, 100),
        (STOCKS, 60),
        (OPTIONS, 1),
    ]
    assert [message["p"] for message in messages(found)][:250] == list(range(250))


def test_more_files_can_be_played_than_a_process_may_hold_open(tmp_path):
    for number in range(60):
        trades(tmp_path, f"S{number}", trade_at(number, f"S{number}"))
    with few_files():
        assert len(messages(steps(tmp_path))) == 60


def test_a_file_of_many_members_is_read_through(tmp_path):
    trades(tmp_path, "AAPL", trade_at(0))
    (path,) = tmp_path.rglob("*.gz")
    with path.open("ab") as file:
        for ns in range(1, 500):
            file.write(gzip.compress((",".join(map(str, trade_at(ns))) + "\n").encode()))
    found = messages(steps(tmp_path))
    assert [epoch_nanoseconds(trade["t"]) for trade in found] == [OPENING_NS + ns for ns in range(500)]


def test_a_torn_end_costs_the_rows_after_it_and_is_said(tmp_path, caplog):
    trades(tmp_path, "AAPL", *[trade_at(ns) for ns in range(1_000)])
    (path,) = tmp_path.rglob("*.gz")
    path.write_bytes(path.read_bytes()[:-500])
    found = messages(steps(tmp_path))
    assert 0 < len(found) < 1_000
    assert [epoch_nanoseconds(trade["t"]) for trade in found] == [OPENING_NS + ns for ns in range(len(found))]
    assert "middle of a row" in caplog.text


def test_a_damaged_file_ends_where_it_is_damaged_and_that_is_said(tmp_path, caplog):
    trades(tmp_path, "AAPL", trade_at(0))
    (path,) = tmp_path.rglob("*.gz")
    path.write_bytes(path.read_bytes() + b"no gzip member")
    assert len(messages(steps(tmp_path))) == 1
    assert "is damaged" in caplog.text


# The market.


def test_it_tells_where_the_recording_begins_and_ends_and_what_it_waits_for(tmp_path):
    trades(tmp_path, "AAPL", trade_at(10), trade_at(99))
    trades(tmp_path, CALL, trade_at(5, CALL), kind="options")
    market = ReplayMarket(tmp_path, speed=10)
    assert (market.start_ns, market.until_ns, market.speed) == (OPENING_NS + 5, OPENING_NS + 99, 10)
    assert market.awaited == {STOCKS, OPTIONS}


def test_days_and_symbols_can_be_chosen(tmp_path):
    trades(tmp_path, "AAPL", trade_at(0), day="2018-01-05")
    trades(tmp_path, "AAPL", trade_at(86_400 * NANOSECONDS), day="2018-01-06")
    trades(tmp_path, "SPY", trade_at(0, "SPY"))
    assert len(messages(steps(tmp_path))) == 3
    assert len(messages(steps(tmp_path, day=date(2018, 1, 5)))) == 2
    assert len(messages(steps(tmp_path, symbols=["AAPL"]))) == 2


@pytest.mark.parametrize("rows", [0, None])
def test_nothing_to_replay_is_a_sentence(tmp_path, rows):
    if rows is not None:
        trades(tmp_path, "AAPL")
    with pytest.raises(ConfigError, match=r"nothing to replay of AAPL on 2018-01-05 in .*kind/dataset"):
        ReplayMarket(tmp_path, symbols=["AAPL"], day=date(2018, 1, 5))


@pytest.mark.parametrize("speed", [-1.0, float("nan"), float("inf")])
def test_an_impossible_speed_is_a_sentence(tmp_path, speed):
    with pytest.raises(ConfigError, match="speed is"):
        ReplayMarket(tmp_path, speed=speed)


def test_other_files_in_the_folder_are_not_taken_for_partitions(tmp_path):
    trades(tmp_path, "AAPL", trade_at(0))
    (tmp_path / "journal" / "2018-01-05").mkdir(parents=True)
    (tmp_path / "stocks" / "news" / "tick" / "AAPL").mkdir(parents=True)
    (tmp_path / "stocks" / "news" / "tick" / "AAPL" / "2018-01-05.csv.gz").write_bytes(b"")
    assert len(find_partitions(tmp_path)) == 1


# Real recordings.


def test_every_quote_of_a_real_stock_is_played_exactly(recordings, real_data):
    played = messages(steps(recordings.folder("quotes", opening=not LONG)))
    source = list(taq_rows(real_data, "quotes", opening=not LONG))
    assert len(played) == len(source) == (131_401 if LONG else 2 * OPENING_ROWS)
    for quote, row in zip(played, source, strict=True):
        assert epoch_nanoseconds(quote["t"]) == epoch_nanoseconds(row["timestamp"])
        assert (quote["bp"], quote["ap"]) == (float(row["bid_price"]), float(row["ask_price"]))
        assert (quote["bs"], quote["as"]) == (int(row["bid_size"]), int(row["ask_size"]))
        assert quote["S"] == row["symbol"]
        assert quote["bx"] == row["exchange"]


def test_every_print_of_a_real_stock_is_played_exactly_and_beside_its_quotes_in_time(recordings, real_data):
    found = steps(recordings.folder("quotes", "trades", opening=not LONG))
    prints = [message for message in messages(found) if message["T"] == "t"]
    source = list(taq_rows(real_data, "trades", opening=not LONG))
    assert [(trade["p"], trade["s"]) for trade in prints] == [
        (float(row["price"]), int(row["size"])) for row in source
    ]
    times = [step.market_ns for step in found]
    assert times == sorted(times)


def test_a_real_chain_is_played_minute_by_minute_exactly(recordings, real_data):
    source = list(spxw_rows(real_data, "2018-01-05", until=SPXW_CLOSE if LONG else SPXW_OPENING))
    found = steps(recordings.folder("spxw", opening=not LONG))
    assert max(len(step.messages) for step in found) == 100
    assert {step.market_ns for step in found} == {int(row["ts_ns"]) for row in source}
    played = {(step.market_ns, quote["S"]): quote for step in found for quote in step.messages}
    assert len(played) == len(messages(found)) == len(source)
    for row in source:
        quote = played[int(row["ts_ns"]), row["contract"]]
        assert (quote["bp"], quote["ap"]) == (float(row["bid"]), float(row["ask"]))
        assert (quote["bs"], quote["as"]) == (int(row["bid_size"]), int(row["ask_size"]))


@pytest.mark.parametrize(
    "spoiled",
    [
        b"9" * 40 + b",AAPL,1.5,100,V,,7",
        b"\xff\xfe,AAPL,1.5,100,V,,7",
        b"1,AAPL," + b"x" * 140_000 + b",1,V,,7",
    ],
    ids=["forty digits", "no text", "a price without end"],
)
def test_a_spoiled_row_costs_itself_only(tmp_path: Path, spoiled: bytes):
    trades(tmp_path, "AAPL", trade_at(0), trade_at(5))
    (path,) = tmp_path.rglob("*.csv.gz")
    header, first, second, _ = gzip.decompress(path.read_bytes()).split(b"\n")
    path.write_bytes(gzip.compress(b"\n".join([header, first, spoiled, second, b""])))

    assert len(messages(steps(tmp_path))) == 2


def test_the_further_files_of_a_day_are_played_behind_its_first(tmp_path: Path):
    """What a recorder wrote after a day was sealed, and what else lies in its folder."""
    for part, number in (("", 0), (".1", 1), (".2", 2), (".10", 3)):
        trades(tmp_path, "AAPL", trade_at(5 - number, price=number), day=f"2018-01-05{part}")
    trades(tmp_path, "AAPL", trade_at(0, price=9), day="2018-01-05")
    folder = tmp_path / "stocks/trades/tick/AAPL"
    whole = (folder / "2018-01-05.csv.gz").read_bytes()
    for stranger in (
        ".2018-01-05.csv.gz.new",
        "2018-01-05.csv.gz.torn-20180105T210000Z",
        "2018-01-05.parquet",
    ):
        (folder / stranger).write_bytes(whole)
    for other in (
        "journal/2018-01-05/one-000.jnl.gz",
        "gaps/2018-01-05.csv",
        "corrections/tick/AAPL/2018-01-05.csv.gz",
    ):
        path = tmp_path / other
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(whole)

    assert [message["p"] for message in messages(steps(tmp_path))] == [9, 1, 2, 3]


def test_a_symbol_whose_folder_has_another_name_is_played_under_its_own(tmp_path: Path):
    columns = tuple(name for name in TRADE_COLUMNS if name != "symbol")
    row = [field for name, field in zip(TRADE_COLUMNS, trade_at(0), strict=True) if name != "symbol"]
    write_partition(tmp_path, "stocks/trades/tick/A%2FB/2018-01-05", columns, [row])

    assert [message["S"] for message in messages(steps(tmp_path, symbols=["A/B"]))] == ["A/B"]
