"""
The one thread that changes the store, with group commit: what waits together is written in one transaction at
`synchronous=FULL`, and only when that is on disk is anyone answered.

Callers are on event loops and wait for a future; the thread starts here and nowhere else.
"""

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

import peewee
from peewee import SqliteDatabase

from steward.errors import Error, ResourceExhausted, Unavailable
from stewardd.store import ledger
from stewardd.store.append import Appender
from stewardd.store.database import broken, explained, reason
from stewardd.store.row import ROW_OVERHEAD, Marks, Row, Stored, Times, weight
from stewardd.telemetry import Telemetry

T = TypeVar("T")

MOST_QUEUED_ROWS = 50_000
MOST_QUEUED_BYTES = 256 * 1024 * 1024
MOST_GROUP_ROWS = 8_000
MARK_BYTES = 150  # of memory, that a range of numbers takes
COMPANY_WAIT = 0.002  # s, at most
COMPANY_ROWS = 100  # with this many no company is needed: the next group is better made ready meanwhile


@dataclass(slots=True)
class Job:
    """One change that a caller waits for: rows to append, or a function to run."""

    work: Sequence[Row] | Callable[[SqliteDatabase], Any]
    rows: int
    bytes: int
    future: asyncio.Future[Any]
    marks: Marks | None = None  # of the rows to append
    queued_at: float = field(default_factory=time.monotonic)

    def answer(self, result: Any) -> None:
        """Hand *result* over, on the loop of whoever waits."""
        if not self.future.done():
            if isinstance(result, BaseException):
                self.future.set_exception(result)
            else:
                self.future.set_result(result)


@dataclass(frozen=True, slots=True)
class WriterFacts:
    """How the writer is doing."""

    queued_rows: int
    queued_bytes: int
    oldest_seconds: float  # how long the oldest in the queue has waited
    commits: int
    last_commit_seconds: float | None
    error: Error | None  # why the last commit failed, if it did


class _Hold:
    """A time in which another thread has the connection."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.ended = threading.Event()


class Writer:
    """Runs changes one group after the other. Submit from event loops, close from anywhere."""

    def __init__(self, database: SqliteDatabase, *, telemetry: Telemetry, now: Callable[[], int]) -> None:
        self._database = database
        self._appender = Appender(database)
        self._telemetry = telemetry
        self._now = now
        self._waiting: deque[Job] = deque()
        self._lock = threading.Lock()  # over the two counters and closing
        self._rows = self._bytes = 0
        self._closing = False
        self._hold: _Hold | None = None
        self._awake = threading.Event()  # something waits
        self._company = threading.Event()  # as many wait as are expected
        self._expected = 1
        self._doubtful = False  # whether the last commit failed, so that what is remembered may not be so
        self._commits = 0
        self._last_commit: float | None = None
        self._error: Error | None = None
        self._thread = threading.Thread(target=self._run, name="steward-writer", daemon=True)
        self._thread.start()

    async def append(self, rows: Sequence[Row], *, marks: Marks | None = None) -> list[Stored]:
        """
        Store *rows*, each once, and their *marks*; return where each row stands, in order, when that is on disk.

        Raises: ResourceExhausted when too much waits; Unavailable when closing, or on a full or bad disk.
        """
        more = 1 + len(marks.arrived) + len(marks.forgone) if marks else 0  # rows that the marks may change
        stored: list[Stored] = await self._submit(rows, len(rows) + more, weight(rows) + MARK_BYTES * more, marks)
        return stored

    async def restore(self, rows: Sequence[tuple[Row, Times]]) -> list[bool]:
        """
        Store *rows* of another store, each once and as recorded there; return which were there already, in order.

        Raises as append does.
        """
        found: list[bool] = await self._submit(
            partial(self._restore, rows), len(rows), weight([row for row, _ in rows])
        )
        return found

    async def change(self, work: Callable[[SqliteDatabase], T], *, rows: int = 1, size: int = ROW_OVERHEAD) -> T:
        """
        Run *work*, which writes about so many *rows* of *size* bytes in all, in a transaction; return what it returns,
        when that is on disk.

        Raises as append does.
        """
        result: T = await self._submit(work, rows, size)
        return result

    def facts(self) -> WriterFacts:
        """Return how the writer is doing."""
        try:
            oldest = time.monotonic() - self._waiting[0].queued_at
        except IndexError:
            oldest = 0.0
        return WriterFacts(self._rows, self._bytes, oldest, self._commits, self._last_commit, self._error)

    def close(self) -> None:
        """Write what waits, then stop. Whoever comes later is told UNAVAILABLE."""
        with self._lock:
            self._closing = True
        self._company.set()
        self._awake.set()
        self._thread.join()

    @contextmanager
    def held(self) -> Iterator[SqliteDatabase]:
        """
        Write what waits, then hand the connection over meanwhile. Whoever comes is told UNAVAILABLE.

        On any thread. Raises: Unavailable when closing, or held already.
        """
        hold = _Hold()
        with self._lock:
            if self._closing or self._hold is not None:
                raise Unavailable("the store is not to be had", reason="STOPPING", retry_after=1.0)
            self._hold = hold
        self._company.set()
        self._awake.set()
        hold.begun.wait()
        try:
            yield self._database
        finally:
            self._doubtful = True  # what the connection and the appender remember may not be so any more
            with self._lock:
                self._hold = None
            hold.ended.set()

    # On the event loop

    def _submit(self, work: Any, rows: int, size: int, marks: Marks | None = None) -> asyncio.Future[Any]:
        future = asyncio.get_running_loop().create_future()
        with self._lock:
            if self._closing:
                raise Unavailable("the server is stopping", reason="STOPPING", retry_after=1.0)
            if self._hold is not None:
                raise Unavailable("a backup is being restored", reason="RESTORING", retry_after=1.0)
            if self._rows and (self._rows + rows > MOST_QUEUED_ROWS or self._bytes + size > MOST_QUEUED_BYTES):
                raise ResourceExhausted(
                    "more is being written than the disk takes", reason="QUEUE_FULL", retry_after=0.1
                )
            self._rows += rows
            self._bytes += size
            self._waiting.append(Job(work, rows, size, future, marks))
        if len(self._waiting) >= self._expected and not self._company.is_set():
            self._company.set()
        if not self._awake.is_set():
            self._awake.set()
        return future

    # On the writer's thread

    def _run(self) -> None:
        while True:
            self._awake.wait()
            if self._expected > 1 and self._rows < COMPANY_ROWS:
                self._company.wait(COMPANY_WAIT)
            self._awake.clear()
            self._company.clear()
            group = self._gather()
            hold = self._hold
            if group:
                self._write(group)
            elif hold is not None and not hold.begun.is_set():
                hold.begun.set()
                hold.ended.wait()
            elif self._closing:
                return

    def _expect(self, group: list[Job]) -> None:
        """Expect those of *group* to come again and join those who came meanwhile. They are not answered yet."""
        self._expected = len(group) + len(self._waiting)
        self._company.clear()
        if self._closing:
            self._company.set()

    def _gather(self) -> list[Job]:
        """Take what waits, up to the bound of a group."""
        group: list[Job] = []
        rows = 0
        while self._waiting and rows < MOST_GROUP_ROWS:
            job = self._waiting.popleft()
            rows += job.rows
            group.append(job)
        if self._waiting or self._closing or self._hold is not None:
            self._awake.set()
            self._company.set()
        return group

    def _write(self, group: list[Job]) -> None:
        """Commit *group* and answer it; when that fails, each job alone, so that a bad one fails alone."""
        results = self._commit(group)
        with self._lock:
            self._rows -= sum(job.rows for job in group)
            self._bytes -= sum(job.bytes for job in group)
        self._expect(group)
        _answer(group, results)

    def _commit(self, group: list[Job]) -> list[Any]:
        started = time.perf_counter()
        try:
            results = self._transact(group)
        except Exception as error:  # noqa: BLE001 -- it goes to whoever waits
            return self._failed(group, reason(error))
        self._last_commit = time.perf_counter() - started
        self._error = None
        self._commits += 1
        waited = time.monotonic() - group[0].queued_at - self._last_commit
        self._telemetry.committed(self._last_commit, rows=sum(job.rows for job in group), waited=max(0.0, waited))
        return results

    def _failed(self, group: list[Job], error: Exception) -> list[Any]:
        if isinstance(error, peewee.DatabaseError) and broken(error):  # the disk: nobody would fare better alone
            self._error = explained(error)
            self._telemetry.log.error("writer.commit_failed", error=str(error), rows=sum(job.rows for job in group))
            return [explained(error) for _ in group]
        if len(group) == 1:
            return [error]
        return [result for job in group for result in self._commit([job])]

    def _transact(self, group: list[Job]) -> list[Any]:
        if self._doubtful:
            self._recover()
        self._doubtful = True  # until it is on disk
        with self._database.transaction("IMMEDIATE"):
            results = self._apply(group)
        self._doubtful = False
        return results

    def _recover(self) -> None:
        """Begin again from what is on disk: after a failed write, what a connection remembers proves nothing."""
        self._database.close()
        self._database.connect()
        self._appender.reload()

    def _apply(self, group: list[Job]) -> list[Any]:
        """Run *group* in order, neighbouring rows together."""
        results: list[Any] = []
        rows: list[Row] = []
        sizes: list[int] = []
        marked: list[Marks] = []

        def flush() -> None:
            now = self._now()
            places = iter(self._appender.append(rows, now=now)) if sizes else iter(())
            results.extend([next(places) for _ in range(size)] for size in sizes)
            for each in marked:
                ledger.mark(self._database, each, now=now)
            rows.clear()
            sizes.clear()
            marked.clear()

        for job in group:
            if callable(job.work):
                flush()
                results.append(self._ran(job.work))
            else:
                rows.extend(job.work)
                sizes.append(len(job.work))
                if job.marks is not None:
                    marked.append(job.marks)
        flush()
        return results

    def _restore(self, rows: Sequence[tuple[Row, Times]], database: SqliteDatabase) -> list[bool]:
        try:
            with database.savepoint():
                return self._appender.restore(rows, now=self._now())
        except Exception:
            self._appender.reload()  # what it handed out was undone
            raise

    def _ran(self, work: Callable[[SqliteDatabase], Any]) -> Any:
        """Return what *work* returns, or raises: then what it did is undone, and the group goes on."""
        try:
            with self._database.savepoint():
                return work(self._database)
        except Exception as error:
            if broken(error):
                raise
            return error


def _answer(group: list[Job], results: list[Any]) -> None:
    """Answer *group*, with one hop to each event loop."""
    loops: dict[asyncio.AbstractEventLoop, list[tuple[Job, Any]]] = {}
    for job, result in zip(group, results, strict=True):
        loops.setdefault(job.future.get_loop(), []).append((job, result))
    for loop, answers in loops.items():
        try:
            loop.call_soon_threadsafe(_answer_all, answers)
        except RuntimeError:  # the loop is gone, and with it whoever waited
            continue


def _answer_all(answers: list[tuple[Job, Any]]) -> None:
    for job, result in answers:
        job.answer(result)
