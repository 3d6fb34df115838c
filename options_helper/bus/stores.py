"""What a desk needs the server to keep: which stores, how large, and for how long."""

from __future__ import annotations

from typing import Final

from options_helper.bus.connection import StoreWish
from options_helper.bus.names import Names

MARKET_AGE_SECONDS: Final = 4 * 3600.0
ACCOUNT_AGE_SECONDS: Final = 7 * 86_400.0
ACCOUNT_BYTES: Final = 100_000_000
DEFAULT_KEEP_BYTES: Final = 2 * 1024**3


def stores_of(names: Names, keep_bytes: int) -> tuple[StoreWish, ...]:
    """What a desk needs the server to keep."""
    published, followed = names.stored_market
    orders, followed_orders = names.stored_account
    return (
        StoreWish(
            names.market_store,
            (published,),
            (published, followed),
            max_bytes=keep_bytes,
            max_age=MARKET_AGE_SECONDS,
        ),
        StoreWish(
            names.account_store,
            (orders,),
            (orders, followed_orders),
            max_bytes=ACCOUNT_BYTES,
            max_age=ACCOUNT_AGE_SECONDS,
        ),
        StoreWish(names.state_store, (names.state(">"),), (names.state(">"), names.told(">")), per_subject=1),
        StoreWish(
            names.account_state_store,
            (names.account_state(">"),),
            (names.account_state(">"), names.account_told(">")),
            per_subject=1,
        ),
    )


def further_stores_of(names: Names) -> tuple[StoreWish, ...]:
    """What a desk needs besides that serves accounts beside its own."""
    orders, followed = names.stored_further
    return (
        StoreWish(
            names.further_store,
            (orders,),
            (orders, followed),
            max_bytes=ACCOUNT_BYTES,
            max_age=ACCOUNT_AGE_SECONDS,
        ),
        StoreWish(names.further_state_store, (names.told_further[0],), names.told_further, per_subject=1),
    )
