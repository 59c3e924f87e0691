"""
Backups: made while the store is in use, whole or not there, and found by their ids alone.

The policy and what it prunes, downloads, get_backup_status and set_backup_policy, are in tests/test_backup_policy.py:
prune_backups, download_backup. What is restored, restore_backup and list_restores, is in tests/test_restore.py.
"""

import asyncio
import gc
import hashlib
import json
import os
import random
import resource
import signal
import struct
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import fields, replace
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from steward import (
    Backup,
    BackupPhase,
    BackupProgress,
    BackupReason,
    Client,
    ComponentStatus,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    ResourceExhausted,
    Unavailable,
    codec,
    ids,
)
from steward.types import BackupTable
from steward.v1 import backup_pb2
from stewardd import manifest, packing
from stewardd.backup import Backups, finished
from stewardd.privacy import Redactor
from stewardd.rpc.work import Worker
from stewardd.testing import running_server, wait
from tests.backup_files import CHANGES, backup, changed, opened, path_of, redactor, unpacked, wrong
from tests.samples import NOON, interaction, recorded


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """The data directory of the server."""
    return tmp_path / "data"


@pytest.fixture
def client(data: Path) -> Iterator[Client]:
    """A client of a server on *data*, with three interactions."""
    with running_server(data) as server, Client(server.target) as connected:
        recorded(connected, *(interaction(query=f"question {number}") for number in range(3)))
        yield connected


# Making


def test_a_backup_is_a_store(client: Client, data: Path, tmp_path: Path) -> None:
    """
    Any Zstandard program unpacks a file in which is what was acknowledged before, as the manifest says.
    """
    told: list[BackupProgress] = []

    made = client.create_backup(told=told.append)

    content = unpacked(path_of(data, made))
    with opened(path_of(data, made), tmp_path / "copy.db") as db:
        questions = [each for (each,) in db.execute("SELECT query FROM interaction ORDER BY seq")]
        rows = {table.name: db.execute(f"SELECT COUNT(*) FROM {table.name}").fetchone()[0] for table in made.tables}  # noqa: S608 -- ours
    assert ["question 0", "question 1", "question 2"] == questions
    assert rows == {table.name: table.rows for table in made.tables}
    assert (made.plain_bytes, made.plain_sha256) == (len(content), hashlib.sha256(content).hexdigest())
    assert (BackupReason.MANUAL, 3) == (made.reason, made.newest_seq)
    assert all(0 <= each.done_bytes <= each.total_bytes for each in told)


def test_a_manifest_says_whose_it_is(client: Client) -> None:
    """
    The epoch, the versions and the key are those of the server.
    """
    info = client.get_server_info()

    made = client.create_backup()

    newest = next(client.list_interactions())
    assert (info.epoch, info.schema_version, info.sqlite_version, info.redaction_rules_version) == (
        made.epoch,
        made.schema_version,
        made.sqlite_version,
        made.redaction_rules_version,
    )
    assert (info.key_fingerprint, info.version, newest.recorded_at) == (
        made.key_fingerprint,
        made.program_version,
        made.newest_recorded_at,
    )


def test_a_backup_is_its_owners_only(client: Client, data: Path) -> None:
    """
    Nobody else may read the file or the directory, and nothing else is left in it.
    """
    made = client.create_backup()

    assert [path_of(data, made)] == list((data / "backups").iterdir())
    assert (0o700, 0o600) == tuple(path.stat().st_mode & 0o777 for path in (data / "backups", path_of(data, made)))


def test_an_empty_store_can_be_backed_up() -> None:
    """
    Nothing recorded is a backup too.
    """
    with running_server() as server, Client(server.target) as client:
        made = client.create_backup()

    assert (0, None) == (made.newest_seq, made.newest_recorded_at)


def test_a_directory_may_be_given_from_where_one_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    With a relative directory, as the default one is, backups are made, verified and restored.
    """
    monkeypatch.chdir(tmp_path)
    with running_server(Path("data")) as server, Client(server.target) as client:
        recorded(client, interaction())
        made = client.create_backup()

        assert client.verify_backup(made.id).passed
        assert client.restore_backup(made.id).restore is not None
        assert 1 == len(list(client.export_interactions()))
        assert made.id in [each.id for each in client.list_backups()]


def test_the_store_is_the_same_one_after_a_restart(client: Client, data: Path) -> None:
    """
    Two backups are of one store, whatever happened between.
    """
    first = client.create_backup()
    client.close()
    with running_server(data.parent / "other") as server, Client(server.target) as other:
        foreign = other.create_backup()

    assert first.store != foreign.store
    assert first.key_fingerprint != foreign.key_fingerprint


# Showing


def test_backups_are_listed_newest_first_page_by_page(client: Client) -> None:
    """
    Create, list and get say the same of each.
    """
    made = [client.create_backup() for _ in range(5)]

    assert made[::-1] == list(client.list_backups(page_size=2))
    assert made == [client.get_backup(each.id) for each in made]
    assert made[::-1] == list(client.list_backups(reasons=[BackupReason.MANUAL], page_size=2))
    assert [] == list(client.list_backups(reasons=[BackupReason.SAFETY]))


EVIL = [
    "",
    "../steward",
    "..\\steward",
    "/etc/passwd",
    "a\0b",
    "a\uff0fb",
    "\u2215etc",
    "x" * 5000,
    "-rf",
    "CON",
    "%2e%2e%2f",
    "{}\n",
    " {}",
    "{}/../{}",
    "{}\0",
]


CALLS: dict[str, Callable[[Client, str], object]] = {
    "get": Client.get_backup,
    "verify": Client.verify_backup,
    "delete": Client.delete_backup,
    "restore": Client.restore_backup,
    "plan": partial(Client.restore_backup, dry_run=True),
    "download": lambda client, backup_id: list(client.download_backup(backup_id)),
}
OPENED: list[str] = []  # what Python opened in this process


def watch_what_is_opened() -> None:
    """Have OPENED say what is opened from now on, which an audit hook does until the process ends."""
    if not OPENED:
        sys.addaudithook(lambda event, given: OPENED.append(str(given[0])) if event == "open" else None)
        OPENED.append("watched")


@pytest.mark.parametrize("call", CALLS)
def test_a_name_that_is_no_id_is_refused(client: Client, call: str) -> None:
    """
    Whatever could be a path is told that it is no id of a backup, whoever asks, and no file is opened.
    """
    made = client.create_backup()
    watch_what_is_opened()
    before = len(OPENED)
    refused = []

    for name in EVIL:
        with pytest.raises(InvalidArgument) as caught:
            CALLS[call](client, name.format(made.id, made.id))
        refused += [each.field for each in caught.value.violations]

    assert ["id"] * len(EVIL) == refused
    assert [] == OPENED[before:]
    assert [made] == list(client.list_backups())
    assert len(OPENED) > before


def test_an_id_in_capitals_is_the_same_id(client: Client) -> None:
    """
    As ids of interactions are.
    """
    made = client.create_backup()

    assert made == client.get_backup(made.id.upper())


def test_a_link_out_of_the_directory_is_not_followed(client: Client, data: Path, tmp_path: Path) -> None:
    """
    What is not a file in the directory is no backup, even when what it leads to is.
    """
    made = client.create_backup()
    path_of(data, made).rename(tmp_path / "elsewhere")
    path_of(data, made).symlink_to(tmp_path / "elsewhere")

    with pytest.raises(NotFound):
        client.get_backup(made.id)
    assert [] == list(client.list_backups())


def test_what_is_no_file_is_no_backup(client: Client, data: Path) -> None:
    """
    A directory and a pipe under the names of backups hold nothing up, and are none.
    """
    made = client.create_backup()
    (data / "backups" / f"{ids.mint()}.db.zst").mkdir()
    os.mkfifo(data / "backups" / f"{ids.mint()}.db.zst")

    assert [made] == list(client.list_backups())
    assert client.get_backup_status().damaged == 0


def test_what_is_no_file_is_held_by_nobody(client: Client, data: Path) -> None:
    """
    However often one looks, no file stays open for it; and there is nothing to delete.
    """
    named = ids.mint()
    client.create_backup()
    (data / "backups" / f"{named}.db.zst").mkdir()
    client.get_backup_status()
    before = len(list(Path("/proc/self/fd").iterdir()))

    for _ in range(50):
        client.get_backup_status()
    after = len(list(Path("/proc/self/fd").iterdir()))
    with pytest.raises(NotFound):
        client.delete_backup(named)

    assert after < before + 25


@pytest.mark.parametrize("kind", ["link", "pipe", "directory"])
def test_what_was_noted_elsewhere_is_no_note(client: Client, data: Path, tmp_path: Path, kind: str) -> None:
    """
    A note of a verification that is no file leads nowhere and holds nothing up.
    """
    made = client.create_backup()
    client.verify_backup(made.id)
    note = data / "backups" / f"{made.id}.verified"
    note.rename(tmp_path / "note")
    match kind:
        case "link":
            note.symlink_to(tmp_path / "note")
        case "pipe":
            os.mkfifo(note)
        case _:
            note.mkdir()

    assert made == client.get_backup(made.id)
    assert client.verify_backup(made.id) == client.get_backup(made.id).verification
    client.delete_backup(made.id)
    assert [] == list((data / "backups").iterdir())


def test_a_content_that_cannot_be_read_does_not_pass(client: Client, data: Path, tmp_path: Path) -> None:
    """
    What the disk does not give back is wrong with the backup, and not a want of room.
    """
    made = client.create_backup()
    with path_of(data, made).open("ab") as unreadable, (tmp_path / "plain").open("wb") as plain:
        problem = finished(packing.unpack(unreadable, plain, made))

    assert "its content cannot be read: Bad file descriptor" == problem


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(), lambda each: st.lists(each, max_size=3)
)
FIELDS = [each.name for each in fields(Backup)]


@given(changes=st.dictionaries(st.sampled_from([*FIELDS, "other"]), JSON, min_size=1, max_size=3))
@settings(max_examples=300, deadline=None)
def test_a_manifest_of_anyones_making_is_read_or_refused(changes: dict[str, Any]) -> None:
    """
    Whatever stands in it, it is damaged or can be told of.
    """
    known = json.loads(framed_content(manifest.sealed(SOME, KEY)))

    with suppress(FailedPrecondition):
        found = manifest.read(BytesIO(framed(json.dumps({**known, **changes}).encode()))).backup

        assert found == codec.decode(Backup, codec.encode(backup_pb2.Backup, found))


@pytest.mark.parametrize("content", [b"[]", b"null", b"{}", b"[" * 50_000, b'{"a":' * 10_000, b"\xff", b"1" * 5000])
def test_a_manifest_that_is_none_is_damaged(content: bytes) -> None:
    """
    However it is made, and not only by who makes backups.
    """
    with pytest.raises(FailedPrecondition, match="its manifest is none"):
        manifest.read(BytesIO(framed(content)))


KEY = Redactor(bytes(32))
SOME = backup(
    1,
    NOON,
    reason=BackupReason.MANUAL,
    tables=(BackupTable("interaction", 1),),
    newest_seq=1,
    newest_recorded_at=NOON,
)


def framed_content(frame: bytes) -> bytes:
    """Return the content of the manifest in a *frame*."""
    return frame[8:-28]


def framed(content: bytes) -> bytes:
    """Return a file of nothing but a manifest of this *content*, of any signature."""
    inner = content + bytes(16) + struct.pack("<I8s", len(content), b"STEWARD1")
    return struct.pack("<II", 0x184D2A5B, len(inner)) + inner


def damages(content: bytes, other: bytes) -> list[bytes]:
    """Return *content* in many ways damaged, some of them with parts of the *other*."""
    tail = len(content) - 1000
    return [
        b"",
        content[:-1],
        content[: len(content) // 2],
        content + b"\0",
        b"STEWARD1",
        content[:10] + content[11:],
        content[:tail] + content[tail:].replace(b'"MANUAL"', b'"SAFETY"'),
        content[:tail] + content[tail:].replace(b'"reason"', b'"season"'),
        other,
        content[:-12] + b"\xff\xff\xff\x7f" + content[-8:],
        content[:-12] + b"\x01\x00\x00\x00" + content[-8:],
    ]


@pytest.mark.parametrize("number", range(11))
def test_what_is_not_a_complete_backup_is_not_listed(client: Client, data: Path, number: int) -> None:
    """
    Truncated, lengthened, of another name or with another manifest: it is not listed, and asked for it says why.
    """
    made, other = client.create_backup(), client.create_backup()
    content = path_of(data, made).read_bytes()
    damaged = damages(content, path_of(data, other).read_bytes())
    path_of(data, made).write_bytes(damaged[number])

    with pytest.raises(FailedPrecondition) as caught:
        client.get_backup(made.id)

    assert len(damaged) == 11
    assert content != damaged[number]
    assert "BACKUP_DAMAGED" == caught.value.reason
    assert [other] == list(client.list_backups())


def test_a_backup_of_another_key_is_not_listed(client: Client, data: Path) -> None:
    """
    A manifest counts only under the key that the server has.
    """
    made = client.create_backup()
    with path_of(data, made).open("rb") as file:
        mine = manifest.read(file)

    assert mine.authentic(redactor(data))
    assert not mine.authentic(Redactor(bytes(32)))


def test_what_a_crash_left_is_cleaned_at_start(data: Path) -> None:
    """
    Half a backup is gone, a whole one and what is not ours stays.
    """
    with running_server(data) as server, Client(server.target) as client:
        made = client.create_backup()
    left = data / "backups" / f"{ids.mint()}.scratch"
    left.mkdir()
    (left / "plain").write_bytes(b"half")
    (data / "backups" / "README").write_text("mine")
    (data / "backups" / "my.scratch").mkdir()
    (data / "backups" / f"{ids.mint()}.scratch").write_bytes(b"no directory")
    (data / "backups" / f"{ids.mint()}.scratch").symlink_to(data)
    (data / "backups" / "not.verified").write_text("mine")

    with running_server(data) as server, Client(server.target) as client:
        found = list(client.list_backups())

    assert [made] == found
    assert {path_of(data, made).name, "README", "my.scratch", "not.verified"} == {
        each.name for each in (data / "backups").iterdir()
    }


def test_where_nothing_can_be_written_no_backup_is_made(client: Client, data: Path) -> None:
    """
    It says so under a reason of its own, and the store goes on.
    """
    (data / "backups").touch()

    with pytest.raises(Unavailable) as caught:
        client.create_backup()

    assert "BACKUP_STORAGE_FULL" == caught.value.reason
    assert recorded(client, interaction())


# Verifying


def test_an_intact_backup_passes(client: Client) -> None:
    """
    What came of it is kept with the backup, and the last time counts.
    """
    made = client.create_backup()

    first, second = client.verify_backup(made.id), client.verify_backup(made.id)

    assert (True, ()) == (first.passed, first.problems)
    assert first.verified_at < second.verified_at
    assert replace(made, verification=second) == client.get_backup(made.id)
    assert [second] == [each.verification for each in client.list_backups()]


def test_a_verification_survives_a_restart(client: Client, data: Path) -> None:
    """
    It is on disk, and goes with its backup.
    """
    made = client.create_backup()
    verification = client.verify_backup(made.id)

    assert verification == Backups(data / "backups", redactor=redactor(data)).get(made.id).verification
    client.delete_backup(made.id)
    assert [] == list((data / "backups").iterdir())


def test_a_note_of_a_verification_counts_for_its_backup_only(client: Client, data: Path) -> None:
    """
    Moved to another backup, or changed, it says nothing.
    """
    made, other = client.create_backup(), client.create_backup()
    client.verify_backup(made.id)
    note = data / "backups" / f"{made.id}.verified"
    (data / "backups" / f"{other.id}.verified").write_bytes(note.read_bytes())
    note.write_bytes(note.read_bytes().replace(b"true", b"null"))

    assert [None, None] == [each.verification for each in client.list_backups()]


def test_every_flipped_bit_is_found(client: Client, data: Path) -> None:
    """
    Wherever it is, in the content or in the manifest; put back, the backup passes.
    """
    made = client.create_backup()
    path = path_of(data, made)
    content = path.read_bytes()
    chance = random.Random(1)
    passed = []

    for _ in range(100):
        flipped = bytearray(content)
        flipped[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
        path.write_bytes(flipped)
        passed.append(client.verify_backup(made.id).passed)
    path.write_bytes(content)

    assert [False] * 100 == passed
    assert client.verify_backup(made.id).passed


@pytest.mark.parametrize("number", range(len(CHANGES)))
def test_what_is_no_store_or_another_does_not_pass(client: Client, data: Path, tmp_path: Path, number: int) -> None:
    """
    A file whose digests are right is looked into: what is strange in it, or not as the manifest says, is told.
    """
    statement, told = CHANGES[number]
    made = client.create_backup()
    path_of(data, made).write_bytes(changed(data, made, statement, tmp_path / "changed.db"))

    found = client.verify_backup(made.id)

    assert not found.passed
    assert told in found.problems[0]


def test_what_is_no_backup_does_not_pass(client: Client, data: Path, tmp_path: Path) -> None:
    """
    Of whatever kind it is, that is told, and leaves nothing.
    """
    made = client.create_backup()
    for kind, (content, told) in wrong(data, made, tmp_path / "scratch").items():
        path_of(data, made).write_bytes(content)

        found = client.verify_backup(made.id)

        assert (kind, False) == (kind, found.passed)
        assert told in found.problems[0], kind
        assert {f"{made.id}.db.zst", f"{made.id}.verified"} == {each.name for each in (data / "backups").iterdir()}


@pytest.mark.parametrize("call", CALLS)
def test_what_is_not_there_is_not_found(client: Client, call: str) -> None:
    """
    Whoever asks.
    """
    with pytest.raises(NotFound) as caught:
        CALLS[call](client, ids.mint())

    assert "BACKUP_NOT_FOUND" == caught.value.reason


def test_a_damaged_backup_can_be_deleted(client: Client, data: Path) -> None:
    """
    It takes the rest with it.
    """
    made = client.create_backup()
    path_of(data, made).write_bytes(b"")
    client.verify_backup(made.id)

    client.delete_backup(made.id)

    assert [] == list((data / "backups").iterdir())


# Health


def backup_health(client: Client) -> tuple[ComponentStatus, str, float]:
    """Return what health says of backups, and that part of the score."""
    found = client.get_system_health()
    (component,) = (each for each in found.components if each.name == "backup")
    (part,) = (each for each in found.score.parts if each.name == "backup")
    return component.status, component.reason, part.value


def test_health_tells_of_the_last_backup_and_the_last_verified_one(client: Client, data: Path) -> None:
    """
    Before the first, after it, verified, damaged and found so, and with a manifest that is none.
    """
    told = [backup_health(client)]
    made = client.create_backup()
    told.append(backup_health(client))
    client.verify_backup(made.id)
    told.append(backup_health(client))
    content = bytearray(path_of(data, made).read_bytes())
    content[100] ^= 1
    path_of(data, made).write_bytes(content)
    client.verify_backup(made.id)
    told.append(backup_health(client))
    path_of(data, made).write_bytes(b"")
    told.append(backup_health(client))

    at = f"{made.created_at:%Y-%m-%d %H:%M:%S} UTC"
    aim = "one is made every day at 03:00 UTC"
    ok, degraded = ComponentStatus.OK, ComponentStatus.DEGRADED
    assert [
        (ok, f"no backup yet; {aim}", 0.0),
        (ok, f"the last backup is of {at}; none is verified; {aim}", 1.0),
        (ok, f"the last backup is of {at}; the last verified one is of {at}; {aim}", 1.0),
        (degraded, f"the last backup, of {at}, did not pass when it was verified; none is verified; {aim}", 0.0),
        (degraded, f"1 of the files that should be backups are damaged; no backup yet; {aim}", 0.0),
    ] == told


# One at a time


def test_one_thing_at_a_time_is_done_to_the_backups() -> None:
    """
    Who comes meanwhile is told when to come back; after it, the next one is done.
    """
    go = threading.Event()

    def steps() -> Any:
        yield "begun"
        go.wait()
        return "done"

    async def story() -> list[object]:
        worker = Worker()
        first = worker.tell(steps())
        told: list[object] = [await anext(first)]
        with pytest.raises(ResourceExhausted) as caught:
            await worker.do(steps())
        told.append((caught.value.reason, caught.value.retry_after))
        go.set()
        told += [each async for each in first]
        told.append(await worker.do(steps()))
        worker.close()
        return told

    assert ["begun", ("BACKUP_RUNNING", 2.0), "done", "done"] == wait(story())


def test_work_that_nobody_waits_for_ends() -> None:
    """
    Who goes away has it stop at its next step, and what it had open is closed.
    """
    closed = threading.Event()

    def steps() -> Any:
        try:
            while True:
                yield object()
        finally:
            closed.set()

    async def story() -> bool:
        worker = Worker()
        listening = worker.tell(steps())
        await anext(listening)
        await listening.aclose()
        await asyncio.to_thread(worker.close)
        return closed.is_set()

    assert wait(story())


def test_a_stop_ends_what_is_under_way() -> None:
    """
    It is told UNAVAILABLE, and so is what comes later.
    """

    def steps() -> Any:
        while True:
            yield object()

    async def story() -> list[str]:
        worker = Worker()
        listening = worker.tell(steps())
        await anext(listening)
        worker.stop()
        reasons = []
        with pytest.raises(Unavailable) as caught:
            [each async for each in listening]
        reasons.append(caught.value.reason)
        with pytest.raises(Unavailable) as caught:
            await worker.do(steps())
        worker.close()
        return [*reasons, caught.value.reason]

    assert ["STOPPING", "STOPPING"] == wait(story())


def test_work_that_is_cancelled_ends_and_holds_the_place() -> None:
    """
    Whoever waits for the whole may go away too: it stops at its next step, and until then nothing else begins.
    """
    begun, go, closed = threading.Event(), threading.Event(), threading.Event()

    def steps() -> Any:
        try:
            while True:
                yield object()
                begun.set()
                go.wait()
        finally:
            closed.set()

    async def story() -> tuple[bool, bool]:
        worker = Worker()
        doing = asyncio.ensure_future(worker.do(steps()))
        await asyncio.to_thread(begun.wait)
        doing.cancel()
        await asyncio.gather(doing, return_exceptions=True)
        busy = worker.busy
        go.set()
        await asyncio.to_thread(worker.close)
        return busy, closed.is_set()

    assert (True, True) == wait(story())


def test_work_that_nobody_hears_of_is_no_fault_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """
    What it met when nobody waited any more is nobody's.
    """

    def steps() -> Any:
        while True:
            yield object()

    async def story() -> None:
        worker = Worker()
        listening = worker.tell(steps())
        await anext(listening)
        await listening.aclose()
        await asyncio.to_thread(worker.close)

    wait(story())
    gc.collect()
    wait(asyncio.sleep(0))

    assert [] == [each for each in caplog.records if "never retrieved" in each.getMessage()]


def test_a_program_that_is_silent_holds_nobody(tmp_path: Path) -> None:
    """
    While it does not get to run, whoever waits for it may stop.
    """
    (tmp_path / "plain").touch()
    os.truncate(tmp_path / "plain", 8 * 2**30)
    with (tmp_path / "plain").open("rb") as plain, (tmp_path / "packed").open("wb") as packed:
        steps = packing.pack(plain, packed)
        next(steps)
        (child,) = children(os.getpid())
        os.kill(child, signal.SIGSTOP)
        last, told = None, next(steps)
        while told != last:
            last, told = told, next(steps)
        steps.close()

    assert [] == children(os.getpid())


def test_many_open_files_hinder_no_backup(client: Client) -> None:
    """
    Each connection is one, so that a server may have thousands.
    """
    allowed, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with ExitStack() as stack:
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(allowed, min(2000, most)), most))
        stack.callback(resource.setrlimit, resource.RLIMIT_NOFILE, (allowed, most))
        for _ in range(1100):
            stack.enter_context(Path(os.devnull).open("rb"))
        made = client.create_backup()
        passed = client.verify_backup(made.id).passed

    assert passed


def test_a_backup_whose_program_is_ended_says_so(tmp_path: Path) -> None:
    """When the program that compresses is killed, that is told as what may be tried again, not as a whole backup."""
    (tmp_path / "plain").touch()
    os.truncate(tmp_path / "plain", 8 * 2**30)
    with (tmp_path / "plain").open("rb") as plain, (tmp_path / "packed").open("wb") as packed:
        steps = packing.pack(plain, packed)
        first = next(steps)
        (child,) = children(os.getpid())
        os.kill(child, signal.SIGKILL)
        with pytest.raises(Unavailable, match="the program that packs backups was ended") as raised:
            finished(steps)

    assert BackupProgress(BackupPhase.PACKING, 0, 8 * 2**30) == first
    assert "STORE_UNAVAILABLE" == raised.value.reason
    assert [] == children(os.getpid())


def test_a_backup_that_is_given_up_ends_its_program(tmp_path: Path) -> None:
    """Who closes the steps of a backup leaves no program behind."""
    (tmp_path / "plain").touch()
    os.truncate(tmp_path / "plain", 8 * 2**30)
    with (tmp_path / "plain").open("rb") as plain, (tmp_path / "packed").open("wb") as packed:
        steps = packing.pack(plain, packed)
        next(steps)
        steps.close()

    assert [] == children(os.getpid())


def children(pid: int) -> list[int]:
    """Return the processes that *pid* has begun and not seen the end of, but for those of exports."""
    listed = (each.read_text() for each in Path(f"/proc/{pid}/task").glob("*/children"))
    found = [int(each) for line in listed for each in line.split()]
    return [each for each in found if b"stewardd.packer" in Path(f"/proc/{each}/cmdline").read_bytes()]
