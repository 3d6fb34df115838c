"""Alpaca's REST interface, read-only: the client, its pace, and what is read of its answers.

In: settings, symbols, a stop signal. Out: values of `model`; RestError where no usable answer came. Only GET
leaves here. Imports `model` and `settings`.
"""

from typing import Final

# What others may use, by module; a test holds them to it.
PUBLIC: Final = {
    "account_reading": ("AccountReading", "read_account"),
    "budget_ledger": ("COMMAND", "INGESTION", "PAGE", "RECORDER"),
    "calendar_watch": ("CalendarWatch", "ask_told_sessions"),
    "client": ("AlpacaRest", "STOCK_SYMBOLS_A_REQUEST", "batches"),
    "contract_records": ("read_contract_record",),
    "expiry_chains": ("ChainRequest", "chain_requests", "money_of", "read_chain"),
    "history": (
        "CHANNELS",
        "EVENT_TYPES",
        "PastEvent",
        "PastPage",
        "PastQuery",
        "SYMBOLS_A_REQUEST",
        "past_pages",
    ),
    "news": ("NewsPage", "read_latest_news", "read_news", "read_news_span"),
    "market_time": ("is_demo", "known_day", "market_day", "server_time"),
    "option_contracts": ("Chain", "Contract", "ContractFilter", "ContractFinder", "ExpirySpan"),
    "rate_limit": (
        "DEFAULT_POLICY",
        "PASSING_STATUSES",
        "RequestLimits",
        "RestPolicy",
        "requested_pause_seconds",
    ),
    "question": ("Addressee", "Failure", "kind_of"),
    "retrying": ("Retrying",),
    "risk_readings": ("ACTION_SYMBOLS", "read_corporate_actions", "read_daily_closes"),
    "server_clock": ("ServerClock",),
    "seeding": ("FEEDS_WITHOUT_REST", "SeedBatch", "seed", "session_closes"),
}
