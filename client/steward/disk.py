"""
Files that outlast a loss of power, beside others that come and go.
"""

import os
from pathlib import Path


def sync_directory(path: Path) -> None:
    """See the names in the directory *path* on disk."""
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def make_directory(path: Path) -> None:
    """Make the directory *path*, for this user only, where there is none. Raises: OSError."""
    if not path.is_dir():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.mkdir(mode=0o700, exist_ok=True)
        sync_directory(path.parent)


def files_in(path: Path) -> list[Path]:
    """Return what is in the directory *path*, nothing when there is none. Raises: OSError."""
    try:
        return list(path.iterdir())
    except FileNotFoundError:
        return []


def size_of(path: Path) -> int:
    """Return how many bytes *path* has, none when it is gone. Raises: OSError."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
