"""
Opens a file of the predecessor.

Reads it into memory, so that no unpacked copy of what it holds is left behind.
"""

import gzip
import sqlite3
import zlib
from pathlib import Path

from steward.errors import InvalidArgument

MOST_BYTES = 2 * 1024**3
_GZIP, _SQLITE = b"\x1f\x8b", b"SQLite format 3\0"


def refused(path: Path, why: str) -> InvalidArgument:
    """Return the error that says *why* the file at *path* is not taken."""
    return InvalidArgument(f"{path} {why}")


def opened(path: Path) -> sqlite3.Connection:
    """Return the database in the file at *path*, gzipped or not. Raises: InvalidArgument."""
    content = bytearray(_read(path))
    if not content.startswith(_SQLITE):
        raise refused(path, "is not the predecessor's: it holds no SQLite database")
    page = int.from_bytes(content[16:18], "big")
    if len(content) < int.from_bytes(content[28:32], "big") * (65536 if page == 1 else page):
        raise refused(path, "is truncated: it is shorter than it says")
    content[18:20] = b"\1\1"  # a file in memory has no write-ahead log: https://sqlite.org/fileformat2.html#1.3.3
    database = sqlite3.connect(":memory:", check_same_thread=False)  # gRPC reads what it sends on its own thread
    database.deserialize(bytes(content))
    database.execute("PRAGMA trusted_schema = OFF")
    database.execute("PRAGMA query_only = ON")
    database.text_factory = lambda text: text.decode("utf-8", "surrogateescape")
    return database


def _read(path: Path) -> bytes:
    try:
        content = path.read_bytes()
        if content.startswith(_GZIP):
            with gzip.open(path) as unpacked:
                content = unpacked.read(MOST_BYTES + 1)
            if len(content) > MOST_BYTES:
                raise refused(path, "is not the predecessor's: it unpacks to more than 2 GiB")
            return content
    except OSError as error:  # gzip.BadGzipFile is one
        raise refused(path, f"cannot be read: {error.strerror or 'it is not gzip, or damaged'}") from None
    except EOFError:
        raise refused(path, "is truncated: its gzip ends too early") from None
    except zlib.error:
        raise refused(path, "is damaged: its gzip does not unpack") from None
    if path.suffix == ".gz":
        raise refused(path, "is not gzip, though its name says so")
    log = path.with_name(path.name + "-wal")
    if log.exists() and log.stat().st_size:
        raise refused(path, f"has changes in {log.name} that are not in it yet: close what uses it, then try again")
    return content
