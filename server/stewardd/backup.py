"""
Backups: made of a store that is in use, and kept as files in a directory, each whole or not there.

What takes its time is a generator of how far it has come, to be run on a thread. A file is found by its id alone, which
is parsed and spelled anew: nothing that a caller says gets into a path.
"""

import errno
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

from steward import ids
from steward.disk import make_directory, sync_directory
from steward.errors import FailedPrecondition, InvalidArgument, NotFound
from steward.types import (
    Backup,
    BackupPhase,
    BackupPolicy,
    BackupProgress,
    BackupReason,
    BackupTable,
    FieldViolation,
    PruneDecision,
    Verification,
)
from stewardd import manifest, packing
from stewardd.manifest import Manifest, damaged
from stewardd.opening import new, opened, readable, remove, unknown, writing
from stewardd.packing import Steps
from stewardd.policy import decide
from stewardd.privacy import RULES_VERSION, Redactor
from stewardd.store import SQLITE_VERSION, copies, schema, succession
from stewardd.store.copies import Contents
from stewardd.store.times import instant, micros

T = TypeVar("T")

COUNTED = (BackupReason.MANUAL, BackupReason.SCHEDULED)  # what is asked for when one asks whether a backup exists
DIRECTORY = "backups"  # in the data directory
SUFFIX = ".db.zst"
_NAME = re.compile(rf"([0-9a-f-]{{36}}){re.escape(SUFFIX)}")
_NOTE = ".verified"  # what came of verifying it
_SCRATCH = ".scratch"  # what is under way; a crash may leave it
CHUNK = 1024 * 1024  # bytes of a download


@dataclass(frozen=True, slots=True)
class Standing:
    """What there is of backups."""

    backups: tuple[Backup, ...]  # the complete ones, the latest first
    damaged: int  # files that are called so and are none

    @property
    def last(self) -> Backup | None:
        """The latest."""
        return self.backups[0] if self.backups else None

    @property
    def last_verified(self) -> Backup | None:
        """The latest that passed when it was last verified."""
        return next((each for each in self.backups if each.verification and each.verification.passed), None)

    @property
    def exists(self) -> bool:
        """Whether one was made by hand or by the policy that is not known to be damaged."""
        return any(
            each.reason in COUNTED and (not each.verification or each.verification.passed) for each in self.backups
        )


class Backups:
    """The backups in a directory, under one privacy key."""

    def __init__(self, directory: Path, *, redactor: Redactor) -> None:
        self._directory = directory
        self._redactor = redactor
        self.fingerprint = redactor.fingerprint()

    def clear(self) -> None:
        """Remove what a crash left in the directory."""
        for left in self._directory.glob(f"*{_SCRATCH}"):
            if ids.parse(left.stem):
                remove(left)
        for note in self._directory.glob(f"*{_NOTE}"):
            if ids.parse(note.stem) and not note.with_suffix(SUFFIX).exists():
                remove(note)

    def create(self, store: Path, *, reason: BackupReason, now: datetime) -> Steps[Backup]:
        """
        Make a backup of the *store*, a file that may be in use, of a moment not before *now*; return it when on disk.

        Those who record go first, but for a safety backup, which they have to wait for.
        Raises: Unavailable when there is no room, or the store cannot be read; nothing is then left.
        """
        key = ids.mint()
        with self.scratch(key) as scratch:
            plain, packed = new(scratch / "plain"), new(scratch / "packed")
            size = store.stat().st_size
            self._demand_room(size + size // 4)  # the copy, and about what is made of it
            yield BackupProgress(BackupPhase.COPYING, 0, size)
            copies.take(store, plain, rest=reason != BackupReason.SAFETY)
            found = copies.contents(plain)
            with plain.open("rb") as source, packed.open("wb") as file:
                sizes = yield from packing.pack(source, file, rest=reason != BackupReason.SAFETY)
                file.seek(sizes["stored_bytes"])
                made = Backup(
                    id=key,
                    created_at=now,
                    reason=reason,
                    **sizes,
                    tables=tuple(BackupTable(*each) for each in found.tables),
                    newest_seq=found.newest_seq,
                    newest_recorded_at=None if found.newest_recorded_at is None else instant(found.newest_recorded_at),
                    store=found.store,
                    epoch=found.epoch,
                    schema_version=found.schema_version,
                    program_version=version("steward-data"),
                    sqlite_version=SQLITE_VERSION,
                    redaction_rules_version=RULES_VERSION,
                    key_fingerprint=self.fingerprint,
                )
                file.write(manifest.sealed(made, self._redactor))
                file.flush()
                os.fsync(file.fileno())
            packed.rename(self._path(key))
            sync_directory(self._directory)
        return made

    def verify(self, backup_id: str, *, now: datetime) -> Steps[Verification]:
        """
        Verify a backup by its digests and by a trial restore; keep and return what came of it.

        Raises: InvalidArgument, NotFound; Unavailable when there is no room.
        """
        key = parsed(backup_id)
        started = time.monotonic()
        with self.scratch(key) as scratch:
            try:
                known = self._manifest(key).backup
                problems = yield from self.unpack(known, self._path(key), scratch / "plain")
                if not problems and schema.is_known(known.schema_version):
                    succession.bring_up_to_date(scratch / "plain")
                    problems = copies.misfits(scratch / "plain")
            except FailedPrecondition as error:
                problems = [error.message]
            done = Verification(now, not problems, tuple(problems), time.monotonic() - started)
            note = new(scratch / "note")
            with note.open("wb") as file:
                file.write(manifest.noted(key, done, self._redactor))
                file.flush()
                os.fsync(file.fileno())
            kept = self._directory / f"{key}{_NOTE}"
            if not kept.is_file():
                remove(kept)
            note.rename(kept)
            sync_directory(self._directory)
        return done

    def trusted(self, source: Path, *, foreign: bool) -> Backup:
        """
        Return what the backup in the file *source* is, of another key only when *foreign*.

        Raises: NotFound, FailedPrecondition when it is damaged or not to be trusted.
        """
        with readable(source) as file:
            found = manifest.read(file)
        _demand_named(found.backup, source)
        if not found.authentic(self._redactor):
            if found.backup.key_fingerprint == self.fingerprint:
                raise damaged("its manifest was not written under this privacy key")
            if not foreign:
                raise FailedPrecondition(
                    "this backup was made under another privacy key: --foreign takes it all the same, "
                    "but its sessions will not be found by their session_id",
                    reason="OTHER_KEY",
                )
        return found.backup

    def unpack(self, backup: Backup, source: Path, target: Path) -> Steps[list[str]]:
        """Unpack *backup*, in the file *source*, to *target*, a new file; return what is wrong with it."""
        self._demand_room(backup.plain_bytes)
        with opened(source) as packed, new(target).open("wb") as plain:
            problem = yield from packing.unpack(packed, plain, backup)
        if problem:
            return [problem]
        yield BackupProgress(BackupPhase.CHECKING, 0, 0)
        problems = copies.complaints(target)
        if not problems and _described(copies.contents(target)) != _described(backup):
            problems.append("its rows are not those that its manifest says")
        return problems

    def source(self, backup_id: str) -> Path:
        """Return where the file of a backup is, or would be. Raises: InvalidArgument."""
        return place(self._directory, backup_id)

    def delete(self, backup_id: str) -> None:
        """Delete a backup, damaged or not. Raises: InvalidArgument, NotFound, Unavailable."""
        key = parsed(backup_id)
        with writing():
            try:
                self._path(key).unlink()
            except (FileNotFoundError, IsADirectoryError):
                raise unknown() from None
            remove(self._directory / f"{key}{_NOTE}")
            sync_directory(self._directory)

    def prune(self, policy: BackupPolicy, *, dry_run: bool, now: datetime) -> list[PruneDecision]:
        """Delete what may go by *policy*, unless it is a *dry_run*; say of each backup what becomes of it, and why."""
        decisions = decide(self.listed(), policy, now=now)
        for each in decisions:
            if each.goes and not dry_run:
                self.delete(each.id)
        return decisions

    def make_scheduled(
        self, store: Path, policy: Callable[[], BackupPolicy], *, now: Callable[[], datetime]
    ) -> Steps[Verification]:
        """
        Make a backup of the *store* by the *policy*, verify it, and when it passes delete what may go.

        It is the last one that is verified, where that was made and then something came between.
        """
        at = now()
        made = (each for each in self.listed() if each.reason == BackupReason.SCHEDULED and each.created_at <= at)
        last = next(made, None)
        if last is None or last.verification is not None:
            last = yield from self.create(store, reason=BackupReason.SCHEDULED, now=now())
        verification = yield from self.verify(last.id, now=now())
        if verification.passed:
            self.prune(policy(), dry_run=False, now=now())
        return verification

    def file(self, backup_id: str) -> tuple[Backup, int]:
        """Return a backup and the size of its file. Raises: as get."""
        found = self.get(backup_id)
        return found, self._path(found.id).stat().st_size

    def block(self, backup_id: str, place: int) -> bytes:
        """Return the bytes of a backup's file from a *place* on, b'' at its end. Raises: NotFound."""
        with readable(self.source(backup_id)) as file:
            file.seek(place)
            return file.read(CHUNK)

    def listed(self) -> list[Backup]:
        """Return the complete backups, the latest first."""
        return list(self.standing().backups)

    def standing(self) -> Standing:
        """Return what there is."""
        found, damaged = [], 0
        for path in self._directory.glob(f"*{SUFFIX}"):
            if named := _NAME.fullmatch(path.name):
                try:
                    found.append(self._noted(self._manifest(named[1]).backup))
                except FailedPrecondition:
                    damaged += 1
                except NotFound:  # deleted meanwhile, or a link
                    continue
        latest_first = sorted(found, key=lambda each: (each.created_at, each.id), reverse=True)
        return Standing(tuple(latest_first), damaged)

    def page(
        self, *, reasons: Sequence[int], after: tuple[int, bytes] | None, limit: int
    ) -> list[tuple[tuple[int, bytes], Backup]]:
        """Return the first *limit* backups, those for *reasons* if it has any, that come *after* a place."""
        chosen = [each for each in self.listed() if not reasons or each.reason in reasons]
        placed = [((micros(each.created_at), each.id.encode()), each) for each in chosen]
        return [each for each in placed if after is None or each[0] < after][:limit]

    def get(self, backup_id: str) -> Backup:
        """Return a backup. Raises: InvalidArgument, NotFound, FailedPrecondition when it is damaged."""
        return self._noted(self._manifest(parsed(backup_id)).backup)

    def _noted(self, backup: Backup) -> Backup:
        """Return *backup* with what came of verifying it."""
        try:
            with readable(self._directory / f"{backup.id}{_NOTE}") as file:
                note = file.read(manifest.MOST)
        except (NotFound, FailedPrecondition):
            return backup
        return replace(backup, verification=manifest.read_note(note, backup.id, self._redactor))

    def _manifest(self, key: str) -> Manifest:
        """Return the manifest of the backup *key*. Raises: NotFound, FailedPrecondition when it is damaged."""
        path = self._path(key)
        with readable(path) as file:
            found = manifest.read(file)
        if not found.authentic(self._redactor):
            raise damaged("its manifest was not written under this privacy key")
        _demand_named(found.backup, path)
        return found

    def _demand_room(self, size: int) -> None:
        """
        Raise OSError when the directory has no room for *size* bytes, and is on the disk of the store.

        To fill that would have records refused meanwhile, so a quarter more is to be left.
        """
        shared = self._directory.stat().st_dev == self._directory.parent.stat().st_dev
        if shared and shutil.disk_usage(self._directory).free < size + size // 4:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def _path(self, key: str) -> Path:
        return self._directory / f"{key}{SUFFIX}"

    @contextmanager
    def scratch(self, key: str) -> Iterator[Path]:
        """Have a directory for what is under way. Raises: Unavailable when there is no room for it."""
        place = self._directory / f"{key}{_SCRATCH}"
        with writing():
            make_directory(self._directory)
            place.mkdir(mode=0o700)
            try:
                yield place
            finally:
                shutil.rmtree(place)


def finished(steps: Steps[T]) -> T:
    """Do all *steps* at once, and return what comes of them."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            result: T = end.value
            return result


def _demand_named(backup: Backup, path: Path) -> None:
    """Raise FailedPrecondition when *path* has the name of another than *backup*."""
    named = _NAME.fullmatch(path.name)
    if named and named[1] != backup.id:
        raise damaged(f"it is the backup {backup.id} under another name")


def place(directory: Path, backup_id: str) -> Path:
    """Return where in *directory* the file of a backup is, or would be. Raises: InvalidArgument."""
    return directory / f"{parsed(backup_id)}{SUFFIX}"


def parsed(backup_id: str) -> str:
    """Return *backup_id* as it is spelled. Raises: InvalidArgument when it is none."""
    key = ids.parse(backup_id)
    if key is None:
        raise InvalidArgument.of(FieldViolation("id", "must be the id of a backup, as they are listed"))
    return ids.spell(key)


def _described(found: Backup | Contents) -> tuple[object, ...]:
    """Return what both a manifest and a look at the content say."""
    tables: Any = found.tables
    rows = [(each.name, each.rows) if isinstance(each, BackupTable) else each for each in tables]
    return rows, found.newest_seq, found.store, found.epoch, found.schema_version
