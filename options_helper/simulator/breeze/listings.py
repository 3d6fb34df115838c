"""What the fake exchange lists, and the zip of text files in which ICICI hands such lists out."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Listing:
    """One share, or one contract where it has an expiry; `price` in rupees is where its market begins."""

    exchange: str  # "NSE", "BSE", "NFO"
    token: str
    short_name: str  # ICICI's own
    code: str  # the exchange's
    company: str
    price: float
    series: str = "EQ"
    expiry: str = ""  # 29-Dec-2026
    strike: str = ""
    right: str = ""  # "CE", "PE"; empty for a future

    @property
    def number(self) -> str:
        """Exchange and token as the stream has them, for its two kinds of ticks: `4.{kind}!2885`."""
        return f"{'1' if self.exchange == 'BSE' else '4'}.{{kind}}!{self.token}"


# A bond of the same name comes before its share, as ICICI's own client takes the last of a name.
LISTINGS: Final = (
    Listing("NSE", "9685", "RELIND", "RELIANCE", "RELIANCE INDUSTRIES", 1_020.0, series="N2"),
    Listing("NSE", "2885", "RELIND", "RELIANCE", "RELIANCE INDUSTRIES", 1_540.0),
    Listing("NSE", "11536", "TCS", "TCS", "TATA CONSULTANCY SERVICES", 3_120.0),
    Listing("NSE", "4963", "ICIBAN", "ICICIBANK", "ICICI BANK", 1_405.0),
    Listing("BSE", "500325", "RELIND", "RELIANCE", "RELIANCE INDUSTRIES", 1_540.0, series="A"),
    Listing("NFO", "51219", "NIFTY", "NIFTY", "NIFTY 50", 312.0, "OPTION", "29-Dec-2026", "26000", "CE"),
    Listing("NFO", "51220", "NIFTY", "NIFTY", "NIFTY 50", 288.0, "OPTION", "29-Dec-2026", "26000", "PE"),
    Listing("NFO", "49229", "NIFTY", "NIFTY", "NIFTY 50", 26_010.0, "FUTURE", "29-Dec-2026"),
)

_SHARES_HEAD: Final = ("Token", "ShortName", "Series", "CompanyName", "TickSize", "LotSize", "ExchangeCode")
_CONTRACTS_HEAD: Final = (
    "Token",
    "InstrumentName",
    "ShortName",
    "Series",
    "ExpiryDate",
    "StrikePrice",
    "OptionType",
    "ExchangeCode",
)
_FILES: Final = {"NSE": "NSEScripMaster.txt", "BSE": "BSEScripMaster.txt", "NFO": "FONSEScripMaster.txt"}


def master_zip(listings: Iterable[Listing]) -> bytes:
    """The list of instruments as ICICI's server hands it out."""
    known = tuple(listings)
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for exchange, name in _FILES.items():
            rows = [_row(one) for one in known if one.exchange == exchange]
            head = _CONTRACTS_HEAD if exchange == "NFO" else _SHARES_HEAD
            # The headings have a space behind each comma, and the rows have none.
            archive.writestr(name, _line(head, ", ") + "".join(_line(row, ",") for row in rows))
    return content.getvalue()


def _row(listing: Listing) -> tuple[str, ...]:
    if not listing.expiry:
        rest = (listing.company, "0.05", "1", listing.code)
        return (listing.token, listing.short_name, listing.series, *rest)
    kind = "OPTIDX" if listing.right else "FUTIDX"
    terms = (listing.series, listing.expiry, listing.strike, listing.right or "XX", listing.code)
    return (listing.token, kind, listing.short_name, *terms)


def _line(row: Iterable[str], between: str) -> str:
    return between.join(f'"{value}"' for value in row) + "\r\n"
