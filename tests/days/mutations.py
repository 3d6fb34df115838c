"""Faults that were once found in use, put back one at a time in a copy: each must break a law within 500 days.

Found is one whose day holds without it.
"""

from __future__ import annotations

import compileall
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

REPOSITORY: Final = Path(__file__).resolve().parents[2]
STREAMING: Final = "options_helper/data/streaming"
MOST_DAYS: Final = 500


@dataclass(frozen=True, slots=True)
class Mutation:
    """One line of the product, as it was or as it might be wrong."""

    name: str
    module: str
    right: str
    wrong: str
    subject: str = "streams"  # whose laws must find it


_POLLING, _CAPTURE = f"{STREAMING}/polling", "options_helper/capture"
_MIDNIGHT: Final = f"{_POLLING}/midnight.py"
_COURSE, _SILENCE = f"{STREAMING}/engine/stream_course.py", f"{STREAMING}/engine/silence.py"
_PRICES: Final = f"{_POLLING}/price_course.py"
_RISK: Final = f"{_POLLING}/risk_course.py"
_HOLDINGS: Final = "options_helper/analysis/holdings.py"
_MARKS, _LINES = "options_helper/analysis/marks.py", "options_helper/analysis/priced_lines.py"
_BUS: Final = "options_helper/bus"
_INGEST: Final = "options_helper/ingest"
_QUEUE, _TALK = f"{STREAMING}/engine/frame_queue.py", f"{STREAMING}/connection/conversation.py"

MUTATIONS: Final = (
    Mutation("a connection that is mute since before the open is not judged", _SILENCE,
             "if live_since is None or expected_since is None:",
             "if None in (live_since, expected_since) or live_since.monotonic < expected_since.monotonic:"),
    Mutation("the night counts as silence", _SILENCE,
             "return latest(live_since, expected_since, heard)", "return latest(live_since, heard)"),
    Mutation("lengths are measured by the clock that can be set", f"{STREAMING}/engine/worker.py",
             "self._monotonic = monotonic", "self._monotonic = lambda: now_ns() / 1e9"),
    Mutation("a process that did not run has no gap", _COURSE,
             "if self._is_stopping or report.is_final or _lasts(report.gaps):", "if self.began:"),
    Mutation("a sleep goes unnoticed", f"{STREAMING}/engine/absence.py",
             "LATE_SECONDS: Final = 5.0", "LATE_SECONDS: Final = 5_000.0"),
    Mutation("a stretch in which nothing ran counts as silence", _COURSE, "self._silence.restart(now)", "pass"),
    Mutation("a refusal is final", _COURSE,
             "return self._look_again_later(now, error)", "return self._give_up(str(error))"),
    Mutation("HTTP 408 and 425 are refusals", f"{STREAMING}/connection/server_errors.py",
             "_PASSING_STATUSES: Final = {408, 421, 425, 429, 499}", "_PASSING_STATUSES: Final = {421, 429, 499}"),
    Mutation("an order update that names an error cuts the stream", _TALK,
             'case {"stream": "trade_updates"}:', 'case {"stream": "order_updates"}:'),
    Mutation("what an acknowledgement in parts left out at first stays refused",
             f"{STREAMING}/connection/subscription_protocol.py",
             "for symbol in [symbol for symbol in self._refused if self._has_all(symbol)]:", "for symbol in ():"),
    Mutation("an acknowledgement behind data is not seen", f"{STREAMING}/messages.py",
             "return payload[:1] != _ONE_MESSAGE and any(mark in payload for mark in _CONTROL_MARKS)", "return False"),
    Mutation("frames that cannot be read count as heard", _SILENCE,
             "elif rejected > self._rejected and self._heard_before is None:", "elif rejected < 0:"),
    Mutation("the gap of a mute connection begins when it is ended", _COURSE,
             "return self._tell(self._silent_since, now)", "return now.wall_ns"),
    Mutation("the gap of a half-open connection begins when its pings fail", _COURSE,
             "UNDETECTED_SECONDS: Final = 17.0", "UNDETECTED_SECONDS: Final = 1.0"),
    Mutation("events that find the queue full are not counted", _QUEUE, "counts.dropped += events", "pass"),
    Mutation("a frame that is folded stays queued in part", _QUEUE,
             "self._counts[frame.stream].queued -= frame.events", "self._counts[frame.stream].queued -= 1"),
    Mutation("an answer that does not come is awaited for ever", _TALK,
             "return Wait(awaits_answer=True)", "return Wait(awaits_answer=False)"),
    Mutation("a gap is never over", _COURSE, "self._close_gap(now)", "pass"),
    Mutation("a gap after the clock was put back has no length", _COURSE,
             "since_ns += overlap_ns if 0 < overlap_ns <= _SET_NS else 0", "since_ns += max(0, overlap_ns)"),
    Mutation("a gap begins no earlier than one ended by a clock that was put back since", _COURSE,
             "return counted_ns if until_ns is None or abs(counted_ns - until_ns) > _SET_NS else until_ns",
             "return until_ns or 0"),
    Mutation("a silence before nothing was due is forgotten", _COURSE,
             "self._unjudged = self._silence.broken_off(live_since)", "pass"),
    Mutation("a silence before an absence in which the clock was set began earlier by its length", _COURSE,
             "        if absence.stood_still_seconds:\n"
             "            self._sleeps.append((fell_asleep.monotonic, absence.stood_still_seconds))",
             "        self._sleeps.append((fell_asleep.monotonic, absence.seconds))"),
    Mutation("ages jump with the clock", f"{STREAMING}/polling/context.py",
             "if put_forward_ns := self._server_clock.look():", "if put_forward_ns := 0:"),
    Mutation("a recorder that is killed as it wakes has told of no sleep", f"{_CAPTURE}/writer.py",
             "absent_seconds = self._streams.absent_seconds", "absent_seconds = 0.0",
             subject="recorder"),
    Mutation("what waits while the clock is set is of the clock of before", f"{STREAMING}/live_run.py",
             "for frame in self._account.received(frames):", "for frame in frames:"),
    Mutation("what the market says of its hours is not heeded", f"{STREAMING}/engine/group_course.py",
             "request.feed, utc_datetime(market_ns), request.symbols, told)",
             "request.feed, utc_datetime(market_ns), request.symbols)"),
    Mutation("a stream that has lost its symbols is not made anew when it gets some",
             f"{STREAMING}/engine/group_course.py", "self._running -= frozenset(idle)", "pass"),
    Mutation("a stream without symbols stays connected", f"{STREAMING}/engine/group_course.py",
             "idle = () if keep_idle else", "idle = () if True else"),
    Mutation("a retired stall is told of the next connection", _COURSE, "        self._stall = None\n", ""),
    Mutation("a position that nobody tells of counts as held at midnight", _MIDNIGHT,
             "return known.other is None", "return True", subject="account"),
    Mutation("any trade explains a move that nobody tells", _MIDNIGHT, "held == before and is_old", "True",
             subject="account"),
    Mutation("a fill that socket and REST tell is two", f"{STREAMING}/state/blotter.py",
             "only_requested = requested.keys() - partners.values()", "only_requested = requested.keys()",
             subject="account"),
    Mutation("an execution that was taken back stands", f"{STREAMING}/state/blotter.py",
             "key, wrong = executions.pop(meant)", "key, wrong = executions[meant]", subject="account"),
    Mutation("a silence before a sleep is forgotten", _COURSE,
             "return before if heard is None or heard.monotonic <= before.monotonic else None", "return None"),
    Mutation("the end of a killed capture is told once, whether or not the disk had room", f"{_CAPTURE}/writer.py",
             "if not self._log.unwritten_gaps:", "if True:", subject="recorder"),
    Mutation("a capture that was killed as it began has lost a journal",
             "options_helper/data/recording/session_notes.py",
             "return self.had_nothing and self.seen_ns == self.began_ns", "return False", subject="recorder"),
    Mutation("rows that only a killed capture's journal has are never made", f"{_CAPTURE}/runner.py",
             "earlier=self._earlier.are_incomplete", "earlier=False", subject="recorder"),
    Mutation("the gap of a kill begins when the next capture does", f"{_CAPTURE}/earlier_sessions.py",
             "yield Gap(name, since_ns, self._began_ns, reason)",
             "yield Gap(name, self._began_ns, self._began_ns, reason)",
             subject="recorder"),
    Mutation("the gap of a kill begins for all streams where one was heard last", f"{_CAPTURE}/earlier_sessions.py",
             "for name, at_ns in heard.items()}",
             "for name, at_ns in dict.fromkeys(heard, max(heard.values(), default=0)).items()}",
             subject="recorder"),
    Mutation("what is told of an earlier session lies where its clock was put back from",
             f"{_CAPTURE}/earlier_sessions.py",
             "ahead_ns = max(0 if put_forward_ns is None else -put_forward_ns, note.stretch[1] - latest_ns)",
             "ahead_ns = 0", subject="recorder"),
    Mutation("how long a killed one is gone is told by the clock that can be set", f"{_CAPTURE}/earlier_sessions.py",
             "if not note.boot or note.boot != self._boot:", "if True:", subject="recorder"),
    Mutation("a gap is closed by an answer that ends early", "options_helper/data/recording/gap_closing.py",
             "elif unproven := _unproven(question, witnesses, refused):", "elif unproven := []:",
             subject="recorder"),
    Mutation("what was recorded is brought once more", "options_helper/data/recording/missed_rows.py",
             "unheard = [row for row in answered if not _takes(unasked, row.key)]", "unheard = answered",
             subject="recorder"),
    Mutation("a gap is closed by an answer that lacks what was recorded",
             "options_helper/data/recording/gap_closing.py",
             "    if lacking:\n", "    if False:\n", subject="recorder"),
    Mutation("an answer that is asked for again is there twice", "options_helper/data/intraday/backfill.py",
             "kept = [row for row in before if not stretch.holds(row.ts_ns)]", "kept = list(before)",
             subject="recorder"),
    Mutation("rows are written again after a kill", "options_helper/data/intraday/writing.py",
             "if self._next_seq < self._there_until:", "if False:", subject="recorder"),
    Mutation("what has fired fires at each look", "options_helper/analysis/alerts/evaluator.py",
             "return _held(rule, state, look) if state.is_armed else (state, None)",
             "return _held(rule, state, look)", subject="alerts"),
    Mutation("what must last lasts by a clock that is set", "options_helper/analysis/alerts/evaluator.py",
             "    look = _Look(at, elapsed.seconds)\n", "    look = _Look(at, at.timestamp())\n", subject="alerts"),
    Mutation("a time in which nobody looked counts as one in which it lasted", "options_helper/alerting/course.py",
             "return after_absence(states, self._of_before)",
             "return states", subject="alerts"),
    Mutation("who looks without the lease after nobody looked forgets that", "options_helper/alerting/course.py",
             "            self._of_before = states\n        return after_absence(states, self._of_before)",
             "            return after_absence(states, states)\n        return states", subject="alerts"),
    Mutation("a repetition after a takeover does not say so", "options_helper/alerting/course.py",
             "may_have_come = one.deliveries[name].may_have_come",
             "may_have_come = False", subject="alerts"),
    Mutation("a torn row costs the next one", "options_helper/data/firing_log.py",
             'return b"\\n" + msgspec.json.encode(row)',
             "return msgspec.json.encode(row)", subject="alerts"),
    Mutation("what is late does not say so", "options_helper/data/notify/target_queue.py",
             "is_late=job.age_at(now) >= LATE_SECONDS",
             "is_late=False", subject="alerts"),
    Mutation("a repetition of one's own does not say so", "options_helper/data/notify/target_queue.py",
             "or job.unanswered > 0)",
             ")", subject="alerts"),
    Mutation("a stopped holder believes that it has the lease", "options_helper/data/lease.py",
             "return held is not None and is_at(self._path, held)",
             "return held is not None", subject="alerts"),
    Mutation("what one who was stopped was about to write counts after a takeover", "options_helper/data/firing_log.py",
             "if isinstance(row, Round | Trying) and 0 < row.term < self._term:", "if False:", subject="alerts"),
    Mutation("who was stopped over a row of its try sends", "options_helper/alerting/course.py",
             "return has_lease and (yield from self._has_lease())", "return has_lease", subject="alerts"),
    Mutation("who takes the lease begins no term", "options_helper/alerting/course.py",
             "yield Append(Took(self._term, seen.now), durable=False)", "pass", subject="alerts"),
    Mutation("who was stopped as it took the lease silences who has taken it since",
             "options_helper/alerting/course.py",
             "        logged = yield from _look()\n"
             "        if not (yield from self._has_lease()):\n"
             "            return False\n"
             "        if goes_on and self._term == logged.term != 0:\n"
             "            return True\n",
             "        if goes_on and self._term:\n"
             "            return (yield from self._has_lease())\n"
             "        logged = yield from _look()\n", subject="alerts"),
    Mutation("a slip in the file takes all targets away", "options_helper/alerting/course.py",
             "self.targets_problem = str(found)",
             "self.targets = NO_TARGETS", subject="alerts"),
    Mutation("the armed state is not kept", "options_helper/analysis/alerts/evaluator.py",
             "is_armed = state.is_armed or _has_returned(rule, reading)",
             "is_armed = True", subject="alerts"),
    Mutation("prices that could not be had are not asked for again", _PRICES,
             "            self._due.add(name)\n            self._problems", "            self._problems",
             subject="prices"),
    Mutation("yesterday's base stays when a new day begins", _PRICES,
             "if at.today != self._day:", "if self._day is None:", subject="prices"),
    Mutation("a price of which the time cannot be is shown", f"{STREAMING}/state/live_state.py",
             "if (event.timestamp_ns or 0) > now_ns + AHEAD_AT_MOST_NS:", "if False:", subject="prices"),
    Mutation("a price of later than now is of then", f"{STREAMING}/state/live_state.py",
             "if event.received_ns > now_ns:", "if False:", subject="prices"),
    Mutation("a price of later than now holds off what is streamed", "options_helper/model/events.py",
             "known_ns = min(known_ns, known.received_ns)", "pass", subject="prices"),
    Mutation("a late answer replaces what was streamed since", f"{STREAMING}/state/live_state.py",
             "if _is_news(event, cache.get(event.symbol)):", "if True:", subject="prices"),
    Mutation("a price that was asked for is as new as its answer", "options_helper/data/rest/seeding.py",
             "received_ns=time_ns,\n        bid_price=bid,",
             "received_ns=time_ns + 60_000_000_000,\n        bid_price=bid,", subject="prices"),
    Mutation("what was asked by a clock that was wrong keeps the time that it had", f"{_POLLING}/moment.py",
             "earlier.ns + (moved_ns if abs(moved_ns) > _MOVED_NS else 0)", "earlier.ns", subject="prices"),
    Mutation("what is left standing after a session replaces its last quote", f"{_POLLING}/chain_course.py",
             "if not self._session_end.is_over(now_ns, self._state.clock.told):", "if True:", subject="prices"),
    Mutation("dividends that were refused count as none", _RISK,
             "if error.status != HTTPStatus.NOT_FOUND:", "if False:", subject="prices"),
    Mutation("what the risk figures need is not asked for on the next day", _RISK,
             "if today != self._day:", "if self._day is None:", subject="prices"),
    Mutation("a share that the server does not know is one without dividends", _RISK,
             "found = yield question(missing, asked)",
             "found = yield question(missing, asked)\n"
             "            if task is RestTask.DIVIDENDS:\n"
             "                found = dict.fromkeys(missing, next(iter(found.values()))) | found", subject="prices"),
    Mutation("options of what is held no longer stay", f"{_POLLING}/chain_course.py",
             "        self._drop_all_but(every)\n", "", subject="prices"),
    Mutation("what was not told of contracts that end is not asked again", f"{_POLLING}/expiry_course.py",
             "if self._must_ask_again(found):", "if False:", subject="prices"),
    Mutation("what was told of contracts that end is forgotten by a question that fails",
             f"{_POLLING}/expiry_reading.py",
             "for symbol, record in {**before.records, **now.records}.items()",
             "for symbol, record in now.records.items()", subject="prices"),
    Mutation("the root says whether the opening prices settle it, and no record",
             "options_helper/data/rest/contract_records.py",
             "settled_at_open=next((one for one in settlements if one is not None), None)",
             "settled_at_open=None", subject="prices"),
    Mutation("a contract ends with the day and not with its session", "options_helper/model/contract_hours.py",
             "return since is not None and at >= since", "return False", subject="prices"),
    Mutation("the page goes by the root, whatever a record says of the settlement",
             "options_helper/analysis/priced_lines.py",
             "named = named_at_open(item, records)", "named = None", subject="prices"),
    Mutation("the middle of what is left standing after a session is a mark", "options_helper/analysis/marks.py",
             "is_weak = (bid <= ask) & (too_wide | no_size | late_quote)",
             "is_weak = (bid <= ask) & (too_wide | no_size)", subject="prices"),
    Mutation("the answers' times put no clock right", f"{_POLLING}/context.py",
             "self.state.correct_clock(skew)", "pass", subject="prices"),
    Mutation("exercises, assignments and expiries are not asked for", f"{_POLLING}/fill_backfill.py",
             "ends = yield from _request(tuple(ENDS_OF_CONTRACTS), first_day)",
             "ends: list[Any] = []", subject="account"),
    Mutation("shares that an exercise moved are not asked for", f"{_POLLING}/fill_backfill.py",
             "shares = yield from _request((SHARES_MOVED,), first_day)", "shares: list[Any] = []",
             subject="account"),
    Mutation("splits and transfers are not asked for", f"{_POLLING}/fill_backfill.py",
             "moves, refusals = yield from _request_moves(first_day)",
             "moves, refusals = list[Any](), ()", subject="account"),
    Mutation("what only the account holds is missed by nobody", _HOLDINGS,
             "        account_only=account_only,\n", "", subject="account"),
    Mutation("a line of another quantity than the account's has figures of the first grade",
             "options_helper/analysis/priced_lines.py",
             "QuoteWarning.QUANTITY_IN_DOUBT: ~ended & _among(held, holdings.in_doubt),",
             "QuoteWarning.QUANTITY_IN_DOUBT: ~ended & False,", subject="account"),
    Mutation("how much of a symbol is held while that is read anew counts as known", _HOLDINGS,
             "is_unread(view, symbol) or symbol in account.unsettled)", "is_unread(view, symbol))", subject="account"),
    Mutation("a file that is gone is none of the recorder's concern", "options_helper/data/intraday/files.py",
             'return "moved" if has_a_name else "removed"', "return None", subject="recorder"),
    Mutation("a note that nobody can read says nothing", "options_helper/data/recording/journal.py",
             "return [*unreadable, *gone]", "return gone", subject="recorder"),
    Mutation("a piece of a row that found no room stays", "options_helper/data/intraday/files.py",
             "            self._cut_back(descriptor)\n            raise\n        self._size",
             "            raise\n        self._size", subject="recorder"),
    Mutation("an owner whose lease runs out goes on", f"{_BUS}/lease.py",
             "if self.is_followed and not self.is_fresh(now):", "if False:", subject="lease"),
    Mutation("a renewal counts from its answer", f"{_BUS}/lease_course.py",
             "return await self._renew(bus, lease.ask(now)) if lease.judge(now) is Step.RENEW else None",
             "return await self._renew(bus, lease) if lease.judge(now) is Step.RENEW else None", subject="lease"),
    Mutation("one that another follows goes on leading", f"{_BUS}/lease_course.py",
             "if found is not None and found[0].holder != self._me.holder:", "if False:", subject="lease"),
    Mutation("what is given back while it is being taken is kept", f"{_BUS}/lease_course.py",
             "self._may_stand |= not claim.free", "pass", subject="lease"),
    Mutation("what was given back has to run out", f"{_BUS}/lease.py",
             "return self.free or self.holder == holder", "return self.holder == holder", subject="lease"),
    Mutation("a term begins with nothing", f"{_BUS}/publisher.py",
             "first = self._first_batch(stream)", "continue", subject="lease"),
    Mutation("a term does not count what was published before", f"{_BUS}/publisher.py",
             "self._events[stream] = before.events", "pass", subject="lease"),
    Mutation("what is offered again is published again", f"{_BUS}/owner_term.py",
             "self._offered.add(account)", "pass", subject="lease"),
    Mutation("a full queue is told to nobody who follows", f"{_BUS}/losses.py",
             "if dropped := frame.heard.dropped - heard.dropped:", "if dropped := 0:", subject="lease"),
    Mutation("a connection that was made anew is told to nobody who follows", f"{_BUS}/losses.py",
             "elif before is not None and frame.heard.connection != heard.connection:", "elif False:",
             subject="lease"),
    Mutation("a server that has lost what it had is counted for from nothing", f"{_BUS}/publisher.py",
             "newest = await self.survey(bus, self.progress)", "newest = await self.survey(bus, {})", subject="lease"),
    Mutation("what was on its way as the server lost all is left out", f"{_BUS}/publisher.py",
             "if not waiting.is_opening:\n            self._offered", "if False:\n            self._offered",
             subject="lease"),
    Mutation("whoever finds the server emptied waits for what it had", f"{_BUS}/publisher.py",
             "            if sequence > known:\n                return", "            return", subject="lease"),
    Mutation("a term that begins anew has the number of the one before", f"{_BUS}/publisher.py",
             "self.epoch = max(newest + 1, now_ns)", "self.epoch = newest", subject="lease"),
    Mutation("of a term that begins anew each stream goes on without a first batch", f"{_BUS}/publisher.py",
             "self._unopened = deque(self._numbers)", "pass", subject="lease"),
    Mutation("what a viewer missed while it was away waits for the next there is", f"{_BUS}/viewed_stream.py",
             "if self._words == OWN_WORD:", "if False:", subject="lease"),
    Mutation("a hole between batches is no gap of a viewer's", f"{_BUS}/legs.py",
             "return arrival.verdict in (Verdict.FIRST, Verdict.NEXT)",
             "return arrival.verdict is not Verdict.NEW_OWNER",
             subject="lease"),
    Mutation("what a viewer missed is not received", f"{_BUS}/legs.py",
             "received=mine.received + missed,", "received=mine.received,", subject="lease"),
    Mutation("an owner that says nothing any more is believed", f"{_BUS}/legs.py",
             "UNHEARD_SECONDS: Final = 3.0", "UNHEARD_SECONDS: Final = 3_000.0", subject="lease"),
    Mutation("what was missed before the first batch is not counted", f"{_BUS}/continuity.py",
             "return Arrival(Verdict.HOLE, missed) if missed > 0 else Arrival(Verdict.FIRST)",
             "return Arrival(Verdict.FIRST)", subject="lease"),
    Mutation("a new owner's hole is not counted", f"{_BUS}/continuity.py",
             "return Arrival(Verdict.NEW_OWNER, missed if missed >= 0 else None)",
             "return Arrival(Verdict.NEW_OWNER)", subject="lease"),
    Mutation("of a batch that is recorded in part the rest is not asked for", f"{_BUS}/recorded_place.py",
             "behind = place.sequence + place.whole", "behind = place.sequence + 1", subject="lease"),
    Mutation("a batch that is recorded in part is recorded once more", f"{_BUS}/place_reader.py",
             "skipped, gap = self.place.taken, self._gap_of", "skipped, gap = 0, self._gap_of", subject="lease"),
    Mutation("a place in another past of the server is taken for one in this", f"{_BUS}/recorded_place.py",
             "return behind if is_place_of(place, stream, stored.data) else 1", "return behind", subject="lease"),
    Mutation("of a takeover nothing is written down", f"{_BUS}/place_reader.py",
             "is_whole = arrival.verdict in (Verdict.FIRST, Verdict.NEXT) or (",
             "is_whole = arrival.verdict in (Verdict.FIRST, Verdict.NEXT, Verdict.NEW_OWNER) or (", subject="lease"),
    Mutation("what the owner has lost is not written down", f"{_BUS}/place_reader.py",
             "told = _told(record) if record.kind is RecordKind.GAP else None", "told = None", subject="lease"),
    Mutation("what failed is asked for again at once", f"{_INGEST}/course.py",
             "until = elapsed + _again_seconds(failures, error, random)", "until = elapsed", subject="ingest"),
    Mutation("the ledger tells of a window before its file is there", f"{_INGEST}/store.py",
             "                self._replace(path, data)\n", "", subject="ingest"),
    Mutation("a torn row costs the next one", "options_helper/data/intraday/row_file.py",
             "if size < os.fstat(descriptor).st_size:", "if False:", subject="ingest"),
    Mutation("what a clock that was ahead has stored counts once its time has come", f"{_INGEST}/work.py",
             "        store.strike_out(servers_now + CLOCK_STEP)\n", "        pass\n", subject="ingest"),
    Mutation("a session is asked for again and again", f"{_INGEST}/doubtful_sessions.py",
             "return entry.again_at or entry.until", "return entry.until", subject="ingest"),
    Mutation("each program has the whole minute", "options_helper/data/rest/budget_ledger.py",
             "free = max(free_at(me.sent, share), free_at(everybody, whole))", "free = free_at(me.sent, whole)",
             subject="ingest"),
    Mutation("what a killed program has sent is forgotten", "options_helper/data/rest/budget_ledger.py",
             "return Ledger(boot, self.held_until, members, recent(merged((self.sent, *gone)), now))",
             "return Ledger(boot, self.held_until, members)", subject="ingest"),
    Mutation("of a split nobody heeds what was announced", "options_helper/analysis/day_pnl.py",
             "(*account.moved, *changed), QuoteWarning", "account.moved, QuoteWarning", subject="account"),
    Mutation("a close of yesterday's share is what today is measured from", "options_helper/analysis/day_pnl.py",
             "if not _is_of_todays_share(symbol, close, live)", "if False", subject="account"),
    Mutation("what was moved today has a profit of today", "options_helper/analysis/day_pnl.py",
             "dict.fromkeys((*account.moved, *changed), QuoteWarning.POSITION_MOVED)",
             "dict.fromkeys(changed, QuoteWarning.POSITION_MOVED)", subject="account"),
    Mutation("today's trades are not in today's profit", "options_helper/analysis/day_pnl.py",
             "executions = (*in_view, *later.get(symbol, ()))", "executions = tuple(later.get(symbol, ()))",
             subject="account"),
    Mutation("what was closed today is in no sum", "options_helper/analysis/day_pnl.py",
             "*((np.nan, np.nan, 0) for _ in unclear),\n    ]", "*((np.nan, np.nan, 0) for _ in unclear),\n    ][:0]",
             subject="account"),
    Mutation("a price that is too old is of the first grade", _LINES,
             "moving & (marks.quote_age > stale_after_seconds)", "moving & False"),
    Mutation("a price that was long under way is of the first grade", _MARKS,
             "QuoteWarning.DELAYED_PRICE: times.late,", ""),
    Mutation("a price of another session does not say so", _MARKS,
             "QuoteWarning.OTHER_SESSION: known & (made_ns < hours.opens_ns),", ""),
    Mutation("a crossed quote has a middle", _MARKS,
             "is_mid = (bid <= ask) & ~is_weak", "is_mid = (bid > 0) & ~is_weak"),
    Mutation("a short is closed at the bid", _MARKS, "np.where(long, self.bid, self.ask)", "self.bid"),
    Mutation("the middle of a quote behind which no order stands is a mark", _MARKS,
             "is_weak = (bid <= ask) & (too_wide | no_size | late_quote)",
             "is_weak = (bid <= ask) & (too_wide | late_quote)"),
    Mutation("a sum with a missing part is whole", "options_helper/analysis/totals.py",
             "return self.counted == self.of", "return True"),
    Mutation("what has no price counts as nothing in a sum", "options_helper/analysis/totals.py",
             "    values = np.concatenate(columns)\n", "    values = np.nan_to_num(np.concatenate(columns))\n"),
    Mutation("a structure is worth the legs that have a price", "options_helper/analysis/live_tables.py",
             "return self._fold(np.add, values)", "return self._fold(np.add, np.nan_to_num(values))"),
    Mutation("a structure is of the grade of its best leg", "options_helper/analysis/live_tables.py",
             "worst: Integers = self._fold(np.maximum, ranks)", "worst: Integers = self._fold(np.minimum, ranks)"),
    Mutation("what is behind the exchange is not in the headline", "options_helper/analysis/live_health.py",
             "totals.with_warning(QuoteWarning.DELAYED_PRICE)", "()"),
    Mutation("a stream without a connection does not say so in the page's first word", "options_helper/live/screen.py",
             "    Phase.RECONNECTING: State.RECONNECTING,\n", ""),
)  # fmt: skip


def run(first: int = 0, words: str = "") -> int:
    """Try each whose name has these words; the exit code is 1 where one was not found."""
    tried = [one for one in MUTATIONS if words in one.name]
    missed = 0
    with tempfile.TemporaryDirectory() as folder:
        # Both are copies, so that the repository may change meanwhile.
        mutated, as_it_is = Path(folder) / "mutated", Path(folder) / "as it is"
        for copy in (mutated, as_it_is):
            for name in ("options_helper", "apps", "tests"):
                shutil.copytree(REPOSITORY / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
            # Once for all: each play starts a process, and most of them find something on their first days.
            compileall.compile_dir(copy, quiet=2)
        for mutation in tried:
            missed += not _is_found(mutation, mutated, as_it_is, first)
    print(f"{len(tried) - missed} of {len(tried)} mutations found")
    return min(missed, 1)


def _is_found(mutation: Mutation, copy: Path, as_it_is: Path, first: int) -> bool:
    path = copy / mutation.module
    right = path.read_text(encoding="utf-8")
    if right.count(mutation.right) < 1:
        print(f"not there any more: {mutation.name}")
        return False
    path.write_text(right.replace(mutation.right, mutation.wrong, 1), encoding="utf-8")
    began, next_day = time.monotonic(), first
    try:
        while (left := first + MOST_DAYS - next_day) > 0:
            ended = _play(mutation, copy, "--seeds", str(left), "--from", str(next_day), "--no-story")
            said = next((line for line in ended.stdout.splitlines() if line.startswith("seed ")), None)
            if said is None:
                break
            seed = int(said.split()[1].rstrip(":"))
            # A day that fails without the mutation too says nothing of it.
            if not _play(mutation, as_it_is, "--seed", str(seed), "--no-story").returncode:
                took = time.monotonic() - began
                print(f"found on day {seed - first + 1}, {took:.0f} s: {mutation.name} — {said}", flush=True)
                return True
            print(f"fails without it too: {said}", flush=True)
            next_day = seed + 1
    finally:
        path.write_text(right, encoding="utf-8")
    print(f"MISSED  {mutation.name}: {ended.stdout[-200:]}{ended.stderr[-500:]}", flush=True)
    return False


def _play(mutation: Mutation, where: Path, *days: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.days", *days, "--subject", mutation.subject]
    return subprocess.run(
        command, cwd=where, env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}, text=True, capture_output=True,
        check=False,
    )  # fmt: skip
