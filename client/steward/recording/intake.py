"""
Where records come in: a queue that the caller appends to, without a lock and without waking anyone as a rule.

What the caller's thread does here takes some microseconds, and may be interrupted at any point by a signal handler
that does the same. So there are only appends to deques and SimpleQueues, which are atomic.
"""

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from queue import Empty, SimpleQueue
from typing import Any

import grpc

from steward.errors import ResourceExhausted
from steward.recording.commands import Claim, Command, Reply, Room, Sign
from steward.types import Block, Interaction, Overflow

Entry = tuple[Interaction, int, Claim | None]  # when it was recorded, in ns since 1970; who waits for its receipt

SIZE = 1024  # bytes of memory that a record takes beside its question
LONGEST = min(threading.TIMEOUT_MAX - 1.0, 1e9)  # s that may be waited, some 30 years: gRPC counts ns since 1970
DISK = 5.0  # s that a caller may wait for the disk, when it is faster than the spool


class Intake:
    """A bounded queue. `run`, which empties it, gets a thread when there is something to do."""

    def __init__(self, run: Callable[[], None], *, overflow: Overflow, records: int, size: int, batch: int) -> None:
        """
        Prepare to take so many *records* and bytes in all, the *size*; what is beyond is dealt with as *overflow* says.

        A *batch* in the queue wakes the thread.
        """
        self.queue: deque[Entry] = deque()
        self.commands: SimpleQueue[Command | grpc.Future[Any]] = SimpleQueue()
        self.idle = True  # whether the thread waits to be woken
        self.called = False  # whether a full batch has called it
        self.closed = False  # to callers
        self.ended = False  # what comes into the queue now stays there
        self.deaf = False  # what is asked now is not answered
        self.taken = 0  # bytes that left the queue
        self._put = 0  # bytes that came into it; may miss one when threads meet, see `emptied`
        self._lost = Counter(QUEUE_FULL=0, SPOOL_FULL=0)  # both there, so that they may be summed at any time
        self._overflow = overflow
        self._records = records
        self._size = size
        self._batch = batch
        self._run = run
        self._lock = threading.RLock()  # for what is rare: the start of the thread, and losses
        self._thread: threading.Thread | None = None

    def put(self, interaction: Interaction, claim: Claim | None = None) -> None:
        """
        Put *interaction* into the queue; its receipt, or why there is none, goes to whoever has the *claim*.

        Raises: RuntimeError when closed; ResourceExhausted when full, where the overflow says so.
        """
        if self.closed:
            raise RuntimeError("this recorder is closed: it takes no more records")
        queue = self.queue
        if (len(queue) >= self._records or self._put - self.taken >= self._size) and not self._room():
            if claim is not None:
                claim.reply(_full("neither the recorder's queue nor its spool has room"))
            return
        size = self.size_of(interaction)
        self._put += size  # a call within would let other threads in between
        entry = (interaction, time.time_ns(), claim)
        queue.append(entry)
        if self.idle:
            self.idle = False
            self.tell(Sign.LOOK)
        elif len(queue) >= self._batch and not self.called:
            self.called = True
            self.commands.put(Sign.LOOK)
        if self.ended:
            self._take_back(entry)

    def _take_back(self, entry: Entry) -> None:
        """Take *entry* out again, which came when nobody looks into the queue any more. Raises: RuntimeError."""
        while True:
            try:
                self.queue.remove(entry)
            except IndexError:  # others take from it at the same time
                continue
            except ValueError:  # it was seen, after all
                return
            break
        raise RuntimeError("this recorder was closed meanwhile: this record is not taken")

    def _room(self) -> bool:
        """Whether there is room for one more, after what the overflow says is done. Raises: ResourceExhausted."""
        match self._overflow:
            case Block(timeout):
                if not self.ask(lambda reply: Room(reply, patient=True), timeout):
                    raise _full(f"the recorder's queue is full, and was for {timeout:g} s")
            case "raise":
                raise _full("the recorder's queue is full")
            case "drop":
                return self._lose("QUEUE_FULL")
            case _:
                if not self.ask(lambda reply: Room(reply, patient=False), DISK):
                    return self._lose("SPOOL_FULL")
        return True

    def _lose(self, reason: str) -> bool:
        with self._lock:
            self._lost[reason] += 1
        return False

    def ask(self, command: Callable[[Reply], Command], timeout: float) -> Any:
        """Return what the thread answers to *command* within *timeout* seconds, or None."""
        answer: SimpleQueue[Any] = SimpleQueue()
        wait = min(max(timeout, 0.0), threading.TIMEOUT_MAX)
        try:
            return answer.get(timeout=wait if self.tell(command(answer.put)) else 0.0)
        except Empty:
            return None

    def tell(self, command: Command) -> bool:
        """Hand *command* to the thread, and see that there is one; whether it is sure to hear of it."""
        if self._thread is None:
            self._start()
        if self._thread is None:
            return False
        self.commands.put(command)
        return not self.deaf

    def _start(self) -> None:
        """Start the thread. Where none is to be had, whoever comes next tries again."""
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="steward-recorder", daemon=True)
                try:
                    self._thread.start()
                except RuntimeError:
                    self._thread, self.idle = None, True

    @contextmanager
    def standing_in(self) -> Iterator[bool]:
        """
        Have the caller be the thread where none was to be had and there is something to do; say whether he is.

        Whoever else closes waits for that.
        """
        with self._lock:
            alone = self._thread is None and bool(self.queue) and not self.ended
            if alone:
                self._thread = threading.current_thread()
            try:
                yield alone
            finally:
                if alone:
                    self._thread = None

    @property
    def thread(self) -> threading.Thread | None:
        """The thread, when there was something to do."""
        return self._thread

    @property
    def size(self) -> int:
        """About how many bytes the queue has in it."""
        return self._put - self.taken

    @property
    def has_room(self) -> bool:
        """Whether the queue takes one more."""
        return len(self.queue) < self._records and self._put - self.taken < self._size

    @property
    def lost(self) -> Counter[str]:
        """How many were not taken, for which reason."""
        return self._lost.copy()

    def size_of(self, interaction: Interaction) -> int:
        """Return how many bytes *interaction* counts for."""
        return interaction.query.__sizeof__() + SIZE

    def emptied(self) -> None:
        """Begin to count bytes anew, as the queue was found empty: additions of threads at once may get lost."""
        self.taken = self._put


def _full(message: str) -> ResourceExhausted:
    return ResourceExhausted(f"{message}: record less, or let it spool", reason="QUEUE_FULL")
