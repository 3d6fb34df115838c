"""The fake's half of the protocol, and its made-up books."""

from __future__ import annotations

from itertools import islice

import pytest

from options_helper.simulator.breeze.listings import LISTINGS
from options_helper.simulator.breeze.wire import Asks, Enters, read_request, seeded_books


@pytest.mark.parametrize(
    ("message", "wish"),
    [
        ('40{"user":"U","token":"T"}', Enters("U", "T")),
        ("40", Enters(None, None)),
        ("40[1]", Enters(None, None)),
        ('42["join",["4.2!1","4.1!1"]]', Asks("join", ("4.2!1", "4.1!1"))),
        ('42["join","4.2!1"]', Asks("join", ("4.2!1",))),
        ('42["join",false]', Asks("join", ("False",))),  # what ICICI's client asks for an unknown name
        ('42["leave",["4.2!1"]]', Asks("leave", ("4.2!1",))),
        ('42["order",1]', None),
        ("42nonsense", None),
        ("3", None),
    ],
)
def test_what_a_client_wants_is_read_and_nonsense_is_passed_over(message, wish):
    assert read_request(message) == wish


def test_the_same_seed_makes_the_same_books_and_none_is_crossed():
    first, again, other = (list(islice(seeded_books(LISTINGS[1], seed), 200)) for seed in (1, 1, 2))

    assert first == again != other
    for bids, asks in first:
        assert bids[0].price < asks[0].price
        assert [level.price for level in bids] == sorted((level.price for level in bids), reverse=True)
        assert [level.price for level in asks] == sorted(level.price for level in asks)
