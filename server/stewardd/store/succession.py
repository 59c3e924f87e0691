"""
How a copy becomes what a store goes on from: brought up to date, and taking over what must outlive the change.
"""

from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path

from peewee import DatabaseError, SqliteDatabase

from steward.errors import FailedPrecondition
from stewardd.store import schema
from stewardd.store.database import open_draft, room

Heirloom = Callable[[SqliteDatabase, SqliteDatabase], object]  # takes something over from the store to the copy


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
            known = db.execute_sql("UPDATE sqlite_sequence SET seq = MAX(seq, ?) WHERE name = ?", (seq, name))
            if not known.rowcount:
                db.execute_sql("INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)", (name, seq))
        for heirloom in heirlooms:
            heirloom(store, db)
