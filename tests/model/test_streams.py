"""A stream is known by connection and kind; as a text it is what journals and heartbeats have always said."""

from __future__ import annotations

import copy
import json
import pickle

import msgspec
import pytest

from options_helper.model.streams import OPTIONS, STOCKS, Hours, StreamId, StreamKind, StreamName

BOOKS = StreamKind("books", "Books", Hours.ALWAYS, channels=("books",))
BREEZE = StreamId(BOOKS, "breeze", "main")


def test_the_default_account_s_streams_are_called_by_their_kind():
    assert [str(name) for name in StreamName] == ["stocks", "options", "fills", "crypto", "news"]
    assert f"{StreamName.STOCKS:>7}" == " stocks"
    assert StreamName("options") is StreamName.OPTIONS
    assert {StreamName.STOCKS: 1}["stocks"] == 1


def test_other_streams_are_called_in_full():
    assert str(BREEZE) == "breeze/main/books"
    assert str(StreamId(STOCKS, account="ira")) == "alpaca/ira/stocks"
    assert len({BREEZE, StreamId(BOOKS, "breeze", "other"), StreamId(BOOKS), StreamName.STOCKS}) == 4


def test_the_same_stream_is_equal_wherever_it_was_made():
    assert StreamId(STOCKS) == StreamName.STOCKS
    assert StreamId(STOCKS) == "stocks"
    assert hash(StreamId(STOCKS)) == hash(StreamName.STOCKS) == hash("stocks")
    with pytest.raises(ValueError, match="no stream"):
        StreamName("no stream")


@pytest.mark.parametrize("stream", [BREEZE, *StreamName])
def test_a_copy_knows_what_it_is_a_stream_of(stream: StreamId):
    for copied in (pickle.loads(pickle.dumps(stream)), copy.deepcopy(stream)):  # noqa: S301 - our own
        assert (copied, copied.provider, copied.account, copied.kind) == (
            stream,
            stream.provider,
            stream.account,
            stream.kind,
        )
        assert type(copied) is type(stream)


@pytest.mark.parametrize("stream", [BREEZE, *StreamName])
def test_a_stream_is_a_key_in_any_json(stream: StreamId):
    written = f'{{"{stream}":1}}'

    assert msgspec.json.encode({stream: 1}).decode() == written
    assert json.dumps({stream: 1}, separators=(",", ":")) == written


def test_people_read_the_kind_first():
    assert [name.label for name in StreamName] == ["Stocks", "Options", "Fills", "Crypto", "News"]
    assert BREEZE.label == "Books (breeze, main)"


def test_a_feed_may_have_hours_of_its_own():
    assert STOCKS.hours_of("iex") is STOCKS.hours_of("of a later year") is Hours.REGULAR
    assert STOCKS.hours_of("boats") is Hours.NIGHT
    assert OPTIONS.hours_of("opra") is Hours.OPTIONS
