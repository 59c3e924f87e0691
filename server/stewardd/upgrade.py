"""
How a store that exists is brought up to date: behind a verified backup, rehearsed on a copy, and undone when it fails.
"""

import shutil
from collections.abc import Callable
from contextlib import closing
from datetime import datetime
from pathlib import Path

from steward.errors import FailedPrecondition
from steward.types import BackupReason
from stewardd.backup import Backups, finished
from stewardd.store import copies, database, fact, schema, succession


def upgrade(store: Path, backups: Callable[[], Backups], *, now: Callable[[], datetime]) -> list[str]:
    """
    Apply what the schema of the *store*, a file that nobody uses, lacks; return the names of what was applied.

    A store that is not there, or belongs to no key yet, has nothing to lose, and is left to whoever opens it. Raises:
    FailedPrecondition when it fails; the store is then what it was.
    """
    if not store.exists() or not _waits(store):
        return []
    kept = backups()
    made = finished(kept.create(store, reason=BackupReason.MIGRATION, now=now()))
    if not finished(kept.verify(made.id, now=now())).passed:
        raise FailedPrecondition(f"the store is damaged, so it was not migrated: verify the backup {made.id}")
    with kept.scratch(made.id) as scratch:
        copy, rehearsal = scratch / "copy", scratch / "rehearsal"
        finished(kept.unpack(made, kept.source(made.id), copy))
        shutil.copyfile(copy, rehearsal)
        try:
            succession.bring_up_to_date(rehearsal)
        except Exception as error:
            raise FailedPrecondition(f"the migration failed on a copy, so the store is as it was: {error}") from error
        if problems := copies.complaints(rehearsal):
            raise FailedPrecondition(f"the migration damaged a copy, so the store is as it was: {problems[0]}")
        return migrate(store, copy, made.id)


def _waits(store: Path) -> bool:
    """Whether the *store* belongs to a key, and lacks something that can be applied."""
    with closing(database.open_writer(store)) as db, database.unreadable(store):
        return schema.lacks(db) and fact(db, "key") is not None


def migrate(store: Path, copy: Path, backup_id: str) -> list[str]:
    """Apply what the *store* lacks, or put back what the *copy* has, which is in a backup too."""
    with closing(database.open_writer(store)) as db:
        try:
            return schema.migrate(db)
        except Exception as error:
            db.close()
            db.connect()
            database.pour(copy, db)
            message = f"the migration failed and was undone; the backup {backup_id} has what was before: {error}"
            raise FailedPrecondition(message) from error
