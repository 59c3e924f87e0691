"""
How a copy becomes what a store goes on from: brought up to date, and taking over what must outlive the change.
"""

import os
from collections.abc import Callable, Iterable
from contextlib import closing
from itertools import count
from pathlib import Path
from typing import Any

from peewee import DatabaseError, Model, SqliteDatabase, chunked

from steward.disk import sync_directory
from steward.errors import FailedPrecondition
from stewardd.store import schema
from stewardd.store.database import open_draft, room

Heirloom = Callable[[SqliteDatabase, SqliteDatabase], object]  # takes something over from the store to the copy
AT_ONCE = 1000  # rows


def bring_up_to_date(copy: Path) -> None:
    """
    Apply to the *copy* what its schema lacks.

    Raises: FailedPrecondition when it is newer than this Steward; OSError when there is no room.
    """
    with closing(open_draft(copy)) as db:
        try:
            with room():
                schema.migrate(db)
        except DatabaseError as error:
            raise FailedPrecondition(f"it cannot be brought up to date: {error}") from error


def take_over(copy: Path, store: SqliteDatabase, heirlooms: Iterable[Heirloom]) -> None:
    """
    Have the *copy* hand out no place that the *store* handed out already, and take over all *heirlooms*.

    Raises: OSError when there is no room.
    """
    with closing(open_draft(copy)) as db, room(), db.atomic():
        for name, seq in store.execute_sql("SELECT name, seq FROM sqlite_sequence").fetchall():
            _go_on_behind(db, name, seq)
        for heirloom in heirlooms:
            heirloom(store, db)


def stays(model: type[Model]) -> Heirloom:
    """Have the copy hold of *model* what the store holds."""

    def take(store: SqliteDatabase, copy: SqliteDatabase) -> None:
        fields = model._meta.sorted_fields  # noqa: SLF001 -- as Peewee documents
        model.delete().bind(copy).execute()
        rows: Any = model.select(*fields).tuples().bind(store)
        for part in chunked(rows.iterator(), AT_ONCE):
            model.insert_many(part, fields=fields).bind(copy).execute()

    return take


def leave_out(copy: Path, places: int) -> None:
    """
    Have the *copy* hand out none of the next so many *places*, in any table, as nobody knows which of them were.

    Raises: OSError when there is no room.
    """
    with closing(open_draft(copy)) as db, room(), db.atomic():
        handed_out = dict(db.execute_sql("SELECT name, seq FROM sqlite_sequence").fetchall())
        for (name,) in db.execute_sql("SELECT name FROM sqlite_master WHERE sql LIKE '%AUTOINCREMENT%'").fetchall():
            _go_on_behind(db, name, handed_out.get(name, 0) + places)


def _go_on_behind(db: SqliteDatabase, table: str, place: int) -> None:
    known = db.execute_sql("UPDATE sqlite_sequence SET seq = MAX(seq, ?) WHERE name = ?", (place, table))
    if not known.rowcount:
        db.execute_sql("INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)", (table, place))


def set_aside(store: Path, successor: Path) -> Path:
    """
    Put the *successor*, the file of a closed store, in the place of the *store*, which nobody uses; return where it is.

    Killed at any moment, it leaves either in the place.
    """
    aside = next(each for n in count(1) if not (each := store.with_name(f"{store.name}.damaged-{n}")).exists())
    os.link(store, aside)
    log, shared = (store.with_name(f"{store.name}{suffix}") for suffix in ("-wal", "-shm"))
    if log.exists():  # first: the successor has none, and must not be read with this one
        log.rename(f"{aside}-wal")
    shared.unlink(missing_ok=True)
    sync_directory(store.parent)
    successor.rename(store)
    sync_directory(store.parent)
    return aside
