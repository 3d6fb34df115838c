"""The streams for programs that run on asyncio: callbacks and iterators on the caller's own event loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, Final, Self

from options_helper.data.streaming.callbacks.delivery import Callback
from options_helper.data.streaming.callbacks.dispatcher import CallbackHandle
from options_helper.data.streaming.callbacks.pulling import Pull
from options_helper.data.streaming.live_manager import LiveStreamConfig, LiveStreamManager
from options_helper.errors import StreamError
from options_helper.model.alpaca_symbols import require_list
from options_helper.model.callbacks import CallbackKind
from options_helper.model.events import Bar, News, Quote, Trade
from options_helper.model.snapshot import LiveSnapshot, Phase, StreamHealth
from options_helper.model.streams import StreamId
from options_helper.settings import Settings

# Over which channel a kind comes.
_CHANNELS: Final[Mapping[CallbackKind, str]] = {
    CallbackKind.QUOTE: "quotes",
    CallbackKind.TRADE: "trades",
    CallbackKind.BAR: "bars",
    CallbackKind.UPDATED_BAR: "updatedBars",
    CallbackKind.DAILY_BAR: "dailyBars",
    CallbackKind.STATUS: "statuses",
    CallbackKind.LULD: "lulds",
    CallbackKind.CORRECTION: "trades",
    CallbackKind.CANCEL: "trades",
    CallbackKind.BOOK: "orderbooks",
    CallbackKind.NEWS: "news",
}


class MarketStream:
    """`LiveStreamManager` for asyncio: what it calls and what it hands out belongs to the loop that entered it.

    ```python
    async with MarketStream(feed="iex") as stream:
        await stream.subscribe_trades(["AAPL"], on_trade)
        await stream.run()
    ```

    Nothing is connected before a symbol is subscribed to. `config` says all that can be said of the streams; without
    one, order updates are not asked for. `settings` default to the environment, `manager` to one of its own; one that
    runs already runs on when the block is left.
    """

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        feed: str | None = None,
        config: LiveStreamConfig | None = None,
        manager: LiveStreamManager | None = None,
    ) -> None:
        config = config or LiveStreamConfig(stream_fills=False)
        self._config = config if feed is None else replace(config, stock_feed=feed)
        self.manager = manager or LiveStreamManager(settings)
        self._owns_run = False
        self._watch: asyncio.Task[None] | None = None
        self._handles: list[CallbackHandle] = []
        self._pulls: list[Pull] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping = asyncio.Event()
        self._failure: StreamError | None = None

    async def __aenter__(self) -> Self:
        """Begin; ConfigError as `LiveStreamManager.start` raises it."""
        self._loop = asyncio.get_running_loop()
        self._owns_run = not self.manager.is_running()
        healths = self.manager.pull(CallbackKind.HEALTH, None)
        self._pulls.append(healths)
        self._watch = asyncio.create_task(self._watch_over(healths))
        try:
            if self._owns_run:
                await _to_its_end(partial(self.manager.start, self._config))
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *error: object) -> None:
        """End the streams that this began; what was brought meanwhile is still delivered, for a second at most."""
        self._end()
        try:
            if self._owns_run:
                await _to_its_end(self.manager.stop)
        finally:
            for handle in self._handles:
                handle.remove()

    async def run(self) -> None:
        """Wait until `stop` is called or the manager stops; StreamError when a stream failed and is not tried again."""
        await self._stopping.wait()
        if self._failure is not None:
            raise self._failure

    def stop(self) -> None:
        """Let `run` return, and iterators end; returns at once. In any callback, and from any thread."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._end)

    def _end(self) -> None:
        self._stopping.set()
        for pull in tuple(self._pulls):
            pull.close()

    async def _watch_over(self, healths: Pull) -> None:
        """Until somebody stops this, or the manager, whose stop ends what is pulled."""
        try:
            async for health in healths:
                self._note_health(health)
        finally:
            self._end()

    def _note_health(self, health: StreamHealth) -> None:
        if health.phase is Phase.FAILED and health.next_try_at is None:
            self._failure = StreamError(health.last_error or f"The {health.name} stream has failed.")
            self._end()

    def snapshot(self) -> LiveSnapshot:
        """Everything at this instant, as of the manager."""
        return self.manager.snapshot()

    def on(
        self, kind: CallbackKind | str, symbol: str | tuple[str, ...] | None, callback: Callback, **more: Any
    ) -> CallbackHandle:
        """Call back on this loop, as `LiveStreamManager.on` does elsewhere; it subscribes to nothing."""
        handle = self.manager.on(kind, symbol, callback, loop=self._require_loop(), **more)
        self._handles.append(handle)
        return handle

    async def subscribe(
        self,
        kind: CallbackKind | str,
        symbols: Iterable[str],
        callback: Callback,
        *,
        stream: StreamId | None = None,
        **more: Any,
    ) -> CallbackHandle:
        """Stream these symbols' values of a kind, and call back with each; `more` as for `LiveStreamManager.on`."""
        wanted = tuple(require_list(symbols, "symbols"))
        handle = self.on(kind, wanted, callback, **more)
        try:
            self._ask_for(handle.kind, wanted, stream)
        except BaseException:
            handle.remove()
            raise
        return handle

    async def subscribe_trades(
        self, symbols: Iterable[str], callback: Callback, **more: Any
    ) -> CallbackHandle:
        """Call back with each `Trade` of these symbols."""
        return await self.subscribe(CallbackKind.TRADE, symbols, callback, **more)

    async def subscribe_quotes(
        self, symbols: Iterable[str], callback: Callback, **more: Any
    ) -> CallbackHandle:
        """Call back with each `Quote` of these symbols."""
        return await self.subscribe(CallbackKind.QUOTE, symbols, callback, **more)

    async def subscribe_bars(self, symbols: Iterable[str], callback: Callback, **more: Any) -> CallbackHandle:
        """Call back with each minute's `Bar` of these symbols."""
        return await self.subscribe(CallbackKind.BAR, symbols, callback, **more)

    async def subscribe_news(self, symbols: Iterable[str], callback: Callback, **more: Any) -> CallbackHandle:
        """Call back with each article that names one of these symbols."""
        return await self.subscribe(CallbackKind.NEWS, symbols, callback, **more)

    async def unsubscribe(
        self, symbols: Iterable[str], *, channels: Iterable[str] = (), stream: StreamId | None = None
    ) -> None:
        """Stream these symbols no longer on these channels, without any named on none; callbacks stay registered."""
        self.manager.unsubscribe(symbols, channels=channels, stream=stream)

    def quotes(self, symbols: str | Iterable[str], *, newest: bool = False) -> AsyncIterator[Quote]:
        """For `async for`: each `Quote`; with `newest` the newest of each symbol at the time it is fetched."""
        return self.values(CallbackKind.QUOTE, symbols, newest=newest)

    def trades(self, symbols: str | Iterable[str], *, newest: bool = False) -> AsyncIterator[Trade]:
        """Each `Trade`."""
        return self.values(CallbackKind.TRADE, symbols, newest=newest)

    def bars(self, symbols: str | Iterable[str], *, newest: bool = False) -> AsyncIterator[Bar]:
        """Each minute's `Bar`."""
        return self.values(CallbackKind.BAR, symbols, newest=newest)

    def news(self, symbols: str | Iterable[str], *, newest: bool = False) -> AsyncIterator[News]:
        """Each article."""
        return self.values(CallbackKind.NEWS, symbols, newest=newest)

    async def values(
        self,
        kind: CallbackKind | str,
        symbols: str | Iterable[str],
        *,
        newest: bool = False,
        stream: StreamId | None = None,
    ) -> AsyncIterator[Any]:
        """Subscribe, and iterate over what comes, in order, until the streams stop; what waits is bounded."""
        wanted = (symbols,) if isinstance(symbols, str) else tuple(symbols)
        self._require_loop()
        if self._stopping.is_set():
            return
        pull = self.manager.pull(kind, wanted, newest=newest)
        self._pulls.append(pull)
        try:
            self._ask_for(CallbackKind(kind), wanted, stream)
            async for value in pull:
                yield value
        finally:
            pull.close()
            self._pulls.remove(pull)

    def _ask_for(self, kind: CallbackKind, symbols: tuple[str, ...], stream: StreamId | None) -> None:
        channel = _CHANNELS.get(kind)
        if kind is CallbackKind.BOOK and stream is not None:
            channel = stream.kind.book_channel
        if channel is not None:
            self.manager.subscribe(symbols, channels=(channel,), stream=stream)

    def _require_loop(self) -> asyncio.AbstractEventLoop:
        if self._loop is None:
            raise RuntimeError("Enter the stream first: `async with MarketStream(…) as stream:`.")
        return self._loop


async def _to_its_end(work: Callable[[], None]) -> None:
    """On a thread, and however often it is cancelled, until it is over: a run that began has an owner."""
    task = asyncio.ensure_future(asyncio.to_thread(work))
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError as asked:
            cancelled = asked
    error = task.exception()
    if cancelled is not None:
        raise cancelled from error
    if error is not None:
        raise error
