"""An account as values: what happens to it and when, and what its server answers at any instant.

All times are seconds since the beginning of the day that is played, by the server's clock, which is never wrong.
"""

from __future__ import annotations

import random
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from functools import cached_property
from itertools import accumulate
from typing import Any

from options_helper.model.instants import NANOSECONDS, datetime_nanoseconds
from tests.days.day import NEW_YORK

SHARES = "SPY"
CALL, PUT, WING = "SPY261218C00600000", "SPY261218P00580000", "SPY261218P00570000"
SYMBOLS = (SHARES, CALL, PUT, WING)
FILLS = "FILL"


@dataclass(frozen=True, slots=True)
class Piece:
    """How much of one order was executed at once."""

    order_id: str
    symbol: str
    quantity: int  # signed
    price: Decimal
    execution_id: str
    running: int  # of the order so far
    ordered: int


@dataclass(frozen=True, slots=True)
class Happening:
    """One thing that happens to the account; a bust names the execution that it takes back."""

    at: float
    kind: str  # fill | legs | bust | assignment | exercise | expiry | transfer | split
    pieces: tuple[Piece, ...] = ()
    changes: tuple[tuple[str, int], ...] = ()  # of the positions, as they really are
    identity: str = ""
    of: Piece | None = None  # the execution that a bust takes back
    order_id: str = ""  # of the whole, where it has legs

    @property
    def is_streamed(self) -> bool:
        """Whether the socket tells it to whoever listens."""
        return self.kind in ("fill", "legs", "bust")


@dataclass
class Account:
    """What is held before the day, and everything that happens in it, in the order of time."""

    opened: datetime  # the beginning, in UTC
    held: dict[str, int]
    happenings: list[Happening] = field(default_factory=list)
    _orders_after: dict[int, list[dict[str, Any]]] = field(default_factory=dict)

    def moment(self, at: float) -> datetime:
        """The server's time then."""
        return self.opened + timedelta(seconds=at)

    def seconds(self, true_ns: int) -> float:
        """Seconds since it was opened, at that epoch nanosecond."""
        return (true_ns - datetime_nanoseconds(self.opened)) / NANOSECONDS

    def true_ns(self, at: float) -> int:
        """The epoch nanosecond so many seconds after it was opened."""
        return datetime_nanoseconds(self.opened) + int(at * NANOSECONDS)

    def until(self, at: float) -> Sequence[Happening]:
        """What has happened by then."""
        return self.happenings[: self._count(at)]

    def _count(self, at: float) -> int:
        return bisect_right(self.happenings, at, key=_time_of)

    def quantities(self, at: float) -> Mapping[str, int]:
        """What is held then."""
        return self._held_after[self._count(at)]

    @cached_property
    def _held_after(self) -> list[Mapping[str, int]]:
        """What is held after so many happenings."""
        known = [dict(self.held)]
        for happening in self.happenings:
            quantities = dict(known[-1])
            for symbol, change in happening.changes:
                quantities[symbol] = quantities.get(symbol, 0) + change
            known.append(quantities)
        return list(known)

    def positions(self, at: float) -> list[dict[str, Any]]:
        """The rows that the server answers with."""
        return [
            {
                "symbol": symbol,
                "qty": str(quantity),
                "side": "long" if quantity > 0 else "short",
                "asset_class": "us_equity" if symbol == SHARES else "us_option",
                "avg_entry_price": "1.00",
                "cost_basis": str(quantity),
                "market_value": str(quantity),
                "current_price": "1.00",
                # In the share that it is counted in.
                "lastday_price": str(self.close(symbol) * self.factor(symbol, at)),
            }
            for symbol, quantity in self.quantities(at).items()
            if quantity
        ]

    @staticmethod
    def close(symbol: str) -> float:
        """Where it closed before the day, in the share of then."""
        return 601.0 if symbol == SHARES else 5.5

    def factor(self, symbol: str, at: float) -> float:
        """What its prices of before all are worth in the share of then: a split halves them."""
        return 0.5 ** self._splits_after[self._count(at)] if symbol == SHARES else 1.0

    @cached_property
    def _splits_after(self) -> list[int]:
        """How many splits are among so many happenings."""
        return list(accumulate((one.kind == "split" for one in self.happenings), initial=0))

    def orders(self, at: float, since: datetime) -> list[dict[str, Any]]:
        """The orders that were placed since then, as they stand."""
        if self.opened < since:  # when all of them were
            return []
        count = self._count(at)
        if count not in self._orders_after:
            self._orders_after[count] = self._orders(self.happenings[:count])
        return self._orders_after[count]

    def _orders(self, happened: Sequence[Happening]) -> list[dict[str, Any]]:
        newest: dict[str, tuple[Happening, Piece]] = {}
        whole: dict[str, list[str]] = {}
        for happening in happened:
            for piece in happening.pieces:
                newest[piece.order_id] = happening, piece
            if happening.order_id:
                whole[happening.order_id] = [piece.order_id for piece in happening.pieces]
        legs = {leg for of_whole in whole.values() for leg in of_whole}
        rows = [self._order(*newest[name]) for name in newest if name not in legs]
        return rows + [
            self._whole(name, [newest[leg] for leg in of_whole]) for name, of_whole in whole.items()
        ]

    def _order(self, happening: Happening, piece: Piece) -> dict[str, Any]:
        moment = self.moment(happening.at).isoformat()
        return {
            "id": piece.order_id,
            "symbol": piece.symbol,
            "side": "buy" if piece.quantity > 0 else "sell",
            "qty": str(piece.ordered),
            "filled_qty": str(piece.running),
            "status": "filled" if piece.running == piece.ordered else "partially_filled",
            "submitted_at": self.opened.isoformat(),
            "updated_at": moment,
            "order_class": "simple",
            "order_type": "limit",
            "time_in_force": "day",
            "legs": None,
        }

    def _whole(self, name: str, legs: Sequence[tuple[Happening, Piece]]) -> dict[str, Any]:
        happening, piece = legs[0]
        return {
            **self._order(happening, replace(piece, order_id=name)),
            "symbol": "",
            "side": None,
            "order_class": "mleg",
            "legs": [self._order(*leg) | {"order_class": "mleg"} for leg in legs],
        }

    def activities(self, at: float, kinds: Sequence[str], since: datetime) -> list[dict[str, Any]]:
        """What the account's activities tell of these kinds."""
        since_at, since_day = (
            (since - self.opened).total_seconds(),
            since.astimezone(NEW_YORK).date().isoformat(),
        )
        return [
            row
            for happened_at, row in self._rows
            if happened_at <= at
            and row["activity_type"] in kinds
            and (happened_at >= since_at if "transaction_time" in row else row["date"] >= since_day)
        ]

    @cached_property
    def _rows(self) -> list[tuple[float, dict[str, Any]]]:
        """Every activity, and when it happened."""
        return [(one.at, row) for one in self.happenings for row in self._activities(one)]

    def _activities(self, happening: Happening) -> Iterator[dict[str, Any]]:
        moment = self.moment(happening.at)
        for piece in happening.pieces:
            yield self._fill(moment, piece, "fill" if piece.running == piece.ordered else "partial_fill")
        if happening.of is not None:
            taken_back = self._fill(moment, happening.of, "trade_bust")
            yield {
                **taken_back,
                "id": f"{moment:%Y%m%d%H%M%S000}::{happening.identity}",
                "previous_execution_id": happening.of.execution_id,
            }
        kind = {"assignment": "OPASN", "exercise": "OPEXC", "expiry": "OPEXP"}.get(happening.kind)
        for symbol, change in happening.changes:
            if kind is not None:
                yield self._event(moment, "OPTRD" if symbol == SHARES else kind, happening, symbol, change)
            elif happening.kind in ("transfer", "split"):
                name = "JNLS" if happening.kind == "transfer" else "SPLIT"
                yield self._event(moment, name, happening, symbol, change)

    @staticmethod
    def _fill(moment: datetime, piece: Piece, kind: str) -> dict[str, Any]:
        return {
            "activity_type": FILLS,
            "id": f"{moment:%Y%m%d%H%M%S000}::{piece.execution_id}",
            "order_id": piece.order_id,
            "symbol": piece.symbol,
            "side": "buy" if piece.quantity > 0 else "sell",
            "qty": str(abs(piece.quantity)),
            "cum_qty": str(piece.running),
            "leaves_qty": str(piece.ordered - piece.running),
            "price": str(piece.price),
            "transaction_time": moment.isoformat(timespec="milliseconds"),
            "order_status": "filled" if piece.running == piece.ordered else "partially_filled",
            "type": kind,
        }

    @staticmethod
    def _event(moment: datetime, kind: str, happening: Happening, symbol: str, change: int) -> dict[str, Any]:
        day = moment.astimezone(NEW_YORK).date()
        return {
            "activity_type": kind,
            "id": f"{day:%Y%m%d}000000000::{happening.identity}",
            "date": day.isoformat(),
            "symbol": symbol,
            "qty": str(change),
            "net_amount": "0",
            "status": "executed",
        }

    def updates(self, happening: Happening) -> list[dict[str, Any]]:
        """What the socket sends of it."""
        moment = self.moment(happening.at).isoformat()
        if happening.of is not None:
            order = self._order(happening, happening.of)
            return [
                _update(
                    {
                        "event": "trade_bust",
                        "timestamp": moment,
                        "execution_id": happening.identity,
                        "previous_execution_id": happening.of.execution_id,
                        "qty": str(abs(happening.of.quantity)),
                        "price": str(happening.of.price),
                        "order": order,
                    }
                )
            ]
        if happening.kind == "legs":
            executed = [
                {
                    "order_id": piece.order_id,
                    "symbol": piece.symbol,
                    "execution_id": piece.execution_id,
                    "qty": str(abs(piece.quantity)),
                    "price": str(piece.price),
                    "timestamp": moment,
                }
                for piece in happening.pieces
            ]
            whole = self._whole(happening.order_id, [(happening, piece) for piece in happening.pieces])
            return [_update({"event": "fill", "timestamp": moment, "order": whole, "legs": executed})]
        return [
            _update(
                {
                    "event": "fill" if piece.running == piece.ordered else "partial_fill",
                    "timestamp": moment,
                    "execution_id": piece.execution_id,
                    "qty": str(abs(piece.quantity)),
                    "price": str(piece.price),
                    "order": self._order(happening, piece),
                }
            )
            for piece in happening.pieces
        ]


def _time_of(happening: Happening) -> float:
    return happening.at


def _update(data: dict[str, Any]) -> dict[str, Any]:
    return {"stream": "trade_updates", "data": data}


def busy_account(dice: random.Random, opened: datetime, begin: float, end: float) -> Account:
    """An account that holds something and to which things happen between two instants, in seconds since `opened`."""
    held = {symbol: dice.choice((-3, -1, 0, 0, 1, 2, 5)) for symbol in SYMBOLS}
    held[SHARES] *= 100
    account = Account(opened, {symbol: quantity for symbol, quantity in held.items() if quantity})
    found: list[Happening] = []
    executed: list[Piece] = []
    orders = 0
    for _ in range(dice.randint(2, 9)):
        # Things come in clusters: an order is filled piece by piece, and two orders together.
        at = dice.uniform(begin, end)
        for _ in range(dice.choice((1, 1, 1, 2, 3))):
            orders += 1
            at += dice.choice((0.0, 0.05, 0.4, 1.3, 2.5, 8.0))
            happened = _happen(dice, orders, at, executed)
            found += happened
            at = max(at, *(one.at for one in happened)) if happened else at
    running: defaultdict[str, int] = defaultdict(int, account.held)
    for happening in sorted(found, key=lambda one: one.at):
        if happening.at >= end:
            continue
        kept = _possible(happening, running)
        if kept is not None:
            account.happenings.append(kept)
            for symbol, change in kept.changes:
                running[symbol] += change
    return account


def _possible(happening: Happening, running: dict[str, int]) -> Happening | None:
    """What ends a contract needs one that is held."""
    if happening.kind not in ("assignment", "exercise", "expiry"):
        return happening
    contract = happening.changes[0][0]
    held = running[contract]
    if (
        held == 0
        or (happening.kind == "assignment" and held > 0)
        or (happening.kind == "exercise" and held < 0)
    ):
        return None
    count = 1 if held > 0 else -1
    shares = {"assignment": -100 if contract == CALL else 100, "exercise": 100 if contract == CALL else -100}
    moved = ((SHARES, shares[happening.kind]),) if happening.kind in shares else ()
    return replace(happening, changes=((contract, -count), *moved))


def _happen(dice: random.Random, number: int, at: float, executed: list[Piece]) -> list[Happening]:
    kind = dice.choices(
        ("fill", "parts", "legs", "bust", "assignment", "exercise", "expiry", "transfer", "split"),
        (6, 4, 3, 1, 1, 1, 1, 1, 1),
    )[0]
    order = f"order-{number}"
    if kind in ("fill", "parts"):
        pieces = [1] if kind == "fill" else [dice.randint(1, 3) for _ in range(dice.randint(2, 4))]
        return list(_order_filled(dice, order, pieces, at, executed))
    if kind == "legs":
        count = dice.randint(1, 2)
        legs = tuple(
            Piece(f"{order}-{leg}", symbol, sign * count, _price(dice), f"{order}-{leg}-x", count, count)
            for leg, (symbol, sign) in enumerate(((PUT, -1), (WING, 1)))
        )
        return [
            Happening(at, "legs", legs, tuple((leg.symbol, leg.quantity) for leg in legs), order_id=order)
        ]
    if kind == "bust":
        if not executed:
            return []
        piece = executed.pop(dice.randrange(len(executed)))
        return [
            Happening(
                at + 30, "bust", changes=((piece.symbol, -piece.quantity),), identity=f"b{number}", of=piece
            )
        ]
    if kind in ("transfer", "split"):
        return [Happening(at, kind, changes=((SHARES, dice.choice((-10, 10, 50))),), identity=f"m{number}")]
    return [Happening(at, kind, changes=((dice.choice((CALL, PUT, WING)), 0),), identity=f"e{number}")]


def _order_filled(
    dice: random.Random, order: str, pieces: list[int], at: float, executed: list[Piece]
) -> Iterator[Happening]:
    symbol = dice.choice(SYMBOLS)
    sign, lot = dice.choice((1, -1)), 10 if symbol == SHARES else 1
    ordered, running = sum(pieces) * lot, 0
    for number, piece in enumerate(pieces):
        quantity = piece * lot
        running += quantity
        one = Piece(order, symbol, sign * quantity, _price(dice), f"{order}-{number}-x", running, ordered)
        executed.append(one)
        yield Happening(at, "fill", (one,), ((symbol, one.quantity),))
        at += dice.choice((0.0, 0.02, 0.3, 1.0, 4.0, 20.0))


def _price(dice: random.Random) -> Decimal:
    return Decimal(dice.randint(5, 900)) / 100
