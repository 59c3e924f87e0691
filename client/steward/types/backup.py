"""
Backups: what each is of, and how far it has come.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum


class BackupReason(IntEnum):
    """Why a backup was made."""

    UNSPECIFIED = 0
    MANUAL = 1
    SCHEDULED = 2
    SAFETY = 3  # before a restore
    MIGRATION = 4  # before a migration


@dataclass(frozen=True, slots=True)
class BackupTable:
    """How many rows a table has."""

    name: str
    rows: int


@dataclass(frozen=True, slots=True)
class Verification:
    """What came of the last time that a backup was verified."""

    verified_at: datetime
    passed: bool
    problems: tuple[str, ...]  # empty when it passed
    seconds: float  # that it took


@dataclass(frozen=True, slots=True, kw_only=True)
class Backup:
    """A complete backup: what its manifest says."""

    id: str
    created_at: datetime  # the moment it is of
    reason: BackupReason
    stored_bytes: int  # compressed, without the manifest
    stored_sha256: str
    plain_bytes: int
    plain_sha256: str
    tables: tuple[BackupTable, ...]
    newest_seq: int
    newest_recorded_at: datetime | None  # None when it has no interactions
    store: str
    epoch: str
    schema_version: str
    program_version: str
    sqlite_version: str
    redaction_rules_version: str
    key_fingerprint: str
    verification: Verification | None = None  # None when it never was


class BackupPhase(IntEnum):
    """What is being done."""

    UNSPECIFIED = 0
    COPYING = 1
    PACKING = 2
    UNPACKING = 3
    CHECKING = 4


@dataclass(frozen=True, slots=True)
class BackupProgress:
    """How far it has come."""

    phase: BackupPhase
    done_bytes: int
    total_bytes: int
