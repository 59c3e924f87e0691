"""
The store: one SQLite file, one writer thread, read-only connections for everyone else.

Hands out values; what they mean is the ideas' business.
"""

import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from peewee import SqliteDatabase

from steward.errors import Unavailable
from stewardd.privacy import Redactor
from stewardd.store import database, records, schema
from stewardd.store.database import SQLITE_ERROR, SQLITE_VERSION, is_full, refuse_old_sqlite
from stewardd.store.facts import demand_key, fact, new_epoch, put
from stewardd.store.models import Meta, Restore
from stewardd.store.reading import Reading
from stewardd.store.row import Kept, Marks, Record, Row, Stored, Times, record_weight
from stewardd.store.writer import Writer, WriterFacts
from stewardd.telemetry import Telemetry

__all__ = [
    "FILE",
    "SQLITE_VERSION",
    "Reading",
    "Store",
    "WriterFacts",
    "fact",
    "new_epoch",
    "put",
    "refuse_old_sqlite",
]

T = TypeVar("T")

FILE = "steward.db"


class Store(Reading):
    """
    An open store. Write from an event loop, read from any thread, close once at the end.

    Invariant: only the writer's connection changes the file, and only it checkpoints.
    """

    def __init__(
        self, directory: Path, *, telemetry: Telemetry, now: Callable[[], int] = lambda: time.time_ns() // 1000
    ) -> None:
        """
        Open the store in *directory*, making or migrating it as needed. *now* gives microseconds since 1970.

        Raises: FailedPrecondition when what is there is not a store, or a newer one.
        """
        path = (directory / FILE).resolve()
        self._telemetry = telemetry
        self._now = now
        self._database = database.open_writer(path)
        try:
            with database.unreadable(path):
                self.applied = schema.migrate(self._database)
                self.schema_version = schema.version(self._database)
                epoch = fact(self._database, "epoch") or self._remember("epoch", new_epoch())
                # Its epoch, and then those of before it was restored. Changed in place: tokens look at it.
                self.epochs: list[str] = [epoch, *_former_epochs(self._database)]
                self.identity = fact(self._database, "store") or self._remember("store", secrets.token_hex(8))
                self._writer = Writer(self._database, telemetry=telemetry, now=now)
        except BaseException:
            self._database.close()
            raise
        super().__init__(path)

    @property
    def epoch(self) -> str:
        """What is new after each restore."""
        return self.epochs[0]

    @property
    def fresh(self) -> bool:
        """Whether the store has never been bound to a privacy key."""
        return self.one(Meta.select(Meta.value).where(Meta.name == "key")) is None

    async def claim(self, redactor: Redactor) -> None:
        """
        Bind the store to the key of *redactor*, or see that it is bound to it.

        Raises: FailedPrecondition when it is bound to another key.
        """
        fingerprint = redactor.fingerprint()
        demand_key(await self.change(lambda db: fact(db, "key") or put(db, "key", fingerprint)), fingerprint)

    async def append(self, rows: Sequence[Row], *, marks: Marks | None = None) -> list[Stored]:
        """Store *rows*, each once, and their *marks*; return where each row stands, in order, when that is on disk."""
        return await self._writer.append(rows, marks=marks)

    async def restore(self, rows: Sequence[tuple[Row, Times]]) -> list[bool]:
        """Store *rows* of another store, each once and as recorded there; return which were there already, in order."""
        return await self._writer.restore(rows)

    async def add(self, rows: Sequence[Record], *, together: bool = False) -> list[Kept]:
        """
        Store *rows* of other kinds, each once; return since when each is there, in order, when that is on disk.

        Those that belong *together* are there when one of them is.
        """
        return await self._writer.change(
            lambda db: records.add(db, rows, now=self._now(), together=together),
            rows=len(rows),
            size=record_weight(rows),
        )

    async def change(self, work: Callable[[SqliteDatabase], T]) -> T:
        """Run *work* on the writer's connection, in a transaction; return what it returns when that is on disk."""
        return await self._writer.change(work)

    async def try_writing(self) -> None:
        """Write something of no consequence. Raises: what any change raises."""
        await self.change(lambda db: put(db, "tried", str(time.time())))

    @contextmanager
    def held(self) -> Iterator[SqliteDatabase]:
        """
        Have the writer's connection meanwhile, when what waits is written. Whoever comes is told UNAVAILABLE.

        On any thread but the event loop's. Raises: Unavailable.
        """
        with self._writer.held() as db:
            yield db

    def replace(self, held: SqliteDatabase, copy: Path, *, epoch: str) -> None:
        """
        Have the store, which is *held*, hold what the *copy* holds, which says it is of that *epoch*: all or nothing.

        Raises: Unavailable when there is no room for it.
        """
        before = list(self.epochs)
        self.epochs.insert(0, "")  # of nothing: what reads on over the change shall not take it for the same store
        try:
            database.pour(copy, held)
        except SQLITE_ERROR as error:
            self.epochs[:] = before
            full = "the disk that holds the store is full: nothing was restored"
            if is_full(error):
                raise Unavailable(full, reason="STORAGE_FULL", retry_after=1.0) from error
            raise Unavailable("the store cannot be used at the moment", reason="STORE_UNAVAILABLE") from error
        self.epochs[0] = epoch

    def facts(self) -> WriterFacts:
        """Return how the writer is doing."""
        return self._writer.facts()

    def database_bytes(self) -> int:
        """Return how large the file is."""
        return self.path.stat().st_size

    def log_bytes(self) -> int:
        """Return how large the write-ahead log is."""
        log = self.path.with_name(self.path.name + "-wal")
        return log.stat().st_size if log.exists() else 0

    def close(self) -> None:
        """Write what waits, fold the write-ahead log into the file, and let go of it. Nobody may still read."""
        self._writer.close()
        super().close()
        self._database.execute_sql("PRAGMA wal_checkpoint(TRUNCATE)")
        self._database.close()

    @contextmanager
    def _reading(self) -> Iterator[None]:
        started = time.perf_counter()
        try:
            with super()._reading():
                yield
        except Unavailable as error:
            self._telemetry.log.error("store.read_failed", error=str(error.__cause__))  # noqa: TRY400 -- it is raised
            raise
        finally:
            self._telemetry.queried(time.perf_counter() - started)

    def _remember(self, name: str, value: str) -> str:
        with self._database.atomic():
            return put(self._database, name, value)


def _former_epochs(db: SqliteDatabase) -> list[str]:
    rows: Any = Restore.select(Restore.epoch_before).order_by(Restore.number.desc()).tuples().bind(db)
    return [each for (each,) in rows]
