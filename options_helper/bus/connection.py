"""One connection to a NATS server; the only module that knows its client.

Whatever goes wrong becomes one of our errors: `StreamError` where trying again may help, `StreamRefused` where it will
not. The client's own reconnecting is switched off, because retrying has one home.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from options_helper.bus.address import BusAddress
from options_helper.errors import ConfigError, OptionsHelperError, StreamError, StreamRefused

if TYPE_CHECKING:
    from nats.aio.client import Client
    from nats.aio.msg import Msg
    from nats.js.client import JetStreamContext
    from nats.js.errors import APIError
    from nats.js.manager import JetStreamManager

log = logging.getLogger(__name__)

CONNECT_SECONDS: Final = 2
ANSWER_SECONDS: Final = 1.0
# A half-open connection is noticed after two of these.
PING_SECONDS: Final = 5
PINGS: Final = 2
# A consumer that nobody asks for so long is forgotten by the server.
CONSUMER_SECONDS: Final = 30.0
# Of one subscription: what finds it full is lost, and counted by whoever reads the next batch.
PENDING_BYTES: Final = 32 * 1024 * 1024
PENDING_MESSAGES: Final = 65_536
# Of a message, beside its data: ids and what must be the last one. The server counts them too.
HEADER_BYTES: Final = 512
_WRONG_SEQUENCE: Final = (10071, 10164)
_NAME_IN_USE: Final = 10058
_NO_MESSAGE: Final = 10037
_NO_JETSTREAM: Final = (10039, 10076)  # for the account, or at all
_NO_ROOM: Final = (10023, 10047)


class WrongSequence(StreamError):
    """The server did not store a message, because the last of its subject is another than was expected."""


class NoStore(StreamError):
    """The server keeps no such messages (any more)."""


class TooLarge(StreamError):
    """A message is larger than the server takes."""


class Delivered(NamedTuple):
    """A message that a consumer brought: its sequence in the store, and the how many of that consumer's it is."""

    sequence: int
    nth: int
    data: bytes


class Stored(NamedTuple):
    """A message that the server keeps."""

    sequence: int
    data: bytes


@dataclass(frozen=True, slots=True)
class StoreWish:
    """How a JetStream stream should be; sizes in bytes, ages in seconds, None: no limit."""

    name: str
    subjects: tuple[str, ...]
    republish: tuple[str, str] | None = None
    max_bytes: int | None = None
    max_age: float | None = None
    per_subject: int | None = None
    duplicates: float = 120.0


Reply = Callable[[bytes], Awaitable[None]]
Heard = Callable[[str, bytes, Reply | None], None]


class BusConnection:
    """An open connection; for one event loop. `ended` is done when it is gone, with the reason."""

    def __init__(self, address: BusAddress) -> None:
        self._address = address
        self._client: Client | None = None
        self._last_error: str | None = None
        self.ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def open(self, name: str) -> None:
        """Connect; `name` is what the server calls us. StreamError, or ConfigError where the extra is missing."""
        client_class = _client_class()
        self._client = client = client_class()
        with _translated(f"The bus at {self._address.url} cannot be reached"):
            await client.connect(
                self._address.url,
                name=name,
                allow_reconnect=False,
                # Before it gives up a first connection, the client counts and waits as for one that was lost.
                max_reconnect_attempts=1,
                reconnect_time_wait=0,
                connect_timeout=CONNECT_SECONDS,
                ping_interval=PING_SECONDS,
                max_outstanding_pings=PINGS,
                error_cb=self._on_error,
                closed_cb=self._on_closed,
            )

    async def _on_error(self, error: Exception) -> None:
        if type(error).__name__ == "SlowConsumerError":
            return  # one for each message that found no room; the next batch tells how many events were in them
        self._last_error = str(error) or type(error).__name__
        log.info("bus: %s", self._last_error)

    async def _on_closed(self) -> None:
        if not self.ended.done():
            self.ended.set_result(self._last_error or "the server closed the connection")

    @property
    def version(self) -> tuple[int, int, int]:
        """The server's version."""
        found = self._open_client.connected_server_version
        return found.major, found.minor, found.patch

    @property
    def most_bytes(self) -> int:
        """The largest message that the server takes, its headers included."""
        return self._open_client.max_payload

    @property
    def room(self) -> int:
        """What may be in a message that is stored under a fence."""
        return self.most_bytes - HEADER_BYTES

    async def close(self) -> None:
        """Say goodbye; harmless twice, and before `open`."""
        client, self._client = self._client, None
        if client is None:
            return
        try:
            with suppress(Exception):
                async with asyncio.timeout(ANSWER_SECONDS):
                    await client.close()
        finally:
            # Where its own goodbye was cut short, the client leaves the socket open.
            transport = getattr(client, "_transport", None)
            if transport is not None:
                transport.close()
            if not self.ended.done():
                self.ended.set_result("closed")
        await asyncio.sleep(0)

    async def subscribe(self, subject: str, heard: Heard) -> None:
        """Call `heard` on this loop with subject, data and how to answer, for each message from now on."""

        async def called(message: Msg) -> None:
            heard(message.subject, message.data, message.respond if message.reply else None)

        with _translated(f"{subject} cannot be followed"):
            await self._open_client.subscribe(
                subject,
                cb=called,
                pending_bytes_limit=PENDING_BYTES,
                pending_msgs_limit=PENDING_MESSAGES,
            )
        await self.settle()

    async def settle(self) -> None:
        """Wait until the server has done all that was asked so far, and everything it sent before has arrived."""
        with _translated("The bus does not answer"):
            await self._open_client.flush(timeout=CONNECT_SECONDS)

    async def send(self, subject: str, data: bytes) -> None:
        """Publish what nobody stores."""
        with _translated(f"Nothing can be sent to {subject}"):
            await self._open_client.publish(subject, data)

    async def ask(self, subject: str, data: bytes = b"", seconds: float = ANSWER_SECONDS) -> bytes:
        """The answer of whoever listens there; StreamError where nobody answers."""
        with _translated(f"{subject} did not answer"):
            message = await self._open_client.request(subject, data, timeout=seconds)
        return message.data

    async def store(self, subject: str, data: bytes) -> int:
        """Publish and wait until it is stored; its sequence."""
        return await self._publish(subject, data, None)

    async def store_fenced(
        self, subject: str, data: bytes, *, message_id: str, last: int, of_subject: bool = False
    ) -> int:
        """The same, only if the last message of the whole store has the sequence `last` (0: there was none yet).

        With `of_subject` it is the last of that subject, and 0 where there is none now. WrongSequence where it has
        another; NoStore where nothing stores the subject. Repeated with the same id, it is stored once: the server then
        answers with the sequence it has, or with WrongSequence, each version its own way.
        """
        expected = "Nats-Expected-Last-Subject-Sequence" if of_subject else "Nats-Expected-Last-Sequence"
        headers = {"Nats-Msg-Id": message_id, expected: str(last)}
        return await self._publish(subject, data, headers)

    async def _publish(self, subject: str, data: bytes, headers: dict[str, Any] | None) -> int:
        # More than it takes, and the server would end the connection.
        if len(data) > (self.most_bytes if headers is None else self.room):
            raise TooLarge(
                f"A message of {len(data):,} bytes is larger than the {self.most_bytes:,} that the bus takes; set "
                "max_payload in the server's configuration."
            )
        try:
            with _translated(f"The bus did not store what was sent to {subject}"):
                acknowledged = await self._open_client.jetstream().publish(
                    subject, data, timeout=ANSWER_SECONDS, headers=headers
                )
        except ConfigError as error:
            # No room now: it passes when old messages go or somebody makes room, and until then nothing is lost here.
            raise StreamError(str(error)) from error
        return acknowledged.seq

    async def last(self, store: str, subject: str, *, direct: bool = True) -> Stored | None:
        """The newest message of a subject; None where there is none. NoStore where there is no such store.

        `direct` needs few rights; without it the store's own leader answers.
        """
        return await self._get(store, subject=subject, direct=direct)

    async def kept(self, store: str, subject: str) -> Stored | None:
        """The newest message of a subject, None also where there is no such store yet; StreamError once we are cut off.

        Of a store that is not there, older servers say nothing at all.
        """
        try:
            return await self.last(store, subject)
        except StreamError:
            if self.ended.done():
                raise
            return None

    async def message(self, store: str, sequence: int) -> Stored | None:
        """The message of that sequence; None where it is gone, or not there yet."""
        return await self._get(store, seq=sequence, direct=True)

    async def pull(self, store: str, subject: str, first: int) -> Pull:
        """A consumer of one's own, for what a subject has from a sequence on. NoStore where nothing stores it."""
        from nats.js import api

        config = api.ConsumerConfig(
            name=f"recorder-{uuid.uuid4().hex}",
            deliver_policy=api.DeliverPolicy.BY_START_SEQUENCE,
            opt_start_seq=first,
            # What was had is known to whoever has it, and to nobody else.
            ack_policy=api.AckPolicy.NONE,
            filter_subject=subject,
            inactive_threshold=CONSUMER_SECONDS,
            mem_storage=True,
        )
        with _translated(f"{store} cannot be read"):
            manager = self._open_client.jsm(timeout=CONNECT_SECONDS)
            made = await manager.add_consumer(store, config)
            context = self._open_client.jetstream(timeout=CONNECT_SECONDS)
            return Pull(
                manager, await context.pull_subscribe_bind(consumer=made.name, stream=store), store, made.name
            )

    async def last_sequence(self, store: str) -> int:
        """The sequence of the newest message of a store, also where that is gone by age; 0: there was none yet."""
        with _translated(f"The bus does not tell of {store}"):
            told = await self._open_client.jsm(timeout=ANSWER_SECONDS).stream_info(store)
        return told.state.last_seq

    async def _get(self, store: str, **what: Any) -> Stored | None:
        manager = self._open_client.jsm(timeout=ANSWER_SECONDS)
        try:
            with _translated(f"What {store} keeps cannot be read"):
                found = await manager.get_msg(store, **what)
        except _NotThere:
            return None
        return Stored(found.seq or 0, found.data or b"")

    async def keep(self, wish: StoreWish) -> None:
        """Make the store, or leave the one that is there; ConfigError where that one, or the server's limits do not."""
        from nats.js import api

        republish = (
            None if wish.republish is None else api.RePublish(src=wish.republish[0], dest=wish.republish[1])
        )
        config = api.StreamConfig(
            name=wish.name,
            subjects=list(wish.subjects),
            storage=api.StorageType.FILE,
            discard=api.DiscardPolicy.OLD,
            max_bytes=wish.max_bytes,
            max_age=wish.max_age,
            max_msgs_per_subject=wish.per_subject or -1,
            duplicate_window=wish.duplicates,
            deny_delete=True,
            deny_purge=True,
            allow_direct=True,
            republish=republish,
            compression=api.StoreCompression.S2 if self.version >= (2, 10) else None,
        )
        manager = self._open_client.jsm(timeout=CONNECT_SECONDS)
        try:
            with _translated(f"The bus cannot keep {wish.name}"):
                await manager.add_stream(config)
        except _NameInUse:
            with _translated(f"The bus does not tell of {wish.name}"):
                there = (await manager.stream_info(wish.name)).config
            if not there.allow_direct or (there.republish is None) is not (republish is None):
                raise ConfigError(
                    f"The bus has a stream {wish.name} that was made for something else. Choose another desk."
                ) from None

    @property
    def _open_client(self) -> Client:
        if self._client is None:
            raise StreamError("The connection to the bus is closed.")
        return self._client


class Pull:
    """The messages that a consumer brings, when they are asked for."""

    def __init__(
        self,
        manager: JetStreamManager,
        subscription: JetStreamContext.PullSubscription,
        store: str,
        name: str,
    ) -> None:
        self._manager, self._subscription = manager, subscription
        self._store, self._name = store, name

    async def fetch(self, most: int, seconds: float) -> list[Delivered]:
        """The next ones, as soon as there is one; none after so many seconds. StreamError where it is gone."""
        from nats.errors import TimeoutError as NotInTime

        with _translated(f"{self._store} brings nothing more"):
            try:
                messages = await self._subscription.fetch(most, timeout=seconds)
            except NotInTime:
                return []
        found = []
        for message in messages:
            at = message.metadata.sequence
            found.append(Delivered(at.stream, at.consumer, message.data))
        return found

    async def close(self) -> None:
        """Let it go; the server forgets one that nobody asks by itself."""
        with suppress(Exception):
            async with asyncio.timeout(ANSWER_SECONDS):
                await self._subscription.unsubscribe()
                await self._manager.delete_consumer(self._store, self._name)


class _NameInUse(StreamError):
    """There is a store of that name, and it is another."""


class _NotThere(StreamError):
    """There is no such message."""


@contextmanager
def _translated(what: str) -> Iterator[None]:
    """Turn whatever the client raises into an error of ours, which says what could not be done."""
    from nats import errors
    from nats.js import errors as js

    try:
        yield
    except js.APIError as error:
        raise _of_jetstream(what, error, is_absent=isinstance(error, js.NotFoundError)) from error
    except (js.NoStreamResponseError, errors.NoRespondersError) as error:
        raise NoStore(f"{what}: nobody is there to answer.") from error
    except errors.AuthorizationError as error:
        raise StreamRefused(f"{what}: the server refuses this program's rights.") from error
    except errors.NoServersError as error:
        raise StreamError(
            f"{what}: nothing listens there. Start one: nats-server -js -a 127.0.0.1"
        ) from error
    except (errors.Error, OSError, TimeoutError) as error:
        raise StreamError(f"{what} ({_named(error)}).") from error


def _of_jetstream(what: str, error: APIError, *, is_absent: bool) -> OptionsHelperError:
    """What an answer of JetStream's means."""
    code, said = error.err_code or 0, f"{what}: {error.description or error}"
    if code in _WRONG_SEQUENCE:
        return WrongSequence(f"{said}.")
    if code == _NAME_IN_USE:
        return _NameInUse(f"{said}.")
    if code in _NO_ROOM:
        return ConfigError(f"{said}. Keep less, or give the server more room.")
    if code in _NO_JETSTREAM:
        return StreamRefused(f"{said}. Start the server with JetStream: nats-server -js -a 127.0.0.1")
    if is_absent:
        return (_NotThere if code in (0, _NO_MESSAGE) else NoStore)(f"{said}.")
    return StreamError(f"{said}.")


def _named(error: Exception) -> str:
    return str(error).removeprefix("nats: ") or type(error).__name__


def _client_class() -> type[Client]:
    try:
        from nats.aio.client import Client
    except ImportError as error:
        raise ConfigError(
            "The bus needs the extra `bus`, which is not installed: pip install 'options-helper[bus]'."
        ) from error
    return Client
