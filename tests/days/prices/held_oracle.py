"""What was told about what is held and when, and what may be said of it: its age, its price, and why there is none."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date, datetime, timedelta
from itertools import chain
from typing import TYPE_CHECKING, Any, Final

from options_helper.data.streaming.polling.chain_course import AskChain, AskLatest
from options_helper.data.streaming.polling.expiry_reading import AskAsset, AskContract
from options_helper.data.streaming.polling.fill_backfill import AskActivities, AskOrders
from options_helper.data.streaming.polling.question import Question
from options_helper.data.streaming.polling.risk_course import AskActions, AskDailyCloses
from options_helper.errors import RestError
from options_helper.model.account import RestPhase, RestTask
from options_helper.model.contract_hours import has_ended
from options_helper.model.contract_symbols import parse_contract_symbol
from options_helper.model.events import Quote
from options_helper.model.expiry_facts import ExpiryFacts
from options_helper.model.instants import datetime_nanoseconds, utc_datetime
from tests.days.clocks import NS
from tests.days.day import Session
from tests.days.prices.held_world import JUNK, LATE, HeldWorld, bid_of, date_of, expiry_of
from tests.days.prices.oracle import NEW_DAY_SECONDS, PriceOracle
from tests.days.stage import Stage

if TYPE_CHECKING:
    from tests.days.prices.held_desk import HeldDesk

# What a reading is worth is known as exactly as the time was when it came: by what matters, and by whole seconds.
_UNCORRECTED: Final = 3.0
# From one reading to the next, with everything that is asked in it, while nothing goes wrong.
CHAIN_AGE: Final = 60.0
CHAIN_AGE_CLOSED: Final = 360.0
# What is held no longer is forgotten with the next look.
FORGOTTEN_AFTER: Final = 400.0
_EXECUTIONS: Final = ("what became of it", "the account")
_TASKS: Final = {
    AskActions: RestTask.DIVIDENDS,
    AskDailyCloses: RestTask.CLOSES,
    AskChain: RestTask.CHAINS,
    AskLatest: RestTask.CHAINS,
}


class HeldOracle:
    """Knows each answer; what is shown must be of one, no younger and no older than it is."""

    def __init__(self, stage: Stage, world: HeldWorld, prices: PriceOracle) -> None:
        self._stage, self._world, self._prices = stage, world, prices
        self.broken: str | None = None
        # Of each thing that was told: when it was so at the latest, and how wrong the product's time may have been.
        self._told: dict[tuple[str, str], tuple[int, float]] = {}
        # By seconds in which the computer was awake: chains of what was told then, and of what was held last then.
        self._chains_told: dict[str, float] = {}
        self._held_at: dict[str, float] = {}
        self._actions: dict[str, tuple[tuple[date, float], ...]] = {}
        # Contracts of which a quote of the session has come, by the session's end.
        self._of_session: dict[str, int] = {}
        self._failed: dict[RestTask, str] = {}  # by what its last question failed
        # Contracts whose record was told in a reading that was taken in.
        self._records: set[str] = set()
        # What the reading of what ends that is under way was told, and that which is shown.
        self._being_told: dict[tuple[str, str], tuple[int, float]] = {}
        self._facts_of: ExpiryFacts | None = None

    # What came.

    def nothing_asked(self, tasks: Iterable[RestTask]) -> None:
        """A round without a question is over at once: what failed before was about what is held no longer."""
        for task in tasks:
            self._failed.pop(task, None)

    def answered(
        self, desk: HeldDesk, question: Question, answer: Any, asked_ns: int, as_of_ns: int | None
    ) -> None:
        """That was asked then, and this is the answer, as of then."""
        if self._facts_of is None:
            self._facts_of = desk.prices.context.expiry_facts  # with nothing in it
        doubt = self._prices.knows_time(desk.prices)
        asked = asked_ns, _UNCORRECTED + (doubt or 1e9)
        if (task := _TASKS.get(type(question))) is not None:
            self._failed.pop(task, None)
        if isinstance(answer, RestError):
            if task is not None:
                self._failed[task] = str(answer)
            if isinstance(question, AskOrders | AskActivities):
                # What became of what ended is many questions, of which none may fail.
                self._being_told.pop(_EXECUTIONS, None)
            return
        self._take(question, answer, asked, as_of_ns or 0)

    def _take(self, question: Question, answer: Any, asked: tuple[int, float], as_of_ns: int) -> None:
        match question:
            case AskActions():
                for symbol in answer:
                    self._told["actions", symbol] = asked
                    self._actions[symbol] = tuple(self._world.dividends(symbol, as_of_ns))
            case AskDailyCloses():
                self._told |= {("closes", symbol): asked for symbol in answer}
            case AskChain():
                for name, one in answer.items():
                    self._told["chain", name] = self._stage.clocks.true_ns, asked[1]
                    self._chains_told[name] = self._stage.clocks.monotonic()
                    self._note_sessions(one.quotes.values(), as_of_ns)
            case AskLatest():
                self._note_sessions([quote for batch in answer for quote in batch.quotes], as_of_ns)
            case _:
                self._hear_of_ends(question, asked)

    def _hear_of_ends(self, question: Question, asked: tuple[int, float]) -> None:
        match question:
            case AskContract(symbol):
                self._being_told["record", symbol] = asked
            case AskAsset(symbol):
                self._being_told["late close", symbol] = asked
            case AskOrders():
                self._being_told[_EXECUTIONS] = asked
            case AskActivities() if _EXECUTIONS in self._being_told:
                # They are as old as the first of their questions, and their time is known as well as at the last.
                self._being_told[_EXECUTIONS] = self._being_told[_EXECUTIONS][0], asked[1]
            case _:
                pass

    def over(self, desk: HeldDesk, task: RestTask) -> None:
        """A round of questions is over."""
        if task is RestTask.EXPIRIES:
            facts = desk.prices.context.expiry_facts
            if facts is not self._facts_of:
                self._facts_of = facts
                self._told |= self._being_told
                self._records |= {name for kind, name in self._being_told if kind == "record"}
            # What a reading was told that crossed a midnight of the clock is asked for again.
            self._being_told = {}

    def _session_of(self, day: date) -> Session | None:
        return next((one for one in self._stage.day.sessions if date_of(one.opens_ns) == day), None)

    def _note_sessions(self, quotes: Any, as_of_ns: int) -> None:
        for quote in quotes:
            ends_ns = self._world.session_end_ns(quote.symbol, as_of_ns)
            if ends_ns is not None and quote.timestamp_ns <= ends_ns and len(quote.symbol) > 9:
                self._of_session[quote.symbol] = ends_ns

    # What must be so.

    def look(self, desk: HeldDesk) -> None:
        """Compare what is known now."""
        if self.broken is None:
            laws = (self._ages(desk), self._dividends(desk), self._closes(desk), self._chains(desk))
            more = (self._session_closes(desk), self._facts(desk), self._reports(desk), self._ends(desk))
            self.broken = next(chain(*laws, *more), None)
        if self.broken:
            self._stage.check(sampled=False)

    def _ages(self, desk: HeldDesk) -> Iterator[str]:
        """Nothing is said to be younger than it is, or older."""
        doubt = self._prices.knows_time(desk.prices)
        inputs, facts = desk.prices.context.risk_inputs, desk.prices.context.expiry_facts
        kept = chain(
            (("actions", name, one.read_at) for name, one in inputs.actions.items()),
            (("closes", name, one.read_at) for name, one in inputs.closes.items()),
            (("chain", name, one.read_at) for name, one in inputs.chains.items()),
            (("record", name, one.read_at) for name, one in facts.records.items()),
            (("late close", name, facts.late_close_read_at.get(name)) for name in facts.late_close),
            ((*_EXECUTIONS, facts.executions_read_at) for _ in range(facts.executions_since is not None)),
        )
        for kind, name, read_at in kept:
            if (told := self._told.get((kind, name))) is None:
                yield f"{name}: its {kind} is known, and nobody told it"
            elif read_at is None:
                yield f"{name}: nobody says how old its {kind} is"
            elif doubt is not None:
                yield from self._age(desk, f"{name}: its {kind}", read_at, told, doubt)

    def _age(
        self, desk: HeldDesk, what: str, read_at: datetime, told: tuple[int, float], doubt: float
    ) -> Iterator[str]:
        said = (desk.prices.context.market_ns() - datetime_nanoseconds(read_at)) / NS
        real = (self._stage.clocks.true_ns - told[0]) / NS
        if abs(said - real) > doubt + told[1]:
            yield f"{what} is said to be of {said:.1f} s ago, and is of {real:.1f} s ago"

    def _dividends(self, desk: HeldDesk) -> Iterator[str]:
        for symbol, one in desk.prices.context.risk_inputs.actions.items():
            told = tuple((dividend.ex_date, dividend.amount) for dividend in one.dividends)
            if told != self._actions.get(symbol):
                yield f"{symbol}: its dividends are {told}, and were told as {self._actions.get(symbol)}"

    def _closes(self, desk: HeldDesk) -> Iterator[str]:
        is_settled = self._prices.is_settled(desk.prices)
        today = desk.prices.moment().today
        for symbol, one in desk.prices.context.risk_inputs.closes.items():
            for day, close in one.closes.items():
                if is_settled and day >= today:
                    yield f"{symbol}: a close of {day} is among those before {today}"
                if is_settled and close != self._prices.close_of(symbol, day):
                    yield f"{symbol} closed at {self._prices.close_of(symbol, day)} on {day}, and not at {close}"

    def _chains(self, desk: HeldDesk) -> Iterator[str]:
        inputs, is_settled = desk.prices.context.risk_inputs, self._prices.is_settled(desk.prices)
        quotes = chain(*(one.quotes.values() for one in inputs.chains.values()), inputs.partners.values())
        for quote in quotes:
            made_ns = quote.timestamp_ns or 0
            if quote.bid_price not in (bid_of(quote.symbol, made_ns), JUNK):
                yield f"{quote.symbol} was never {quote.bid_price} at that time"
            if is_settled and quote.bid_price == JUNK and quote.symbol in self._of_session:
                ends_ns = self._world.session_end_ns(quote.symbol, self._stage.clocks.true_ns)
                if ends_ns == self._of_session[quote.symbol] and self._is_shown_since(quote):
                    yield f"{quote.symbol} is shown as it was left standing, and its session's quote had come"
        yield from self._held_only(desk)

    def _is_shown_since(self, quote: Quote) -> bool:
        """Whether it is of the latest session's evening: a clock that was put right since may have let it in."""
        return (quote.timestamp_ns or 0) > self._of_session[quote.symbol]

    def _held_only(self, desk: HeldDesk) -> Iterator[str]:
        now = self._stage.clocks.monotonic()
        self._held_at |= dict.fromkeys({contract[:-9] for contract in desk.config.option_contracts}, now)
        for name, one in desk.prices.context.risk_inputs.chains.items():
            if now - max(self._chains_told[name], self._held_at.get(name, 0.0)) > FORGOTTEN_AFTER:
                yield f"{name} ({one.underlying}) is kept, and not held"

    def _session_closes(self, desk: HeldDesk) -> Iterator[str]:
        doubt = self._prices.knows_time(desk.prices)
        for (symbol, day), one in desk.prices.context.risk_inputs.session_closes.items():
            session = self._session_of(day)
            if session is None or doubt is None or not self._prices.is_settled(desk.prices):
                continue
            counts = datetime_nanoseconds(one.read_at) >= session.closes_ns
            is_final = one.price == self._prices.close_of(symbol, day)
            # An answer that is minutes late says so to nobody, and one of the very end may be of either side.
            read_ns = datetime_nanoseconds(one.read_at) - session.closes_ns
            if counts and not is_final and read_ns > 300 * NS:
                yield f"{symbol} counts as closed at {one.price} on {day}, which was a price of the session"

    def _facts(self, desk: HeldDesk) -> Iterator[str]:
        facts = desk.prices.context.expiry_facts
        today = date_of(self._stage.clocks.true_ns)
        for contract, record in facts.records.items():
            if record.settled_at_open != self._world.settles_at_open(contract):
                yield f"{contract}: its record says otherwise"
        for contract in sorted(self._records - facts.records.keys()):
            if today <= expiry_of(contract) and self._is_over_for_a_while(desk):
                yield f"{contract}: its record was told, and is forgotten"
        for share, is_late in facts.late_close.items():
            if is_late != (share in LATE):
                yield f"options on {share} are said to be traded otherwise than they are"

    def _is_over_for_a_while(self, desk: HeldDesk) -> bool:
        """Whether the reading in which the newest record came is over."""
        report = desk.prices.context.account_state.reports[RestTask.EXPIRIES]
        return report.phase in (RestPhase.DONE, RestPhase.FAILED) and self._prices.is_settled(desk.prices)

    def _reports(self, desk: HeldDesk) -> Iterator[str]:
        """What was refused says so, and is no such thing as what nobody asked for."""
        reports = desk.prices.context.account_state.reports
        for task in (RestTask.DIVIDENDS, RestTask.CLOSES, RestTask.CHAINS, RestTask.EXPIRIES):
            report = reports[task]
            if report.phase is RestPhase.FAILED and not report.problem:
                yield f"the {task} could not be had, and nobody says why"
            if task in self._failed and report.phase in (RestPhase.OFF, RestPhase.WAITING, RestPhase.DONE):
                yield f"the {task} are {report.phase}, and the last question failed: {self._failed[task]}"

    def _ends(self, desk: HeldDesk) -> Iterator[str]:
        """What is settled by the opening prices has ended then, as its record says, and the others with the session."""
        if self._prices.knows_time(desk.prices) is None:
            return
        records = desk.prices.context.expiry_facts.records
        true_ns = self._stage.clocks.true_ns
        for contract in self._world.ending:
            session = self._session_of(expiry_of(contract))
            record = records.get(contract)
            if session is None or record is None:
                continue
            ends_ns = session.opens_ns if self._world.settles_at_open(contract) else session.closes_ns
            terms = parse_contract_symbol(contract)
            at = utc_datetime(desk.prices.context.market_ns())
            told = has_ended(contract, terms.expiry, at, at_open=record.settled_at_open)
            if told != (true_ns >= ends_ns) and abs(true_ns - ends_ns) > 60 * NS:
                yield f"{contract} {'has' if told else 'has not'} ended"

    # At the end.

    def finished(self, desk: HeldDesk) -> None:
        """After some quiet minutes: all that is asked for is known, and is of now."""
        self.broken = self.broken or next(self._unknown(desk), None)

    def _unknown(self, desk: HeldDesk) -> Iterator[str]:
        context = desk.prices.context
        for task in (RestTask.DIVIDENDS, RestTask.CLOSES, RestTask.CHAINS, RestTask.EXPIRIES):
            report = context.account_state.reports[task]
            is_done = report.phase is RestPhase.DONE or (
                report.phase is RestPhase.REQUESTING and report.finished_at is not None
            )
            if not is_done:
                yield f"the {task} are not known after some quiet minutes: {report}"
        inputs = context.risk_inputs
        shares = ("AAPL", "MSFT", "SPY")
        for symbol in shares:
            if symbol not in inputs.actions and symbol not in self._world.unknown:
                yield f"{symbol}: nothing is known of its dividends after some quiet minutes"
        if abs(self._stage.clocks.offset_ns) > NEW_DAY_SECONDS * NS:
            return  # by a clock that is hours ahead it is another day
        today = date_of(self._stage.clocks.true_ns)
        wanted = {day for day in self._world.sessions if day < today}
        for symbol in shares:
            told = inputs.closes.get(symbol)
            if symbol not in self._world.unknown and (told is None or set(told.closes) != wanted):
                yield f"{symbol}: closes of {wanted} are to be known, and are {told}"
        yield from self._unknown_chains(desk, today)
        yield from self._unknown_session_closes(desk)
        near = {
            one
            for one in desk.config.option_contracts
            if today <= expiry_of(one) <= today + timedelta(days=7)
        }
        for contract in sorted(near - context.expiry_facts.records.keys()):
            yield f"{contract}: its record is not known after some quiet minutes"

    def _unknown_chains(self, desk: HeldDesk, today: date) -> Iterator[str]:
        told = desk.prices.context.risk_inputs.chains
        expected = {
            one[:-9]
            for one in desk.config.option_contracts
            if one.startswith("SPX") and expiry_of(one) >= today
        }
        for name in sorted(expected - told.keys()):
            yield f"{name}: its options are not known after some quiet minutes"
        at_most = CHAIN_AGE if self._stage.day.is_open(self._stage.clocks.true_ns) else CHAIN_AGE_CLOSED
        for name in sorted(expected & told.keys()):
            at_ns, _ = self._told["chain", name]
            if self._stage.clocks.true_ns - at_ns > at_most * NS:
                yield f"{name}: its options are those of {(self._stage.clocks.true_ns - at_ns) / NS:.0f} s ago"

    def _unknown_session_closes(self, desk: HeldDesk) -> Iterator[str]:
        """What a share cost at the close is known, some minutes after it."""
        now_ns, known = self._stage.clocks.true_ns, desk.prices.context.risk_inputs.session_closes
        session = max(
            (one for one in self._stage.day.sessions if one.opens_ns <= now_ns), default=None, key=_opens
        )
        if session is None or now_ns < session.closes_ns + int(CHAIN_AGE_CLOSED * NS):
            return
        for symbol in ("AAPL", "SPY"):
            one = known.get((symbol, date_of(session.opens_ns)))
            is_of_close = one is not None and datetime_nanoseconds(one.read_at) >= session.closes_ns
            if desk.prices.quote(symbol) is not None and not is_of_close:
                yield f"{symbol}: its close is not known after some quiet minutes: {one}"


def _opens(session: Session) -> int:
    return session.opens_ns
