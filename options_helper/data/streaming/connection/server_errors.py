"""What an ended connection means: is it worth another try, and what the user is told."""

from __future__ import annotations

from typing import Any, Final

from options_helper.errors import StreamError, StreamRefused

# Codes after which asking again gives the same answer (docs: streaming market data, errors; Go SDK, irrecoverable).
_FINAL_CODES: Final = {402, 409, 411, 412}
# Codes that refuse one subscription request and leave the connection and its earlier subscriptions as they were.
REQUEST_CODES: Final = frozenset({400, 405, 410, 413})

_REMEDIES: Final = {
    401: "The server had not accepted the key yet; it is tried again.",
    402: "Check APCA_API_KEY_ID and APCA_API_SECRET_KEY; paper and live keys differ.",
    404: "The key arrived too late; it is sent again.",
    405: "The plan allows fewer symbols (the free plan: 30 stocks, 200 option quotes); hold fewer or upgrade.",
    406: "Another program, tab or computer uses this feed, or Alpaca still holds an old session (up to 90 s).",
    407: "This computer read too slowly and Alpaca cut the stream; what was sent meanwhile is lost.",
    409: "The plan does not include this feed; choose iex or indicative, or upgrade the subscription.",
    410: "This feed does not offer that channel.",
    411: "The key may not read market data; create one with that scope.",
    412: "Option messages come in MessagePack only; this is a fault of this program, please report it.",
    413: "Option quotes must be asked for symbol by symbol.",
    500: "Alpaca reports a fault of its own; it is tried again.",
}

# HTTP statuses that say of themselves that another try may go well: request timeout, misdirected, too early, too many
# requests, and a proxy's "the client went away".
_PASSING_STATUSES: Final = {408, 421, 425, 429, 499}

_HANDSHAKE_REMEDIES: Final = {
    401: "Check APCA_API_KEY_ID and APCA_API_SECRET_KEY.",
    403: "The key may not use this feed; check the plan's market-data subscription.",
    404: "There is no such feed at this address; check OH_ALPACA_STREAM_URL and the feed's name.",
    429: "Too many connections were opened at once; it is tried again slowly.",
}


# What each of these means is known; another code has no meaning but that of the moment at which it comes.
KNOWN_CODES: Final = frozenset({*_REMEDIES, 400, 403})


def error_code(said: object) -> int | None:
    """The code of an error message, whatever it was sent as; None where it is no number."""
    match said:
        case bool():
            return None
        case int():
            return said
        case float() if said.is_integer():
            return int(said)
        case str() if said.strip().isascii() and said.strip().isdigit():
            return int(said)
        case _:
            return None


def server_error(feed: str, code: int | None, message: str) -> StreamError:
    """The error for a server's error message, saying what to do; final ones are `StreamRefused`."""
    remedy = _REMEDIES.get(code or 0, "")
    number = f" ({code})" if code is not None else ""
    sentence = f"Alpaca answered {message or 'with an error'}{number} on the {feed} feed. {remedy}".rstrip()
    if code in _FINAL_CODES:
        return StreamRefused(sentence, code=code)
    return StreamError(sentence, code=code, retry_slowly=code == 406)


def handshake_error(feed: str, status: int) -> StreamError:
    """The error for an HTTP status in place of a websocket."""
    if 300 <= status < 400:
        return StreamRefused(
            f"The server sent the {feed} connection to another address (HTTP {status}), where keys are never sent. "
            "Check OH_ALPACA_STREAM_URL and APCA_API_BASE_URL.",
            code=status,
        )
    remedy = _HANDSHAKE_REMEDIES.get(status, "It is tried again.")
    if feed == "trading" and status == 404:
        remedy = "There are no order updates at this address; check APCA_API_BASE_URL."
    sentence = f"The server refused the {feed} connection with HTTP {status}. {remedy}"
    if status in _PASSING_STATUSES:
        return StreamError(sentence, code=status, retry_slowly=status == 429)
    if 400 <= status < 500:
        return StreamRefused(sentence, code=status)
    return StreamError(sentence, code=status)


def key_error(feed: str, answer: Any) -> StreamError | None:
    """The error for what a server answered to the key, decoded; None where that says nothing."""
    match answer:
        case [{"T": "error"} as said, *_]:
            return server_error(feed, error_code(said.get("code")), str(said.get("msg", "")))
        case {"data": {"status": "unauthorized"} as said}:
            return StreamRefused(
                f"Alpaca refused the key on the {feed} stream: "
                f"{said.get('message') or 'not authorized'}. Check APCA_API_KEY_ID, APCA_API_SECRET_KEY and "
                "APCA_API_BASE_URL; paper and live keys differ.",
                code=402,
            )
        case {"data": {"error_message": str(said)}}:
            return StreamError(f"Alpaca answered on the {feed} stream: {said}")
    return None
