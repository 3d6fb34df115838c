"""Compute everything one refresh shows from one snapshot, so that no two numbers on the screen disagree."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Final, TypeVar
from zoneinfo import ZoneInfo

from options_helper.analysis.accounts_together import AccountLook, look_together, portfolio_together
from options_helper.analysis.attention.assess import Attention
from options_helper.analysis.book_look import BookLook
from options_helper.analysis.contract_terms import with_told_multipliers
from options_helper.analysis.live_health import (
    Headline,
    Level,
    book_caveats,
    book_remarks,
    feed_labels,
    headline,
)
from options_helper.analysis.live_portfolio_metrics import DEFAULT_WIDE_SPREAD_PCT
from options_helper.analysis.marks import QuoteWarning
from options_helper.analysis.reconcile.account_book import AccountBook
from options_helper.analysis.reconcile.portfolio_check import REMOVE_AS_OF
from options_helper.analysis.risk.book_values import BookFigures
from options_helper.analysis.risk.figures_together import id_of, in_all_or_of
from options_helper.analysis.row_table import RowTable
from options_helper.analysis.totals import LiveTotals, labels
from options_helper.data.firing_log import LoggedFiring
from options_helper.data.portfolio_file import PortfolioFile
from options_helper.data.rest.rate_limit import RestPolicy
from options_helper.data.streaming.polling.pace import WatchPolicy
from options_helper.live.account_book import as_file, is_account
from options_helper.live.alerts_view import AlertsView
from options_helper.live.comparison import FileComparison
from options_helper.live.session import (
    DEFAULT_RISK_CHOICES,
    AccountPart,
    LiveSession,
    Run,
    changed_code,
)
from options_helper.live.shared_ticks import Once, Tick
from options_helper.model.account import AccountState, RestPhase, RestTask
from options_helper.model.announcement import MarketKind
from options_helper.model.contract_symbols import short_date
from options_helper.model.market_hours import NEW_YORK, new_york_date
from options_helper.model.portfolio import Portfolio
from options_helper.model.snapshot import DeskRemarks, LiveSnapshot, Phase
from options_helper.model.snapshots_together import whole_of
from options_helper.model.streams import DEFAULT_ACCOUNT
from options_helper.model.text import named, without_amounts

Value = TypeVar("Value")
EMPTY_PORTFOLIO: Final = Portfolio(positions=())
NAMED_AT_MOST: Final = 6
DOCTOR: Final = (
    "In a terminal, options-helper doctor looks at all that a start needs: Python, packages, settings and keys first, "
    "then account and streams. Begin with the first line that says failed; it says what to do."
)
ACCOUNT_PANEL: Final = "File and account"
FILE, ACCOUNT = "Portfolio file", "Account"
OF_BEFORE: Final = "the portfolio file cannot be used, so with what it said before"
NOTHING_LOADED: Final = "No portfolio is loaded."
# The account is asked so long after Start, and its answer is waited for at most so long.
FIRST_ANSWER_SECONDS: Final = WatchPolicy().initial_delay + RestPolicy().answer_seconds
ASKED_AGAIN_SECONDS: Final = WatchPolicy().again
BEHIND_HIDDEN: Final = "Your file is behind the account; what happened there holds amounts, which are hidden."
CHANGED: Final = Headline(
    Level.WARNING, "The program's code has changed since Start. The streams run on; press Restart to use it."
)


class State(StrEnum):
    """What is going on, in the word that stands first on the page."""

    NOT_STARTED = "not started"
    CONNECTING = "connecting"
    RUNNING = "running"
    PLAYING = "playing"  # a recording
    ENDED = "ended"  # the recording has
    STALLED = "stalled"
    RECONNECTING = "reconnecting"
    ERROR = "error"
    STOPPED = "stopped"


# The worst of the streams speaks for all.
STATE_OF_PHASE: Final = {
    Phase.FAILED: State.ERROR,
    Phase.RECONNECTING: State.RECONNECTING,
    Phase.STOPPED: State.STOPPED,  # at their owner: this run goes on
    Phase.STALLED: State.STALLED,
    Phase.CONNECTING: State.CONNECTING,
}
# Of a refresh: so long others' screens are of the newest tick. Nearer to a whole one, a viewer whose refresh came a
# little early would find nothing new.
SHARED_FOR: Final = 0.9
# And so long what a viewer sees is drawn again: its next refresh may be late, and beside it one more look at the book
# would be the dearest part of the page twice.
AGAIN_FOR: Final = 1.5
SPEECHLESS: Final = (Phase.OFF, Phase.CONNECTING)


@dataclass(frozen=True, slots=True)
class Banner:
    """Something the viewer must not miss."""

    level: Level
    subject: str  # what it is about, in a word or two
    text: str
    account: str = ""  # of which of several accounts alone it is said


@dataclass(frozen=True, slots=True)
class Preferences:
    """What this viewer alone decides."""

    refresh_seconds: int = 2
    stale_after_seconds: int = 30
    wide_spread_percent: int = int(DEFAULT_WIDE_SPREAD_PCT)
    hide_amounts: bool = False


@dataclass(frozen=True, slots=True)
class ViewOptions:
    """How this viewer sees it."""

    preferences: Preferences
    zone: ZoneInfo
    accounts: tuple[str, ...] = ()  # which of several accounts are looked at; none named: all


@dataclass(frozen=True, slots=True)
class Viewpoint:
    """All that makes one viewer's screen differ from another's; who has an equal one sees the same."""

    own: PortfolioFile
    options: ViewOptions
    obstacle: str | None = None
    problem: str | None = None
    local_market: bool = False
    market_time: datetime | None = None


@dataclass(frozen=True, slots=True)
class ScreenModel:
    """One refresh."""

    options: ViewOptions
    now: datetime  # by this computer's clock; the snapshot's `as_of` is by the market's
    snapshot: LiveSnapshot
    plays: bool  # whether the market has a time of its own: a simulated or replayed session's
    run: Run | None
    state: State
    loaded: bool  # whether there is a portfolio to show
    portfolio: Portfolio
    headline: Headline
    labels: tuple[str, ...]
    banners: tuple[Banner, ...]
    viewers: int
    positions: RowTable
    structures: RowTable
    legs: RowTable
    totals: LiveTotals
    risk: BookFigures
    attention: Attention
    trends: Mapping[str, tuple[float, ...]]
    of_account: bool  # whether the portfolio is the account's, at Alpaca's costs
    nothing_because: str  # why there is no portfolio, as a sentence; empty where there is one
    alerts: AlertsView  # what has fired, and who sends it
    priced: bool  # whether a price could have come by now, so that a missing one is worth a warning
    # Of several accounts that are looked at together: each by itself, by name. Else none.
    accounts: Mapping[str, ScreenModel] = field(default_factory=lambda: MappingProxyType({}))
    account: str = ""  # which of several it is, where it is one
    is_of_before: bool = False  # a file that cannot be used now stays in use as it was
    _made: Once = field(default_factory=Once, init=False, repr=False, compare=False)

    def once(self, make: Callable[..., Value], *wishes: object) -> Value:
        """What `make` makes of this screen and these wishes; made by the first viewer who asks, for all of them."""
        return self._made.get((make, wishes), lambda: make(self, *wishes))

    def forget(self) -> None:
        """Keep nothing of that any more: what is made of a screen names it, and so would wait for the collector."""
        self._made.forget()
        for one in self.accounts.values():
            one.forget()


def build_screen(
    session: LiveSession,
    own: PortfolioFile,
    options: ViewOptions,
    *,
    now: datetime,
    obstacle: str | None = None,
    problem: str | None = None,
    local_market: bool = False,
    market_time: datetime | None = None,
    tick: Tick | None = None,
) -> ScreenModel:
    """Take one snapshot and work out the whole screen at `now`, the time of this computer.

    `own` is what this tab shows until something runs, `obstacle` why Start cannot be pressed, `problem` why the last
    press of it failed. A `local_market` is not Alpaca's, also before it says so itself, and then it is judged as of
    its `market_time`. Of a `tick` the snapshot was taken already. Of a run of several accounts those that the options
    name are shown, and all where they name none of them.
    """
    run = session.run
    running = run is not None and run.ended is None
    heard = session.snapshot() if tick is None else tick.snapshot
    snapshot = _placed(heard, now, market_time, local_market=local_market)
    # What the old code's run holds is made of the old code's classes, so its portfolio is read anew.
    changed = changed_code(session)
    portfolio_file = run.portfolio_file if run is not None and running and not changed else own
    frame = _Frame(
        session=session,
        options=options,
        now=now,
        run=run,
        plays=snapshot.market.plays or (snapshot.market is MarketKind.LOCAL and market_time is not None),
        obstacle=obstacle,
        problem=problem,
        changed=changed,
    )
    parts = () if changed else session.parts(snapshot, portfolio_file)
    if not parts:
        # Of the same snapshot as the prices and the executions, so that no refresh shows half of a fill.
        book = None if changed or not is_account(portfolio_file) else session.account_book(snapshot)
        return _screen_of(frame, AccountPart("", snapshot, portfolio_file, book, session.looks))
    chosen = [part for part in parts if part.account in options.accounts] or list(parts)
    screens = {part.account: _screen_of(frame, part) for part in chosen}
    if len(chosen) == 1:
        alone = screens[chosen[0].account]
        return replace(alone, labels=(f"1 of {_served(snapshot, len(parts))} accounts", *alone.labels))
    return _together(frame, screens, of=_served(snapshot, len(parts)))


def _served(snapshot: LiveSnapshot, parts: int) -> int:
    """How many accounts there are: an owner on a bus may serve more than a page shows."""
    return parts if snapshot.desk is None else max(parts, len(snapshot.desk.accounts))


@dataclass(frozen=True, slots=True)
class _Frame:
    """What is the same for all that is on one screen."""

    session: LiveSession
    options: ViewOptions
    now: datetime
    run: Run | None
    plays: bool
    obstacle: str | None
    problem: str | None
    changed: bool


def _screen_of(frame: _Frame, part: AccountPart) -> ScreenModel:
    """All that is said of one account, or of the only one there is."""
    session, run, options, snapshot, book = frame.session, frame.run, frame.options, part.snapshot, part.book
    portfolio_file = part.portfolio_file if book is None else as_file(book)
    portfolio = portfolio_file.portfolio or EMPTY_PORTFOLIO
    look = part.looks.look(
        portfolio,
        snapshot,
        DEFAULT_RISK_CHOICES if run is None else run.risk,
        stale_after_seconds=options.preferences.stale_after_seconds,
        wide_spread_pct=options.preferences.wide_spread_percent,
        earnings=() if run is None else run.earnings,
    )
    # What is drawn beside the look counts in the same dollars.
    portfolio = with_told_multipliers(portfolio, snapshot.expiry_facts.records)
    totals = look.totals
    of_account = is_account(portfolio_file)
    waiting = waiting_words(run, snapshot.account, options.zone) if of_account and book is None else None
    return ScreenModel(
        options=options,
        now=frame.now,
        snapshot=snapshot,
        plays=frame.plays,
        run=run,
        state=_state(run, snapshot),
        loaded=portfolio_file.portfolio is not None,
        portfolio=portfolio,
        headline=CHANGED
        if frame.changed
        else _headline(
            run, snapshot, totals, frame.obstacle, waiting, is_of_before=_is_of_before(portfolio_file)
        ),
        labels=_labels(run, snapshot, part.account, plays=frame.plays),
        banners=(
            *_start_banners(frame.problem),
            *_picture_banners(portfolio, snapshot, plays=frame.plays),
            *(
                _book_banners(book, snapshot, options)
                if of_account
                else _account_banners(session.comparison, portfolio, snapshot, totals, options)
            ),
            *_file_banners(portfolio_file, hidden=options.preferences.hide_amounts),
            *(() if frame.changed else _session_banners(session)),
            *_run_banners(run, snapshot),
        ),
        viewers=session.viewers,
        positions=look.positions,
        structures=look.structures,
        legs=look.legs,
        totals=totals,
        risk=look.risk,
        attention=look.attention,
        trends=session.history(part.account).trends,
        of_account=of_account,
        alerts=session.alerts(part.account or None),
        priced=run is not None and _may_be_priced(snapshot),
        nothing_because="" if portfolio_file.portfolio is not None else waiting or NOTHING_LOADED,
        account=part.account,
        is_of_before=_is_of_before(portfolio_file),
    )


def _together(frame: _Frame, screens: Mapping[str, ScreenModel], *, of: int) -> ScreenModel:
    """Several accounts as one book, each beside it by itself; of those without positions it is said that they lack."""
    loaded = {name: one for name, one in screens.items() if one.loaded}
    unread = [name for name, one in screens.items() if not one.loaded]
    snapshot = whole_of({name: one.snapshot for name, one in screens.items()})
    first = next(iter((loaded or screens).values()))
    portfolio, look = EMPTY_PORTFOLIO, _look_of(first)
    if loaded:
        portfolio = portfolio_together([(name, one.portfolio) for name, one in loaded.items()])
        look = look_together(
            [AccountLook(name, one.portfolio, _look_of(one)) for name, one in loaded.items()], unread
        )
    waiting = None
    if not loaded:
        waiting = " ".join(f"{name}: {one.nothing_because}" for name, one in screens.items())
    shown = " + ".join(screens)
    count = f"all {of} accounts" if len(screens) == of else f"{len(screens)} of {of} accounts"
    return replace(
        first,
        snapshot=snapshot,
        state=_state(frame.run, snapshot),
        portfolio=portfolio,
        headline=_headline(
            frame.run,
            snapshot,
            look.totals,
            frame.obstacle,
            waiting,
            is_of_before=any(one.is_of_before for one in screens.values()),
        ),
        labels=(f"{count}: {shown}", *_labels(frame.run, snapshot, "", plays=frame.plays)),
        banners=(
            *in_all_or_of({name: one.banners for name, one in screens.items()}, _of_one_account),
            *(
                Banner(Level.WARNING, ACCOUNT, screens[name].nothing_because, name)
                for name in unread
                if loaded
            ),
        ),
        positions=look.positions,
        structures=look.structures,
        legs=look.legs,
        totals=look.totals,
        risk=look.risk,
        attention=look.attention,
        trends={
            id_of(name, key): trend for name, one in screens.items() for key, trend in one.trends.items()
        },
        of_account=all(one.of_account for one in screens.values()),
        alerts=_alerts_together({name: one.alerts for name, one in screens.items()}),
        nothing_because="" if loaded else waiting or NOTHING_LOADED,
        accounts=MappingProxyType(dict(screens)),
        account="",
    )


def _look_of(screen: ScreenModel) -> BookLook:
    return BookLook(
        screen.positions, screen.structures, screen.legs, screen.totals, screen.risk, screen.attention
    )


def _of_one_account(account: str, banner: Banner) -> Banner:
    return replace(banner, account=account)


def said_of_each(screen: ScreenModel, say: Callable[[ScreenModel], Iterator[str]]) -> tuple[str, ...]:
    """What is said of an account; of several each has its own, with the name, and what all say stands there once."""
    if not screen.accounts:
        return tuple(say(screen))
    return in_all_or_of(
        {name: tuple(say(one)) for name, one in screen.accounts.items()},
        lambda account, said: f"{account}: {said}",
    )


def _alerts_together(views: Mapping[str, AlertsView]) -> AlertsView:
    """All that fired in any account, with whose it is, the newest first; who sends is each account's own."""
    firings = [_firing_of(account, one) for account, view in views.items() for one in view.firings]
    problems = dict.fromkeys(view.problem for view in views.values() if view.problem is not None)
    newest_first = sorted(firings, key=lambda one: one.firing.fired_at, reverse=True)
    return AlertsView(tuple(newest_first), problem=" ".join(problems) or None)


def _firing_of(account: str, logged: LoggedFiring) -> LoggedFiring:
    firing = logged.firing
    named_firing = replace(
        firing,
        text=f"{account}: {firing.text}",
        text_with_amounts=f"{account}: {firing.text_with_amounts}",
    )
    return replace(logged, firing=named_firing)


def shared_screen(
    session: LiveSession, viewpoint: Viewpoint, viewer: str, now: datetime, *, again: bool = False
) -> ScreenModel:
    """The screen of this tick, worked out once for all viewers with an equal viewpoint.

    It is of this instant, or of up to nine tenths of a refresh and at most a second before it, and says so by its `now`
    and its snapshot's `as_of`.
    The same `viewer` never gets the same tick twice, unless it wants `again` what its last refresh has shown.
    """
    refresh_seconds = viewpoint.options.preferences.refresh_seconds
    tick = session.tick(
        viewer,
        now,
        longest_seconds=SHARED_FOR * refresh_seconds,
        again_seconds=AGAIN_FOR * refresh_seconds if again else None,
    )
    return tick.screens.get(
        viewpoint,
        lambda: build_screen(
            session,
            viewpoint.own,
            viewpoint.options,
            now=tick.at,
            obstacle=viewpoint.obstacle,
            problem=viewpoint.problem,
            local_market=viewpoint.local_market,
            market_time=viewpoint.market_time,
            tick=tick,
        ),
    )


def take_snapshot(
    session: LiveSession, now: datetime, market_time: datetime | None, *, local_market: bool
) -> LiveSnapshot:
    """What is known at `now`; of a market on this computer that has not told its time yet, as of `market_time`."""
    return _placed(session.snapshot(), now, market_time, local_market=local_market)


def _placed(
    heard: LiveSnapshot | None, now: datetime, market_time: datetime | None, *, local_market: bool
) -> LiveSnapshot:
    """The viewer's day is none of a local market's: its contracts may all have expired by then.

    Before a run the settings say whose market it is, afterwards the run does. Until its market has told its time, that
    goes on from the run's start, and with it whatever else the run says of this computer's clock.
    """
    asked = MarketKind.LOCAL if local_market else MarketKind.ALPACA
    snapshot = heard or LiveSnapshot(as_of=now, market=asked)
    if market_time is None or snapshot.market is not MarketKind.LOCAL:
        return snapshot
    return _moved(snapshot, (snapshot.running_since or snapshot.as_of) - market_time)


def _moved(snapshot: LiveSnapshot, back: timedelta) -> LiveSnapshot:
    by_ns = -(back // timedelta(microseconds=1)) * 1_000
    return replace(
        snapshot,
        as_of=snapshot.as_of - back,
        streams=MappingProxyType({name: health.moved(by_ns) for name, health in snapshot.streams.items()}),
        accounts=MappingProxyType({name: _moved(one, back) for name, one in snapshot.accounts.items()}),
    )


def _may_be_priced(snapshot: LiveSnapshot) -> bool:
    streams = snapshot.streams.items()
    return any(health.phase not in SPEECHLESS for name, health in streams if not name.kind.carries_orders)


def _labels(run: Run | None, snapshot: LiveSnapshot, account: str, *, plays: bool) -> tuple[str, ...]:
    own = _account_label(run, account, snapshot.desk)
    if snapshot.market is MarketKind.LOCAL:
        day = f", {snapshot.as_of.astimezone(NEW_YORK):%Y-%m-%d}" if plays else ""
        return (*own, *(f"{label}{day}" for label in feed_labels(snapshot)))
    return (*own, *feed_labels(snapshot)) if run else ()


def _account_label(run: Run | None, account: str, desk: DeskRemarks | None) -> tuple[str, ...]:
    """Whose fills and positions these are, where the user has named several accounts."""
    if account:
        return (f"account {account}",)
    if run is not None and not run.further and desk is not None and len(desk.accounts) > 1:
        return (f"1 of {len(desk.accounts)} accounts", f"account {desk.account or run.settings.account}")
    is_named = run is not None and run.settings.account != DEFAULT_ACCOUNT and not run.further
    return (f"account {run.settings.account}",) if run is not None and is_named else ()


def _state(run: Run | None, snapshot: LiveSnapshot) -> State:
    if run is None:
        return State.NOT_STARTED
    if run.ended is not None:
        return State.STOPPED
    phases = {health.phase for health in snapshot.streams.values()}
    going_on = State.RUNNING
    if snapshot.market is MarketKind.REPLAY:
        going_on = State.ENDED if snapshot.played_out else State.PLAYING
    return next((state for phase, state in STATE_OF_PHASE.items() if phase in phases), going_on)


def _headline(
    run: Run | None,
    snapshot: LiveSnapshot,
    totals: LiveTotals,
    obstacle: str | None,
    waiting: str | None,
    *,
    is_of_before: bool,
) -> Headline:
    if run is not None and run.ended is None:
        if waiting is not None:
            refused = snapshot.account.reports[RestTask.POSITIONS].phase is RestPhase.FAILED
            return Headline(Level.WARNING if refused else Level.INFO, waiting)
        stale = labels(totals.with_warning(QuoteWarning.STALE_QUOTE))
        caveats, remarks = (*(OF_BEFORE,) * is_of_before, *book_caveats(totals)), book_remarks(totals)
        found = headline(snapshot, stale_symbols=stale, caveats=caveats, remarks=remarks)
        # What was recorded is played, and lives no more.
        played = snapshot.market is MarketKind.REPLAY and found.sentence.startswith("Live")
        return replace(found, sentence=f"Playing{found.sentence[4:]}") if played else found
    if obstacle is not None:
        return Headline(Level.WARNING, f"Start is not possible yet. {obstacle}")
    if run is None:
        return Headline(Level.INFO, "Nothing is connected. Press Start to see live prices.")
    return Headline(Level.INFO, f"{run.ended} These are the last prices known; press Start to connect again.")


def _start_banners(problem: str | None) -> Iterator[Banner]:
    if problem is not None:
        yield Banner(Level.ERROR, "Start", f"{problem} {DOCTOR}")


def _picture_banners(portfolio: Portfolio, snapshot: LiveSnapshot, *, plays: bool) -> Iterator[Banner]:
    """Every market has a day of its own, and judges a picture of another day by it."""
    day = new_york_date(snapshot.as_of)
    if portfolio.as_of is None or portfolio.as_of == day:
        return
    said = f"The portfolio file is a picture of {short_date(portfolio.as_of)}"
    if plays:
        yield Banner(
            Level.INFO,
            FILE,
            f"{said}; this market plays {short_date(day)}, and what has expired is judged by that.",
        )
    elif snapshot.market is MarketKind.ALPACA:
        yield Banner(Level.WARNING, FILE, f"{said}. {REMOVE_AS_OF}")


def waiting_words(run: Run | None, account: AccountState, zone: ZoneInfo) -> str:
    """What is waited for before the account's positions are known, and until when; or why they do not come."""
    report = account.reports[RestTask.POSITIONS]
    if run is None or run.ended is not None:
        return "The portfolio is the account's: its positions are asked for after Start."
    if report.phase is RestPhase.OFF:
        return "This market has no account to take a portfolio from. Choose a portfolio file in the settings."
    if report.problem is not None or report.phase is RestPhase.FAILED:
        again = f"It is asked again within {ASKED_AGAIN_SECONDS:.0f} s; a portfolio file needs no account."
        return f"The account's positions could not be read. {report.problem or ''} {again}".replace("  ", " ")
    if run.started_at is None:
        return "Waiting for the account's positions."
    due = run.started_at + timedelta(seconds=FIRST_ANSWER_SECONDS)
    return f"Waiting for the account's positions: they should be here by {due.astimezone(zone):%H:%M:%S %Z}."


def _book_banners(book: AccountBook | None, snapshot: LiveSnapshot, options: ViewOptions) -> Iterator[Banner]:
    """What the account holds that the page cannot show, and since when it was not read."""
    if book is None:
        return
    hidden = options.preferences.hide_amounts
    for problem in book.problems:
        yield Banner(Level.WARNING, ACCOUNT, without_amounts(problem) if hidden else problem)
    report = snapshot.account.reports[RestTask.POSITIONS]
    if report.problem is not None or report.phase is RestPhase.FAILED:
        read_at = f"{book.read_at.astimezone(options.zone):%H:%M:%S %Z}"
        age = f"{(snapshot.as_of - book.read_at).total_seconds():,.0f} s ago"
        yield Banner(
            Level.WARNING,
            ACCOUNT,
            f"The positions are those of {read_at}, {age}: since then the account could not be read. "
            f"{report.problem or ''}".rstrip(),
        )
    if not book.portfolio.positions and not book.problems:
        yield Banner(
            Level.INFO,
            ACCOUNT,
            "The account holds nothing. What is bought appears here by itself.",
        )


def _account_banners(
    comparison: FileComparison,
    portfolio: Portfolio,
    snapshot: LiveSnapshot,
    totals: LiveTotals,
    options: ViewOptions,
) -> Iterator[Banner]:
    """What file and account hold differently, first what today's executions explain."""
    behind = comparison.behind(portfolio, snapshot.account, snapshot.told_sessions)
    holdings = totals.holdings
    if holdings.read_at is None:
        return
    read_at = f"The account was read {holdings.read_at.astimezone(options.zone):%H:%M:%S %Z}."
    if behind is not None:
        said = f"{behind.sentence} {read_at} The edit to copy is under {ACCOUNT_PANEL}."
        shown = BEHIND_HIDDEN if options.preferences.hide_amounts else said
        yield Banner(Level.WARNING, ACCOUNT, shown)
    if sentences := holdings.sentences(behind.symbols if behind else ()):
        yield Banner(Level.WARNING, ACCOUNT, f"{' '.join(sentences)} {read_at} See {ACCOUNT_PANEL}.")


def _file_banners(portfolio_file: PortfolioFile, *, hidden: bool) -> Iterator[Banner]:
    """What is wrong with a file of which there is a good reading; without one the headline says it."""
    problem = portfolio_file.problem
    if problem is not None and _is_of_before(portfolio_file):
        said = without_amounts(problem) if hidden else problem
        yield Banner(Level.WARNING, FILE, f"{said} The last good reading of it stays in use.")


def _is_of_before(portfolio_file: PortfolioFile) -> bool:
    """Whether the positions are those of a good reading, of a file that cannot be used now."""
    return portfolio_file.problem is not None and portfolio_file.portfolio is not None


def _session_banners(session: LiveSession) -> Iterator[Banner]:
    if (holder := session.holder) is not None:
        yield Banner(Level.WARNING, "Streams", holder)
    for problem in session.problems:
        yield Banner(Level.ERROR, "This page", problem)


def _run_banners(run: Run | None, snapshot: LiveSnapshot) -> Iterator[Banner]:
    if run is None or run.ended is not None:
        return
    if any(health.phase is Phase.FAILED for health in snapshot.streams.values()):
        yield Banner(Level.INFO, "Streams", DOCTOR)
    if run.risk_problem is not None:
        yield Banner(Level.WARNING, "Risk figures", run.risk_problem)
    if run.earnings_problem is not None:
        yield Banner(Level.WARNING, "Earnings", run.earnings_problem)
    for warning in run.plan.warnings:
        yield Banner(Level.WARNING if run.plan.truncated else Level.INFO, "Streams", warning)
    if refused := [symbol for health in snapshot.streams.values() for symbol in health.refused_symbols]:
        sentence = "REFUSED by the server, so nothing of these is streamed"
        yield Banner(Level.WARNING, "Streams", f"{sentence}: {named(refused, NAMED_AT_MOST)}.")
