"""What to subscribe to for a portfolio, decided before anything connects."""

from __future__ import annotations

from dataclasses import dataclass

from options_helper.errors import ConfigError
from options_helper.model.alpaca_symbols import is_index
from options_helper.model.portfolio import Portfolio
from options_helper.model.text import named


@dataclass(frozen=True, slots=True)
class SubscriptionPlan:
    """Symbols in Alpaca's spelling and in portfolio order, and a sentence for all that was left out."""

    stocks: tuple[str, ...]
    option_contracts: tuple[str, ...]
    warnings: tuple[str, ...]
    truncated: bool
    truncated_count: int
    crypto: tuple[str, ...] = ()  # coins; they go with the stocks


def build_subscription_plan(
    portfolio: Portfolio, *, stream_stocks: bool, stream_options: bool, max_option_contracts: int
) -> SubscriptionPlan:
    """Plan the subscriptions of every position; the first `max_option_contracts` contracts are kept."""
    if max_option_contracts < 0:
        raise ConfigError(f"The option contract limit is {max_option_contracts}; it must be 0 or more.")
    stocks, warnings = _stocks(portfolio) if stream_stocks else ((), [])
    labels = _contracts(portfolio) if stream_options else {}
    contracts = tuple(labels)
    left_out = contracts[max_option_contracts:]
    if left_out:
        warnings.append(
            _left_out([labels[symbol] for symbol in left_out], len(contracts), max_option_contracts)
        )
    return SubscriptionPlan(
        stocks=stocks,
        option_contracts=contracts[:max_option_contracts],
        warnings=tuple(warnings),
        truncated=bool(left_out),
        truncated_count=len(left_out),
        crypto=_coins(portfolio) if stream_stocks else (),
    )


def _stocks(portfolio: Portfolio) -> tuple[tuple[str, ...], list[str]]:
    underlyings = dict.fromkeys(item.underlying for item in portfolio.instruments if not item.is_coin)
    indices = [symbol for symbol in underlyings if is_index(symbol)]
    warnings = [f"{index} is an index: the stock feeds carry no price for it." for index in indices]
    return tuple(symbol for symbol in underlyings if symbol not in indices), warnings


def _coins(portfolio: Portfolio) -> tuple[str, ...]:
    return tuple(dict.fromkeys(item.live_symbol for item in portfolio.instruments if item.is_coin))


def _contracts(portfolio: Portfolio) -> dict[str, str]:
    """Contract symbol → the contract in words, unique, in portfolio order."""
    return {item.live_symbol: item.label for item in portfolio.instruments if item.is_option}


def _left_out(labels: list[str], total: int, limit: int) -> str:
    return f"{len(labels)} of {total} option contracts are not subscribed (limit {limit}): {named(labels)}."
