"""What a made-up market has that a plain one has not: one list for the tests and for the command line."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from options_helper.errors import ConfigError
from options_helper.simulator.faults import meanings, parse_named, switch, value

# What it costs a year to borrow a share that is hard to borrow.
BORROW_COST: Final = 0.25
# How far below what its options imply an odd share is quoted: as on a vendor's chain whose spot was old.
OFF_SPOT: Final = 0.013


@dataclass(frozen=True, slots=True)
class Conditions:
    """Everything that may be peculiar; the default is nothing. A name is what `--condition NAME[=VALUE]` takes.

    Symbols in Alpaca's spelling. ConfigError for a value that cannot be.
    """

    american: bool = switch(
        "options on shares may be exercised early, and cost what that is worth; so they do unless european is said"
    )
    european: bool = switch(
        "they cost as if they could not be; figures of the risk take them for American, and so say that "
        "options imply another price of the share"
    )
    skew: float = value(float, "low strikes are so many times dearer than high ones as usual", 1.0)
    index_yield: float = value(
        float, "dividends of an index a year, as a fraction, in its options' forward", 0.0
    )
    hard_to_borrow: str | None = value(str, "borrowing this share costs 25 % a year, and its options know it")
    stale_spot: str | None = value(
        str, "this share's quotes and trades stay those of the start, its options go on"
    )
    off_spot: str | None = value(str, "this share is quoted 1.3 % below what its options imply")
    greek_holes: bool = switch("most contracts lack some or all Greeks in their snapshots")
    special_dividend: str | None = value(str, "a special dividend of this share is announced")
    split: str | None = value(str, "a split of this share into four is announced")
    silent_dividend: str | None = value(
        str, "this share's dividends are in its options' prices and are not announced"
    )
    expiries: bool = switch(
        "two hours after its end a contract is exercised, assigned or gone, and the account is told"
    )
    late_expiries: bool = switch("with expiries, the account is told on the next day at 9:00, as on paper")
    sell_out: bool = switch(
        "at 15:15 of its last day what is in or near the money without the money or the shares is closed"
    )
    unreadable_dividend: str | None = value(str, "this share's announced dividends have no amount")

    def __post_init__(self) -> None:
        if self.american and self.european:
            raise ConfigError("The conditions american and european exclude each other; leave one out.")
        if not 0 <= self.skew <= 10:
            raise ConfigError(f"A skew of {self.skew:g} cannot be; it takes a number from 0 to 10.")
        if not 0 <= self.index_yield < 0.25:
            raise ConfigError(
                f"Dividends of {self.index_yield:g} a year cannot be; write 1.3 % as index_yield=0.013."
            )

    @classmethod
    def parse(cls, texts: Iterable[str]) -> Conditions:
        """Read `NAME` and `NAME=VALUE` texts; ConfigError names the first that is wrong.

        Who asks for nothing gets options on shares as they are, American: figures of the risk contradict no price then.
        """
        named = dict(parse_named(cls, "condition", text) for text in texts)
        return cls(**{"american": not named.get("european", False), **named})


NO_CONDITIONS: Final = Conditions()
# What the demo shows beside a plain market.
DEMO_CONDITIONS: Final = Conditions(american=True, index_yield=0.013, greek_holes=True)


def condition_meanings() -> Mapping[str, str]:
    """Every condition's name and what it does, for the command's help."""
    return meanings(Conditions)
