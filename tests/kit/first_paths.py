"""The names that others import, at the paths they were given first."""

from __future__ import annotations

# Where others were told to find things; a move must not take them away.
FIRST_PATHS = {
    "options_helper.analysis.live_portfolio_metrics": (
        "compute_live_multileg_rows",
        "compute_live_position_rows",
        "compute_live_totals",
    ),
    "options_helper.analysis.osi": ("format_osi", "parse_contract_symbol"),
    "options_helper.capture.runner": ("StreamRunner",),
    "options_helper.cli": ("app", "main"),
    "options_helper.data.alpaca_symbols": ("contract_symbol", "to_alpaca_symbol", "to_repo_symbol"),
    "options_helper.data.intraday_store": ("IntradayStore",),
    "options_helper.data.streaming.alpaca_stream": ("AlpacaOptionStreamer", "AlpacaStockStreamer"),
    "options_helper.data.streaming.alpaca_trading_stream": ("AlpacaTradingStreamer",),
    "options_helper.data.streaming.live_manager": ("LiveStreamConfig", "LiveStreamManager"),
    "options_helper.data.streaming.market_stream": ("MarketStream",),
    "options_helper.data.streaming.normalizers": ("normalize_quote", "normalize_trade", "normalize_bar"),
    "options_helper.data.streaming.subscriptions": ("SubscriptionPlan", "build_subscription_plan"),
    "options_helper.data.streaming.trading_normalizers": ("normalize_trade_update",),
    "apps.streamlit.components.live_portfolio_page": ("render_live_portfolio_page",),
}

FIRST_FILES = (
    "apps/streamlit/pages/12_Live_Portfolio.py",
    "apps/streamlit/streamlit_app.py",
    "config/alpaca.env.example",
    "docs/PORTAL_LIVE_STREAMING.md",
    "docs/PORTAL_STREAMLIT.md",
    "portfolio.json",
    "scripts/cron_stream_capture.sh",
)
