"""Requests without an upgrade: the faults they meet, the keys they need, and the answer in JSON."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from http import HTTPStatus
from typing import Any, Final

from websockets.asyncio.server import ServerConnection
from websockets.http11 import Request, Response

from options_helper.model.instants import utc_datetime
from options_helper.model.market_hours import new_york_date, session_before
from options_helper.simulator.counters import SimulatorState
from options_helper.simulator.faults import NO_FAULTS, Faults
from options_helper.simulator.market.market import Market
from options_helper.simulator.rest.context import Answer, RequestContext, refusal
from options_helper.simulator.rest.routes import answer_request, is_of_the_past
from options_helper.simulator.wire.protocol import FIRST_ACCOUNT, TO_JSON, Keys, Limits

REFUSED: Final = "refused by the simulator, as it was told to"


class PlainHttp:
    """Answers requests inside the server's loop."""

    def __init__(
        self,
        market: Market,
        state: SimulatorState,
        *,
        keys: Keys,
        limits: Limits,
        now_ns: Callable[[], int],
        stopping: asyncio.Event,
        tell: Callable[[Sequence[Any], str], object],
    ) -> None:
        self._market = market
        self._state = state
        self._keys = keys
        self._limits = limits
        self._now_ns = now_ns
        self._stopping = stopping
        self._tell = tell
        self._faults = NO_FAULTS
        self._requests_of_faults = 0

    def set_faults(self, faults: Faults) -> None:
        """Let these go wrong from now on; requests are counted anew for them."""
        self._faults = faults
        self._requests_of_faults = 0

    async def answer(self, connection: ServerConnection, request: Request) -> Response | None:
        """The answer; None when the server stopped before there was one."""
        path, _, query = request.path.partition("?")
        faults = self._faults_for(path)
        if await self._stopped_within(None if faults.rest_hang else faults.rest_slow):
            connection.transport.abort()
            await connection.wait_closed()
            return None
        if faults.rest_status is not None:
            return _refusal_response(connection, faults.rest_status, faults.rest_retry_after)
        account = self._keys.account_of(*offered_keys(request))
        if account is None:
            refused = refusal(HTTPStatus.UNAUTHORIZED, "access key verification failed")
            return json_response(connection, HTTPStatus.UNAUTHORIZED, refused)
        # In a thread, because the calendar of trading hours takes a moment to load.
        status, content = await asyncio.to_thread(self._answer, path, query, faults, account)
        return json_response(connection, status, content, truncated=faults.rest_truncated)

    def _faults_for(self, path: str) -> Faults:
        if not self._faults.concern_request(path):
            return NO_FAULTS
        self._requests_of_faults += 1
        first = self._faults.rest_first_requests
        return self._faults if first is None or self._requests_of_faults <= first else NO_FAULTS

    async def _stopped_within(self, seconds: float | None) -> bool:
        """Wait so long (None: for ever), and say whether the server was told to stop meanwhile."""
        try:
            async with asyncio.timeout(seconds):
                return await self._stopping.wait()
        except TimeoutError:
            return False

    def settle(self) -> None:
        """Let contracts end that have, though nobody asks."""
        if self._state.settles:
            with self._opened(NO_FAULTS, FIRST_ACCOUNT):
                pass  # done when it is open

    def _answer(self, path: str, query: str, faults: Faults, account: str) -> Answer:
        with self._opened(faults, account) as context:
            if not is_of_the_past(path, query):
                return answer_request(path, query, context)
        # It is read from files perhaps, which the event loop must not wait for, and needs nothing that is guarded.
        return answer_request(path, query, context)

    @contextmanager
    def _opened(self, faults: Faults, whose: str) -> Iterator[RequestContext]:
        """The market and an account as of now, when all has happened that is due; on any thread."""
        now_ns = self._now_ns()
        today = new_york_date(utc_datetime(now_ns))
        # A market that somebody plays in a year without a calendar was open the day before.
        last_session = session_before(today) or today - timedelta(days=1)
        with self._state.opened(whose) as (account, last_values):
            context = RequestContext(
                self._market,
                last_values,
                account,
                now_ns,
                last_session,
                self._state,
                self._limits,
                faults,
            )
            for one in self._state.accounts:
                self._tell(self._state.settle(one, now_ns, context.price), one)
            yield context


def offered_keys(request: Request) -> tuple[str | None, str | None]:
    """The key and the secret in a request's headers."""
    return request.headers.get("APCA-API-KEY-ID"), request.headers.get("APCA-API-SECRET-KEY")


def json_response(
    connection: ServerConnection, status: int, content: Any, *, truncated: bool = False
) -> Response:
    """A response whose body is this content, or the first half of it."""
    body = TO_JSON(content).decode()
    response = connection.respond(status, body[: len(body) // 2] if truncated else body)
    del response.headers["Content-Type"]
    response.headers["Content-Type"] = "application/json"
    return response


def _refusal_response(connection: ServerConnection, status: int, retry_after: float | None) -> Response:
    response = json_response(connection, status, refusal(status, REFUSED))
    if retry_after is not None:
        response.headers["Retry-After"] = f"{retry_after:g}"
    return response
