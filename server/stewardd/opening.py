"""
Files in the directory of backups, where anything may lie: what is opened is a file, and what the disk refuses is told.
"""

import errno
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from steward.errors import Error, NotFound, Unavailable
from stewardd.manifest import damaged

_ABSENT = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO)  # there is none, or it is a link or a socket
_SHORT = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)


@contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """
    Open the file at *path*. Raises: NotFound; FailedPrecondition when it is there and cannot be opened.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)  # a link could lead out, a pipe hold up
    except OSError as error:
        if error.errno in _ABSENT:
            raise unknown() from None
        raise _unreadable(error) from error
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise unknown()
    with os.fdopen(handle, "rb") as file:
        yield file


@contextmanager
def readable(path: Path) -> Iterator[BinaryIO]:
    """Open the file at *path* to read it. Raises: as `opened`; FailedPrecondition when reading fails."""
    with opened(path) as file:
        try:
            yield file
        except OSError as error:
            raise _unreadable(error) from error


def _unreadable(error: OSError) -> Error:
    """Return what it means that a file could not be opened or read because of *error*."""
    if error.errno in _SHORT:
        return Unavailable("backups cannot be read at the moment: too many files are open", reason="STORE_UNAVAILABLE")
    return damaged(f"it cannot be read: {error.strerror}")


def remove(path: Path) -> None:
    """Remove what is at *path*, whatever it is, if anything."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


@contextmanager
def writing() -> Iterator[None]:
    """Tell what the disk refuses as what may be tried again. Raises: Unavailable."""
    try:
        yield
    except OSError as error:
        if error.errno in _SHORT:
            raise _unreadable(error) from error
        full = error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
        why = "is full" if full else f"cannot be written: {error.strerror}"
        message = f"the disk that holds the backups {why}: nothing was done"
        raise Unavailable(message, reason="BACKUP_STORAGE_FULL", retry_after=60.0) from error


def unknown() -> NotFound:
    """Return the error of an id that no backup has."""
    return NotFound("no backup has this id", reason="BACKUP_NOT_FOUND")


def new(path: Path) -> Path:
    """Make an empty file at *path*, for its owner only."""
    path.touch(mode=0o600, exist_ok=False)
    return path
