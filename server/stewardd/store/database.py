"""
How a store's file is opened: pragmas, and the refusals that come before the first query.

The one place that is SQLite's own. Peewee takes SQLite from the pysqlite3 wheel where that is installed.
"""

import errno
import os
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import peewee
from peewee import SqliteDatabase

from steward.errors import Error, FailedPrecondition, Unavailable

_SQLITE: Any = vars(peewee)["sqlite3"]  # the one that Peewee took
SQLITE_ERROR: type[Exception] = _SQLITE.Error
SQLITE_VERSION: str = _SQLITE.sqlite_version
SAFE_SQLITE = (3, 51, 3)  # 3.7.0 to 3.51.2 can corrupt a WAL that two connections reset: https://sqlite.org/wal.html
APPLICATION_ID = 0x53545744  # STWD
JOURNAL_LIMIT = 64 * 1024 * 1024
FULL = "database or disk is full"  # SQLite's words for SQLITE_FULL: what pysqlite3 raises of a backup has no code
DAMAGED = ("file is not a database", "malformed")  # and for SQLITE_NOTADB and SQLITE_CORRUPT
PAGE = 4096  # bytes, SQLite's default: a store takes over no copy with others
PAGES = 128  # that are copied between two rests
REST = 20e-6  # s
COMPILED = 300  # statements the writer keeps: those that append have one for each number of rows

_FRESH = {  # written into the file, so once: a write on each start would need room on a full disk
    "page_size": PAGE,
    "auto_vacuum": "INCREMENTAL",  # only takes before the first table
    "application_id": APPLICATION_ID,
}
_WRITER = {
    "journal_mode": "WAL",
    "synchronous": "FULL",  # a commit is on disk when it returns
    "secure_delete": "ON",  # the wheel's default leaves deleted text in the file
    "foreign_keys": "ON",
    "trusted_schema": "OFF",
    "cell_size_check": "ON",
    "journal_size_limit": JOURNAL_LIMIT,
    "cache_size": -64 * 1024,  # KiB
    "busy_timeout": 5000,  # ms
}
_COPY = {  # it may be of anyone's making
    "query_only": "ON",
    "trusted_schema": "OFF",
    "cell_size_check": "ON",
    "mmap_size": 0,
    "cache_size": -16 * 1024,  # KiB
}
_DRAFT = {  # nobody else uses it, and when it breaks it is thrown away
    "locking_mode": "EXCLUSIVE",  # so that its log needs no shared memory, which is a file too
    "journal_mode": "MEMORY",
    "synchronous": "OFF",
    "secure_delete": "ON",
    "foreign_keys": "ON",
    "trusted_schema": "OFF",
    "cell_size_check": "ON",
}
_READER = {
    "query_only": "ON",
    "trusted_schema": "OFF",
    "cell_size_check": "ON",
    "busy_timeout": 5000,  # ms
}


def refuse_old_sqlite(*, allowed: bool) -> None:
    """Raise FailedPrecondition when SQLite is one that can corrupt the store, unless that is *allowed*."""
    if _SQLITE.sqlite_version_info < SAFE_SQLITE and not allowed:
        raise FailedPrecondition(
            f"SQLite {SQLITE_VERSION} can corrupt a write-ahead log: install pysqlite3 for 3.51.3 or newer, "
            "or set STEWARD_ALLOW_OLD_SQLITE=1 to serve all the same"
        )


def open_writer(path: Path) -> SqliteDatabase:
    """
    Open the store at *path* for its one writer, making the file when there is none.

    Raises: FailedPrecondition when the file is not a Steward's.
    """
    path.touch(mode=0o600, exist_ok=True)
    database = SqliteDatabase(str(path), thread_safe=False, check_same_thread=False, cached_statements=COMPILED)
    with unreadable(path):
        database.connect()
        if whose(database, path) != APPLICATION_ID:
            for name, value in _FRESH.items():
                database.pragma(name, value)
        for name, value in _WRITER.items():  # only now: the journal mode would stay with another program's file
            database.pragma(name, value, permanent=True)
    return database


def open_copy(path: Path, *, shared: bool = False) -> SqliteDatabase:
    """Open a copy of a store at *path*, which nobody else uses unless it is *shared*, to look into it."""
    how = "mode=ro" if shared else "immutable=1"
    return SqliteDatabase(f"{path.resolve().as_uri()}?{how}", uri=True, pragmas=_COPY, thread_safe=False)


def open_draft(path: Path) -> SqliteDatabase:
    """Open a copy of a store at *path*, which nobody else uses, to change it before a store holds what it does."""
    return SqliteDatabase(str(path), pragmas=_DRAFT, thread_safe=False)


def copy(source: Path, target: Path, *, rest: bool) -> None:
    """
    Copy the store at *source*, all of one moment, to *target*, a file that nobody else uses yet.

    On connections of its own, in one transaction: or else each commit of the store's writer would have it begin again.
    It does not hold the writer up, and gives Python's lock away meanwhile; with *rest* it pauses after each fraction of
    a millisecond, as Linux may let those who wake up meanwhile wait for that.
    """
    with (
        closing(_SQLITE.connect(f"{source.resolve().as_uri()}?mode=ro", uri=True)) as store,
        closing(_SQLITE.connect(str(target))) as made,
    ):
        made.execute("PRAGMA journal_mode=OFF")  # when it breaks, it is thrown away
        made.execute("PRAGMA synchronous=OFF")
        store.execute("BEGIN")
        store.execute("SELECT 1 FROM sqlite_master").fetchone()  # now it has begun
        if rest:
            store.backup(made, pages=PAGES, progress=lambda *_: time.sleep(REST))
        else:
            store.backup(made, pages=-1)


def pour(copy_path: Path, store: SqliteDatabase) -> None:
    """
    Have *store*, open and in no transaction, hold what the copy at *copy_path* holds: all or nothing.

    Who reads it meanwhile sees what was there before.
    """
    with closing(_SQLITE.connect(copy_path)) as source:
        source.backup(store.connection(), pages=-1)


@contextmanager
def unreadable(path: Path) -> Iterator[None]:
    """Turn what the database says against the file at *path* into a FailedPrecondition."""
    try:
        yield
    except peewee.DatabaseError as error:
        raise FailedPrecondition(
            f"{path} cannot be opened as a store: {error}. Restore it, or give another --data"
        ) from error


def whose(database: SqliteDatabase, path: Path) -> int:
    """Return whose the file says it is. Raises: FailedPrecondition when it is not empty and not a Steward's."""
    (application_id,) = database.execute_sql("PRAGMA application_id").fetchone()
    (objects,) = database.execute_sql("SELECT COUNT(*) FROM sqlite_master").fetchone()
    if objects and application_id != APPLICATION_ID:
        raise FailedPrecondition(f"{path} is another program's database: give STEWARD_DATA another directory")
    return int(application_id)


class Readers(SqliteDatabase):
    """Read-only connections to a store, one for each thread that asks."""

    def __init__(self, path: Path, *, cache_kib: int = 16 * 1024) -> None:
        pragmas = {**_READER, "cache_size": -cache_kib}
        super().__init__(path.as_uri() + "?mode=ro", uri=True, pragmas=pragmas, check_same_thread=False)
        self._opened: list[Any] = []
        self.register_function(folded, "folded", 1, deterministic=True)

    def _connect(self) -> Any:
        connection = super()._connect()  # type: ignore[misc] # not in the stubs
        self._opened.append(connection)
        return connection

    def interrupt_all(self) -> None:
        """End what the connections of all threads are at."""
        for connection in tuple(self._opened):
            connection.interrupt()

    def close_all(self) -> None:
        """Close the connections of all threads, none of which may still read."""
        while self._opened:
            self._opened.pop().close()


def folded(text: str) -> str:
    """Return *text* in lower case, without the blanks around it: SQLite's LOWER knows ASCII only, its TRIM spaces."""
    return text.strip().lower()


def broken(error: Exception) -> bool:
    """Whether *error* is of the file or its disk: a damaged page is a DatabaseError and none of its kinds."""
    return isinstance(error, peewee.OperationalError | peewee.InternalError) or type(error) is peewee.DatabaseError


def reason(error: Exception) -> Exception:
    """
    Return what went wrong first on the way to *error*.

    SQLite rolls back by itself when the disk is full, and then Peewee's own rollback fails and hides why.
    """
    first, each = error, error.__context__
    while each is not None:
        if isinstance(each, peewee.DatabaseError):
            first = each
        each = each.__context__
    return first


def is_damage(error: BaseException | None) -> bool:
    """Whether *error*, Peewee's or SQLite's own, says that a file is damaged, and not that it could not be had."""
    return any(words in str(error) for words in DAMAGED)


def is_full(error: Exception) -> bool:
    """Whether *error*, Peewee's or SQLite's own, is for want of room."""
    return FULL in str(error)


@contextmanager
def room() -> Iterator[None]:
    """Raise what SQLite says for want of room as the system would, as an OSError."""
    try:
        yield
    except (peewee.DatabaseError, SQLITE_ERROR) as error:
        if is_full(reason(error)):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) from error
        raise


def explained(error: peewee.DatabaseError) -> Error:
    """Return what *error* of the database means to a caller."""
    if is_full(error):
        full = "the disk that holds the store is full: nothing was stored"
        return Unavailable(full, reason="STORAGE_FULL", retry_after=1.0)
    return Unavailable("the store cannot be used at the moment", reason="STORE_UNAVAILABLE", retry_after=1.0)
