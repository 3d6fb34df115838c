"""One connection to a NATS server; the only module that knows its client.

Whatever goes wrong becomes one of our errors: `StreamError` where trying again may help, `StreamRefused` where it will
not. The client's own reconnecting is switched off, because retrying has one home.

An address with `tls` begins with TLS, before anything else is said or heard: the client itself would log in to a server
without encryption, whatever the address says.

The client forgets its socket, and that it has ended, where its own end goes wrong. So a task beside it closes both,
whatever way it ends, also with the event loop.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
import uuid
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar, cast

from options_helper.bus.address import BusAddress
from options_helper.bus.admission import (
    Admissions,
    Refused,
    ServerFacts,
    not_admitted,
    not_allowed,
    not_tls_first,
    not_trusted,
    silent,
)
from options_helper.bus.roles import inbox_of
from options_helper.bus.seeds import Seed
from options_helper.errors import ConfigError, OptionsHelperError, StreamError, StreamRefused

if TYPE_CHECKING:
    from nats.aio.client import Client
    from nats.aio.msg import Msg
    from nats.aio.subscription import Subscription
    from nats.js.client import JetStreamContext
    from nats.js.errors import APIError
    from nats.js.manager import JetStreamManager

log = logging.getLogger(__name__)

T = TypeVar("T")

CONNECT_SECONDS: Final = 2
ANSWER_SECONDS: Final = 1.0
# A half-open connection is noticed after two of these.
PING_SECONDS: Final = 5
PINGS: Final = 2
# A consumer that nobody asks for so long is forgotten by the server.
CONSUMER_SECONDS: Final = 30.0
# Of one subscription: what finds it full the client drops, and with that the connection ends.
PENDING_BYTES: Final = 32 * 1024 * 1024
PENDING_MESSAGES: Final = 65_536
NOT_TAKEN: Final = "what came could not be taken as fast as it came"
# Of a message, beside its data: ids and what must be the last one. The server counts them too.
HEADER_BYTES: Final = 512
_WRONG_SEQUENCE: Final = (10071, 10164)
_NAME_IN_USE: Final = 10058
_NO_MESSAGE: Final = 10037
_NO_JETSTREAM: Final = (10039, 10076)  # for the account, or at all
_SAYS_NO_STORE: Final = (2, 10, 0)  # from that version on, also where the newest of a subject is asked for
_NO_ROOM: Final = (10023, 10047)
_API: Final = "$JS.API"
_INBOXES: Final = "_INBOX."
KEPT_REFUSALS: Final = 20
# Of subjects that were asked for last: each consumer of one's own is another.
KEPT_SPELLINGS: Final = 200
# Of this program, for all its connections.
_ADMISSIONS: Final = Admissions()


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
    """An open connection; for one event loop. `ended` is done when it is gone, with the reason.

    It is closed by `close`, when it is gone, when `open` raises, and when the tasks of its loop are cancelled.
    """

    def __init__(self, address: BusAddress, admissions: Admissions = _ADMISSIONS) -> None:
        self._address, self._admissions = address, admissions
        self._client: Client | None = None
        self._seed: Seed | None = None
        self._last_error: str | None = None
        self._watching: asyncio.Task[None] | None = None
        # What the server did not let us do so far: it says so beside what was asked, which gets no answer.
        self._refused: deque[tuple[int, Refused]] = deque(maxlen=KEPT_REFUSALS)
        self._refusals = 0
        self._spelling: dict[str, str] = {}  # the client tells of subjects in small letters
        self.ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def open(self, name: str) -> None:
        """Connect; `name` is what the server calls us.

        StreamRefused where the server does not let us in, or is not the one; after that the same answer is given for a
        while without asking. StreamError, or ConfigError where the extra is missing.
        """
        client = _client_class()()
        options = self._identity()
        key = (self._address.url, str(self._address.access.ca_file), self._public_key or "")
        self._admissions.require(key)
        try:
            with _translated(f"The bus at {self._address.url} cannot be reached"), self._let_in():
                await client.connect(
                    self._address.url,
                    name=name,
                    allow_reconnect=False,
                    # Before it gives up a first connection, the client counts and waits as for one that was lost.
                    max_reconnect_attempts=1,
                    reconnect_time_wait=0,
                    connect_timeout=CONNECT_SECONDS,
                    # Without it the client waits for ever where it is cut while it begins to write.
                    flush_timeout=CONNECT_SECONDS,
                    ping_interval=PING_SECONDS,
                    max_outstanding_pings=PINGS,
                    error_cb=self._on_error,
                    **options,
                )
        except StreamRefused as error:
            self._admissions.refuse(key, str(error))
            raise
        except OptionsHelperError:
            raise
        except Exception as error:
            # What is no greeting makes the client stumble in its own ways: whoever waits for a bus waits on.
            raise StreamError(
                f"What listens at {self._address.url} does not speak as a bus does ({_named(error)})."
            ) from error
        finally:
            if not client.is_connected:
                _cut(client)
        self._client = client
        self._watching = asyncio.create_task(self._watch(client))
        self._admissions.admit(key)

    def _identity(self) -> dict[str, Any]:
        """By what we show who we are, and how we know the server. The seed is read anew, so that it can be replaced."""
        options: dict[str, Any] = {}
        try:
            self._address.access.require_usable()
            seed = self._seed = self._address.access.seed()
            if self._address.is_encrypted:
                ca_file = self._address.access.ca_file
                options["tls"] = ssl.create_default_context(cafile=ca_file)
                options["tls_handshake_first"] = True
        except ConfigError as error:
            raise StreamRefused(str(error)) from error
        except (OSError, ssl.SSLError) as error:
            raise StreamRefused(
                f"{self._address.access.ca_file}, which OH_BUS_CA_FILE names, holds no certificate. Copy it again."
            ) from error
        if seed is not None:
            options["nkeys_seed_str"] = seed.text.get_secret_value()
            options["inbox_prefix"] = inbox_of(seed.public_key)
        return options

    @property
    def seed(self) -> Seed | None:
        """By what we were let in."""
        return self._seed

    @property
    def _public_key(self) -> str | None:
        return None if self._seed is None else self._seed.public_key

    @contextmanager
    def _let_in(self) -> Iterator[None]:
        """Say why we were not let in, or did not want to."""
        from nats import errors

        try:
            yield
        except ssl.SSLCertVerificationError as error:
            raise not_trusted(self._address, error) from error
        except ssl.SSLError as error:
            raise not_tls_first(self._address) from error
        except (errors.Error, TimeoutError) as error:
            said = str(error).lower()
            if "authorization violation" in said:
                raise not_admitted(self._address, self._seed) from error
            if isinstance(error, TimeoutError) or "empty response" in said:
                raise silent(self._address) from error
            raise

    async def _on_error(self, error: Exception) -> None:
        if type(error).__name__ == "SlowConsumerError":
            # Only what begins anew counts what is missing, and asks for what is kept: it may be the last for long.
            self._end(NOT_TAKEN)
            if self._client is not None:
                _cut(self._client)
            return
        said = str(error) or type(error).__name__
        refused = not_allowed(said, self._seed, self._spelling)
        if refused is None:
            self._last_error = said
        else:
            self._refusals += 1
            self._refused.append((self._refusals, refused))
        log.info("bus: %s", said if refused is None else refused.sentence)

    async def _watch(self, client: Client) -> None:
        """Close what is over: the client's reading ends with it in any case, while its own end may fail or hang."""
        reading = cast("asyncio.Task[None]", client._reading_task)  # noqa: SLF001 - as it is connected, it reads
        try:
            await asyncio.wait([reading])
        except asyncio.CancelledError:
            _cut(client)  # the loop ends, and waits for no goodbye
            raise
        error = None if reading.cancelled() else reading.exception()
        if self._client is client:
            self._end(self._last_error or (_named(error) if error else "the server closed the connection"))
            await self.close()

    def _end(self, why: str) -> None:
        if not self.ended.done():
            self.ended.set_result(why)

    @property
    def version(self) -> tuple[int, int, int]:
        """The server's version."""
        found = self._open_client.connected_server_version
        return found.major, found.minor, found.patch

    @property
    def facts(self) -> ServerFacts:
        """What the server says of itself."""
        told = self._open_client._server_info  # noqa: SLF001 - there is no other way to it
        return ServerFacts(
            self.version,
            str(told.get("host", "")),
            asks_who=bool(told.get("auth_required")),
            encrypts=bool(told.get("tls_required")),
        )

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
            _cut(client)
            self._end("closed")
        await asyncio.sleep(0)

    async def subscribe(self, subject: str, heard: Heard, *, behind_others: bool = False) -> Followed:
        """Call `heard` on this loop with subject, data and how to answer, for each message from now on.

        In their order; of two subjects another may be heard first than came first, but for one that is heard
        `behind_others`: whatever had come before it was heard by then.
        """
        loop = asyncio.get_running_loop()

        async def called(message: Msg) -> None:
            # Whoever asks may name any place for the answer, also one to which only we may publish.
            may_answer = message.reply.startswith(_INBOXES)
            respond = message.respond if may_answer else None
            if behind_others:
                # The client has a queue for each subject, and who reads it takes all there is in one turn of the loop.
                loop.call_soon(heard, message.subject, message.data, respond)
            else:
                heard(message.subject, message.data, respond)

        with self._asked(f"{subject} cannot be followed", subject, follows=True):
            made = await self._open_client.subscribe(
                subject,
                cb=called,
                pending_bytes_limit=PENDING_BYTES,
                pending_msgs_limit=PENDING_MESSAGES,
            )
            await self._settle()
        return Followed(made)

    @contextmanager
    def _asked(self, what: str, subject: str, *, follows: bool = False) -> Iterator[None]:
        """Translate what goes wrong; where the server did not let us, which it tells beside, raise that instead."""
        before = self._refusals
        self._spell(subject)
        try:
            with _translated(what):
                yield
        except StreamError as error:
            refused = self._refused_since(before, subject, follows=follows)
            if refused is None:
                raise
            raise StreamRefused(refused.sentence) from error
        if follows and (refused := self._refused_since(before, subject, follows=True)) is not None:
            raise StreamRefused(refused.sentence)

    def _spell(self, subject: str) -> None:
        """Keep how it is spelled for when it is refused, which may be told after the asking is over."""
        small = subject.lower()
        self._spelling.pop(small, None)
        self._spelling[small] = subject
        if len(self._spelling) > KEPT_SPELLINGS:
            del self._spelling[next(iter(self._spelling))]  # the one that was asked for longest ago

    def _refused_since(self, before: int, subject: str, *, follows: bool) -> Refused | None:
        since = (one for number, one in self._refused if number > before)
        return next((one for one in since if one.is_of(subject, follows=follows)), None)

    async def require_may_follow(self, subject: str) -> None:
        """Raise StreamRefused where the server will not let us follow it; nothing is heard of it yet."""
        with self._asked(f"{subject} cannot be followed", subject, follows=True):
            found = await self._open_client.subscribe(subject)
            await found.unsubscribe()
            await self._settle()

    async def require_may_publish(self, subject: str) -> None:
        """Raise StreamRefused where the server will not let us.

        What is sent to find out is stored by nobody: it is meant for a store that is not there.
        """
        before = self._refusals
        with self._asked(f"It cannot be found out whether anything may be sent to {subject}", subject):
            await self._open_client.publish(subject, headers={"Nats-Expected-Stream": "none"})
            await self._settle()
        if (refused := self._refused_since(before, subject, follows=False)) is not None:
            raise StreamRefused(refused.sentence)

    async def may(self, subject: str, *, follow: bool = False) -> bool:
        """Whether the server lets us publish to the subject, or follow it; found out as above."""
        try:
            await (self.require_may_follow(subject) if follow else self.require_may_publish(subject))
        except StreamRefused:
            return False
        return True

    async def settle(self) -> None:
        """Wait until the server has done all that was asked so far, and everything it sent before has arrived."""
        with _translated("The bus does not answer"):
            await self._settle()

    async def _settle(self) -> None:
        # The client's ping overtakes what it has not written yet.
        await self._open_client._flush_pending(force_flush=True)  # noqa: SLF001
        await self._open_client.flush(timeout=CONNECT_SECONDS)

    async def send(self, subject: str, data: bytes) -> None:
        """Publish what nobody stores."""
        with _translated(f"Nothing can be sent to {subject}"):
            await self._open_client.publish(subject, data)

    async def ask(self, subject: str, data: bytes = b"", seconds: float = ANSWER_SECONDS) -> bytes:
        """The answer of whoever listens there; StreamError where nobody answers."""
        with self._asked(f"{subject} did not answer", subject):
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
            with self._asked(f"The bus did not store what was sent to {subject}", subject):
                acknowledged = await self._unless_ended(
                    self._open_client.jetstream().publish(
                        subject, data, timeout=ANSWER_SECONDS, headers=headers
                    )
                )
        except ConfigError as error:
            # No room now: it passes when old messages go or somebody makes room, and until then nothing is lost here.
            raise StreamError(str(error)) from error
        return acknowledged.seq

    async def _unless_ended(self, asking: Awaitable[T]) -> T:
        """The answer; StreamError at once where the connection has gone, on which none will come any more."""
        task = asyncio.ensure_future(asking)
        either: list[asyncio.Future[Any]] = [task, self.ended]
        try:
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        finally:
            if not task.done():
                task.cancel()
        if not task.done():
            await asyncio.wait([task])
        if task.cancelled():
            raise StreamError(f"The connection to the bus ended: {self.ended.result()}.")
        return task.result()

    async def last(self, store: str, subject: str, *, direct: bool = True) -> Stored | None:
        """The newest message of a subject; None where there is none. NoStore where there is no such store.

        `direct` needs few rights; without it the store's own leader answers.
        """
        return await self._get(store, subject=subject, direct=direct)

    async def kept(self, store: str, subject: str) -> Stored | None:
        """The newest message of a subject, None also where there is no such store yet.

        StreamError where it does not say so: a server that is slow is asked once more. Of a store that is not there,
        older servers say nothing at all; where they say nothing twice, none is.
        """
        for is_asked_again in (False, True):
            try:
                return await self.last(store, subject)
            except NoStore:
                break
            except StreamRefused:
                raise
            except StreamError as error:
                if self.ended.done() or (is_asked_again and self.version >= _SAYS_NO_STORE):
                    raise
                log.info("bus: %s", error)
        return None

    async def recorded(self, store: str, subject: str) -> Stored | None:
        """The same for whoever may ask after the store itself, as a recorder may: of any server, None is certain."""
        try:
            await self.last_sequence(store)
            return await self.last(store, subject)
        except NoStore:
            return None

    async def message(self, store: str, sequence: int, *, direct: bool = True) -> Stored | None:
        """The message of that sequence; None where it is gone, or not there yet. `direct` as for `last`."""
        return await self._get(store, seq=sequence, direct=direct)

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
        with self._asked(
            f"{store} cannot be read", f"{_API}.CONSUMER.CREATE.{store}.{config.name}.{subject}"
        ):
            manager = self._open_client.jsm(timeout=CONNECT_SECONDS)
            made = await manager.add_consumer(store, config)
            context = self._open_client.jetstream(timeout=CONNECT_SECONDS)
            return Pull(
                manager, await context.pull_subscribe_bind(consumer=made.name, stream=store), store, made.name
            )

    async def last_sequence(self, store: str) -> int:
        """The sequence of the newest message of a store, also where that is gone by age; 0: there was none yet."""
        with self._asked(f"The bus does not tell of {store}", f"{_API}.STREAM.INFO.{store}"):
            told = await self._open_client.jsm(timeout=ANSWER_SECONDS).stream_info(store)
        return told.state.last_seq

    async def _get(self, store: str, **what: Any) -> Stored | None:
        manager = self._open_client.jsm(timeout=ANSWER_SECONDS)
        asked = f"{_API}.STREAM.MSG.GET.{store}"
        if what["direct"]:
            asked = ".".join(filter(None, (f"{_API}.DIRECT.GET.{store}", what.get("subject"))))
        try:
            with self._asked(f"What {store} keeps cannot be read", asked):
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
            with self._asked(f"The bus cannot keep {wish.name}", f"{_API}.STREAM.CREATE.{wish.name}"):
                await manager.add_stream(config)
        except _NameInUse:
            with self._asked(f"The bus does not tell of {wish.name}", f"{_API}.STREAM.INFO.{wish.name}"):
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


class Followed:
    """A subject that is followed, until `leave`."""

    def __init__(self, subscription: Subscription) -> None:
        self._subscription = subscription

    async def leave(self) -> None:
        """Hear nothing more of it; harmless where the connection is gone."""
        with suppress(Exception):
            await self._subscription.unsubscribe()


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
    except errors.NoServersError as error:
        raise StreamError(
            f"{what}: nothing listens there. Start one: nats-server -js -a 127.0.0.1, with -p and its port where that "
            "is not 4222"
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


def _cut(client: Client) -> None:
    """Close its socket now, whatever it has to say yet; harmless twice, and where there is none.

    The client would wait until all was sent, and with TLS until the other side has said goodbye.
    """
    writer = getattr(client._transport, "_io_writer", None)  # noqa: SLF001 - there is no other way to it
    if writer is not None:
        writer.transport.abort()


def _named(error: BaseException) -> str:
    return str(error).removeprefix("nats: ") or type(error).__name__


def _is_no_noise(record: logging.LogRecord) -> bool:
    """Python's own loop tells at the end of each encrypted connection of the client's that it is none of plain text."""
    return not record.getMessage().startswith("returning true from eof_received()")


def _client_class() -> type[Client]:
    logging.getLogger("asyncio").addFilter(_is_no_noise)
    try:
        from nats.aio.client import Client
    except ImportError as error:
        raise ConfigError(
            "The bus needs the extra `bus`, which is not installed: pip install 'options-helper[bus]'."
        ) from error
    return Client
