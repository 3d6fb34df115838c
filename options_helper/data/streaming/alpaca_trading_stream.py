"""Alpaca's stream of the account's own order updates, through alpaca-py; it listens and never orders."""

from __future__ import annotations

import asyncio
from typing import Any, assert_never

from options_helper.data.sdk_import import sdk_class
from options_helper.data.streaming.connection.alpaca_sdk import (
    DEFAULT_TIMING,
    ConnectionTiming,
    SdkConnection,
    with_parameters,
)
from options_helper.data.streaming.connection.connection_runner import (
    ConnectionRunner,
    Handler,
    LoggingSink,
    StreamSink,
    require_handlers,
)
from options_helper.data.streaming.connection.conversation import (
    AskForOrderUpdates,
    GiveUp,
    Report,
    TradingConversation,
    Wait,
)
from options_helper.data.streaming.messages import Message, read_message
from options_helper.settings import Settings


class AlpacaTradingStreamer(ConnectionRunner[SdkConnection]):
    """Order updates of the account that the settings name.

    `paper` overrides the account's kind, otherwise the base URL decides. `stream` is a ready `TradingStream` of
    alpaca-py to connect with, `stream_cls` the class to make one of. `on_trade_updates` gets each update's `data`
    map as the wire has it; a function or a coroutine function.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        paper: bool | None = None,
        sink: StreamSink | None = None,
        stream: Any = None,
        stream_cls: type[Any] | None = None,
        on_trade_updates: Handler | None = None,
        timing: ConnectionTiming = DEFAULT_TIMING,
    ) -> None:
        super().__init__("trading", timing)
        require_handlers(on_trade_updates=on_trade_updates)
        settings.require_credentials()
        self._settings = settings
        self._paper = settings.paper if paper is None else paper
        self._sink = sink or LoggingSink()
        self._stream = stream
        self._stream_cls = stream_cls
        self._on_trade_updates = on_trade_updates
        # Of the stream's thread, but for the wish.
        self._conversation = TradingConversation()

    def subscribe_trade_updates(self) -> None:
        """Ask for the order updates; before or during `run`, never waits."""
        self._conversation.is_wanted = True
        self.wake()

    def _new_connection(self) -> SdkConnection:
        return SdkConnection(self._make_sdk_stream, "trading", self._timing)

    def _make_sdk_stream(self, websocket_params: dict[str, Any]) -> Any:
        if self._stream is not None:
            return with_parameters(self._stream, websocket_params)
        key, secret = self._settings.require_credentials()
        stream_cls = self._stream_cls or trading_stream_class()
        return stream_cls(
            key,
            secret,
            paper=self._paper,
            raw_data=True,
            url_override=self._settings.for_account(paper=self._paper).trading_stream_url,
            websocket_params=websocket_params,
        )

    async def _communicate(
        self, connection: SdkConnection, news: asyncio.Event, ended: asyncio.Task[None]
    ) -> None:
        conversation = self._conversation
        conversation.begin()
        self._sink.connected(connection.announcement)
        connection.listen(lambda message: self._receive(message, news))
        due: float | None = None
        while True:
            step = conversation.next_step()
            match step:
                case AskForOrderUpdates():
                    await connection.subscribe_trade_updates()
                    due = self._answer_due()
                case Report():
                    self._sink.subscribed(step.requested, step.acknowledged, step.refusals)
                case GiveUp(error):
                    raise error
                case Wait(awaits_answer):
                    await self._next_news(news, due=due if awaits_answer else None)
                    if ended.done() and conversation.failure is None:
                        raise connection.loss()
                case _:
                    assert_never(step)

    def _receive(self, message: Message, news: asyncio.Event) -> None:
        content = read_message(message)
        if self._conversation.hear(content):
            self._deliver(message, content)
        else:
            news.set()

    def _deliver(self, message: Message, content: Any) -> None:
        self._sink.frame(message.encode() if isinstance(message, str) else message, 1)
        if self._on_trade_updates is None:
            return
        update = content.get("data") if isinstance(content, dict) else None
        if update is None:
            self._troubles.note("a message without an update", "a trading message has no update in it")
            return
        self._caller.call(self._on_trade_updates, update)


def trading_stream_class() -> type[Any]:
    """alpaca-py's trading stream, imported on first use."""
    return sdk_class("alpaca.trading.stream", "TradingStream")
