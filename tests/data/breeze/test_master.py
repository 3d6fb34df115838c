"""Instruments are found by what people write, and a list that cannot be used says so."""

from __future__ import annotations

import io
import zipfile

import pytest

from options_helper.data.breeze.master import Master, read_master, require_symbols
from options_helper.errors import ConfigError, StreamError
from options_helper.simulator.breeze.listings import LISTINGS, master_zip


@pytest.fixture(scope="module")
def master() -> Master:
    return read_master(master_zip(LISTINGS))


def token(master: Master, symbol: str) -> str | None:
    found = master.find(symbol)
    return None if found is None else found.token


def zipped(**files: str) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, text in files.items():
            archive.writestr(f"{name}.txt", text)
    return content.getvalue()


@pytest.mark.parametrize(
    ("symbol", "depth", "quotes"),
    [
        ("NSE:RELIANCE", "4.2!2885", "4.1!2885"),  # the exchange's symbol
        ("NSE:RELIND", "4.2!2885", "4.1!2885"),  # ICICI's
        ("nse:reliance", "4.2!2885", "4.1!2885"),
        ("BSE:RELIANCE", "1.2!500325", "1.1!500325"),
        ("NFO:OPT-NIFTY-29-Dec-2026-26000-CE", "4.2!51219", "4.1!51219"),
        ("NFO:OPT-NIFTY-29-DEC-2026-26000-PE", "4.2!51220", "4.1!51220"),
        ("NFO:FUT-NIFTY-29-Dec-2026", "4.2!49229", "4.1!49229"),
    ],
)
def test_an_instrument_is_found_by_the_names_that_people_use(master, symbol, depth, quotes):
    found = master.find(symbol)

    assert (found.token_of("depth"), found.token_of("quotes")) == (depth, quotes)


@pytest.mark.parametrize(
    ("symbol", "remedy"),
    [
        ("RELIANCE", "names no exchange; write it as NSE:RELIANCE"),
        ("NYSE:IBM", "names no exchange"),
        ("NSE:RELAINCE", "has no RELAINCE on NSE"),
        ("NFO:NIFTY", "FUT-NIFTY-29-Dec-2026"),
    ],
)
def test_a_symbol_that_is_not_listed_gets_a_sentence_with_the_remedy(master, symbol, remedy):
    assert master.find(symbol) is None
    assert remedy in master.why_unknown(symbol)


def test_what_names_no_exchange_is_told_before_any_list_is_there():
    require_symbols(["NSE:RELIANCE", "nfo:FUT-NIFTY-29-Dec-2026"])

    for wrong in ("RELIANCE", "NSE:", "NYSE:IBM"):
        with pytest.raises(ConfigError, match="names no exchange"):
            require_symbols([wrong])


def test_a_share_comes_before_the_bond_of_the_same_name_wherever_they_stand():
    head = "Token,ShortName,Series,CompanyName,ExchangeCode\n"
    bond, share = "9,RELIND,N2,RELIANCE,RELIANCE\n", "2885,RELIND,EQ,RELIANCE,RELIANCE\n"

    for rows in (bond + share, share + bond):
        assert token(read_master(zipped(NSEScripMaster=head + rows)), "NSE:RELIANCE") == "2885"


def test_a_file_without_headings_is_read_as_icicis_own_client_reads_it():
    """By the places of its columns; the exchange's own symbols are then not known."""
    master = read_master(zipped(NSEScripMaster='"2885","RELIND","EQ","RELIANCE","0.05"\n'))

    assert token(master, "NSE:RELIND") == "2885"
    assert master.find("NSE:RELIANCE") is None


def test_a_row_that_cannot_be_read_costs_itself_only():
    rows = '1\n"2","TWO"\nnonsense,X,EQ,X\n"3","THREE","EQ","\x00"\n"4","FOUR","EQ","Four"\n'

    master = read_master(zipped(NSEScripMaster=rows))

    assert token(master, "NSE:FOUR") == "4"
    assert master.find("NSE:TWO") is None


def test_files_of_other_segments_are_passed_over():
    other = '"7","OTHER","EQ","Other"\n'

    master = read_master(
        zipped(CDNSEScripMaster=other, FOBSEScripMaster=other, NSEScripMaster='"1","A","EQ","A"\n')
    )

    assert len(master) == 1


@pytest.mark.parametrize("content", [b"", b"<html>log in</html>", zipped(), zipped(NSEScripMaster="Token\n")])
def test_what_is_no_list_is_tried_again_and_says_where_it_came_from(content):
    with pytest.raises(StreamError, match="BREEZE_MASTER_URL"):
        read_master(content)


def test_a_zip_that_says_it_is_endless_is_not_unpacked(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("options_helper.data.breeze.master.LARGEST_BYTES", 10)

    with pytest.raises(StreamError, match="far too large"):
        read_master(master_zip(LISTINGS))


def test_a_zip_whose_content_is_damaged_says_so():
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        rows = (f"{number},REL{number},EQ,RELIANCE {number * 7919 % 1013}" for number in range(2_000))
        archive.writestr("NSEScripMaster.txt", "\n".join(rows))
    damaged = bytearray(content.getvalue())
    damaged[200:400] = b"\xff" * 200

    with pytest.raises(StreamError, match="no readable zip"):
        read_master(bytes(damaged))
