"""What the user holds, as written down in `portfolio.json`; read, never written."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Final, Literal, NoReturn, Self, TypeAlias

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    StringConstraints,
    Tag,
    ValidationError,
    model_validator,
)
from pydantic_core import ErrorDetails, PydanticCustomError

from options_helper.errors import ConfigError, SymbolError
from options_helper.model.alpaca_symbols import (
    contract_symbol,
    is_coin_pair,
    to_alpaca_symbol,
    to_repo_symbol,
    underlying_symbol,
)
from options_helper.model.contract_symbols import (
    OptionType,
    format_contract,
    is_adjusted_root,
    plain_number,
    root_of,
    short_date,
    strike_mills,
    usual_multiplier,
)
from options_helper.model.streams import ACCOUNT_NAME_RULE, is_account_name
from options_helper.model.text import without_quotes

__all__ = [
    "ContractLot",
    "Instrument",
    "Leg",
    "MultiLegPosition",
    "OptionType",
    "Portfolio",
    "PortfolioEntry",
    "PortfolioLine",
    "Position",
    "ShareHolding",
    "ShareLeg",
    "ShareLot",
    "Side",
    "load_portfolio",
    "lots_after",
    "parse_portfolio",
]

Side = Literal["long", "short"]
Settlement = Literal["am", "pm"]
Delivery = Literal["cash", "physical"]
ExerciseStyle = Literal["american", "european"]

# What a table of whole numbers can hold, and far more than anybody does.
_CONTRACTS_AT_MOST: Final = 1_000_000
_SHARES_AT_MOST: Final = 1_000_000_000
# Half a cent per share: two statements of one cost that are rounded to whole cents are the same.
COST_TOLERANCE: Final = Decimal("0.005")


def _whole_mills(strike: float) -> float:
    try:
        strike_mills(strike)
    except SymbolError as error:
        raise PydanticCustomError("strike", "must be 0.001 to 99999.999 in steps of 0.001") from error
    return strike


def _symbol_year(day: date) -> date:
    if not 2000 <= day.year <= 2099:
        raise PydanticCustomError("day", "must lie between the years 2000 and 2099")
    return day


def _whole(value: Any) -> Any:
    """2.0 as the 2 that it is, as tables write whole numbers; anything else is judged as it stands."""
    return int(value) if type(value) is float and value.is_integer() else value


def _not_zero(value: float) -> float:
    if value == 0:
        raise PydanticCustomError("zero", "must not be 0 (negative is short)")
    return value


def _no_coin(symbol: str) -> str:
    if re.search(r"[.\-]USD[CT]?$", symbol):
        raise PydanticCustomError("coin", "must be a share's, or a coin's in dollars as in BTC/USD")
    return symbol


Identity = Annotated[str, StringConstraints(min_length=1, max_length=80)]
Symbol = Annotated[str, StringConstraints(pattern=r"^([A-Z0-9]{1,6}|[A-Z]{1,4}[.\-/][A-Z])$")]
# Of shares: preferreds (BAC-PRL), warrants (ACHR-WS), units, rights, and what has only a number (384CVR015) as well.
ShareSymbol = Annotated[
    str,
    StringConstraints(pattern=r"^([A-Z0-9]{1,9}([.\-][A-Z0-9]{1,4}){0,2}|[A-Z]{1,4}/[A-Z])$"),
    AfterValidator(_no_coin),
]
# Of a holding also a coin's, priced in dollars as all of a file is: BTC/USD.
HoldingSymbol = Annotated[
    str,
    StringConstraints(
        pattern=r"^([A-Z0-9]{1,9}([.\-][A-Z0-9]{1,4}){0,2}|[A-Z]{1,4}/[A-Z]|[A-Z0-9]{2,10}/USD)$"
    ),
    AfterValidator(_no_coin),
]
Strike = Annotated[float, AfterValidator(_whole_mills)]
Expiry = Annotated[date, AfterValidator(_symbol_year)]
PictureDay = Annotated[date, AfterValidator(_symbol_year)]


_NO_ACCOUNT_NAME: Final = f"must be the name of an account: {ACCOUNT_NAME_RULE}"


def _account_name(text: str) -> str:
    if not is_account_name(text):
        raise PydanticCustomError("account_name", _NO_ACCOUNT_NAME)
    return text


AccountName = Annotated[str, AfterValidator(_account_name)]
Contracts = Annotated[
    int,
    BeforeValidator(_whole),
    AfterValidator(_not_zero),
    Field(ge=-_CONTRACTS_AT_MOST, le=_CONTRACTS_AT_MOST),
]
Shares = Annotated[float, AfterValidator(_not_zero), Field(ge=-_SHARES_AT_MOST, le=_SHARES_AT_MOST)]
PricePerShare = Annotated[float, Field(ge=0)]
Fees = Annotated[float, Field(ge=0)]
Multiplier = Annotated[int, BeforeValidator(_whole), Field(gt=0, le=_CONTRACTS_AT_MOST)]


@dataclass(frozen=True, slots=True)
class Instrument:
    """A contract or a share of the portfolio, with what follows from its terms worked out once."""

    symbol: str  # of the portfolio: "BRK-B"
    live_symbol: str  # as Alpaca writes it: "BRKB270319C00510000", or "BRK.B" for the shares
    label: str  # as a trader says it: "BRK-B 19 Mar 27 510 C"
    underlying: str  # what it is written on, as Alpaca writes it: "BRK.B"
    multiplier: int | None  # dollars per point; None: an adjusted contract whose multiplier was not given
    adjusted: bool = False  # it may deliver something else than 100 shares
    option_type: OptionType | None = None  # None, like expiry and strike: it is a share
    expiry: date | None = None
    strike: float | None = None
    # What the file says of it, None where it leaves that to the root.
    settled_at_open: bool | None = None
    delivery: Delivery | None = None
    exercise_style: ExerciseStyle | None = None

    @property
    def is_option(self) -> bool:
        """Whether it is a contract, not a share."""
        return self.option_type is not None

    @property
    def is_coin(self) -> bool:
        """Whether it is a coin in dollars, which is traded day and night."""
        return is_coin_pair(self.live_symbol)


@dataclass(frozen=True, slots=True)
class PortfolioLine:
    """What an entry holds of one instrument: a single contract, shares, or one leg of a structure."""

    instrument: Instrument
    quantity: Decimal  # contracts or shares; short is negative
    points: Decimal | None  # quantity times opening price per share, exactly; None: not known

    @property
    def cost_basis(self) -> Decimal | None:
        """The average opening price per share; None where it is not known."""
        return None if self.points is None else self.points / self.quantity

    @property
    def opening_cost(self) -> Decimal | None:
        """Dollars paid for it, negative for a short; None where price or multiplier is not known."""
        if self.points is None or self.instrument.multiplier is None:
            return None
        return self.points * self.instrument.multiplier


def _contract(symbol: str, terms: Position | Leg, multiplier: int | None) -> Instrument:
    parts = (symbol, terms.expiry, terms.option_type, terms.strike)
    return Instrument(
        symbol=symbol,
        live_symbol=contract_symbol(*parts),
        label=format_contract(*parts),
        underlying=underlying_symbol(symbol),
        multiplier=multiplier or usual_multiplier(root_of(symbol)),
        adjusted=is_adjusted_root(symbol),
        option_type=terms.option_type,
        expiry=terms.expiry,
        strike=terms.strike,
        settled_at_open=None if terms.settlement is None else terms.settlement == "am",
        delivery=terms.delivery,
        exercise_style=terms.exercise_style,
    )


def _share(symbol: str) -> Instrument:
    if is_coin_pair(symbol):
        return Instrument(symbol, symbol, symbol, symbol, multiplier=1)
    live_symbol = to_alpaca_symbol(symbol)
    return Instrument(symbol, live_symbol, f"{symbol} shares", live_symbol, multiplier=1)


def _exact(value: float | None) -> Decimal | None:
    # The shortest text of a float is what the file says.
    return None if value is None else Decimal(str(value))


def _points(quantity: Decimal, cost_basis: float | None) -> Decimal | None:
    price = _exact(cost_basis)
    return None if price is None else quantity * price


def _sum_of_costs(lines: Sequence[PortfolioLine]) -> Decimal | None:
    costs = [line.opening_cost for line in lines]
    known = [cost for cost in costs if cost is not None]
    return sum(known, Decimal(0)) if len(known) == len(costs) else None


class _Entry(BaseModel):
    # Strict: a number in quotation marks is a mistake to point out, not one to guess around.
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:  # noqa: ARG002 - pydantic's
        """As `changed`: pydantic's own checks nothing, and keeps a quantity that was worked out of other lots.

        Nothing here can be changed, so a `deep` copy has nothing more of its own.
        """
        return self.changed(**(update or {}))

    def changed(self, **fields: Any) -> Self:
        """The same with other values of these fields, checked anew; what was worked out of the old ones is not kept."""
        return type(self)(**{name: getattr(self, name) for name in self.model_fields_set} | fields)


class ContractLot(_Entry):
    """Contracts of a position that were opened together; short is negative."""

    contracts: Contracts
    cost_basis: PricePerShare | None = None  # opening price per share; None: not known
    opened_at: date | None = None

    @property
    def quantity(self) -> Decimal:
        """Contracts with their sign."""
        return Decimal(self.contracts)


class ShareLot(_Entry):
    """Shares of a holding that were bought, or sold short, together; short is negative."""

    shares: Shares
    cost_basis: PricePerShare | None = None  # price per share; None: not known
    opened_at: date | None = None

    @property
    def quantity(self) -> Decimal:
        """Shares with their sign."""
        return Decimal(str(self.shares))


_Lots: TypeAlias = Sequence[ContractLot | ShareLot]


def _points_of(lots: _Lots) -> Decimal | None:
    points = [_points(lot.quantity, lot.cost_basis) for lot in lots]
    known = [one for one in points if one is not None]
    return sum(known, Decimal(0)) if len(known) == len(points) else None


def _all(lots: _Lots) -> Decimal:
    return sum((lot.quantity for lot in lots), Decimal(0))


def _line(entry: Position | ShareHolding, quantity: Decimal) -> PortfolioLine:
    points = _points_of(entry.lots) if entry.lots else _points(quantity, entry.cost_basis)
    return PortfolioLine(entry.instrument, quantity, points)


def _check_lots(entry: Position | ShareHolding, amount: str) -> None:
    """That lots say what the entry does not, and contradict nothing that it does."""
    named = getattr(entry, amount)
    if not entry.lots:
        if amount not in entry.model_fields_set:
            raise PydanticCustomError(
                "no_quantity", "names neither {amount} nor lots; one of them is needed", {"amount": amount}
            )
        return
    if doubled := [name for name in ("cost_basis", "opened_at") if getattr(entry, name) is not None]:
        raise PydanticCustomError(
            "twice", "names {name} beside lots; each lot has its own", {"name": doubled[0]}
        )
    if len({lot.quantity > 0 for lot in entry.lots}) > 1:
        raise PydanticCustomError(
            "sides", "has lots that are long and lots that are short; make two positions"
        )
    total = _all(entry.lots)
    if amount in entry.model_fields_set and Decimal(str(named)) != total:
        raise PydanticCustomError(
            "sum_of_lots",
            "names {named} {amount}, but its lots come to {total}; correct one, or leave {amount} away",
            {"named": f"{named}", "amount": amount, "total": f"{total}"},
        )


def _carried(entry: Position | MultiLegPosition | ShareHolding) -> Decimal | None:
    """What was realized so far, less fees; None where the entry names neither."""
    named = [_exact(entry.realized), _exact(None if entry.fees is None else -entry.fees)]
    known = [amount for amount in named if amount is not None]
    return sum(known, Decimal(0)) if known else None


class Position(_Entry):
    """One option contract, held long (`contracts` > 0) or short (< 0)."""

    id: Identity
    symbol: Symbol
    option_type: OptionType
    expiry: Expiry
    strike: Strike
    contracts: Contracts = 0  # with lots, their sum; 0 never comes out of a file
    cost_basis: PricePerShare | None = (
        None  # average opening price per share; None: not known, or in the lots
    )
    opened_at: date | None = None
    lots: Annotated[tuple[ContractLot, ...], Field(min_length=1)] | None = None
    realized: float | None = None  # dollars gained on it so far; None: not named
    fees: Fees | None = None  # dollars paid for it so far; None: not named
    multiplier: Multiplier | None = None  # dollars per point; only an adjusted contract has to name it
    settlement: Settlement | None = None  # at the open or at the close of its last day; None: as its root
    delivery: Delivery | None = None  # what is settled in: cash, or what it is written on
    exercise_style: ExerciseStyle | None = None

    @model_validator(mode="after")
    def _lots_add_up(self) -> Self:
        _check_lots(self, "contracts")
        if self.lots:
            # Worked out once, like a cached property: the instance is not shared yet.
            self.__dict__["contracts"] = int(_all(self.lots))
        return self

    @cached_property
    def instrument(self) -> Instrument:
        """The contract held."""
        return _contract(self.symbol, self, self.multiplier)

    @property
    def instruments(self) -> tuple[Instrument, ...]:
        """The contract held, and no other."""
        return (self.instrument,)

    @cached_property
    def lines(self) -> tuple[PortfolioLine, ...]:
        """What it holds, in one line."""
        return (_line(self, Decimal(self.contracts)),)

    @property
    def opening_cost(self) -> Decimal | None:
        """Dollars paid for it, negative for a short; None where that is not known."""
        return _sum_of_costs(self.lines)

    @cached_property
    def carried(self) -> Decimal | None:
        """Dollars realized on it so far, less fees; None where the file names neither."""
        return _carried(self)


class Leg(_Entry):
    """One contract of a structure; `side` carries the sign."""

    side: Side
    symbol: Symbol | None = None  # None: the structure's
    option_type: OptionType
    expiry: Expiry
    strike: Strike
    contracts: Annotated[int, BeforeValidator(_whole), Field(gt=0, le=_CONTRACTS_AT_MOST)]
    cost_basis: PricePerShare | None = None  # average opening price per share; None: not known
    multiplier: Multiplier | None = None  # dollars per point; None: the structure's, or what is usual
    settlement: Settlement | None = None  # these three as in `Position`
    delivery: Delivery | None = None
    exercise_style: ExerciseStyle | None = None

    @property
    def signed_contracts(self) -> int:
        """Contracts with their sign: short is negative."""
        return self.contracts if self.side == "long" else -self.contracts


class ShareLeg(_Entry):
    """Shares in a structure, as those of a covered call; `side` carries the sign."""

    side: Side
    symbol: ShareSymbol | None = None  # None: of what the structure's contracts are written on
    shares: Annotated[float, Field(gt=0, le=_SHARES_AT_MOST)]
    cost_basis: PricePerShare | None = None  # average opening price per share; None: not known

    @property
    def signed_shares(self) -> float:
        """Shares with their sign: short is negative."""
        return self.shares if self.side == "long" else -self.shares


_LEG_KINDS: Final[dict[str, type[_Entry]]] = {"contract": Leg, "shares": ShareLeg}


def _leg_kind(leg: Any) -> str | None:
    if isinstance(leg, dict):
        return "shares" if "shares" in leg else "contract"
    return next((name for name, model in _LEG_KINDS.items() if isinstance(leg, model)), None)


_TaggedLeg = Annotated[
    Annotated[Leg, Tag("contract")] | Annotated[ShareLeg, Tag("shares")],
    Discriminator(
        _leg_kind, custom_error_type="leg", custom_error_message="must be a contract or shares, in braces"
    ),
]


class MultiLegPosition(_Entry):
    """Legs opened as one structure, shares among them or not.

    `net_debit` is in dollars for all of it, a credit is negative; it may be left away where each leg has a
    `cost_basis`, and where nobody knows it.
    """

    id: Identity
    symbol: Symbol
    net_debit: float | None = None  # None: what the legs cost together, if that is known
    opened_at: date | None = None
    legs: Annotated[tuple[_TaggedLeg, ...], Field(min_length=1)]
    realized: float | None = None  # dollars gained on it so far, by legs that were closed; None: not named
    fees: Fees | None = None  # dollars paid for it so far; None: not named
    multiplier: Multiplier | None = None  # dollars per point; only adjusted contracts have to name it

    @cached_property
    def instruments(self) -> tuple[Instrument, ...]:
        """What each leg is in, in the order of `legs`."""
        return tuple(self._instrument(leg) for leg in self.legs)

    @cached_property
    def lines(self) -> tuple[PortfolioLine, ...]:
        """What each leg holds, in the order of `legs`."""
        return tuple(
            PortfolioLine(instrument, _signed(leg), _points(_signed(leg), leg.cost_basis))
            for instrument, leg in zip(self.instruments, self.legs, strict=True)
        )

    @cached_property
    def opening_cost(self) -> Decimal | None:
        """Dollars paid for all of it, a credit is negative; None where that is not known."""
        return _sum_of_costs(self.lines) if self.net_debit is None else _exact(self.net_debit)

    @cached_property
    def carried(self) -> Decimal | None:
        """Dollars realized on it so far, less fees; None where the file names neither."""
        return _carried(self)

    @cached_property
    def contract_legs(self) -> tuple[Leg, ...]:
        """The legs that are contracts."""
        return tuple(leg for leg in self.legs if isinstance(leg, Leg))

    @property
    def has_shares(self) -> bool:
        """Whether a leg is shares."""
        return len(self.contract_legs) < len(self.legs)

    @cached_property
    def label(self) -> str:
        """The structure in one line: "SPY 18 Dec 26 640P/655P/705C/720C"; symbol and expiry where they change."""
        said: list[str] = []
        symbol: str | None = None
        expiry: date | None = None
        for instrument in self.instruments:
            if instrument.symbol != symbol:
                symbol, expiry = instrument.symbol, None
                words = [symbol]
            else:
                words = []
            if instrument.expiry is not None and instrument.expiry != expiry:
                expiry = instrument.expiry
                words.append(short_date(expiry))
            said.append(" ".join([*words, _terms(instrument)]))
        return "/".join(said)

    def _instrument(self, leg: Leg | ShareLeg) -> Instrument:
        if isinstance(leg, ShareLeg):
            return _share(leg.symbol or to_repo_symbol(underlying_symbol(self.symbol)))
        # The structure's multiplier is that of its own contracts, not of another symbol's.
        of_structure = self.multiplier if leg.symbol in (None, self.symbol) else None
        return _contract(leg.symbol or self.symbol, leg, leg.multiplier or of_structure)

    @model_validator(mode="after")
    def _costs_agree(self) -> Self:
        of_legs = _sum_of_costs(self.lines)
        if self.net_debit is None or of_legs is None:
            return self
        shares = sum(abs(line.quantity) * (line.instrument.multiplier or 1) for line in self.lines)
        if abs(of_legs - Decimal(str(self.net_debit))) > COST_TOLERANCE * shares:
            raise PydanticCustomError(
                "two_costs",
                "net_debit is {net_debit}, but by their cost_basis the legs cost {of_legs}; correct one of them, "
                "or leave net_debit away",
                {"net_debit": f"{self.net_debit:,.2f}", "of_legs": f"{of_legs:,.2f}"},
            )
        return self


def _signed(leg: Leg | ShareLeg) -> Decimal:
    return Decimal(leg.signed_contracts if isinstance(leg, Leg) else str(leg.signed_shares))


def _terms(instrument: Instrument) -> str:
    if instrument.option_type is None or instrument.strike is None:
        return "shares"
    return f"{plain_number(instrument.strike)}{instrument.option_type[0].upper()}"


class ShareHolding(_Entry):
    """Plain shares, long or short; or coins, as BTC/USD, where `shares` counts coins."""

    id: Identity
    symbol: HoldingSymbol
    shares: Shares = 0.0  # with lots, their sum; 0 never comes out of a file
    cost_basis: PricePerShare | None = None  # average price per share; None: not known, or in the lots
    opened_at: date | None = None
    lots: Annotated[tuple[ShareLot, ...], Field(min_length=1)] | None = None
    realized: float | None = None  # dollars gained on it so far; None: not named
    fees: Fees | None = None  # dollars paid for it so far; None: not named

    @model_validator(mode="after")
    def _lots_add_up(self) -> Self:
        _check_lots(self, "shares")
        if self.lots:
            # Worked out once, like a cached property: the instance is not shared yet.
            self.__dict__["shares"] = float(_all(self.lots))
        return self

    @cached_property
    def instrument(self) -> Instrument:
        """The share or coin held."""
        return _share(self.symbol)

    @property
    def instruments(self) -> tuple[Instrument, ...]:
        """The share or coin held, and no other."""
        return (self.instrument,)

    @cached_property
    def lines(self) -> tuple[PortfolioLine, ...]:
        """What it holds, in one line."""
        return (_line(self, Decimal(str(self.shares))),)

    @property
    def opening_cost(self) -> Decimal | None:
        """Dollars paid for it, negative for a short; None where that is not known."""
        return _sum_of_costs(self.lines)

    @cached_property
    def carried(self) -> Decimal | None:
        """Dollars realized on it so far, less fees; None where the file names neither."""
        return _carried(self)


def lots_after(
    entry: Position | ShareHolding, quantity: Decimal, price: Decimal | None
) -> tuple[ContractLot, ...] | tuple[ShareLot, ...]:
    """The lots of an entry once it holds this quantity on the same side, at this average price per share.

    What was opened since is a lot more, at what it must have cost; what was closed goes from the oldest. There are
    none where what came cost nothing: that was no purchase.
    """
    line = entry.lines[0]
    lots: _Lots = entry.lots or ()
    left = _left(lots, quantity)
    kept = [(left[index], lot.cost_basis, lot.opened_at) for index, lot in enumerate(lots)]
    if abs(quantity) > abs(line.quantity):
        opened = quantity - line.quantity
        paid = None if price is None or line.points is None else (price * quantity - line.points) / opened
        if paid is not None and paid <= 0:
            return ()
        kept.append((opened, None if paid is None else float(paid), None))
    wanted = [one for one in kept if one[0]]
    if isinstance(entry, Position):
        return tuple(
            ContractLot(contracts=int(one), cost_basis=cost, opened_at=day) for one, cost, day in wanted
        )
    return tuple(ShareLot(shares=float(one), cost_basis=cost, opened_at=day) for one, cost, day in wanted)


def lots_through_split(
    entry: Position | ShareHolding, quantity: Decimal, price: Decimal | None
) -> tuple[ContractLot, ...] | tuple[ShareLot, ...]:
    """The lots of an entry once a split has left this quantity for the same money; none where the money is another."""
    line = entry.lines[0]
    if price is None or line.points is None or quantity == line.quantity:
        return ()
    if abs(price * quantity - line.points) > COST_TOLERANCE * abs(quantity):
        return ()
    ratio = quantity / line.quantity
    amounts = [lot.quantity * ratio for lot in entry.lots or ()]
    if isinstance(entry, ShareHolding):
        return tuple(
            lot.changed(shares=float(amount), cost_basis=_divided(lot.cost_basis, ratio))
            for lot, amount in zip(entry.lots or (), amounts, strict=True)
        )
    if any(amount != int(amount) for amount in amounts):
        return ()
    return tuple(
        lot.changed(contracts=int(amount), cost_basis=_divided(lot.cost_basis, ratio))
        for lot, amount in zip(entry.lots or (), amounts, strict=True)
    )


def _divided(price: float | None, ratio: Decimal) -> float | None:
    return None if price is None else float(Decimal(str(price)) / ratio)


def _left(lots: _Lots, quantity: Decimal) -> dict[int, Decimal]:
    """By its place, what is left of each lot when the oldest are closed first; a lot without a day is the newest."""
    to_close = max(Decimal(0), abs(_all(lots)) - abs(quantity))
    left: dict[int, Decimal] = {}
    for index, lot in sorted(enumerate(lots), key=lambda one: one[1].opened_at or date.max):
        closed = min(to_close, abs(lot.quantity))
        to_close -= closed
        left[index] = lot.quantity - closed.copy_sign(lot.quantity)
    return left


_KINDS: Final[dict[str, type[_Entry]]] = {
    "single": Position,
    "structure": MultiLegPosition,
    "shares": ShareHolding,
}


_LOT_KINDS: Final[dict[str, type[_Entry]]] = {"single": ContractLot, "shares": ShareLot}


def _kind(entry: Any) -> str | None:
    if isinstance(entry, dict):
        is_shares = "shares" in entry or ("lots" in entry and "strike" not in entry and "expiry" not in entry)
        return "structure" if "legs" in entry else "shares" if is_shares else "single"
    return next((name for name, model in _KINDS.items() if isinstance(entry, model)), None)


PortfolioEntry = Position | MultiLegPosition | ShareHolding
_TaggedEntry = Annotated[
    Annotated[Position, Tag("single")]
    | Annotated[MultiLegPosition, Tag("structure")]
    | Annotated[ShareHolding, Tag("shares")],
    Discriminator(
        _kind,
        custom_error_type="entry",
        custom_error_message="must be an option, a structure with legs, or shares",
    ),
]


class Portfolio(_Entry):
    """Everything held, in the order of the file."""

    base_currency: Literal["USD"] = "USD"
    as_of: PictureDay | None = (
        None  # the New York day that the file is a picture of, as a sample is; None: of now
    )
    account: AccountName | None = None  # whose these are, where the user has named several accounts
    cash: float | None = None  # None: not known, so a total counts positions only
    positions: tuple[_TaggedEntry, ...]

    @cached_property
    def singles(self) -> tuple[Position, ...]:
        """Single option contracts, in portfolio order."""
        return tuple(entry for entry in self.positions if isinstance(entry, Position))

    @cached_property
    def structures(self) -> tuple[MultiLegPosition, ...]:
        """Multi-leg structures, in portfolio order."""
        return tuple(entry for entry in self.positions if isinstance(entry, MultiLegPosition))

    @cached_property
    def shares(self) -> tuple[ShareHolding, ...]:
        """Share holdings, in portfolio order."""
        return tuple(entry for entry in self.positions if isinstance(entry, ShareHolding))

    @cached_property
    def instruments(self) -> tuple[Instrument, ...]:
        """What every single, leg and holding is in, in portfolio order; the same one may come twice."""
        return tuple(instrument for entry in self.positions for instrument in entry.instruments)

    @cached_property
    def lines(self) -> tuple[PortfolioLine, ...]:
        """What every entry holds, in portfolio order."""
        return tuple(line for entry in self.positions for line in entry.lines)

    @cached_property
    def quantities(self) -> Mapping[str, Decimal]:
        """How much of each symbol of a feed is held, all lines together; short is negative."""
        held: dict[str, Decimal] = defaultdict(Decimal)
        for line in self.lines:
            held[line.instrument.live_symbol] += line.quantity
        return dict(held)

    @model_validator(mode="after")
    def _ids_are_unique(self) -> Self:
        first: dict[str, int] = {}
        for number, entry in enumerate(self.positions, start=1):
            earlier = first.setdefault(entry.id, number)
            if earlier != number:
                raise PydanticCustomError(
                    "duplicate_id",
                    "positions {earlier} and {number} have the same id {id}; each needs its own",
                    {"earlier": earlier, "number": number, "id": repr(entry.id)},
                )
        return self


class AccountPortfolio(Portfolio):
    """What an account holds, at the account's own costs; no file is behind it."""


def load_portfolio(path: Path) -> Portfolio:
    """Read a portfolio file; ConfigError with one sentence naming the file, the position and the field."""
    try:
        data = path.read_bytes()
    except OSError as error:
        reason = (error.strerror or type(error).__name__).lower()
        raise ConfigError(f"{path.name} cannot be read: {reason}. Check the portfolio's path.") from error
    return parse_portfolio(data, path.name)


def parse_portfolio(data: bytes | str, name: str) -> Portfolio:
    """Read a portfolio from the content of a file called `name`; errors as in `load_portfolio`."""
    try:
        text = data if isinstance(data, str) else data.decode("utf-8-sig")
        raw = json.loads(text, object_pairs_hook=_refuse_repeated_keys, parse_constant=_refuse_constant)
    except UnicodeDecodeError as error:
        raise ConfigError(f"{name} is not UTF-8 text (byte {error.start}); save it as UTF-8.") from error
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise ConfigError(f"{name} is not valid JSON at {where}: {error.msg}.") from error
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{name} is not valid JSON: {error}.") from error
    try:
        return Portfolio.model_validate_json(text)
    except ValidationError as error:
        raise ConfigError(_sentence(error, raw, name)) from error


def _refuse_repeated_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) == len(pairs):
        return content
    keys = [key for key, _ in pairs]
    repeated = next(key for key in keys if keys.count(key) > 1)
    raise ValueError(f"the key {repeated!r} stands twice in one object ({_label(content)})")


def _label(content: dict[str, Any]) -> str:
    return f"id {content['id']!r}" if "id" in content else f"keys {', '.join(content)}"


def _refuse_constant(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no number")


def _sentence(error: ValidationError, raw: Any, name: str) -> str:
    """The first problem as a sentence, and how many more there are."""
    problems = error.errors(include_url=False)
    first = _mistyped(problems) or problems[0]
    # A list whose entries were all refused is not too short as well.
    problems = [one for one in problems if one is first or one["loc"] != first["loc"][: len(one["loc"])]]
    where = ", ".join([name, *_path(first["loc"], raw)])
    more = f" ({len(problems) - 1} more after this one)" if len(problems) > 1 else ""
    return f"{where}: {_reason(first)}{more}."


def _mistyped(problems: Sequence[ErrorDetails]) -> ErrorDetails | None:
    """Why the first problem's field is missing: its object has it under a name that is no field."""
    if problems[0]["type"] != "missing":
        return None
    *where, wanted = problems[0]["loc"]
    beside = {
        str(one["loc"][-1]): one for one in problems if _is_unknown(one) and [*one["loc"][:-1]] == where
    }
    close = _nearest(str(wanted), beside)
    return None if close is None else beside[close]


def _nearest(name: str, names: Iterable[str]) -> str | None:
    """The one of these that the name is a slip of the pen of; None where it is of none."""
    return next(iter(get_close_matches(name, list(names), n=1, cutoff=0.75)), None)


def _is_unknown(problem: ErrorDetails) -> bool:
    return problem["type"] == "extra_forbidden"


def _path(location: tuple[int | str, ...], raw: Any) -> list[str]:
    """`("positions", 2, "structure", "legs", 0, "strike")` → position, leg and field in words."""
    match location:
        case ("positions", int(index)):
            return [_position_name(raw["positions"][index], index)]
        case ("positions", int(index), str(), "legs", int(leg), str(), *fields):
            return [_position_name(raw["positions"][index], index), f"leg {leg + 1}", *map(str, fields)]
        case ("positions", int(index), str(), "legs", int(leg)):
            return [_position_name(raw["positions"][index], index), f"leg {leg + 1}"]
        case ("positions", int(index), str(), "lots", int(lot), *fields):
            return [_position_name(raw["positions"][index], index), f"lot {lot + 1}", *map(str, fields)]
        case ("positions", int(index), str(), *fields):
            return [_position_name(raw["positions"][index], index), *map(str, fields)]
        case _:
            return [str(step) for step in location]


def _position_name(entry: Any, index: int) -> str:
    identity = entry.get("id") if isinstance(entry, dict) else None
    return (
        f"position {_cut(identity)!r}" if isinstance(identity, str) and identity else f"position {index + 1}"
    )


_SHOWN_AT_MOST: Final = 40
_NO_NUMBER: Final = frozenset({"int_type", "float_type"})
_REASONS: Final = {
    "missing": "is missing",
    "string_pattern_mismatch": "must be a symbol in capitals such as AAPL or BRK-B",
    "too_short": "must have at least one entry",
    "string_too_short": "must not be empty",
    "greater_than": "must be greater than 0",
    "greater_than_equal": "must be 0 or more",
    "model_type": "must be an object in braces",
    "model_attributes_type": "must be an object in braces",
}


def _reason(problem: ErrorDetails) -> str:
    kind = problem["type"]
    if _is_unknown(problem):
        known = _known_fields(problem["loc"])
        meant = _nearest(str(problem["loc"][-1]), known)
        asked = "known" if meant is None else f"is {meant} meant? Known"
        return f"is no known field; {asked} are {', '.join(known)}"
    reason = _REASONS.get(kind) or _lower_first(problem["msg"].replace("Input should be", "must be"))
    found = problem["input"]
    if not isinstance(found, str | int | float):
        return reason
    return f"{reason}, found {_cut(found)!r}{without_quotes(found) if kind in _NO_NUMBER else ''}"


def _cut(found: Any) -> Any:
    """What was found, and of a long text as much as a person needs to find it again."""
    return f"{found[:_SHOWN_AT_MOST]}…" if isinstance(found, str) and len(found) > _SHOWN_AT_MOST else found


def _known_fields(location: tuple[int | str, ...]) -> list[str]:
    match location:
        case ("positions", int(), str(), "legs", int(), str(kind), *_):
            return list(_LEG_KINDS[kind].model_fields)
        case ("positions", int(), str(kind), "lots", int(), *_):
            return list(_LOT_KINDS[kind].model_fields)
        case ("positions", int(), str(kind), *_):
            return list(_KINDS[kind].model_fields)
        case _:
            return list(Portfolio.model_fields)


def _lower_first(text: str) -> str:
    return text[:1].lower() + text[1:]
