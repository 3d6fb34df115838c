"""One owner's term: who has yielded while it begins leaves the desk to the one that leads."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from options_helper.bus.names import Names
from options_helper.bus.owner import stores_of
from options_helper.bus.owner_term import OwnerTerm
from options_helper.bus.publisher import Fenced
from options_helper.bus.truth import DeskNews
from options_helper.model.streams import StreamName
from tests.kit.jetstream import AnswersAtOnce, JetStream, at_once

NAMES = Names()


class Meanwhile(AnswersAtOnce):
    """Something happens before the last sequence is told."""

    then: Callable[[], None] | None = None

    async def last_sequence(self, store: str) -> int:
        if self.then is not None:
            then, self.then = self.then, None
            then()
        return await super().last_sequence(store)


def test_who_has_yielded_while_it_begins_begins_no_term():
    server = JetStream([(wish, wish.subjects[0].rstrip(".>*")) for wish in stores_of(NAMES, 10**9)])
    den, attic = (OwnerTerm(NAMES, (StreamName.STOCKS,), epoch) for epoch in (100, 200))

    def lose() -> None:
        at_once(attic.begin(AnswersAtOnce(server), 1))
        den.yield_to_another("the lease was lost")

    bus = Meanwhile(server)
    bus.then = lose
    with pytest.raises(Fenced):
        at_once(den.begin(bus, 2))

    assert den.epoch < attic.epoch
    at_once(attic.teller.tell(AnswersAtOnce(server), "news", DeskNews(())))
