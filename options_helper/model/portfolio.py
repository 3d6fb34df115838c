"""What the user holds, as written down in `portfolio.json`; read, never written."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Final, Literal, NoReturn, Self, assert_never

from pydantic import (
    AfterValidator,
    BaseModel,
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
from options_helper.model.alpaca_symbols import contract_symbol, to_alpaca_symbol, underlying_symbol
from options_helper.model.contract_symbols import (
    OptionType,
    format_contract,
    is_adjusted_root,
    plain_number,
    short_date,
    strike_mills,
)

__all__ = [
    "Instrument",
    "Leg",
    "MultiLegPosition",
    "OptionType",
    "Portfolio",
    "PortfolioEntry",
    "Position",
    "ShareHolding",
    "Side",
    "load_portfolio",
    "parse_portfolio",
]

Side = Literal["long", "short"]

STANDARD_MULTIPLIER: Final = 100


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


def _not_zero(value: float) -> float:
    if value == 0:
        raise PydanticCustomError("zero", "must not be 0 (negative is short)")
    return value


Identity = Annotated[str, StringConstraints(min_length=1, max_length=80)]
Symbol = Annotated[str, StringConstraints(pattern=r"^([A-Z0-9]{1,6}|[A-Z]{1,4}[.\-/][A-Z])$")]
Strike = Annotated[float, AfterValidator(_whole_mills)]
Expiry = Annotated[date, AfterValidator(_symbol_year)]
PictureDay = Annotated[date, AfterValidator(_symbol_year)]
Contracts = Annotated[int, AfterValidator(_not_zero)]
Shares = Annotated[float, AfterValidator(_not_zero)]
PricePerShare = Annotated[float, Field(ge=0)]
Multiplier = Annotated[int, Field(gt=0)]


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

    @property
    def is_option(self) -> bool:
        """Whether it is a contract, not a share."""
        return self.option_type is not None


def _contract(entry: Position | MultiLegPosition, terms: Position | Leg) -> Instrument:
    parts = (entry.symbol, terms.expiry, terms.option_type, terms.strike)
    adjusted = is_adjusted_root(entry.symbol)
    standard = None if adjusted else STANDARD_MULTIPLIER
    return Instrument(
        symbol=entry.symbol,
        live_symbol=contract_symbol(*parts),
        label=format_contract(*parts),
        underlying=underlying_symbol(entry.symbol),
        multiplier=entry.multiplier or standard,
        adjusted=adjusted,
        option_type=terms.option_type,
        expiry=terms.expiry,
        strike=terms.strike,
    )


class _Entry(BaseModel):
    # Strict: a number in quotation marks is a mistake to point out, not one to guess around.
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Position(_Entry):
    """One option contract, held long (`contracts` > 0) or short (< 0)."""

    id: Identity
    symbol: Symbol
    option_type: OptionType
    expiry: Expiry
    strike: Strike
    contracts: Contracts
    cost_basis: PricePerShare | None = None  # average opening price per share; None: not known
    opened_at: date | None = None
    multiplier: Multiplier | None = None  # dollars per point; only an adjusted contract has to name it

    @cached_property
    def instrument(self) -> Instrument:
        """The contract held."""
        return _contract(self, self)


class Leg(_Entry):
    """One contract of a structure; `side` carries the sign."""

    side: Side
    option_type: OptionType
    expiry: Expiry
    strike: Strike
    contracts: Annotated[int, Field(gt=0)]

    @property
    def signed_contracts(self) -> int:
        """Contracts with their sign: short is negative."""
        return self.contracts if self.side == "long" else -self.contracts


class MultiLegPosition(_Entry):
    """Legs opened as one structure; `net_debit` is in dollars for all of it, a credit is negative."""

    id: Identity
    symbol: Symbol
    net_debit: float
    opened_at: date | None = None
    legs: Annotated[tuple[Leg, ...], Field(min_length=1)]
    multiplier: Multiplier | None = None  # dollars per point; only adjusted contracts have to name it

    @cached_property
    def instruments(self) -> tuple[Instrument, ...]:
        """The contract of each leg, in the order of `legs`."""
        return tuple(_contract(self, leg) for leg in self.legs)

    @cached_property
    def label(self) -> str:
        """The structure in one line: "SPY 18 Dec 26 640P/655P/705C/720C"; an expiry is said where it changes."""
        said: list[str] = []
        for before, leg in zip((None, *self.legs), self.legs, strict=False):
            day = "" if before and before.expiry == leg.expiry else f"{short_date(leg.expiry)} "
            said.append(f"{day}{plain_number(leg.strike)}{leg.option_type[0].upper()}")
        return f"{self.symbol} {'/'.join(said)}"


class ShareHolding(_Entry):
    """Plain shares, long or short."""

    id: Identity
    symbol: Symbol
    shares: Shares
    cost_basis: PricePerShare | None = None  # average price per share; None: not known

    @cached_property
    def instrument(self) -> Instrument:
        """The share held."""
        live_symbol = to_alpaca_symbol(self.symbol)
        return Instrument(self.symbol, live_symbol, f"{self.symbol} shares", live_symbol, multiplier=1)


_KINDS: Final[dict[str, type[_Entry]]] = {
    "single": Position,
    "structure": MultiLegPosition,
    "shares": ShareHolding,
}


def _kind(entry: Any) -> str | None:
    if isinstance(entry, dict):
        return "structure" if "legs" in entry else "shares" if "shares" in entry else "single"
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
        found: list[Instrument] = []
        for entry in self.positions:
            match entry:
                case Position() | ShareHolding():
                    found.append(entry.instrument)
                case MultiLegPosition():
                    found.extend(entry.instruments)
                case _:
                    assert_never(entry)
        return tuple(found)

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
    first = problems[0]
    where = ", ".join([name, *_path(first["loc"], raw)])
    more = f" ({len(problems) - 1} more after this one)" if len(problems) > 1 else ""
    return f"{where}: {_reason(first)}{more}."


def _path(location: tuple[int | str, ...], raw: Any) -> list[str]:
    """`("positions", 2, "structure", "legs", 0, "strike")` → position, leg and field in words."""
    match location:
        case ("positions", int(index)):
            return [_position_name(raw["positions"][index], index)]
        case ("positions", int(index), str(), "legs", int(leg), *fields):
            return [_position_name(raw["positions"][index], index), f"leg {leg + 1}", *map(str, fields)]
        case ("positions", int(index), str(), *fields):
            return [_position_name(raw["positions"][index], index), *map(str, fields)]
        case _:
            return [str(step) for step in location]


def _position_name(entry: Any, index: int) -> str:
    identity = entry.get("id") if isinstance(entry, dict) else None
    return f"position {identity!r}" if isinstance(identity, str) and identity else f"position {index + 1}"


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
    if kind == "extra_forbidden":
        return f"is no known field; known are {', '.join(_known_fields(problem['loc']))}"
    reason = _REASONS.get(kind) or _lower_first(problem["msg"].replace("Input should be", "must be"))
    found = problem["input"]
    return f"{reason}, found {found!r}" if isinstance(found, str | int | float) else reason


def _known_fields(location: tuple[int | str, ...]) -> list[str]:
    match location:
        case ("positions", int(), str(), "legs", int(), *_):
            return list(Leg.model_fields)
        case ("positions", int(), str(kind), *_):
            return list(_KINDS[kind].model_fields)
        case _:
            return list(Portfolio.model_fields)


def _lower_first(text: str) -> str:
    return text[:1].lower() + text[1:]
