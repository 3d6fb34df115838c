"""Who is to be told of what."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from options_helper.data.streaming.callbacks.registry import Registry
from options_helper.model.callbacks import CallbackKind

QUOTE, TRADE = CallbackKind.QUOTE, CallbackKind.TRADE
SYMBOLS = ("AAPL", "MSFT", "TSLA")


def test_those_of_a_symbol_and_those_of_every_symbol_are_told_in_the_order_of_registering():
    registry = (
        Registry()
        .with_entry("first", QUOTE, ["AAPL"])
        .with_entry("all", QUOTE, None)
        .with_entry("second", QUOTE, ["AAPL"])
        .with_entry("trades", TRADE, ["AAPL"])
    )

    assert registry.rows[QUOTE].of("AAPL") == ("first", "all", "second")
    assert registry.rows[QUOTE].of("MSFT") == ("all",)


def test_what_concerns_several_symbols_is_told_once():
    registry = Registry().with_entry("both", QUOTE, ["AAPL", "MSFT"]).with_entry("all", QUOTE, None)

    assert registry.find(QUOTE, ("AAPL", "MSFT")) == ("all", "both")
    assert registry.find(QUOTE, ()) == ("all",)
    assert registry.find(TRADE, ("AAPL",)) == ()


changes = st.lists(
    st.tuples(
        st.booleans(), st.integers(0, 5), st.sampled_from([QUOTE, TRADE]), st.sampled_from((*SYMBOLS, None))
    )
)


@given(changes)
def test_any_changes_leave_the_registry_that_was_made_of_what_is_left(changed):
    registry, left = Registry(), {}
    for adds, entry, kind, symbol in changed:
        if adds and entry not in left:
            left[entry] = (kind, symbol)
            registry = registry.with_entry(entry, kind, None if symbol is None else [symbol])
        elif not adds:
            _, at = left.pop(entry, (None, None))
            registry = registry.without(entry, None if at is None else [at])

    for kind in (QUOTE, TRADE):
        for symbol in SYMBOLS:
            wanting = [entry for entry, (of, at) in left.items() if of is kind and at in (symbol, None)]
            row = registry.rows.get(kind)
            assert list(row.of(symbol) if row else ()) == wanting
    assert registry.rows.keys() == {kind for kind, _ in left.values()}
