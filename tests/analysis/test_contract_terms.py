"""What a file says of a contract's terms beside Alpaca's record: what it lacks is taken, what cannot be is doubted."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest

from options_helper.analysis.attention.entries import AttentionKind
from options_helper.analysis.book_look import BookLook, look_at_book
from options_helper.analysis.contract_terms import term_doubts, told_multipliers, with_told_multipliers
from options_helper.analysis.live_health import Level
from options_helper.analysis.risk.leg_inputs import RiskChoices
from options_helper.model.contract_records import ContractRecord, Deliverable, is_american
from options_helper.model.portfolio import PortfolioEntry
from tests.analysis.attention.world import FRIDAY, live_at, of_kind, only
from tests.kit.builders import holding, leg, portfolio, position, structure

DECEMBER = date(2026, 12, 18)
ADJUSTED = position("AAPL1", 180, "call", contracts=-1, expiry=FRIDAY, cost_basis=2)
SYMBOL = ADJUSTED.instrument.live_symbol
DELIVERS = (Deliverable("AAPL", Decimal(110)),)


def look(*book: PortfolioEntry, records: list[ContractRecord]) -> BookLook:
    prices = {"AAPL": (189.99, 190.01)} | {
        line.instrument.live_symbol: (29.0, 29.2) for entry in book for line in entry.lines
    }
    live = live_at("2026-11-20 12:00", prices, held=book, records=records)
    return look_at_book(portfolio(*book), live, RiskChoices(), stale_after_seconds=30.0, wide_spread_pct=10.0)


def test_a_multiplier_that_the_file_lacks_is_the_records_wherever_a_figure_depends_on_it():
    found = look(
        ADJUSTED, records=[ContractRecord(symbol=SYMBOL, multiplier=Decimal(100), deliverables=DELIVERS)]
    )

    assert "rises beyond costs $110 more" in only(found.attention, AttentionKind.UNDEFINED_RISK).amounts
    assert only(found.attention, AttentionKind.IN_THE_MONEY_SHORT).shares == -110
    assert not any("whether it is in the money" in one for one in found.attention.not_judged)
    assert found.totals.pnl_abs == pytest.approx(-2710)
    label = ADJUSTED.instrument.label
    words = "counts 100 dollars per point by Alpaca's record; the file names no multiplier."
    assert f"{label} {words}" in found.risk.alarms
    assert any("calls on 110 shares are sold" in one for one in found.risk.alarms)


def test_of_a_structure_too():
    book = structure(
        leg("short", 180, symbol="AAPL1", expiry=FRIDAY), leg("long", 190, expiry=FRIDAY), symbol="AAPL"
    )

    found = with_told_multipliers(
        portfolio(book), {SYMBOL: ContractRecord(symbol=SYMBOL, multiplier=Decimal(100))}
    )

    assert [one.multiplier for one in found.instruments] == [100, 100]


@pytest.mark.parametrize("records", [{}, {SYMBOL: ContractRecord(symbol=SYMBOL)}])
def test_without_a_record_of_it_nothing_is_known(records: dict[str, ContractRecord]):
    book = portfolio(ADJUSTED)

    assert with_told_multipliers(book, records) is book
    assert list(told_multipliers(book, records)) == []


def test_the_same_book_is_the_same_object_at_each_refresh():
    book, records = portfolio(ADJUSTED), {SYMBOL: ContractRecord(symbol=SYMBOL, multiplier=Decimal(100))}

    assert with_told_multipliers(book, records) is with_told_multipliers(book, dict(records))


def test_a_structure_whose_legs_would_cost_something_else_then_stays_as_it_is():
    book = structure(
        leg("short", 180, symbol="AAPL1", expiry=FRIDAY, cost_basis=2),
        leg("long", 190, symbol="AAPL1", expiry=FRIDAY, cost_basis=1),
        net_debit=-10,
    )
    symbols = [one.live_symbol for one in book.instruments]
    records = {one: ContractRecord(symbol=one, multiplier=Decimal(100)) for one in symbols}

    assert [one.multiplier for one in with_told_multipliers(portfolio(book), records).instruments] == [
        None,
        None,
    ]


class TestRefused:
    """A record by which the legs would cost something else than all of it counts nowhere, and that is what is said."""

    BOOK = structure(
        leg("short", 180, symbol="AAPL1", expiry=FRIDAY, cost_basis=2),
        leg("long", 200, symbol="AAPL1", expiry=FRIDAY, cost_basis=1),
        net_debit=-10,
        identity="mine",
    )

    @staticmethod
    def records(*book: PortfolioEntry, multiplier: str = "100") -> list[ContractRecord]:
        symbols = dict.fromkeys(one.live_symbol for entry in book for one in entry.instruments)
        return [
            ContractRecord(symbol=one, multiplier=Decimal(multiplier), deliverables=DELIVERS)
            for one in symbols
        ]

    def test_no_figure_and_no_word_goes_by_it(self):
        found = look(self.BOOK, records=self.records(self.BOOK))

        said = " ".join(found.risk.alarms)
        assert "per point by Alpaca's record; the file names no multiplier" not in said
        assert (
            "counts no dollars: by Alpaca's record it has 100 per point, and so the legs of 'mine' would cost "
            "something else than its net_debit." in said
        )
        label = self.BOOK.instruments[0].label
        assert f"{label}: whether it is in the money cannot be judged." in found.attention.not_judged
        assert of_kind(found.attention, AttentionKind.IN_THE_MONEY_SHORT) == []
        assert found.totals.pnl_abs is None
        assert {one.symbols for one in of_kind(found.attention, AttentionKind.FILE_ACCOUNT)} == {
            (one.live_symbol,) for one in self.BOOK.instruments
        }

    def test_nor_in_another_entry_that_has_the_same_contract(self):
        """A contract has one multiplier, whoever holds it."""
        book = portfolio(self.BOOK, ADJUSTED)
        records = {one.symbol: one for one in self.records(self.BOOK, ADJUSTED)}

        assert ADJUSTED.instrument.live_symbol == self.BOOK.instruments[0].live_symbol
        assert with_told_multipliers(book, records) is book
        assert list(told_multipliers(book, records)) == []

    def test_what_is_in_no_such_structure_counts_by_its_own(self):
        other = position("AAPL1", 210, "call", contracts=1, expiry=FRIDAY)
        book = portfolio(self.BOOK, other)
        records = {one.symbol: one for one in self.records(self.BOOK, other)}

        found = with_told_multipliers(book, records)

        assert [one.multiplier for one in found.instruments] == [None, None, 100]
        assert [one.symbol for one in told_multipliers(book, records)] == [other.instrument.live_symbol]

    @pytest.mark.parametrize("multiplier", ["0", "-100", "12.5"])
    def test_one_that_no_contract_has_counts_nowhere(self, multiplier: str):
        found = look(ADJUSTED, records=self.records(ADJUSTED, multiplier=multiplier))

        assert found.totals.pnl_abs is None
        assert any("whether it is in the money cannot" in one for one in found.attention.not_judged)


class TestSeveralEntries:
    """A contract has one multiplier, and each entry that says another is looked at."""

    WRONG = position("AAPL", 180, "put", contracts=1, expiry=DECEMBER, multiplier=10, identity="wrong")
    RIGHT = WRONG.changed(id="right", multiplier=None)
    NAMED = ADJUSTED.changed(id="named", multiplier=10)

    @pytest.mark.parametrize("is_first", [True, False])
    def test_a_wrong_one_is_doubted_whichever_entry_has_it(self, *, is_first: bool):
        book = [self.WRONG, self.RIGHT] if is_first else [self.RIGHT, self.WRONG]

        (doubt,) = term_doubts(portfolio(*book), {})

        assert doubt.words.startswith("counts 10 dollars per point by the file")

    @pytest.mark.parametrize(
        "records", [{}, {SYMBOL: ContractRecord(symbol=SYMBOL, multiplier=Decimal(100))}]
    )
    @pytest.mark.parametrize("is_first", [True, False])
    def test_what_one_entry_lacks_is_what_another_names(
        self, records: dict[str, ContractRecord], *, is_first: bool
    ):
        book = portfolio(*([self.NAMED, ADJUSTED] if is_first else [ADJUSTED, self.NAMED]))

        assert [one.multiplier for one in with_told_multipliers(book, records).instruments] == [10, 10]
        assert [one.words for one in told_multipliers(book, records)] == [
            "counts 10 dollars per point, as another entry of the file names it."
        ]
        assert len(list(term_doubts(book, records))) == len(records)

    def test_of_two_that_it_names_neither_is_taken_for_a_third(self):
        book = portfolio(ADJUSTED, self.NAMED, self.NAMED.changed(id="other", multiplier=20))

        assert [one.multiplier for one in with_told_multipliers(book, {}).instruments] == [None, 10, 20]


def test_what_the_account_alone_holds_counts_by_it_too():
    """Its greatest loss and what needs a hand are by one multiplier."""
    record = ContractRecord(symbol=SYMBOL, multiplier=Decimal(100), deliverables=DELIVERS)
    prices = {"AAPL": (189.99, 190.01), SYMBOL: (29.0, 29.2)}
    live = live_at("2026-11-20 12:00", prices, account=portfolio(ADJUSTED), records=[record])
    held = holding("KO", 1)

    found = look_at_book(portfolio(held), live, RiskChoices(), stale_after_seconds=30.0, wide_spread_pct=10.0)

    assert only(found.attention, AttentionKind.IN_THE_MONEY_SHORT).shares == -110
    assert any("calls on 110 shares are sold" in one for one in found.risk.alarms)


WRONG = position("AAPL", 180, "put", contracts=1, expiry=DECEMBER, multiplier=10)
EUROPEAN = position("AAPL", 210, "put", contracts=1, expiry=DECEMBER, exercise_style="european")


def told(entry: PortfolioEntry, **terms: object) -> list[str]:
    symbol = entry.instruments[0].live_symbol
    records = {symbol: ContractRecord(symbol=symbol, **terms)} if terms else {}  # type: ignore[arg-type]
    return [one.words for one in term_doubts(portfolio(entry), records)]


class TestMultiplier:
    """A usual contract has a hundred dollars per point."""

    def test_another_one_is_doubted(self):
        (said,) = told(WRONG)

        assert said.startswith(
            "counts 10 dollars per point by the file, and contracts of its root have 100: if the file is wrong, "
            "each dollar figure of it is 0.1 times what it should be."
        )

    def test_alpacas_record_may_confirm_it(self):
        assert told(WRONG, multiplier=Decimal(10)) == []

    def test_or_contradict_it_whatever_the_root(self):
        (said,) = told(ADJUSTED.changed(multiplier=10), multiplier=Decimal(100))

        assert "by Alpaca's record it has 100" in said

    @pytest.mark.parametrize(
        "entry", [ADJUSTED, ADJUSTED.changed(multiplier=10), WRONG.changed(multiplier=100)]
    )
    def test_what_may_be_is_not(self, entry: PortfolioEntry):
        assert told(entry) == []

    @pytest.mark.parametrize(("multiplier", "is_doubted"), [(None, False), (100, True), (1, False)])
    def test_a_class_of_a_dollar_a_point_is_no_hundred(self, multiplier: int | None, *, is_doubted: bool):
        assert bool(told(position("NANOS", expiry=DECEMBER, multiplier=multiplier))) is is_doubted


class TestStyle:
    """Listed options on shares are American."""

    def test_the_files_word_counts_and_is_doubted(self):
        (said,) = told(EUROPEAN)

        assert said.startswith(
            "is European by the file, which counts, and listed options on shares are American"
        )
        assert not is_american(EUROPEAN.instrument, {})

    def test_alpacas_record_counts_before_the_files_word(self):
        symbol = EUROPEAN.instrument.live_symbol

        (said,) = told(EUROPEAN, exercise_style="american")

        assert said == "is European by the file, and American by Alpaca's record, which counts."
        assert is_american(
            EUROPEAN.instrument, {symbol: ContractRecord(symbol=symbol, exercise_style="american")}
        )

    def test_what_may_be_is_not(self):
        index = position("SPXW", 6000, expiry=DECEMBER, exercise_style="european")

        assert [*told(index), *told(EUROPEAN.changed(exercise_style="american"))] == []
        assert told(EUROPEAN, exercise_style="european") == []


@pytest.mark.parametrize("entry", [WRONG, EUROPEAN])
def test_a_doubt_is_said_in_the_risk_and_needs_a_hand(entry: PortfolioEntry):
    found = look(entry, records=[])
    (doubt,) = term_doubts(portfolio(entry), {})

    assert doubt.sentence in found.risk.alarms
    (told_of,) = of_kind(found.attention, AttentionKind.FILE_ACCOUNT)
    assert (told_of.what, told_of.level, told_of.symbols) == (doubt.sentence, Level.WARNING, (doubt.symbol,))
