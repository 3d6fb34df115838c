"""What the user chooses: portfolio, streams and feeds for everybody, refresh and thresholds for this tab."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

import streamlit as st

from apps.streamlit.components.formatting import plain
from apps.streamlit.components.live_accounts import (
    account_box,
    check_settings,
    follows_a_bus,
    further_accounts,
    further_box,
    settings_of,
)
from apps.streamlit.components.live_alarm import notification_button
from apps.streamlit.components.live_focus import keep_focus
from apps.streamlit.components.live_recording import recording_switch
from apps.streamlit.components.style import draw
from options_helper.data.accounts_file import load_settings
from options_helper.data.portfolio_file import (
    PortfolioFile,
    default_text,
    known_roots,
    open_portfolio_file,
    reread,
)
from options_helper.data.streaming.breeze.source import breeze_request
from options_helper.errors import ConfigError, OptionsHelperError
from options_helper.live.account_book import ACCOUNT_FILE, PortfolioSource, default_source
from options_helper.live.screen import Preferences
from options_helper.live.session import (
    ACCOUNT_NEEDS_FILLS,
    LiveSession,
    NewsOf,
    RunSettings,
    changed_code,
    install_session,
    new_session,
)
from options_helper.model.alpaca_symbols import to_coin_pairs
from options_helper.model.streams import PORTFOLIO_STREAMS, StreamName
from options_helper.model.text import format_count, named, without_amounts
from options_helper.settings import (
    CRYPTO_LOCATIONS,
    OPTION_FEEDS,
    STOCK_FEEDS,
    BreezeSettings,
    Settings,
)

REFRESH_SECONDS: Final = (1, 2, 5, 10)
ACCOUNTS: Final = {"auto": None, "paper": True, "live": False}
STOCK_FEED_HELP: Final = (
    "iex: one exchange, free. sip: all exchanges. delayed_sip: all, 15 minutes late. boats: the overnight venue. "
    "overnight: derived from it. test: one made-up symbol."
)
NEWS_HELP: Final = "Headlines of Alpaca's news stream, as text. Also what was written shortly before Start."
OPTION_FEED_HELP: Final = "indicative: modelled quotes, free. opra: the real ones, with a paid plan."
START_HELP: Final = "Connects and shows live prices. No order is ever placed."
HIDE_HELP: Final = (
    "Dollars and quantities leave the screen, tooltips, the chart's data and downloads. Prices per share, percentages "
    "and signs stay visible: whoever knows a quantity can work out the amount."
)
BOOKS_HELP: Final = (
    "What is shown on the page Order book: coins of Alpaca (BTC/USD), and where Breeze is switched on shares and "
    "contracts of India (NSE:RELIANCE). Alpaca has none of shares or options."
)
LOCATION_HELP: Final = (
    "us: Alpaca's own market. us-1 and eu-1: Kraken's. Each has prices of its own; all coins come from one."
)
SOURCE_HELP: Final = (
    "file: what you hold, as you wrote it down. account: Alpaca's own positions, grouped by rule; they follow each "
    "fill, and nothing is written."
)
ACCOUNT_CAPTION: Final = "The account's positions, grouped by rule, at Alpaca's costs. They follow each fill."
PLAN_LIMITS: Final = "Alpaca's free plan allows 200 option quotes and 30 stocks at a time."


@dataclass(frozen=True, slots=True)
class Controls:
    """Everything chosen, and why Start cannot be pressed, if it cannot."""

    portfolio_file: PortfolioFile
    choices: RunSettings
    preferences: Preferences
    obstacle: str | None
    local_market: bool  # the settings lead to a market on this computer, not to Alpaca
    market_time: datetime | None  # where that market begins, if it plays a session and says so
    local_breeze: bool  # Breeze's settings lead to a server on this computer, not to ICICI


def sidebar_controls(session: LiveSession) -> Controls:
    """Draw the sidebar and read it."""
    _remember_choices(session, _usual_settings())
    with st.sidebar:
        actions = st.container(key="actions")
        source = _source_control()
        portfolio_file = (
            _account_control(session) if source is PortfolioSource.ACCOUNT else _portfolio_control(session)
        )
        account = account_box(portfolio_file)
        further = further_box(account, portfolio_file)
        choices, pairs_problem = _choices(source, account, further)
        settings, settings_problem = check_settings(account, portfolio_file)
        recording_switch(session)
        preferences = _preferences()
        st.caption("Read-only: no order is ever placed. Best-effort data. **Not financial advice.**")
        controls = Controls(
            portfolio_file=portfolio_file,
            choices=choices,
            preferences=preferences,
            obstacle=_file_obstacle(portfolio_file, preferences)
            or settings_problem
            # Start takes what is right; a run of all tabs is not restarted for a slip of one.
            or (pairs_problem if session.running else None)
            or _missing(choices),
            local_market=settings is not None and settings.local_market,
            market_time=settings.market_time if settings is not None and settings.local_market else None,
            local_breeze=_is_breeze_local(),
        )
        with actions:
            # What is empty Streamlit does not draw at all, and its place is to be there for good.
            draw("")
            _pending_changes(session, controls)
    return controls


def lifecycle_buttons(session: LiveSession, controls: Controls) -> None:
    """Start, Stop and Restart, once and in the page, because a phone hides the sidebar.

    Each has its own place for good: what lies under the pointer must not become another button between two clicks.
    """
    running = session.running
    with st.container(horizontal=True, gap="xsmall", width="content", key="lifecycle"):
        st.button(
            "Start",
            key="start-page",
            type="secondary" if running else "primary",
            disabled=running or controls.obstacle is not None,
            help=None if running else plain(controls.obstacle or START_HELP),
            on_click=_start,
            args=(session, controls),
        )
        st.button(
            "Stop",
            key="stop-page",
            disabled=not running,
            help="Ends the streams for all tabs; a recording goes on." if running else None,
            on_click=session.stop,
        )
        st.button(
            "Restart",
            key="restart-page",
            disabled=not running,
            help="Connects anew with the settings that run, for all tabs." if running else None,
            on_click=_restart,
            args=(session, controls),
        )
        keep_focus(running=running)


def describe(choices: RunSettings, name: str) -> str:
    """The choices of a run in a line."""
    parts = [name, *([] if choices.account is None else [f"account {choices.account}"])]
    parts += [f"with {' and '.join(choices.further)}"] if choices.further else []
    feeds_here = not follows_a_bus()  # else they are its owner's, whatever is chosen here
    parts += [f"stocks {choices.stock_feed}" if feeds_here else "stocks"] if choices.stream_stocks else []
    parts += (
        [f"options {choices.options_feed}" if feeds_here else "options"] if choices.stream_options else []
    )
    parts += [f"fills {_account_word(choices.paper)}"] if choices.stream_fills else []
    books = (*choices.book_pairs, *choices.breeze_books)
    parts += [f"books of {named(books, 3)}"] if books else []
    parts += (
        []
        if choices.crypto_location == RunSettings().crypto_location or not feeds_here
        else [f"coins {choices.crypto_location}"]
    )
    parts += [] if choices.news is NewsOf.NOTHING else [f"news of {choices.news}"]
    return " · ".join([*parts, f"at most {choices.max_option_contracts} contracts"])


def _start(session: LiveSession, controls: Controls) -> None:
    # Another tab may have been quicker; its choices stay until somebody applies others.
    if not session.running:
        _begin(session, controls.portfolio_file, controls.choices)


def _restart(session: LiveSession, controls: Controls) -> None:
    run = session.run
    session.stop("Restarting.")
    if changed_code(session):
        # What the old code's session holds is made of the old code's classes.
        session = new_session()
        install_session(session)
        _begin(session, controls.portfolio_file, controls.choices)
    elif run is not None:
        _begin(session, run.portfolio_file, run.choices)


def _begin(session: LiveSession, portfolio_file: PortfolioFile, choices: RunSettings) -> None:
    """Start or apply, with the file and the settings as they are at this moment; a refusal is shown, not raised."""
    st.session_state.pop("start_problem", None)
    try:
        portfolio_file = reread(portfolio_file)
        session.start(
            portfolio_file,
            choices,
            settings_of(choices.account, portfolio_file),
            further_accounts(choices.further),
        )
    except OptionsHelperError as error:
        st.session_state["start_problem"] = str(error)


def _pending_changes(session: LiveSession, controls: Controls) -> None:
    """Say what runs and offer to change it, where this tab has chosen something else.

    It lies over the sidebar's end and moves nothing: where the sidebar scrolls by itself, an open list in it closes.
    """
    run = session.run
    if run is None or not session.running:
        return
    if (run.choices, run.portfolio_file.path) == (controls.choices, controls.portfolio_file.path):
        return
    with st.container(border=True, key="pending"):
        st.caption(plain(f"Running with {describe(run.choices, run.portfolio_file.name)}."))
        st.caption(plain(f"This tab has chosen {describe(controls.choices, controls.portfolio_file.name)}."))
        st.button(
            "Apply (restarts for all tabs)",
            key="apply",
            type="primary",
            disabled=controls.obstacle is not None,
            help=plain(controls.obstacle) if controls.obstacle else None,
            on_click=_begin,
            args=(session, controls.portfolio_file, controls.choices),
        )
        st.button(
            "Keep what runs", key="keep", on_click=_show_choices, args=(run.choices, run.portfolio_file.name)
        )


def _usual_settings() -> Settings:
    """What the controls show before anybody chose; what is wrong with the file is said where it is used."""
    try:
        return load_settings()
    except ConfigError:
        return Settings()


def _file_obstacle(portfolio_file: PortfolioFile, preferences: Preferences) -> str | None:
    if portfolio_file.portfolio is not None or portfolio_file.problem is None:
        return None
    return without_amounts(portfolio_file.problem) if preferences.hide_amounts else portfolio_file.problem


def _missing(choices: RunSettings) -> str | None:
    if (choices.source is PortfolioSource.ACCOUNT or choices.further) and not choices.stream_fills:
        return ACCOUNT_NEEDS_FILLS
    books = choices.book_pairs or choices.breeze_books
    if choices.stream_stocks or choices.stream_options or choices.stream_fills or books:
        return None
    return "No stream is chosen: pick stocks, options or fills."


def _remember_choices(session: LiveSession, settings: Settings) -> None:
    """Fill the controls at a tab's first drawing: with what runs or ran last, else with what the settings say."""
    if "streams" in st.session_state:
        return
    run = session.run
    asked = None if session.running else _source_of_address()
    if run is not None:
        choices = run.choices if asked is None else replace(run.choices, source=asked)
        _show_choices(choices, run.portfolio_file.name if not run.of_account else default_text(known_roots()))
    else:
        choices = RunSettings(
            source=asked or default_source(),
            stock_feed=settings.stock_feed,
            options_feed=settings.options_feed,
        )
        _show_choices(choices, default_text(known_roots()))


def _source_of_address() -> PortfolioSource | None:
    """What a link asks for, as `?book=account`; nobody is heard on this while something runs."""
    asked = st.query_params.get("book", "")
    return PortfolioSource(asked) if asked in list(PortfolioSource) else None


def _show_choices(choices: RunSettings, portfolio: str) -> None:
    streams = {
        StreamName.STOCKS: choices.stream_stocks,
        StreamName.OPTIONS: choices.stream_options,
        StreamName.FILLS: choices.stream_fills,
    }
    if choices.source is PortfolioSource.FILE:
        st.session_state["portfolio"] = portfolio
    st.session_state.update(
        source=choices.source.value,
        account_name=choices.account,
        further_accounts=list(choices.further),
        streams=[name.value for name, chosen in streams.items() if chosen],
        stock_feed=choices.stock_feed,
        options_feed=choices.options_feed,
        account=_account_word(choices.paper),
        news=choices.news.value,
        max_option_contracts=choices.max_option_contracts,
        idle_stop_minutes=choices.idle_stop_minutes,
        book_pairs=", ".join((*choices.book_pairs, *choices.breeze_books)),
        crypto_location=choices.crypto_location,
    )


def _account_word(paper: bool | None) -> str:  # noqa: FBT001 - one value is all there is to say
    return next(word for word, value in ACCOUNTS.items() if value is paper)


@dataclass(frozen=True, slots=True)
class _Books:
    """Whose order books are named, by provider, and what is wrong with the other words."""

    pairs: tuple[str, ...]
    breeze: tuple[str, ...]
    problem: str | None


def _read_books(text: str) -> _Books:
    """What is named; what is wrong with the rest is also said beside its box."""
    pairs: list[str] = []
    breeze: list[str] = []
    problems: list[str] = []
    for word in text.replace(",", " ").split():
        try:
            if ":" in word:
                breeze += breeze_request((word.upper(),)).symbols
            else:
                pairs += to_coin_pairs([word])
        except ConfigError as error:
            problems.append(str(error))
    if "*" in pairs:
        problems.append("Name each pair; nobody can look at every book.")
    if breeze and (obstacle := _breeze_obstacle()):
        problems.append(obstacle)
        breeze = []
    for problem in problems:
        st.error(plain(problem), icon=":material/error:")
    return _Books(
        tuple(dict.fromkeys(pair for pair in pairs if pair != "*")),
        tuple(dict.fromkeys(breeze)),
        f"Order books of: {' '.join(problems)}" if problems else None,
    )


def _is_breeze_local() -> bool:
    try:
        return BreezeSettings.load().local_market
    except ConfigError:
        return False  # it is said where something is asked of it


def _breeze_obstacle() -> str | None:
    """Why nothing can be asked of Breeze, with the remedy; None where it can."""
    try:
        BreezeSettings.load().require_session()
    except ConfigError as error:
        return str(error)
    return None


def _source_control() -> PortfolioSource:
    chosen = st.segmented_control(
        "Portfolio from",
        [one.value for one in PortfolioSource],
        required=True,
        key="source",
        help=SOURCE_HELP,
    )
    return PortfolioSource(chosen or PortfolioSource.FILE)


def _account_control(session: LiveSession) -> PortfolioFile:
    """How much the account holds, in place of the path box; nothing here is read from a file or written to one."""
    run = session.run
    portfolio = run.portfolio_file.portfolio if run is not None and run.of_account else None
    count = "" if portfolio is None else f"{format_count(len(portfolio.positions), 'position')}. "
    st.caption(f"{count}{ACCOUNT_CAPTION}")
    return ACCOUNT_FILE


def _portfolio_control(session: LiveSession) -> PortfolioFile:
    """The path box; the last good reading stays while the file is broken, as long as the path is the same."""
    # Streamlit forgets what stood in a box that was not drawn, because the account was looked at.
    st.session_state.setdefault("portfolio", default_text(known_roots()))
    text = st.text_input(
        "Portfolio", key="portfolio", help="A .json file in the working folder, or in one named at launch."
    )
    before: tuple[str, Any] | None = st.session_state.get("portfolio_file")
    if before and not isinstance(before[1], PortfolioFile):
        before = None  # made by an older version of this code
    portfolio_file = (
        reread(before[1])
        if before and before[0] == text and before[1].stamp
        else open_portfolio_file(text, known_roots())
    )
    st.session_state["portfolio_file"] = (text, portfolio_file)
    if portfolio_file.problem:
        # The page itself says what, once and whole.
        st.error("This file cannot be used as it is now; the page says why.", icon=":material/error:")
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        st.caption(
            _count_in_use(session, portfolio_file),
            width="content",
            help="The file is followed as it changes.",
        )
        st.button(
            "Reload", key="reload", type="tertiary", icon=":material/sync:", on_click=_reload, args=(session,)
        )
    return portfolio_file


def _count_in_use(session: LiveSession, portfolio_file: PortfolioFile) -> str:
    """How many positions the page shows: of a run, what is in use there, whatever became of its file."""
    run = session.run
    if run is not None and session.running and run.portfolio_file.path == portfolio_file.path:
        portfolio_file = run.portfolio_file
    portfolio = portfolio_file.portfolio
    return "no portfolio" if portfolio is None else format_count(len(portfolio.positions), "position")


def _reload(session: LiveSession) -> None:
    st.session_state.pop("portfolio_file", None)
    session.reload()


def _feed_boxes() -> tuple[str, str, str]:
    """The feeds of stocks and of contracts, and the venue of the coins."""
    if follows_a_bus():
        st.caption("Feeds are those of the owner of the streams.")
        usual = RunSettings()
        return usual.stock_feed, usual.options_feed, usual.crypto_location
    stocks = st.selectbox("Stock feed", list(STOCK_FEEDS), key="stock_feed", help=STOCK_FEED_HELP)
    options = st.selectbox("Option feed", list(OPTION_FEEDS), key="options_feed", help=OPTION_FEED_HELP)
    location = st.selectbox("Coins of", list(CRYPTO_LOCATIONS), key="crypto_location", help=LOCATION_HELP)
    return stocks, options, location


def _choices(
    source: PortfolioSource, account_name: str | None, further: tuple[str, ...]
) -> tuple[RunSettings, str | None]:
    """What the run is made of, which applies to every tab, and why it cannot be, where it cannot."""
    streams = st.pills("Streams", list(PORTFOLIO_STREAMS), selection_mode="multi", key="streams") or []
    books = _read_books(
        st.text_input("Order books of", key="book_pairs", placeholder="BTC/USD, ETH/USD", help=BOOKS_HELP)
    )
    with st.expander("Feeds and limits"):
        stock_feed, options_feed, location = _feed_boxes()
        account = st.selectbox(
            "Account of the fills",
            list(ACCOUNTS),
            key="account",
            help="auto: paper or live as APCA_API_BASE_URL says. Orders are only shown, never placed.",
        )
        news = st.selectbox("News of", [one.value for one in NewsOf], key="news", help=NEWS_HELP)
        max_contracts = st.number_input(
            "At most this many option contracts",
            1,
            1_000,
            step=10,
            key="max_option_contracts",
            help=PLAN_LIMITS,
        )
        st.caption(PLAN_LIMITS)
        idle_minutes = st.number_input(
            "Stop this many minutes after the last viewer left",
            0.0,
            600.0,
            step=5.0,
            format="%g",
            key="idle_stop_minutes",
            help="0: never.",
        )
    choices = RunSettings(
        source=source,
        account=account_name,
        further=further,
        stream_stocks=StreamName.STOCKS in streams,
        stream_options=StreamName.OPTIONS in streams,
        stream_fills=StreamName.FILLS in streams,
        stock_feed=stock_feed,
        options_feed=options_feed,
        paper=ACCOUNTS[account],
        max_option_contracts=max_contracts,
        idle_stop_minutes=idle_minutes,
        book_pairs=books.pairs,
        crypto_location=location,
        breeze_books=books.breeze,
        news=NewsOf(news),
    )
    return choices, books.problem


def _preferences() -> Preferences:
    """How this tab shows it. Kept in the address, so that F5 and a bookmark show the same."""
    normal = Preferences()
    refresh = st.segmented_control(
        "Refresh (s)",
        REFRESH_SECONDS,
        default=normal.refresh_seconds,
        required=True,
        key="refresh",
        bind="query-params",
    )
    stale = st.number_input(
        "Stale after (s)", 1, 3_600, normal.stale_after_seconds, step=5, key="stale", bind="query-params"
    )
    spread = st.number_input(
        "Wide spread from (%)", 1, 200, normal.wide_spread_percent, step=1, key="spread", bind="query-params"
    )
    notification_button()
    hidden = st.toggle("Hide amounts", key="hide", bind="query-params", help=plain(HIDE_HELP))
    return Preferences(refresh or normal.refresh_seconds, stale, spread, hidden)
