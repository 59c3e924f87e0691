"""
Backups: made of a store that is in use, and kept as files in a directory, each whole or not there.

What takes its time is a generator of how far it has come, to be run on a thread. A file is found by its id alone, which
is parsed and spelled anew: nothing that a caller says gets into a path.
"""

import errno
import hashlib
import os
import re
import shutil
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import zstandard

from steward import ids
from steward.errors import Error, InvalidArgument, NotFound, Unavailable
from steward.types import Backup, BackupPhase, BackupProgress, BackupReason, BackupTable, FieldViolation
from stewardd import manifest
from stewardd.manifest import Manifest, damaged
from stewardd.privacy import RULES_VERSION, Redactor
from stewardd.store import SQLITE_VERSION, copies
from stewardd.store.times import instant, micros

T = TypeVar("T")
Steps = Generator[BackupProgress, None, T]

DIRECTORY = "backups"  # in the data directory
SUFFIX = ".db.zst"
_NAME = re.compile(rf"([0-9a-f-]{{36}}){re.escape(SUFFIX)}")
_SCRATCH = ".scratch"  # what is under way; a crash may leave it
_LEVEL, _THREADS = 3, 2  # of Zstandard
_BLOCK = 1024 * 1024  # bytes at a time


class Backups:
    """The backups in a directory, under one privacy key."""

    def __init__(self, directory: Path, *, redactor: Redactor) -> None:
        self._directory = directory
        self._redactor = redactor

    def clear(self) -> None:
        """Remove what a crash left in the directory."""
        for left in self._directory.glob(f"*{_SCRATCH}"):
            shutil.rmtree(left)

    def create(self, store: Path, *, reason: BackupReason, now: datetime) -> Steps[Backup]:
        """
        Make a backup of the *store*, a file that may be in use, of a moment not before *now*; return it when on disk.

        Raises: Unavailable when there is no room, or the store cannot be read; nothing is then left.
        """
        key = ids.mint()
        with self._scratch(key) as scratch:
            plain, packed = _new(scratch / "plain"), _new(scratch / "packed")
            size = store.stat().st_size
            yield BackupProgress(BackupPhase.COPYING, 0, size)
            copies.take(store, plain)
            found = copies.contents(plain)
            with packed.open("wb") as file:
                sizes = yield from _pack(plain, file)
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
                    key_fingerprint=self._redactor.fingerprint(),
                )
                file.write(manifest.sealed(made, self._redactor))
                file.flush()
                os.fsync(file.fileno())
            packed.rename(self._path(key))
            _sync(self._directory)
        return made

    def listed(self) -> list[Backup]:
        """Return the complete backups, the latest first."""
        found = []
        for path in self._directory.glob(f"*{SUFFIX}"):
            with suppress(Error):
                if named := _NAME.fullmatch(path.name):
                    found.append(self._manifest(named[1]).backup)
        return sorted(found, key=lambda each: (each.created_at, each.id), reverse=True)

    def page(
        self, *, reasons: Sequence[int], after: tuple[int, bytes] | None, limit: int
    ) -> list[tuple[tuple[int, bytes], Backup]]:
        """Return the first *limit* backups, those for *reasons* if it has any, that come *after* a place."""
        chosen = [each for each in self.listed() if not reasons or each.reason in reasons]
        placed = [((micros(each.created_at), each.id.encode()), each) for each in chosen]
        return [each for each in placed if after is None or each[0] < after][:limit]

    def get(self, backup_id: str) -> Backup:
        """Return a backup. Raises: InvalidArgument, NotFound, FailedPrecondition when it is damaged."""
        return self._manifest(parsed(backup_id)).backup

    def _manifest(self, key: str) -> Manifest:
        """Return the manifest of the backup *key*. Raises: NotFound, FailedPrecondition when it is damaged."""
        with self._open(key) as file:
            found = manifest.read(file)
        if not found.authentic(self._redactor):
            raise damaged("its manifest was not written under this privacy key")
        if found.backup.id != key:
            raise damaged(f"it is the backup {found.backup.id} under another name")
        return found

    @contextmanager
    def _open(self, key: str) -> Iterator[BinaryIO]:
        try:
            handle = os.open(self._path(key), os.O_RDONLY | os.O_NOFOLLOW)  # a link could lead out of the directory
        except OSError:
            raise NotFound("no backup has this id", reason="BACKUP_NOT_FOUND") from None
        with os.fdopen(handle, "rb") as file:
            yield file

    def _path(self, key: str) -> Path:
        return self._directory / f"{key}{SUFFIX}"

    @contextmanager
    def _scratch(self, key: str) -> Iterator[Path]:
        """Have a directory for what is under way. Raises: Unavailable when there is no room for it."""
        place = self._directory / f"{key}{_SCRATCH}"
        try:
            if not self._directory.exists():
                self._directory.mkdir(mode=0o700)
                _sync(self._directory.parent)
            place.mkdir(mode=0o700)
            try:
                yield place
            finally:
                shutil.rmtree(place)
        except OSError as error:
            full = error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
            why = "is full" if full else f"cannot be written: {error.strerror}"
            message = f"the disk that holds the backups {why}: nothing was done"
            raise Unavailable(message, reason="BACKUP_STORAGE_FULL", retry_after=60.0) from error


def parsed(backup_id: str) -> str:
    """Return *backup_id* as it is spelled. Raises: InvalidArgument when it is none."""
    key = ids.parse(backup_id)
    if key is None:
        raise InvalidArgument.of(FieldViolation("id", "must be the id of a backup, as they are listed"))
    return ids.spell(key)


def _pack(plain: Path, packed: BinaryIO) -> Steps[dict[str, Any]]:
    """Compress *plain* into *packed*; return the sizes and digests of both."""
    before, after = hashlib.sha256(), hashlib.sha256()
    size, done, stored = plain.stat().st_size, 0, 0
    compressor = zstandard.ZstdCompressor(level=_LEVEL, threads=_THREADS).compressobj(size=size)
    with plain.open("rb", buffering=0) as file:
        while True:
            yield BackupProgress(BackupPhase.PACKING, done, size)
            block = file.read(_BLOCK)
            piece = compressor.compress(block) if block else compressor.flush()
            before.update(block)
            after.update(piece)
            packed.write(piece)
            done, stored = done + len(block), stored + len(piece)
            if not block:
                break
    return {
        "plain_bytes": done,
        "plain_sha256": before.hexdigest(),
        "stored_bytes": stored,
        "stored_sha256": after.hexdigest(),
    }


def _new(path: Path) -> Path:
    """Make an empty file at *path*, for its owner only."""
    path.touch(mode=0o600, exist_ok=False)
    return path


def _sync(directory: Path) -> None:
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
