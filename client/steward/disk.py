"""
Files that outlast a loss of power.
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
