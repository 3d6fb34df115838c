"""The way between Alpaca and the product: who may connect, what arrives when, and what is lost on it.

A `Line` is one connection. The server's side of it knows what is subscribed; the client's side gets bytes.
"""

from __future__ import annotations

import json
import struct
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from options_helper.data.streaming.connection.subscription_protocol import Request
from tests.days.clocks import NS
from tests.days.day import Trouble
from tests.days.stage import Stage
from tests.days.world.market import Made, Market, frame_of

FILLS: Final = "fills"


def websocket_bytes(payload: bytes) -> bytes:
    """One unmasked binary message, as a server sends it."""
    size = len(payload)
    if size < 126:
        return bytes((0x82, size)) + payload
    if size < 65_536:
        return b"\x82\x7e" + struct.pack(">H", size) + payload
    return b"\x82\x7f" + struct.pack(">Q", size) + payload


@dataclass(frozen=True, slots=True)
class Message:
    """What one websocket message really is: its bytes, the quotes in it, and how many events it announces."""

    payload: bytes
    quotes: tuple[Made, ...] = ()
    events: int = 0
    readable: bool = True
    answers: bool = False  # it holds the whole answer to a request


@dataclass(frozen=True, slots=True)
class Lost:
    """A quote or an order update that was sent to somebody who could not hear it."""

    true_ns: int
    wall_ns: int
    what: str
    why: str
    late: float = 0.0  # seconds by which the way to the product was longer then


class Client:
    """The product's end of a line."""

    def opened(self) -> None:
        """The server took the key."""

    def arrive(self, data: bytes) -> None:
        """Bytes came."""

    def gone(self, why: str) -> None:
        """The connection is lost."""


class Line:
    """One open connection, as the server sees it."""

    def __init__(self, network: Network, stream: str, client: Client, number: int) -> None:
        self.network = network
        self.stream = stream
        self.client = client
        self.number = number
        self.subscribed: dict[str, set[str]] = {}
        self.in_flight: deque[Message] = deque()
        self.is_open = True
        self.is_dead = False  # half-open: nothing comes through any more, and the client does not know
        self._is_ended = False  # by the server: what it sent still comes, and then the end
        self.mute = False  # it sends no data, and answers pings
        # Requests, and those whose answer reached the client, and when the last one did.
        self.asked = 0
        self.answers_arrived = 0
        self.last_answer_ns = 0
        self.has_complained = False
        self._arrives_ns = 0
        self._kernel: list[bytes | None] = []  # what waits for a process that does not run; None: the end
        self._held_ack: dict[str, Any] | None = None
        self._chunk: bytes = b""

    @property
    def under_way(self) -> float:
        """For how many seconds what was sent before still comes, where the way is as short again."""
        return max(0.0, (self._arrives_ns - self.network.stage.clocks.true_ns) / NS)

    def take(self) -> Message:
        """The client read a whole message: this one."""
        message = self.in_flight.popleft()
        if message.answers:
            self.answers_arrived += 1
            self.last_answer_ns = self.network.stage.clocks.true_ns
        return message

    # The server's side.

    def send(self, message: Message, latency: float = 0.01) -> None:
        """Send it; it arrives in order, or is lost where nobody hears."""
        if not self.is_open or self.is_dead or self._is_ended:
            self.network.lose(self.stream, message, "half-open")
            return
        self.in_flight.append(message)
        data = websocket_bytes(message.payload)
        rough = self.network.rough.get(self.stream)
        if rough == "merged" and not self._chunk:
            # It waits for the next one, and both come in one packet; but not for ever.
            self._chunk = data
            self.network.stage.agenda.after(2.0, self._flush)
            return
        if self._chunk:
            data, self._chunk = self._chunk + data, b""
        if rough == "split" and len(data) > 4:
            middle = 1 + self.number % (len(data) - 2)
            self._send_bytes(data[:middle], latency)
            self._send_bytes(data[middle:], latency + 0.2)
            return
        self._send_bytes(data, latency)

    def _flush(self) -> None:
        data, self._chunk = self._chunk, b""
        if data and self.is_open:
            self._send_bytes(data, 0.0)

    def _send_bytes(self, data: bytes, latency: float) -> None:
        agenda = self.network.stage.agenda
        latency += self.network.late.get(self.stream, 0.0)
        self._arrives_ns = max(self._arrives_ns, agenda.clocks.true_ns + int(latency * NS))
        agenda.at(self._arrives_ns, lambda: self._deliver(data))

    def _deliver(self, data: bytes) -> None:
        if self.is_dead or not self.is_open:
            return
        if self.network.stage.agenda.is_asleep or self._kernel:
            self._kernel.append(data)
            return
        self.client.arrive(data)

    def cut(self, why: str = "no close frame received or sent") -> None:
        """The server ends it, or a router between does."""
        if self._is_ended or self.is_dead or not self.is_open:
            return
        self._is_ended = True
        self.network.left(self)
        agenda = self.network.stage.agenda
        agenda.at(max(self._arrives_ns, agenda.clocks.true_ns) + 20_000_000, lambda: self._end(why))

    def _end(self, why: str) -> None:
        if self.network.stage.agenda.is_asleep:
            self._kernel.append(None)
        else:
            self._lost(why)

    def _lost(self, why: str) -> None:
        if self.is_open:
            self.is_open = False
            self.network.lose_all(self)
            self.client.gone(why)

    def die(self) -> None:
        """Half-open from now on; the product's pings notice it 10 to 16 s later."""
        if self.is_dead or not self.is_open:
            return
        self.is_dead = True
        self.network.left(self)
        seconds = 10 + 6 * self.network.stage.dice(f"pings/{self.stream}/{self.number}").random()
        self.network.stage.agenda.timer(seconds, lambda: self._lost("keepalive ping timeout"))

    def wake(self) -> None:
        """The process runs again: it reads what the kernel kept."""
        waiting, self._kernel = self._kernel, []
        for data in waiting:
            if not self.is_open:
                return
            if data is None:
                self._lost("connection reset by peer")
            else:
                self.client.arrive(data)

    def close(self) -> None:
        """The client ends it."""
        if self.is_open:
            self.is_open = False
            self.network.lose_all(self)
            self.network.left(self)

    # What the server does with requests.

    def ask(self, request: Request) -> None:
        """A request of the client's is on its way."""
        self.asked += 1
        self.network.stage.agenda.after(0.02, lambda: self._answer(request))

    def _answer(self, request: Request) -> None:
        if self.is_dead or not self.is_open:
            return
        for channel in request.channels:
            now = self.subscribed.setdefault(channel, set())
            if request.action == "subscribe":
                now.update(request.symbols)
            else:
                now.difference_update(request.symbols)
        self.network.stir(2)
        state = {"T": "subscription", **{name: sorted(symbols) for name, symbols in self.subscribed.items()}}
        match self.network.acks.get(self.stream, ""):
            case "missing":
                pass
            case "late":
                self.network.stage.agenda.after(6.0, lambda: self._acknowledge(state))
            case "split":
                # Channel by channel; the last one makes the answer whole.
                *_, last = self.subscribed
                for name in self.subscribed:
                    part = frame_of([{"T": "subscription", name: state[name]}])
                    self.send(Message(part, answers=name == last))
            case "behind data":
                self._held_ack = state
            case _:
                self._acknowledge(state)

    def _acknowledge(self, state: dict[str, Any]) -> None:
        self.send(Message(frame_of([state]), answers=True))

    def complain(self, code: int, text: str) -> None:
        """Send an error message of the server's."""
        self.has_complained = True
        self.send(Message(frame_of([{"T": "error", "code": code, "msg": text}])))

    def listen(self) -> None:
        """Of the trading server: the client asks to hear the account."""
        self.asked += 1
        self.network.stage.agenda.after(0.02, self._answer_listen)

    def _answer_listen(self) -> None:
        if self.is_dead or not self.is_open:
            return
        self.subscribed = {"trade_updates": {"*"}}
        if self.network.acks.get(self.stream) == "missing":
            return
        self.send_json({"stream": "listening", "data": {"streams": ["trade_updates"]}}, answers=True)

    def send_json(self, content: dict[str, Any], events: int = 0, *, answers: bool = False) -> None:
        """Send one message of the trading server's: JSON in a binary frame."""
        self.send(Message(json.dumps(content).encode(), events=events, answers=answers))

    def send_quotes(self, quotes: Sequence[Made]) -> None:
        """Send those that are subscribed."""
        wanted = self.subscribed.get("quotes", ())
        mine = tuple(quote for quote in quotes if quote.symbol in wanted)
        if not mine:
            return
        network = self.network
        if self.mute or network.mutes.get(self.stream):
            network.lose(self.stream, Message(b"", mine, len(mine)), "mute")
            return
        payload = [quote.wire() for quote in mine]
        if network.rough.get(self.stream) == "unreadable":
            self.send(Message(b"\x91\xc1\xff", mine, 1, readable=False))
            return
        if self._held_ack is not None and payload:
            held, self._held_ack = self._held_ack, None
            self.send(Message(frame_of([*payload, held]), mine, len(mine), answers=True))
            return
        message = Message(frame_of(payload), mine, len(mine))
        self.send(message)
        if network.rough.get(self.stream) == "repeated":
            self.send(message)


class Network:
    """Who may connect, and the lines that are open."""

    def __init__(self, stage: Stage, market: Market) -> None:
        self.stage = stage
        self.stir = stage.stir  # when something is in flux
        self.market = market
        self.lines: dict[str, Line] = {}  # as the server sees it
        self._open: list[Line] = []  # as the client sees it, half-open ones among them
        self.dials: dict[str, list[int]] = {}
        # By stream, while it lasts.
        self.refusals: dict[str, str] = {}  # an HTTP status, or "answer CODE", "silence", "unreachable"
        self.acks: dict[str, str] = {}
        self.mutes: dict[str, bool] = {}
        self.rough: dict[str, str] = {}
        self.late: dict[str, float] = {}
        self.is_listened: Callable[[str], bool] = lambda _: True
        self.hear_lost: Callable[[str, Lost], None] = lambda _, __: None
        for name in market.boards:
            market.carry(name, partial(self._carry, name))

    def _carry(self, stream: str, quotes: Sequence[Made]) -> None:
        line = self.lines.get(stream)
        if line is None:
            self.lose(stream, Message(b"", tuple(quotes), len(quotes)), "no connection")
        else:
            line.send_quotes(quotes)

    def lose(self, stream: str, message: Message, why: str) -> None:
        """Nobody hears this; it is kept where somebody wanted to."""
        if not self.is_listened(stream):
            return
        offset_ns, late = self.stage.clocks.offset_ns, self.late.get(stream, 0.0)
        late = max([late, *(line.under_way for line in self._open if line.stream == stream)])
        for quote in message.quotes:
            self.hear_lost(stream, Lost(quote.made_ns, quote.made_ns + offset_ns, quote.symbol, why, late))
        if message.events and not message.quotes:
            now = self.stage.clocks.true_ns
            self.hear_lost(stream, Lost(now, now + offset_ns, "an order update", why, late))

    def lose_all(self, line: Line) -> None:
        """What was under way on this line."""
        while line.in_flight:
            self.lose(line.stream, line.in_flight.popleft(), "under way")

    def dial(self, stream: str, client: Client, answered: Callable[[Line | str], None]) -> None:
        """The client wants a connection: a `Line`, or what happens instead."""
        self.dials.setdefault(stream, []).append(self.stage.clocks.true_ns)
        self.stir(3)
        self.stage.agenda.after(0.1, lambda: self._answer(stream, client, answered))

    def _answer(self, stream: str, client: Client, answered: Callable[[Line | str], None]) -> None:
        how = self.refusals.get(stream)
        agenda = self.stage.agenda
        if how is None and stream in self.lines:
            how = "answer 406"
        if how in ("silence", "unreachable"):
            # The product's own patience ends it.
            agenda.timer(10.0 if how == "silence" else 3.0, lambda: answered(how))
            return
        if how is not None:
            self._tell(lambda: answered(how))
            return
        line = Line(self, stream, client, len(self.dials[stream]))
        self.lines[stream] = line
        self._open = [*(one for one in self._open if one.is_open), line]
        self._tell(lambda: answered(line))

    def _tell(self, news: Callable[[], None]) -> None:
        """Let the process hear it, as soon as it runs."""
        self.stage.agenda.after(0.05, news, product=True)

    def left(self, line: Line) -> None:
        """The server has this connection no more."""
        if self.lines.get(line.stream) is line:
            del self.lines[line.stream]

    def wake(self) -> None:
        """The process runs again."""
        self._open = [line for line in self._open if line.is_open]
        for line in self._open:
            line.wake()

    def for_a_while(self, what: dict[str, Any], trouble: Trouble, value: Any) -> None:
        """Let this be so for the stream until the trouble is over."""
        what[trouble.whose] = value

        def over() -> None:
            if what.get(trouble.whose) == value:
                del what[trouble.whose]
                self.stage.note(f"{trouble.kind} of {trouble.whose} is over")
                self.stir(3)

        self.stage.agenda.after(trouble.seconds, over)
