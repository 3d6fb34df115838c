"""The server's half of Engine.IO 4 and Socket.IO 5, and the ticks of Breeze; knows no socket."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

from options_helper.simulator.breeze.listings import Listing

PING: Final = "2"
DISCONNECT: Final = "41"
LEVELS: Final = 5


class Level(NamedTuple):
    """One price, what is offered at it, and in how many orders."""

    price: float
    size: int
    orders: int = 1


Side = Sequence[Level]
NOTHING: Final = Level(0, 0, 0)


class Enters(NamedTuple):
    """A client wants to be let in."""

    user: Any
    token: Any


class Asks(NamedTuple):
    """A client joins or leaves; what is not a list of tokens is taken as one token, as the real server does."""

    action: str
    tokens: tuple[str, ...]


def opened(sid: str, interval: float, timeout: float) -> str:
    """The first packet; seconds in, milliseconds out."""
    times = {"pingInterval": round(interval * 1_000), "pingTimeout": round(timeout * 1_000)}
    return "0" + json.dumps({"sid": sid, "upgrades": [], **times, "maxPayload": 1_000_000})


def welcomed(sid: str) -> str:
    """The namespace is connected."""
    return "40" + json.dumps({"sid": sid})


def refused(message: str) -> str:
    """The namespace is not."""
    return "44" + json.dumps({"message": message})


def read_request(message: str) -> Enters | Asks | None:
    """What a client wants; None for a pong, a goodbye and whatever else."""
    if message.startswith("40"):
        auth = _read(message[2:])
        return Enters(auth.get("user"), auth.get("token")) if isinstance(auth, dict) else Enters(None, None)
    if not message.startswith("42"):
        return None
    match _read(message[2:]):
        case ["join" | "leave" as action, [*tokens]]:
            return Asks(action, tuple(map(str, tokens)))
        case ["join" | "leave" as action, token]:
            return Asks(action, (str(token),))
    return None


def _read(text: str) -> Any:
    try:
        return json.loads(text or "null")
    except ValueError:
        return None


def depth(listing: Listing, seconds: int, bids: Side, asks: Side) -> str:
    """A whole book of five levels a side, filled up with zeros; BSE sends neither orders nor flags."""
    rows: list[list[Any]] = []
    for at in range(LEVELS):
        bid = bids[at] if at < len(bids) else NOTHING
        ask = asks[at] if at < len(asks) else NOTHING
        if listing.exchange == "BSE":
            rows.append([bid.price, bid.size, ask.price, ask.size])
        else:
            rows.append([bid.price, bid.size, bid.orders, "", ask.price, ask.size, ask.orders, ""])
    return _stock([listing.number.format(kind=2), seconds, rows])


def quotes(listing: Listing, seconds: int, bid: Level, ask: Level) -> str:
    """Best prices and the last trade, made `seconds` after 1970: 21 fields for a share, 23 for a contract."""
    price = bid.price
    head = [listing.number.format(kind=1), price, price, price, price, 0.0, bid.price, bid.size]
    middle = [ask.price, ask.size, 1, price]
    interest = [1_000, None] if listing.expiry else []
    rest = [100_000, 5_000, 5_000, "15.40C", "", price / 2, price * 2, seconds, price]
    return _stock([*head, *middle, *interest, *rest])


def _stock(content: list[Any]) -> str:
    return "42" + json.dumps(["stock", content], separators=(",", ":"))


def seeded_books(listing: Listing, seed: int) -> Iterator[tuple[list[Level], list[Level]]]:
    """A walk of books without end: the same for the same seed, in any process."""
    dice = random.Random(f"{seed} {listing.exchange} {listing.token}")
    middle = round(listing.price / 0.05)
    while True:
        middle = max(LEVELS + 1, middle + dice.choice((-1, 0, 0, 1)))
        yield (
            [_level(dice, middle - at) for at in range(1, LEVELS + 1)],
            [_level(dice, middle + at) for at in range(LEVELS)],
        )


def _level(dice: random.Random, ticks: int) -> Level:
    return Level(round(ticks * 0.05, 2), dice.randint(1, 400) * 5, dice.randint(1, 30))
