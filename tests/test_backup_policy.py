"""
The policy of backups: which may go, held against a model of a few lines; when one is due, and that it is made once.
"""

import json
import os
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from steward import (
    Backup,
    BackupPolicy,
    BackupReason,
    Client,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    PruneCause,
    Verification,
    ids,
)
from stewardd.backup import Backups, finished
from stewardd.policy import decide, due_at
from stewardd.store import database
from stewardd.store.facts import put
from stewardd.store.times import micros
from stewardd.testing import running_server
from tests.backup_files import backup, redactor
from tests.samples import interaction, recorded

NOW = datetime(2026, 3, 31, 12, tzinfo=UTC)
LONG = int(os.environ.get("STEWARD_FAULT_CYCLES", "0")) > 0
DAY = timedelta(days=1)
BERLIN = ZoneInfo("Europe/Berlin")  # clocks go forward on 2026-03-29, back on 2026-10-25


PASSED = Verification(NOW, True, (), 0.1)
FAILED = Verification(NOW, False, ("it is damaged",), 0.1)

# Hours before now: dense around the bounds of a day and of the ages below, and over both changes of clocks.
HOURS = st.one_of(
    st.integers(-30, 60), st.integers(-24, 24 * 70), st.sampled_from([0, 24, 25, 23, 48, 24 * 30, 24 * 31])
)
HISTORIES = st.lists(
    st.tuples(HOURS, st.sampled_from(BackupReason), st.sampled_from([None, PASSED, FAILED])), max_size=25
)
POLICIES = st.builds(
    BackupPolicy,
    keep_last=st.integers(1, 12),
    max_age_days=st.sampled_from([1, 2, 29, 30, 31]),
    min_verified=st.integers(1, 4),
)


def model(backups: list[Backup], policy: BackupPolicy) -> set[str]:
    """Return the ids of those that stay, said in another way."""
    stay = {each.id for each in backups if each.created_at > NOW}
    stay |= {each.id for each in backups if each.reason == BackupReason.SAFETY and each.created_at >= NOW - DAY}
    past = sorted((each for each in backups if each.created_at <= NOW), key=lambda each: (each.created_at, each.id))
    stay |= {each.id for each in past[-1:]}
    stay |= {each.id for each in [each for each in past if each.reason == BackupReason.SCHEDULED][-1:]}
    stay |= {each.id for each in [each for each in past if each.verification == PASSED][-policy.min_verified :]}
    counted = [each for each in past if not (each.reason == BackupReason.SAFETY and each.created_at >= NOW - DAY)]
    oldest = NOW - policy.max_age_days * DAY
    return stay | {each.id for each in counted[-policy.keep_last :] if each.created_at >= oldest}


@given(history=HISTORIES, policy=POLICIES)
@settings(max_examples=2000 if LONG else 300, deadline=None)
def test_the_same_stay_as_in_the_model(history: list[Any], policy: BackupPolicy) -> None:
    """
    Over random histories with gaps, equal and future times, the same set of backups stays.
    """
    backups = [
        backup(number, NOW - timedelta(hours=hours), reason=reason, verification=verification)
        for number, (hours, reason, verification) in enumerate(history)
    ]

    decisions = decide(backups, policy, now=NOW)

    assert model(backups, policy) == {each.id for each in decisions if not each.goes}
    assert sorted(each.id for each in backups) == sorted(each.id for each in decisions)
    assert decisions == decide(backups[::-1], policy, now=NOW)


def test_each_decision_has_its_cause() -> None:
    """
    What is told is what made it stay or go.
    """
    verified = {"verification": PASSED}
    backups = [
        backup(9, NOW + DAY),
        backup(8, NOW - DAY, reason=BackupReason.SAFETY),
        backup(7, NOW - DAY),
        backup(6, NOW - 2 * DAY),
        backup(5, NOW - 3 * DAY, **verified),
        backup(4, NOW - 40 * DAY),
    ]

    decisions = decide(backups, BackupPolicy(keep_last=1), now=NOW)
    alone = decide([backup(1, NOW - 90 * DAY)], BackupPolicy(), now=NOW)

    assert [
        PruneCause.FUTURE,
        PruneCause.SAFETY,
        PruneCause.KEPT,
        PruneCause.SURPLUS,
        PruneCause.VERIFIED,
        PruneCause.OLD,
    ] == [each.cause for each in decisions]
    assert [PruneCause.LATEST] == [each.cause for each in alone]


def at(text: str, zone: ZoneInfo = BERLIN) -> datetime:
    """Return the time in *text* in *zone*, in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=zone).astimezone(UTC)


DAILY = BackupPolicy(time_of_day="02:30", time_zone="Europe/Berlin", set_at=at("2026-03-20T12:00"))
HOURLY = BackupPolicy(time_of_day="", interval_seconds=3600, set_at=at("2026-03-20T12:00"))
DUE = [
    ("the first of a daily one is the next such time", DAILY, [], at("2026-03-21T02:30")),
    ("after one, the next day", DAILY, [at("2026-03-21T02:30")], at("2026-03-22T02:30")),
    ("late by hours, still the next day", DAILY, [at("2026-03-21T23:00")], at("2026-03-22T02:30")),
    ("missed for days, once", DAILY, [at("2026-03-21T02:31")], at("2026-03-22T02:30")),
    ("where clocks go forward over it, an hour later", DAILY, [at("2026-03-28T02:30")], at("2026-03-29T03:30")),
    ("and then as before", DAILY, [at("2026-03-29T03:30")], at("2026-03-30T02:30")),
    ("one of the future counts for nothing", DAILY, [NOW + DAY], at("2026-03-21T02:30")),
    ("set anew, it begins anew", replace(DAILY, set_at=NOW), [at("2026-03-21T02:30")], at("2026-04-01T02:30")),
    ("an interval begins when it is set", HOURLY, [], at("2026-03-20T13:00")),
    ("and goes on from the last", HOURLY, [at("2026-03-25T13:20")], at("2026-03-25T14:20")),
    ("set in the future, it begins now", replace(HOURLY, set_at=NOW + DAY), [], NOW + timedelta(hours=1)),
    ("disabled, never", replace(HOURLY, enabled=False), [at("2026-03-20T12:00")], None),
]


@pytest.mark.parametrize("number", range(len(DUE)))
def test_one_is_due_when_the_policy_says(number: int) -> None:
    """
    Each line of the table; what was made by hand, or not yet verified, does not count.
    """
    claim, policy, made, due = DUE[number]
    backups = [backup(n, each, verification=FAILED if n else PASSED) for n, each in enumerate(made)]
    others = [backup(98, NOW, verification=None), backup(99, NOW, reason=BackupReason.MANUAL, verification=PASSED)]

    assert (claim, due) == (claim, due_at(policy, [*backups, *others], now=NOW))


def test_where_clocks_go_back_over_it_one_is_made() -> None:
    """
    02:30 is twice that night, and one backup is due, at the first.
    """
    night = at("2026-10-25T00:10")
    first = due_at(replace(DAILY, set_at=night), [], now=night)
    assert first is not None

    again = due_at(replace(DAILY, set_at=night), [backup(1, first, verification=PASSED)], now=first)

    assert (datetime(2026, 10, 25, 0, 30, tzinfo=UTC), datetime(2026, 10, 26, 1, 30, tzinfo=UTC)) == (first, again)


# By a server


@pytest.fixture
def client() -> Iterator[Client]:
    """A client of a server of its own."""
    with running_server() as server, Client(server.target) as connected:
        recorded(connected, interaction())
        yield connected


def test_the_policy_is_at_first_the_predecessors(client: Client) -> None:
    """
    30 days and 10, each day; and the next one is due within a day.
    """
    found = client.get_backup_status()

    policy = found.policy
    assert (True, "03:00", "UTC", 0, 10, 30, 1) == (
        policy.enabled,
        policy.time_of_day,
        policy.time_zone,
        policy.interval_seconds,
        policy.keep_last,
        policy.max_age_days,
        policy.min_verified,
    )
    assert found.due_at is not None
    assert timedelta(0) < found.due_at - policy.set_at <= DAY
    assert (0, 0, 0, None, None, False) == (
        found.backups,
        found.stored_bytes,
        found.damaged,
        found.last,
        found.last_verified,
        found.running,
    )


def test_what_is_set_of_the_policy_stays_set(client: Client) -> None:
    """
    What is not given stays; a time of day takes the place of an interval, and the other way round.
    """
    first = client.set_backup_policy(interval_seconds=3600, keep_last=3)
    second = client.set_backup_policy(time_of_day="23:59", time_zone="Asia/Kathmandu")
    third = client.set_backup_policy(enabled=False)

    assert ("", 3600, 3) == (first.time_of_day, first.interval_seconds, first.keep_last)
    assert ("23:59", 0, 3, "Asia/Kathmandu") == (
        second.time_of_day,
        second.interval_seconds,
        second.keep_last,
        second.time_zone,
    )
    assert replace(second, enabled=False, set_at=third.set_at) == third == client.get_backup_status().policy
    assert client.get_backup_status().due_at is None


WRONG = [
    ("min_verified", {"min_verified": 0}),
    ("keep_last", {"keep_last": 0}),
    ("max_age_days", {"max_age_days": -1}),
    ("interval_seconds", {"interval_seconds": 59}),
    ("interval_seconds", {"interval_seconds": 3600, "time_of_day": "01:00"}),
    ("time_of_day", {"time_of_day": "24:00"}),
    ("time_of_day", {"time_of_day": ""}),
    ("time_zone", {"time_zone": "Mars/Base"}),
    ("time_zone", {"time_zone": "../UTC"}),
]


@pytest.mark.parametrize(("field", "changes"), WRONG)
def test_a_policy_that_is_none_is_refused(client: Client, field: str, changes: dict[str, Any]) -> None:
    """
    Its field is named, and nothing of it is set.
    """
    before = client.get_backup_status().policy

    with pytest.raises(InvalidArgument) as caught:
        client.set_backup_policy(**{"enabled": False, **changes})

    assert [field] == [each.field for each in caught.value.violations]
    assert before == client.get_backup_status().policy


def test_pruning_deletes_what_it_said_it_would(client: Client) -> None:
    """
    A dry run deletes nothing and says the same.
    """
    made = [client.create_backup() for _ in range(5)]
    client.verify_backup(made[0].id)
    client.set_backup_policy(keep_last=2)

    planned = client.prune_backups(dry_run=True)
    left = list(client.list_backups())
    done = client.prune_backups()

    assert 5 == len(left)
    assert planned == done
    assert [made[4].id, made[3].id, made[0].id] == [each.id for each in client.list_backups()]
    assert [PruneCause.KEPT, PruneCause.KEPT, PruneCause.SURPLUS, PruneCause.SURPLUS, PruneCause.VERIFIED] == [
        each.cause for each in done
    ]


def overdue(data: Path) -> None:
    """Have the policy of the store in *data* be of yesterday, so that one is due."""
    db = database.open_writer(data / "steward.db")
    plain = {"time_of_day": "", "interval_seconds": 3600, "keep_last": 1, "set_at": micros(datetime.now(UTC) - DAY)}
    with db.atomic():
        put(db, "backup_policy", json.dumps(plain))
    db.close()


def scheduled(client: Client) -> list[Backup]:
    """Wait for the policy's backup, verified; return all."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if client.get_backup_status().last_verified is not None and not client.get_backup_status().running:
            break
    return list(client.list_backups())


def test_a_restart_neither_loses_nor_doubles_a_backup(tmp_path: Path) -> None:
    """
    One that was due while the server was down is made, verified and followed by pruning, once; then none is due.
    """
    with running_server(tmp_path) as server, Client(server.target) as client:
        by_hand = client.create_backup()
    overdue(tmp_path)

    with running_server(tmp_path, backup_seconds=0.1) as server, Client(server.target) as client:
        first = scheduled(client)
    with running_server(tmp_path, backup_seconds=0.1) as server, Client(server.target) as client:
        second, due = scheduled(client), client.get_backup_status().due_at

    (made,) = first
    assert (BackupReason.SCHEDULED, True) == (made.reason, made.verification and made.verification.passed)
    assert by_hand.id != made.id
    assert first == second
    assert made.created_at + timedelta(hours=1) == due


def test_what_was_made_and_not_verified_is_seen_through(tmp_path: Path) -> None:
    """
    Where something came between, the backup that the policy made is verified, and no other one is made.
    """
    with running_server(tmp_path):
        pass
    overdue(tmp_path)
    backups = Backups(tmp_path / "backups", redactor=redactor(tmp_path))
    made = finished(backups.create(tmp_path / "steward.db", reason=BackupReason.SCHEDULED, now=datetime.now(UTC)))

    with running_server(tmp_path, backup_seconds=0.1) as server, Client(server.target) as client:
        (found,) = scheduled(client)

    assert (made.id, True) == (found.id, found.verification and found.verification.passed)


def test_one_of_the_future_has_no_other_made_for_it(tmp_path: Path) -> None:
    """
    While what was made cannot be verified, as there is no room, no more are made.
    """
    with running_server(tmp_path):
        pass
    backups, now = Backups(tmp_path / "backups", redactor=redactor(tmp_path)), datetime.now(UTC)
    for at in (now + 30 * DAY, now - DAY):
        finished(backups.create(tmp_path / "steward.db", reason=BackupReason.SCHEDULED, now=at))
    future, last = backups.listed()
    finished(backups.verify(future.id, now=now))

    finished(backups.make_scheduled(tmp_path / "steward.db", BackupPolicy, now=lambda: now))

    assert [future.id, last.id] == [each.id for each in backups.listed()]
    assert all(each.verification for each in backups.listed())


def test_pruning_has_the_policy_make_no_other() -> None:
    """
    The last backup that it made stays, however many are made by hand behind it.
    """
    mine = backup(1, NOW - timedelta(hours=5), verification=PASSED)
    by_hand = [backup(n, NOW, reason=BackupReason.MANUAL, verification=PASSED) for n in range(2, 20)]

    decisions = decide([mine, *by_hand], BackupPolicy(), now=NOW)
    kept = [each for each in [mine, *by_hand] if not {each.id: each.goes for each in decisions}[each.id]]

    assert PruneCause.LATEST == decisions[-1].cause
    assert due_at(DAILY, kept, now=NOW) == due_at(DAILY, [mine, *by_hand], now=NOW)


def test_what_is_due_stays_due_whatever_else_is_set(client: Client) -> None:
    """
    To keep more or fewer of them does not begin the policy anew; a time zone of no name is UTC.
    """
    before = client.get_backup_status().policy
    kept = client.set_backup_policy(keep_last=5, max_age_days=7, min_verified=2, time_zone="")
    moved = client.set_backup_policy(time_of_day="04:00")

    assert (before.set_at, "UTC") == (kept.set_at, kept.time_zone)
    assert moved.set_at > before.set_at


# Downloading


def test_a_download_is_the_file(tmp_path: Path) -> None:
    """
    Byte by byte, and from any token on.
    """
    with running_server(tmp_path) as server, Client(server.target) as client:
        recorded(client, *(interaction(query=os.urandom(30_000).hex()) for _ in range(100)))
        made = client.create_backup()
        parts = list(client.download_backup_parts(made.id))
        rest = list(client.download_backup_parts(made.id, resume_token=parts[1].resume_token))  # type: ignore[union-attr]
        whole = b"".join(client.download_backup(made.id))

    content = (tmp_path / "backups" / f"{made.id}.db.zst").read_bytes()
    assert content == whole
    assert len(parts) > 3
    assert [each.data for each in parts[2:-1]] == [each.data for each in rest[1:-1]]  # type: ignore[union-attr]
    assert len(parts[1].data) == rest[0].resumed_bytes  # type: ignore[union-attr]
    assert f"{made.id}.db.zst" == parts[0].name  # type: ignore[union-attr]


def test_a_download_of_nothing_is_refused(client: Client) -> None:
    """
    An id that is unknown, one that is none, and a token of another backup.
    """
    made, other = client.create_backup(), client.create_backup()
    token = list(client.download_backup_parts(made.id))[1].resume_token  # type: ignore[union-attr]

    with pytest.raises(NotFound):
        list(client.download_backup(ids.mint()))
    with pytest.raises(InvalidArgument):
        list(client.download_backup("../privacy.key"))
    with pytest.raises(InvalidArgument):
        list(client.download_backup_parts(other.id, resume_token=token))


def test_a_damaged_backup_is_not_downloaded(tmp_path: Path) -> None:
    """
    It says so instead.
    """
    with running_server(tmp_path) as server, Client(server.target) as client:
        made = client.create_backup()
        (tmp_path / "backups" / f"{made.id}.db.zst").write_bytes(b"half")

        with pytest.raises(FailedPrecondition) as caught:
            list(client.download_backup(made.id))

    assert "BACKUP_DAMAGED" == caught.value.reason
