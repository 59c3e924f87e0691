"""
Backups: what each is of, and how far it has come.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
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
    RESTORING = 5


@dataclass(frozen=True, slots=True)
class BackupProgress:
    """How far it has come."""

    phase: BackupPhase
    done_bytes: int
    total_bytes: int


EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupPolicy:
    """When backups are made by themselves, and which of them may go."""

    enabled: bool = True
    time_of_day: str = "03:00"  # '' when there is an interval instead
    time_zone: str = "UTC"
    interval_seconds: int = 0  # 0 when there is a time of day instead
    keep_last: int = 10
    max_age_days: int = 30
    min_verified: int = 1
    set_at: datetime = EPOCH


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupStatus:
    """What there is of backups."""

    policy: BackupPolicy
    backups: int
    stored_bytes: int
    damaged: int  # files that should be backups
    last: Backup | None
    last_verified: Backup | None
    due_at: datetime | None  # None when none is made by itself
    running: bool  # whether something is being done to them


class PruneCause(IntEnum):
    """Why a backup stays or goes."""

    UNSPECIFIED = 0
    KEPT = 1  # young enough and among the latest
    FUTURE = 2
    SAFETY = 3  # made by a restore in the last day
    VERIFIED = 4  # among the verified ones that have to stay
    LATEST = 5
    OLD = 6  # goes
    SURPLUS = 7  # goes


@dataclass(frozen=True, slots=True, kw_only=True)
class PruneDecision:
    """What becomes of a backup."""

    id: str
    created_at: datetime
    reason: BackupReason
    goes: bool
    cause: PruneCause


@dataclass(frozen=True, slots=True)
class RestoredTable:
    """What a restore does to a table."""

    name: str
    rows_before: int
    rows_after: int


@dataclass(frozen=True, slots=True)
class Restore:
    """A restore that was done."""

    restored_at: datetime
    backup_id: str
    safety_backup_id: str  # of what was there before; '' when nothing was
    epoch_before: str
    epoch_after: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Restoration:
    """What a restore does, or would do."""

    backup: Backup
    tables: tuple[RestoredTable, ...]
    newest_before: datetime | None  # None when there was no interaction
    newest_after: datetime | None
    restore: Restore | None  # None in a dry run
