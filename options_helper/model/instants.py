"""Exchange times, exact: epoch nanoseconds from and to every form that the wire has."""

from __future__ import annotations

import struct
from datetime import UTC, datetime, timedelta
from typing import Final

from msgspec.msgpack import Ext

NANOSECONDS: Final = 1_000_000_000
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

TIMESTAMP_EXT_CODE: Final = -1


def epoch_nanoseconds(timestamp: object) -> int | None:
    """Read a wire time exactly: msgpack extension (ours or `msgpack.Timestamp`), RFC 3339 text, datetime, integer.

    None for anything else, and for text that is no time.
    """
    match timestamp:
        case Ext(code=-1, data=data):
            return _extension_nanoseconds(bytes(data))
        case bool() | None:
            return None
        case int():
            return timestamp
        case str():
            return _text_nanoseconds(timestamp)
        case datetime():
            return datetime_nanoseconds(timestamp)
        case _:
            to_unix_nano = getattr(timestamp, "to_unix_nano", None)
            return int(to_unix_nano()) if callable(to_unix_nano) else None


def _extension_nanoseconds(data: bytes) -> int | None:
    # msgpack specification, "Timestamp extension type": 32, 64 and 96 bit forms.
    if len(data) == 4:
        return int.from_bytes(data, "big") * NANOSECONDS
    if len(data) == 8:
        word = int.from_bytes(data, "big")
        return (word & 0x3_FFFF_FFFF) * NANOSECONDS + (word >> 34)
    if len(data) == 12:
        nanoseconds, seconds = struct.unpack(">Iq", data)
        return int(seconds) * NANOSECONDS + int(nanoseconds)
    return None


def _text_nanoseconds(text: str) -> int | None:
    body, point, fraction = text.partition(".")
    digits = ""
    if point:
        digits = fraction[: len(fraction) - len(fraction.lstrip("0123456789"))]
        body += fraction[len(digits) :]
    try:
        moment = datetime.fromisoformat(body)
    except ValueError:
        return None
    return datetime_nanoseconds(moment) + int(digits.ljust(9, "0")[:9] or 0)


def datetime_nanoseconds(moment: datetime) -> int:
    """A datetime as epoch nanoseconds; one without a zone is taken as UTC."""
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    since = aware - _EPOCH
    return (since.days * 86_400 + since.seconds) * NANOSECONDS + since.microseconds * 1_000


def utc_datetime(nanoseconds: int) -> datetime:
    """Epoch nanoseconds as a UTC datetime, cut to the microsecond."""
    # Asked of everything that is shown: `fromtimestamp` and `replace` take nearly three times as long.
    return _EPOCH + timedelta(0, 0, nanoseconds // 1_000)


def nanosecond_text(nanoseconds: int) -> str | None:
    """Write an instant in UTC with all nine digits, the only text that every reader takes as exact.

    None for an instant that no calendar has.
    """
    try:
        moment = utc_datetime(nanoseconds)
    except (ValueError, OverflowError, OSError):
        return None
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{nanoseconds % NANOSECONDS:09d}Z"


def timestamp_extension(nanoseconds: int) -> Ext:
    """Epoch nanoseconds as the msgpack timestamp extension, in the form msgpack-python chooses (32 or 64 bit)."""
    seconds, rest = divmod(nanoseconds, NANOSECONDS)
    if rest == 0 and 0 <= seconds < 2**32:
        return Ext(TIMESTAMP_EXT_CODE, seconds.to_bytes(4, "big"))
    if 0 <= seconds < 2**34:
        return Ext(TIMESTAMP_EXT_CODE, (rest << 34 | seconds).to_bytes(8, "big"))
    return Ext(TIMESTAMP_EXT_CODE, struct.pack(">Iq", rest, seconds))
