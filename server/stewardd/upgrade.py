"""
How a store that exists is brought up to date: behind a verified backup, rehearsed on a copy, and undone when it fails.
"""

import shutil
from collections.abc import Callable
from contextlib import ExitStack, closing
from datetime import datetime
from pathlib import Path

from steward.errors import FailedPrecondition
from steward.types import Backup, BackupReason, Verification
from stewardd.backup import Backups, finished
from stewardd.store import copies, database, fact, schema, succession

NOT_MIGRATED = "NOT_MIGRATED"


def upgrade(store: Path, backups: Callable[[], Backups], *, now: Callable[[], datetime]) -> list[str]:
    """
    Apply what the schema of the *store*, a file that nobody uses, lacks; return the names of what was applied.

    A store that is not there, or belongs to no key yet, has nothing to lose, and is left to whoever opens it. Raises:
    FailedPrecondition when it fails, for NOT_MIGRATED where that is because of what is in the store; Unavailable when
    there is no room. The store is then what it was.
    """
    if not store.exists() or not _waits(store):
        return []
    kept = backups()
    made = finished(kept.create(store, reason=BackupReason.MIGRATION, now=now()))
    with ExitStack() as stack:
        try:
            _demand_sound(finished(kept.verify(made.id, now=now())))
            copy = _rehearsed(kept, made, stack.enter_context(kept.scratch(made.id)))
        except BaseException:  # the store was not touched, and the next start shall not leave another one
            kept.delete(made.id)
            raise
        return migrate(store, copy, made.id)


def _demand_sound(found: Verification) -> None:
    if not found.passed:
        raise _not_migrated(f"the store is damaged, so it was not migrated: {found.problems[0]}. Restore a backup")


def _rehearsed(kept: Backups, made: Backup, scratch: Path) -> Path:
    """Migrate a copy of what was *made* a backup of, and return another that was not."""
    copy, rehearsal = scratch / "copy", scratch / "rehearsal"
    finished(kept.unpack(made, kept.source(made.id), copy))
    shutil.copyfile(copy, rehearsal)
    try:
        succession.bring_up_to_date(rehearsal)
    except OSError:  # no room
        raise
    except Exception as error:
        raise _not_migrated(f"the migration failed on a copy, so the store is as it was: {error}") from error
    if problems := copies.complaints(rehearsal):
        raise _not_migrated(f"the migration damaged a copy, so the store is as it was: {problems[0]}")
    return copy


def _waits(store: Path) -> bool:
    """Whether the *store* belongs to a key, and lacks something that can be applied."""
    with closing(database.open_writer(store)) as db, database.unreadable(store):
        return schema.lacks(db) and fact(db, "key") is not None


def _not_migrated(message: str) -> FailedPrecondition:
    return FailedPrecondition(message, reason=NOT_MIGRATED)


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
