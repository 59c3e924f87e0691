"""
Restores: a backup becomes what the store holds, all or nothing, while the store is in use or while it is not.

What must outlive a restore is taken over from the store to the copy before the copy replaces it: HEIRLOOMS.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from peewee import SqliteDatabase

from steward.errors import FailedPrecondition
from steward.types import (
    Backup,
    BackupPhase,
    BackupProgress,
    BackupReason,
    Restoration,
    Restore,
    RestoredTable,
)
from stewardd import policy, quality
from stewardd.backup import Backups
from stewardd.manifest import damaged
from stewardd.packing import Steps
from stewardd.store import Store, copies, fact, new_epoch, put, schema, succession
from stewardd.store.models import Alert, AlertRule
from stewardd.store.models import Restore as Restores
from stewardd.store.times import instant, micros


def plan(backups: Backups, source: Path, before: copies.Contents | None, *, foreign: bool) -> Restoration:
    """
    Say what to restore the backup in the file *source* would do to a store that holds what was *before*, if anything.

    Raises: as `restore` does of what is known without looking at the content.
    """
    wanted = _wanted(backups, source, store="" if before is None else before.store, foreign=foreign)
    after = {each.name: each.rows for each in wanted.tables}
    if before is not None:
        after |= {name: count for name, count in before.tables if name in STAYING}
    after["restore"] = after.get("restore", 0) + 1
    return _restoration(wanted, before, after, None)


def restore(
    backups: Backups, store: Store, source: Path, *, foreign: bool, now: Callable[[], datetime]
) -> Steps[Restoration]:
    """
    Restore the backup in the file *source* into the *store*.

    From the safety backup on whoever writes is told UNAVAILABLE, so that what is acknowledged is in that backup or in
    the store. Raises: FailedPrecondition when it is damaged, newer than this Steward, or of another store or key and
    not *foreign*; Unavailable when there is no room. The store is then what it was.
    """
    fresh = store.fresh
    wanted = _wanted(backups, source, store="" if fresh else store.identity, foreign=foreign)
    with backups.scratch(wanted.id) as scratch:
        copy = scratch / "copy"
        problems = yield from backups.unpack(wanted, source, copy)
        if problems:
            raise damaged(problems[0])
        succession.bring_up_to_date(copy)
        if problems := copies.misfits(copy):
            raise damaged(problems[0])
        if fresh:
            succession.leave_out(copy, _unknown(wanted, backups.listed(), now()))
        with store.held() as held:
            before = copies.contents(store.path, shared=True)
            safety = ""
            if not fresh:
                made = yield from backups.create(store.path, reason=BackupReason.SAFETY, now=now())
                safety = made.id
            yield BackupProgress(BackupPhase.RESTORING, 0, wanted.plain_bytes)
            done = Restore(now(), wanted.id, safety, wanted.epoch if fresh else store.epoch, new_epoch())
            heirlooms = () if fresh else HEIRLOOMS
            succession.take_over(copy, held, (*heirlooms, _keyed(backups.fingerprint), _noted(done)))
            after = dict(copies.contents(copy).tables)
            store.replace(held, copy, epoch=done.epoch_after)
    return _restoration(wanted, before, after, done)


def _wanted(backups: Backups, source: Path, *, store: str, foreign: bool) -> Backup:
    """Return the backup in the file *source*, which may become what that *store* holds, or any where it is ''."""
    wanted = backups.trusted(source, foreign=foreign)
    schema.demand_known(wanted.schema_version, of="this backup")
    if not foreign and store not in ("", wanted.store):
        raise FailedPrecondition(
            "this backup is of another store: --foreign takes it all the same", reason="OTHER_STORE"
        )
    return wanted


def _unknown(wanted: Backup, others: Iterable[Backup], now: datetime) -> int:
    """
    Return how many places behind *wanted* a store that is lost may have handed out, of which only backups are known.

    That is one for each microsecond since a backup, which is more than a store takes.
    """
    reach = (each.newest_seq + max(0, micros(now) - micros(each.created_at)) for each in (wanted, *others))
    return max(reach) - wanted.newest_seq


def restores(store: Store) -> list[Restore]:
    """Return the restores that were done, the latest first."""
    rows = store.rows(Restores.select(*_FIELDS).order_by(Restores.number.desc()))
    return [Restore(instant(at), *rest) for at, *rest in rows]


_FIELDS = (
    Restores.restored_at,
    Restores.backup_id,
    Restores.safety_backup_id,
    Restores.epoch_before,
    Restores.epoch_after,
)


def _restoration(
    backup: Backup, before: copies.Contents | None, after: Mapping[str, int], done: Restore | None
) -> Restoration:
    """Return what becomes, or became, of what was *before*, where each table has so many rows *after*."""
    rows = {} if before is None else dict(before.tables)
    newest = None if before is None else before.newest_recorded_at
    names = sorted((rows.keys() | after.keys()) - OWN)
    return Restoration(
        backup=backup,
        tables=tuple(RestoredTable(name, rows.get(name, 0), after.get(name, 0)) for name in names),
        newest_before=None if newest is None else instant(newest),
        newest_after=backup.newest_recorded_at,
        restore=done,
    )


# What is taken over


def _identity(store: SqliteDatabase, copy: SqliteDatabase) -> None:
    """The store stays the one it is, whatever the backup is of."""
    put(copy, "store", fact(store, "store") or "")


def _settings(store: SqliteDatabase, copy: SqliteDatabase) -> None:
    """What was set is that of now: a backup may be from before it was."""
    for name in (policy.POLICY, quality.THRESHOLDS):
        put(copy, name, fact(store, name) or "")


OWN = {"meta", "schema_migration"}  # tables of what a store knows of itself, which nobody loses or gains
# Tables of what was set, and of what happened to the store rather than in what it records.
STAYING = {"alert_rule": AlertRule, "alert": Alert, "restore": Restores}
HEIRLOOMS: tuple[succession.Heirloom, ...] = (_identity, _settings, *map(succession.stays, STAYING.values()))


def _keyed(fingerprint: str) -> succession.Heirloom:
    """Have the copy belong to the key in use, whatever key it is of."""
    return lambda _, copy: put(copy, "key", fingerprint)


def _noted(done: Restore) -> succession.Heirloom:
    def note(_: SqliteDatabase, copy: SqliteDatabase) -> None:
        put(copy, "epoch", done.epoch_after)
        values = (done.backup_id, done.safety_backup_id, done.epoch_before, done.epoch_after)
        _add(copy, (micros(done.restored_at), *values))

    return note


def _add(copy: SqliteDatabase, row: tuple[Any, ...]) -> None:
    Restores.insert(dict(zip(_FIELDS, row, strict=True))).bind(copy).execute()
