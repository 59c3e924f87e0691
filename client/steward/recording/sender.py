"""
The thread that sends: it alone owns the connection, the spool and the counts of a recorder.

It looks into the queue `max_age` after something came into it, or when a batch is full. While the server is away or
does not answer, what is in the queue goes into the spool; so it does where a fork left gRPC unusable.
"""

import logging
import math
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from queue import Empty
from typing import Any

import grpc

from steward import errors
from steward.recording import batches
from steward.recording.batches import Batch, Life, Record
from steward.recording.claims import Claims
from steward.recording.commands import Close, Command, Flush, Reply, Rest, Room, Save, Sign
from steward.recording.intake import LONGEST, Intake
from steward.recording.line import Line
from steward.recording.numbers import Numbers
from steward.recording.spool import Spool
from steward.recording.suspects import Suspects
from steward.recording.tally import Tally
from steward.recording.waiters import Waiters
from steward.transport import Retry, stranded
from steward.types import FlushReport, Interaction, RejectedRecord
from steward.v1.ingest_pb2 import RecordInteractionsResponse

IN_FLIGHT = 3  # calls at once
DOUBT = 1.0  # s without an answer, after which what was sent goes into the spool too
SLICE = 10  # batches that go from the queue into the spool at once
LOOK = 30.0  # s between looks for what other recorders left in the spool
NEVER = math.inf

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How a recorder sends."""

    target: str
    timeout: float  # s, of a call
    retry: Retry
    batch_records: int
    batch_bytes: int
    max_age: float  # s


class Sender:
    """What the thread does: `run` it, once."""

    def __init__(
        self, settings: Settings, *, life: Life, spool: Spool | None, told: Callable[[RejectedRecord], object] | None
    ) -> None:
        """Prepare to send as *settings* say, under the numbering of *life*; tell of each rejected record by *told*."""
        self.tally = Tally()
        self.spool = spool
        self.intake: Intake
        self._settings = settings
        self._life = life
        self._told = told
        self._line = Line(settings.target, timeout=settings.timeout)
        self._flying: dict[Any, Batch] = {}
        self._again: deque[Batch] = deque()  # to be sent before anything else
        self._suspects = Suspects(settings.retry)
        self._claims = Claims()
        self._waiters = Waiters()
        self._closing: Close | None = None
        self._numbers = Numbers(life)
        self._hurry = 0  # entries of the queue that wait for no company
        self._stranded = stranded()
        self._failures = int(self._stranded)  # on end
        self._retry_at = 0.0  # s, monotonic
        self._look_at = 0.0  # s, monotonic: for what others left in the spool
        self._due_at = NEVER  # s, monotonic: when what waits has waited long enough

    def strand(self) -> None:
        """Send nothing from now on: all goes into the spool."""
        self._stranded, self._failures = True, max(self._failures, 1)

    def run(self) -> None:
        """Send what comes in, until told to close."""
        while not self._over:
            try:
                self._wait()
                self._work(time.monotonic())
            except BaseException:  # a fault of ours must not end the thread, and with it all that waits
                logger.exception("a recorder's thread met a fault, and goes on")
                time.sleep(1.0)
        self._end()

    def _wait(self) -> None:
        """Wait until there is something to do, and take in what it is told."""
        commands = self.intake.commands
        try:
            self._handle(commands.get(timeout=self._pause(time.monotonic())))
            while True:
                self._handle(commands.get_nowait())
        except Empty:
            pass

    def _pause(self, now: float) -> float | None:
        """Return how many seconds there is nothing to do, unless something happens."""
        if not self.intake.queue:
            self.intake.idle = True  # before the second look: who comes after it, wakes
        if self.intake.queue:
            self.intake.idle = False
        if not self.intake.queue and not self._again:
            self._due_at = NEVER
        elif self._due_at is NEVER:
            self._due_at = now + self._settings.max_age
        times = [self._due_at, *(each.deadline for each in self._waiters.flushes)]
        times += [each.sent_at + DOUBT for each in self._flying.values() if now < each.sent_at + DOUBT]
        times.append(self._sending_at)
        if self.spool is not None:
            times.append(self._look_at)
        if self._closing is not None:
            times.append(self._closing.deadline)
        first = min(times)
        return None if first == NEVER else min(max(first - now, 0.0), LONGEST)

    @property
    def _sending_at(self) -> float:
        """When something is to be sent, unless a record or an answer comes first: s, monotonic."""
        if self._stranded or self._flying:
            return NEVER
        waits = self._again or self._hurry > 0 or (self.spool is not None and self.spool.readable)
        tells = not self._waiters.flushes and self._numbers.telling(self.intake.lost.total())
        return self._retry_at if waits or tells else max(self._suspects.first_at, self._retry_at)

    @property
    def replaying(self) -> bool:
        """Whether anything in the spool is to be sent, its own or what it took over."""
        return self.spool is not None and self.spool.waiting

    @property
    def _most(self) -> int:
        """How many calls may be under way: only one while the server seems away."""
        return 1 if self._failures else IN_FLIGHT

    # What it is told

    def _handle(self, command: "Command | grpc.Future[Any]") -> None:
        match command:
            case Flush():
                self._hurry = len(self.intake.queue)
                command.upto = self._numbers.issued + self._hurry
                command.left = self.tally.unsettled + self._hurry
                self._waiters.flushes.append(command)
            case Close():
                self._hurry = len(self.intake.queue)
                if self._closing is None or command.deadline < self._closing.deadline:
                    self._closing = command
                self._waiters.closes.append(command)
            case Room():
                self._waiters.rooms.append(command)
            case Save():
                self._forgo_lost()
                command.upto = self._numbers.issued + len(self.intake.queue)
                self._waiters.saves.append(command)
            case Rest(reply):
                self._rest(reply)
            case Sign.HURRY:
                self._hurry = len(self.intake.queue)
            case Sign():
                self.intake.called = False
            case _:
                self._settle(command)

    def _rest(self, reply: Reply) -> None:
        """Let go of the connection until woken: what is under way will be sent again, under the same ids."""
        self._disconnect()
        reply(True)
        held = list(iter(self.intake.commands.get, Sign.WAKE))
        for each in held:
            self._handle(each)

    # What it does

    def _work(self, now: float) -> None:
        """Do what can be done at this moment, which is *now*."""
        if self._due_at <= now:
            self._hurry, self._due_at = len(self.intake.queue), NEVER
        if self.spool is not None and self._look_at <= now:
            self._look_at = now + LOOK
            if self._stranded:
                self.spool.hand_on()
            else:
                self.spool.adopt()
        self._forgo_lost()
        doubted = self._doubted(now)
        if not doubted and self._retry_at <= now and not self._stranded:
            self._launch()
        pressed = bool(self._waiters.saves) or not self.intake.has_room
        if doubted or self._failures or pressed:
            self._save(flying=doubted or bool(self._waiters.saves), queued=pressed or self._ripe)
        if self._waiters.saves:
            self._leave_numbers()
        self._answer(now)

    def _forgo_lost(self) -> None:
        """Give numbers to what callers lost, unless somebody counts on the next numbers for what is in the queue."""
        if not self._waiters.flushes and not self._waiters.saves:
            self._numbers.forgo_lost(self.intake.lost.total())

    def _doubted(self, now: float) -> bool:
        """Whether an answer has not come for so long that it may never come."""
        return any(each.sent_at + DOUBT <= now for each in self._flying.values())

    def _launch(self) -> None:
        """Send as much at once as may be, one batch of the spool among it."""
        while len(self._flying) < self._most and (batch := self._next()) is not None:
            batch.sent_at = time.monotonic()
            numbering = self._numbers.of(batch, queued=len(self.intake.queue))
            try:
                call = self._line.call(batches.request(batch, numbering))
            except Exception as error:  # noqa: BLE001 -- whatever it is, the batch is ours still
                self._failed(batch, errors.Unavailable(f"no call can be made: {error}"))
                return
            self._flying[call] = batch
            call.add_done_callback(self.intake.commands.put)

    def _next(self) -> Batch | None:
        """Return what is to be sent next, if anything."""
        settings = self._settings
        if self._again:
            return self._again.popleft()
        if (suspect := self._suspects.take(time.monotonic())) is not None:
            return suspect
        unclear = any(each.spooled for each in self._flying.values())  # whether what is in the spool is to be sent
        if self.spool is not None and not unclear and (self._closing is None or self.tally.spooled):
            replayed = self.spool.next(settings.batch_records, settings.batch_bytes)
            if replayed is not None:
                return replayed
        if self._ripe:
            return self._take()
        return self._numbers.untold() if not self._flying else None

    @property
    def _ripe(self) -> bool:
        """Whether what is in the queue makes a batch, or has waited long enough for one."""
        queue, settings = self.intake.queue, self._settings
        full = len(queue) >= settings.batch_records or self.intake.size >= settings.batch_bytes
        return self._hurry > 0 or full

    def _take(self, times: int = 1) -> Batch | None:
        """Return so many *times* a batch of what is in the queue, numbered; None when there is nothing good in it."""
        records: list[Record] = []
        batch = Batch(self._life, records)
        try:
            self._move(records, times * self._settings.batch_records, times * self._settings.batch_bytes)
        except BaseException:
            self._keep(batch)  # nobody else has it
            raise
        self._hurry = min(self._hurry - len(records), len(self.intake.queue))
        if not self.intake.queue:
            self.intake.emptied()
        return batch if records else None

    def _move(self, records: list[Record], most: int, size: int) -> None:
        """Move what is good of the queue to *records*, up to *most* of about *size* bytes."""
        queue = self.intake.queue
        while queue and len(records) < most and size > 0:
            interaction, at, claim = queue.popleft()
            self.intake.taken += self.intake.size_of(interaction)
            self.tally.number += 1
            number = self._numbers.next()
            if claim is not None:
                self._claims.add(number, claim)
            try:
                data = batches.message(interaction, at)
            except errors.InvalidArgument as error:
                self._numbers.forgo(self._life, (number, number))
                self._refuse(number, interaction, error, own=True)
                self._waiters.settled([number])
            else:
                records.append((number, data))
                size -= len(data)

    def _keep(self, batch: Batch) -> None:
        """Have *batch* sent again, unless there is nothing in it, or it comes again from the spool."""
        if batch.place is not None or (batch.records and not batch.spooled):
            self._again.append(batch)

    def _save(self, *, flying: bool, queued: bool) -> bool:
        """Put into the spool what waits, and what is *flying*, and some of what is *queued*; whether it took that."""
        self._claims.forget(time.monotonic())
        if self.spool is None:
            return False
        if flying:
            for batch in self._flying.values():
                batch.spooled = batch.spooled or (batch.place is None and self._spooled(batch))
        for batch in [each for each in self._again if each.place is None]:
            if not self._spooled(batch):
                return False
            self._again.remove(batch)
        if not queued:
            return True
        there, taken = False, self._take(SLICE)
        try:
            there = taken is None or self._spooled(taken)
        finally:
            if taken is not None and not there:
                self._again.extend(taken.parts(self._settings.batch_records))
        if not there:
            return False
        if self.intake.queue:
            self._due_at = 0.0  # the next slice comes at once, after those who wait for room
        return True

    def _leave_numbers(self) -> None:
        """Put into the spool which numbers never come, as far as the server was not told, for whoever replays it."""
        if self.spool is not None:
            self._numbers.hand_over(self.spool.leave)

    def _spooled(self, batch: Batch) -> bool:
        """Put *batch* into the spool; whether it is there."""
        if self.spool is None or not self.spool.append(batch.records):
            return False
        self.tally.spooled += len(batch.records)
        return True

    # What comes back

    def _settle(self, call: Any) -> None:
        """See what became of what *call* sent, unless that is of no interest any more."""
        batch = self._flying.pop(call, None)
        if batch is None:
            return
        try:
            refused = batches.refused(call, batch)
        except errors.Error as error:
            self._unanswered(batch, error)
        else:
            self._suspects.passed(batch)
            self._numbers.told(batch)
            self._answered(batch, call.result(), refused)

    def _unanswered(self, batch: Batch, error: errors.Error) -> None:
        """See what becomes of *batch*, whose call met *error*."""
        if self._suspects.is_culprit(batch, error):
            self._give_up(batch, errors.Internal(f"the server failed at it again and again: {error.message}"))
        elif not batches.final(error):
            self._failed(batch, error)
        elif self._numbers.misfit(batch, error):
            if batch.records:
                self._keep(batch)
            else:
                self._finish(batch, {})
        elif len(batch.records) == 1:
            self._give_up(batch, error)
        elif not batch.spooled:  # or else it comes again from there
            self._again.extend(batch.halves())

    def _give_up(self, batch: Batch, error: errors.Error) -> None:
        """Refuse the one record of *batch*, because of *error*."""
        self._numbers.forgo(batch.life, *batch.kept, *batch.numbers)
        self._finish(batch, {0: error})

    def _answered(self, batch: Batch, response: RecordInteractionsResponse, refused: dict[int, errors.Error]) -> None:
        self._failures, self._retry_at, self.tally.last_error = 0, 0.0, ""
        self._finish(batch, refused)
        if batch.life is self._life:
            self._claims.grant(batch, response)

    def _finish(self, batch: Batch, refused: dict[int, errors.Error]) -> None:
        """Count *batch* as acknowledged, except for what is *refused*, by the index."""
        own, tally = batch.life is self._life, self.tally
        if own:
            # In this order: whoever reads the counters meanwhile must not see a record as both.
            tally.spooled -= len(batch.records) if batch.place is not None or batch.spooled else 0
            tally.acknowledged += len(batch.records) - len(refused)
            self._waiters.settled(number for number, _ in batch.records)
        else:
            tally.replayed += len(batch.records) - len(refused)
            tally.replay_refused += len(refused)
        for index, error in refused.items():
            number, data = batch.records[index]
            self._refuse(number, batches.interaction(data), error, own=own)
        if self.spool is not None and batch.place is not None:
            self.spool.done(batch.place, len(batch.records))
        elif self.spool is not None and batch.spooled:
            self.spool.forget(number for number, _ in batch.records)

    def _refuse(self, number: int, interaction: Interaction, error: errors.Error, *, own: bool) -> None:
        """Tell, once, that *interaction* is refused for good."""
        rejected = RejectedRecord(interaction.interaction_id, batches.why(error))
        if own:
            self.tally.refused += 1
            self.tally.rejected.append(rejected)
        if self.spool is not None:
            self.spool.reject(interaction, rejected.reason)
        if own:
            self._claims.refuse(number, error)
        if self._told is not None:
            try:
                self._told(rejected)
            except BaseException:  # a SystemExit would end this thread only, and with it the recorder
                logger.exception("what was to be told of a rejected record failed")

    def _failed(self, batch: Batch, error: errors.Error) -> None:
        """Keep *batch* for later, since *error* passes."""
        self.tally.failures += 1
        self.tally.last_error = f"{type(error).__name__}: {error.message}"
        now = time.monotonic()
        suspected = self._suspects.are_to_have(batch, error)
        own_fault = suspected and self._suspects.among_others(batch)
        if self._retry_at <= now and not own_fault:  # calls that fail at the same time count as one
            self._failures += 1
            self._retry_at = now + batches.pause(self._settings.retry, error, failures=self._failures)
        if suspected and (batch.place is not None or self.spool is None):
            if self.spool is not None and batch.place is not None:
                self.spool.set_aside(batch.place)
            self._suspects.add(batch, error, now)
        else:
            self._keep(batch)
            self._save(flying=False, queued=False)

    def _answer(self, now: float) -> None:
        """Answer those whose time has come."""
        if self.spool is not None:
            self.spool.write_rejected()
        full = self.spool is None or bool(self.spool.error)
        safe = self._saved and (self._stranded or not (self._flying or self.replaying))
        self._waiters.report(now, self._report, inherited=self.replaying, safe=safe)
        self._waiters.make_room(room=self.intake.has_room, full=full)
        self._waiters.save(self._saved_up_to, full=full)

    def _report(self) -> FlushReport:
        return self.tally.report(queued=len(self.intake.queue), lost=self.intake.lost.total())

    @property
    def _saved(self) -> bool:
        """Whether nothing is in memory only."""
        return not self.intake.queue and self.tally.unsettled == self.tally.spooled

    def _saved_up_to(self, number: int) -> bool:
        """Whether nothing up to *number* is in memory only."""
        held = [each for each in (*self._again, *self._flying.values()) if each.place is None and not each.spooled]
        return self._numbers.issued >= number and all(first > number for each in held for first, _ in each.records[:1])

    # The end

    @property
    def _over(self) -> bool:
        """Whether it is to end: all is acknowledged and told, or safe while that cannot be, or the time is up."""
        now = time.monotonic()
        if self._closing is None or self._closing.deadline <= now:
            return self._closing is not None
        left = (self.replaying and self.tally.spooled) or self._numbers.telling(self.intake.lost.total())
        only_suspects = bool(self._suspects) and not self._flying and not self._again
        return self._saved and (not left or self._failures > 0 or self._doubted(now) or only_suspects)

    def _end(self) -> None:
        """Let go of everything, and answer all who ask meanwhile."""
        self.intake.ended = True
        try:
            self._leave_all()
        except BaseException:
            logger.exception("a recorder's thread met a fault at its end")
        self._dismiss()
        self._disconnect()
        self.intake.deaf = True  # before the last look: who asks after it, knows
        self._dismiss()
        self._waiters.end()

    def _dismiss(self) -> None:
        """Answer all who have asked so far, as nothing else will happen."""
        while not self.intake.commands.empty():
            self._handle(self.intake.commands.get())
        self._waiters.dismiss(self._report, lambda _: self._saved and not self.tally.dropped["CLOSED"])

    def _leave_all(self) -> None:
        """Put into the spool what is left, and let go of it. Only what the spool does not take is lost."""
        self._land()
        self._again.extend(self._suspects.take_all())
        while self._save(flying=False, queued=True) and self.intake.queue:
            pass
        while (rest := self._take()) is not None:
            self._again.append(rest)
        lost = self.tally.unsettled - self.tally.spooled
        if lost:
            self.tally.dropped["CLOSED"] += lost
        for batch in self._again:
            if batch.place is None:
                self._numbers.forgo(batch.life, *batch.numbers)
        self._numbers.forgo_lost(self.intake.lost.total())
        if self.spool is not None:
            self.spool.close(settled=not self.tally.spooled)
        self._leave_numbers()
        self._claims.end()

    def _disconnect(self) -> None:
        """Let go of the connection; what is under way is to be sent again."""
        self._land()
        self._line.close()

    def _land(self) -> None:
        """Wait for no answer any more; what is under way is to be sent again."""
        for call, batch in self._flying.items():
            self._keep(batch)
            call.cancel()
        self._flying.clear()
