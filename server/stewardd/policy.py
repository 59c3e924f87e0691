"""
The policy of backups: when one is due, and which may go.

Pure, but for what reads and changes the policy in the store.
"""

import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, time, timedelta
from typing import Any

from peewee import SqliteDatabase

from steward.types import Backup, BackupPolicy, BackupReason, FieldViolation, PruneCause, PruneDecision
from stewardd.days import DAY, zone_named
from stewardd.filters import demand
from stewardd.store import Store, fact, put
from stewardd.store.models import Meta
from stewardd.store.times import instant, micros

POLICY = "backup_policy"  # a fact of the store
SAFE = DAY  # how long what a restore replaced stays
_TIME = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9]")
_RANGES = {
    "interval_seconds": (60, 31_536_000),
    "keep_last": (1, 100_000),
    "max_age_days": (1, 36_500),
    "min_verified": (1, 100_000),
}
GOING = (PruneCause.OLD, PruneCause.SURPLUS)


# What may go


def decide(backups: Sequence[Backup], policy: BackupPolicy, *, now: datetime) -> list[PruneDecision]:
    """Say of each of *backups*, the latest first, whether it stays or goes, and why."""
    latest_first = sorted(backups, key=lambda each: (each.created_at, each.id), reverse=True)
    present = [each for each in latest_first if each.created_at <= now]
    unsafe = [each for each in present if not _is_safety(each, now)]
    verified = [each for each in present if each.verification and each.verification.passed]
    must = {each.id for each in verified[: policy.min_verified]}
    # Without the last that the policy made, it would make another at once.
    latest = present[:1] + [each for each in present if each.reason == BackupReason.SCHEDULED][:1]
    recent = {each.id for each in unsafe[: policy.keep_last]}

    def cause(each: Backup) -> PruneCause:
        young = now - each.created_at <= timedelta(days=policy.max_age_days)
        for holds, found in (
            (each.created_at > now, PruneCause.FUTURE),
            (_is_safety(each, now), PruneCause.SAFETY),
            (young and each.id in recent, PruneCause.KEPT),
            (each.id in must, PruneCause.VERIFIED),
            (each in latest, PruneCause.LATEST),
            (not young, PruneCause.OLD),
        ):
            if holds:
                return found
        return PruneCause.SURPLUS

    return [_decision(each, cause(each)) for each in latest_first]


def _is_safety(backup: Backup, now: datetime) -> bool:
    return backup.reason == BackupReason.SAFETY and now - backup.created_at <= SAFE


def _decision(backup: Backup, cause: PruneCause) -> PruneDecision:
    return PruneDecision(
        id=backup.id, created_at=backup.created_at, reason=backup.reason, goes=cause in GOING, cause=cause
    )


# When one is due


def due_at(policy: BackupPolicy, backups: Sequence[Backup], *, now: datetime) -> datetime | None:
    """Return when the policy wants the next backup, which may be past; None when it wants none."""
    if not policy.enabled:
        return None
    # One of the future is none that was made in time: the clock was set back.
    made = [each.created_at for each in backups if _is_done(each) and each.created_at <= now]
    if policy.interval_seconds:
        last = max(made, default=min(policy.set_at, now))
        return last + timedelta(seconds=policy.interval_seconds)
    return _next(policy, max([min(policy.set_at, now), *made]))


def _is_done(backup: Backup) -> bool:
    """Whether the policy made *backup* and saw it through, whatever came of that."""
    return backup.reason == BackupReason.SCHEDULED and backup.verification is not None


def _next(policy: BackupPolicy, after: datetime) -> datetime:
    """Return the first time *after* a time that it is the policy's time of day."""
    zone = zone_named(policy.time_zone)
    at = time.fromisoformat(policy.time_of_day)
    day = after.astimezone(zone).date() - DAY
    while True:
        found = datetime.combine(day, at, tzinfo=zone).astimezone(UTC)
        if found > after:
            return found
        day += DAY


def spelled(policy: BackupPolicy) -> str:
    """Return in words what *policy* wants to be made."""
    if not policy.enabled:
        return "none is made by itself"
    if policy.interval_seconds:
        return f"one is made every {policy.interval_seconds} s"
    return f"one is made every day at {policy.time_of_day} {policy.time_zone}"


# In the store


def current(store: Store) -> BackupPolicy:
    """Return the policy in force."""
    row = store.one(Meta.select(Meta.value).where(Meta.name == POLICY))
    return _read(None if row is None else row[0])


def begun(now: datetime) -> Callable[[SqliteDatabase], None]:
    """Return the change that has the first policy of a store begin *now*, where there is none yet."""

    def change(db: SqliteDatabase) -> None:
        if fact(db, POLICY) is None:
            _write(db, BackupPolicy(set_at=now))

    return change


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyChange:
    """What is to be set of the policy; what is None stays as it is."""

    enabled: bool | None = None
    time_of_day: str | None = None
    time_zone: str | None = None
    interval_seconds: int | None = None
    keep_last: int | None = None
    max_age_days: int | None = None
    min_verified: int | None = None


def set_policy(wanted: PolicyChange, *, now: datetime) -> Callable[[SqliteDatabase], BackupPolicy]:
    """
    Return the change that sets what is *wanted* of the policy, and gives back all of it.

    Raises: InvalidArgument, naming each field that is wrong.
    """
    given = {name: each for name, each in asdict(wanted).items() if each is not None}
    demand(_violations(given))
    if "time_zone" in given:
        given["time_zone"] = zone_named(given["time_zone"]).key
    if "interval_seconds" in given:
        given["time_of_day"] = ""
    elif "time_of_day" in given:
        given["interval_seconds"] = 0

    def change(db: SqliteDatabase) -> BackupPolicy:
        before = _read(fact(db, POLICY))
        policy = replace(before, **given)
        if _times(policy) != _times(before):  # else what is due stays due
            policy = replace(policy, set_at=now)
        _write(db, policy)
        return policy

    return change


def _times(policy: BackupPolicy) -> tuple[object, ...]:
    return policy.enabled, policy.time_of_day, policy.time_zone, policy.interval_seconds


def _violations(given: dict[str, Any]) -> Iterator[FieldViolation]:
    if "time_of_day" in given and "interval_seconds" in given:
        yield FieldViolation("interval_seconds", "must not be given with a time of day")
    if not _TIME.fullmatch(given.get("time_of_day", "00:00")):
        yield FieldViolation("time_of_day", "must be HH:MM, from 00:00 to 23:59")
    for name, (least, most) in _RANGES.items():
        if not least <= given.get(name, least) <= most:
            yield FieldViolation(name, f"must be {least} to {most}")


def _read(text: str | None) -> BackupPolicy:
    plain = json.loads(text or "{}")
    return BackupPolicy(**{**plain, "set_at": instant(plain.get("set_at", 0))})


def _write(db: SqliteDatabase, policy: BackupPolicy) -> None:
    put(db, POLICY, json.dumps({**asdict(policy), "set_at": micros(policy.set_at)}))
