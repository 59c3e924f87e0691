"""
Files of backups for tests: looked into, and made so that they are none.
"""

import hashlib
import importlib
from contextlib import closing, suppress
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import zstandard

from steward import Backup, BackupReason
from stewardd import manifest
from stewardd.privacy import Redactor, load_key

SQLITE: Any = importlib.import_module("sqlite3")
with suppress(ImportError):
    SQLITE = importlib.import_module("pysqlite3.dbapi2")


def backup(number: int, at: datetime, **changes: Any) -> Backup:
    """Return a backup of a moment, the *number* of which makes its id."""
    made = Backup(
        id=f"{number:08}-0000-7000-8000-000000000000",
        created_at=at,
        reason=BackupReason.SCHEDULED,
        stored_bytes=1,
        stored_sha256="",
        plain_bytes=1,
        plain_sha256="",
        tables=(),
        newest_seq=0,
        newest_recorded_at=None,
        store="",
        epoch="",
        schema_version="",
        program_version="",
        sqlite_version="",
        redaction_rules_version="",
        key_fingerprint="",
    )
    return replace(made, **changes)


def path_of(data: Path, backup: Backup) -> Path:
    """Return the file of *backup*."""
    return data / "backups" / f"{backup.id}.db.zst"


def unpacked(path: Path) -> bytes:
    """Return what any Zstandard program unpacks of a backup's file."""
    with path.open("rb") as file:
        return zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True).read()


def opened(path: Path, scratch: Path) -> Any:
    """Return the store in a backup's file, unpacked into *scratch*."""
    scratch.write_bytes(unpacked(path))
    return closing(SQLITE.connect(scratch))


def redactor(data: Path) -> Redactor:
    """Return a redactor with the key of the server on *data*."""
    return Redactor(load_key(data, given=None, fresh=False))


def sealed(backup: Backup, plain: bytes, redactor: Redactor, **changes: Any) -> bytes:
    """Return a backup's file like *backup* but with *changes* and of the content *plain*, as if it had been made so."""
    packed = zstandard.ZstdCompressor().compress(plain)
    described = replace(
        backup,
        stored_bytes=len(packed),
        stored_sha256=hashlib.sha256(packed).hexdigest(),
        plain_sha256=hashlib.sha256(plain).hexdigest(),
        **changes,
    )
    return packed + manifest.sealed(described, redactor)


def changed(data: Path, backup: Backup, statement: str, scratch: Path) -> bytes:
    """Return the file of *backup*, of the store in *data*, as if *statement* had been run before it was made."""
    with opened(path_of(data, backup), scratch) as db:
        db.executescript(f"PRAGMA journal_mode=DELETE; {statement}")
    plain = scratch.read_bytes()
    return sealed(backup, plain, redactor(data), plain_bytes=len(plain))


# Statements that make of a backup's content what no backup holds, and what is said of it.
STRANGE = "triggers, views or virtual tables, and a store has none"
OTHER = "its rows are not those that its manifest says"
CHANGES = [
    ("CREATE TRIGGER t AFTER INSERT ON interaction BEGIN DELETE FROM session; END", STRANGE),
    ("CREATE VIEW v AS SELECT 1", STRANGE),
    ("CREATE VIRTUAL TABLE v USING fts5(a)", STRANGE),
    ("PRAGMA application_id=7", "it is another program's database"),
    ("DELETE FROM interaction WHERE seq = 2", OTHER),
    ("UPDATE sqlite_sequence SET seq = 9 WHERE name = 'interaction'", OTHER),
    ("UPDATE interaction SET session = 99", "3 rows refer to rows that are not there"),
    ("DROP TABLE interaction", "the copy cannot be read: no such table: interaction"),
]


def wrong(data: Path, backup: Backup, scratch: Path) -> dict[str, tuple[bytes, str]]:
    """Return files that are no backup, made of a *backup* of the store in *data*, and what is said of each."""
    path, key = path_of(data, backup), redactor(data)
    content, plain = path.read_bytes(), unpacked(path)
    flipped = content[:1000] + bytes([content[1000] ^ 4]) + content[1001:]
    no_end, other_key = "it does not end as a backup does", "its manifest was not written under this privacy key"
    return {
        "empty": (b"", no_end),
        "a store": (plain, no_end),
        "truncated": (content[: len(content) // 2], no_end),
        "cut at its front": (content[100:], "its content has not the length that its manifest says"),
        "bit flipped in its content": (flipped, "its content"),  # cannot be unpacked, or is another
        "bit flipped in its manifest": (content.replace(b"MANUAL", b"SAFETY"), other_key),
        "bomb": (sealed(backup, bytes(2**26), key), "it unpacks to more than its manifest says"),
        "no database": (sealed(backup, b"no database", key, plain_bytes=11), "file is not a database"),
        "trigger": (changed(data, backup, CHANGES[0][0], scratch), STRANGE),
        "view": (changed(data, backup, CHANGES[1][0], scratch), STRANGE),
        "another program's": (changed(data, backup, CHANGES[3][0], scratch), CHANGES[3][1]),
        "another id": (sealed(backup, plain, key, id="../../elsewhere"), "its manifest is none"),
    }
