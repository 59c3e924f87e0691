"""
What a backup says of itself, and how its file is laid out: a Zstandard frame with the store, then a skippable frame
with the manifest, so that any `zstd -d` unpacks it. The manifest is authenticated under the privacy key.

Reads and writes files that it is given; opens none.
"""

import hmac
import json
import os
import struct
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, BinaryIO

from steward import ids
from steward.errors import FailedPrecondition
from steward.types import Backup, BackupReason, BackupTable, Verification
from stewardd.privacy import Redactor
from stewardd.store.times import instant, micros

MOST = 64 * 1024  # bytes of a manifest
_FRAME = struct.Struct("<II")  # of Zstandard: https://www.rfc-editor.org/rfc/rfc8878#section-3.1.2
_MAGIC = 0x184D2A5B
_END = struct.Struct("<I8s")  # how long it is, and whose
_OURS = b"STEWARD1"
_SIGNATURE = 16
MOST_COUNTED = 2**63 - 1
BAD = (ValueError, TypeError, KeyError, OverflowError, RecursionError)  # what comes of JSON that is no manifest
PURPOSE, VERIFIED = "backup", "backup verified"  # of signatures


@dataclass(frozen=True, slots=True)
class Manifest:
    """What stands in a file, not checked but for its form."""

    backup: Backup
    content: bytes
    signature: bytes

    def authentic(self, redactor: Redactor) -> bool:
        """Whether it was written under the key of *redactor*."""
        return hmac.compare_digest(self.signature, redactor.sign(PURPOSE, self.content))


def sealed(backup: Backup, redactor: Redactor) -> bytes:
    """Return the frame that says what *backup* is, to stand behind its content."""
    content = json.dumps(_plain(backup), ensure_ascii=False).encode()
    inner = content + redactor.sign(PURPOSE, content) + _END.pack(len(content), _OURS)
    return _FRAME.pack(_MAGIC, len(inner)) + inner


def read(file: BinaryIO) -> Manifest:
    """
    Return the manifest at the end of *file*.

    Raises: FailedPrecondition when that is no complete backup.
    """
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - MOST))
    tail = file.read(MOST)
    if len(tail) < _END.size or tail[-len(_OURS) :] != _OURS:
        raise damaged("it does not end as a backup does")
    length, _ = _END.unpack(tail[-_END.size :])
    inner = length + _SIGNATURE + _END.size
    if _FRAME.size + inner > len(tail) or tail[-inner - _FRAME.size : -inner] != _FRAME.pack(_MAGIC, inner):
        raise damaged("its manifest has not the length that it says")
    content, signature = tail[-inner : length - inner], tail[length - inner : -_END.size]
    try:
        backup = _backup(json.loads(content))
    except BAD:
        raise damaged("its manifest is none") from None
    if backup.stored_bytes != size - inner - _FRAME.size:
        raise damaged("its content has not the length that its manifest says")
    return Manifest(backup, content, signature)


def noted(backup_id: str, verification: Verification, redactor: Redactor) -> bytes:
    """Return what is to be kept of the *verification* of a backup."""
    content = json.dumps(
        {"id": backup_id, **asdict(verification), "verified_at": micros(verification.verified_at)}
    ).encode()
    return redactor.sign(VERIFIED, content) + content


def read_note(note: bytes, backup_id: str, redactor: Redactor) -> Verification | None:
    """Return what is kept of a verification; None when that is not of this backup, or not ours."""
    signature, content = note[:_SIGNATURE], note[_SIGNATURE:]
    if not hmac.compare_digest(signature, redactor.sign(VERIFIED, content)):
        return None
    plain = json.loads(content)
    if plain["id"] != backup_id:
        return None
    return Verification(instant(plain["verified_at"]), plain["passed"], tuple(plain["problems"]), plain["seconds"])


def damaged(why: str) -> FailedPrecondition:
    """Return the error that says *why* a file is not a backup that can be used."""
    return FailedPrecondition(f"this backup cannot be used: {why}", reason="BACKUP_DAMAGED")


def _plain(backup: Backup) -> dict[str, Any]:
    newest = backup.newest_recorded_at
    plain = asdict(backup)
    del plain["verification"]  # kept apart, as it changes
    return plain | {
        "created_at": micros(backup.created_at),
        "reason": backup.reason.name,
        "tables": [[each.name, each.rows] for each in backup.tables],
        "newest_recorded_at": None if newest is None else micros(newest),
    }


def _backup(plain: Mapping[str, Any]) -> Backup:
    """Return the backup that *plain* tells of, which may be of anyone's making. Raises: one of BAD."""
    newest = plain["newest_recorded_at"]
    if ids.parse(plain["id"]) is None or "verification" in plain:  # which is kept apart
        raise ValueError
    checked = {each.name: _checked(plain[each.name], each.type) for each in fields(Backup) if each.type in {str, int}}
    return Backup(
        **{
            **plain,
            **checked,
            "created_at": instant(_checked(plain["created_at"], int)),
            "reason": BackupReason[plain["reason"]],
            "tables": tuple(BackupTable(_checked(name, str), _checked(rows, int)) for name, rows in plain["tables"]),
            "newest_recorded_at": None if newest is None else instant(_checked(newest, int)),
        }
    )


def _checked(value: Any, kind: Any) -> Any:
    """Return *value*, which is to be a text or a count. Raises: one of BAD."""
    if type(value) is not kind or (kind is int and not 0 <= value <= MOST_COUNTED):
        raise ValueError
    if kind is str:
        value.encode()  # which not all that JSON can spell can be
    return value
