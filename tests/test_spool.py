"""
The spool: what is on disk, who may have it, what a crash leaves, and `steward spool`.
"""

import errno
import fcntl
import json
import os
import resource
import shutil
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from steward import Client, Recorder, ids
from steward.disk import size_of
from steward.recording import segment
from steward.recording.batches import Batch, Life, Range, Record
from steward.recording.inventory import listed
from steward.recording.segment import Segment
from steward.recording.spool import Spool, of_target
from stewardd.app import App
from tests.samples import interaction
from tests.test_cli import run, steward

ROOT = Path(__file__).parent.parent
GONE = "127.0.0.1:1"
LIFE = Life(ids.mint(), "here")
OTHER = Life(ids.mint(), "there")


def records(*numbers: int) -> list[Record]:
    """Return records of these *numbers*."""
    return [(number, f"message {number}".encode()) for number in numbers]


def opened(directory: Path, life: Life = LIFE, limit: int = 1 << 20) -> Spool:
    """Return the spool in *directory* as a recorder of *life* has it."""
    return Spool(directory, limit=limit, life=life)


def left(directory: Path, *numbers: int) -> Path:
    """Leave a segment with records of these *numbers* in *directory*, and return it."""
    directory.mkdir(exist_ok=True)
    made = Segment.make(directory, OTHER)
    made.append(records(*numbers))
    made.release()
    return made.path


def replayed(spool: Spool, most: int = 1000) -> list[int]:
    """Settle all that is to be replayed from *spool*, *most* at a time; return the numbers in order."""
    found: list[int] = []
    while (batch := spool.next(most, 1 << 20)) is not None:
        found += [number for number, _ in batch.records]
        settle(spool, batch)
    return found


def open_files() -> int:
    """Return how many files this process has open."""
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def settle(spool: Spool, batch: Batch) -> None:
    """Have *batch* done."""
    assert batch.place is not None
    spool.done(batch.place, len(batch.records))


def spooled(spool: Path, count: int, target: str = GONE) -> None:
    """Have a recorder leave *count* records for *target* in *spool*."""
    with Recorder(target, spool=spool) as recorder:
        for _ in range(count):
            recorder.record(interaction())
        assert count == recorder.close().spooled


def test_what_is_appended_comes_back_in_order_and_is_removed(tmp_path: Path) -> None:
    """
    Records are replayed with their numbers, some at a time, and their file goes when the last is settled.
    """
    spool = opened(tmp_path / "spool")
    assert spool.append(records(1, 2, 3))
    assert spool.append(records(4, 5))

    assert [1, 2, 3, 4, 5] == replayed(spool, most=2)
    assert [] == list((tmp_path / "spool").iterdir())
    assert not spool.waiting


def test_one_batch_is_replayed_at_a_time(tmp_path: Path) -> None:
    """
    Until what was taken is settled, no more is given.
    """
    spool = opened(tmp_path)
    spool.append(records(1, 2))
    first = spool.next(1, 100)

    assert spool.next(1, 100) is None
    assert first is not None
    settle(spool, first)
    assert spool.next(1, 100) is not None


def test_what_the_disk_takes_none_of_leaves_no_file(tmp_path: Path) -> None:
    """
    However often it is tried to keep what was refused, nothing empty is left, and later it is there.
    """
    script = """
import resource, signal, sys
from pathlib import Path
from steward.recording.rejected import Rejected
from tests.samples import interaction
spool = Path(sys.argv[1])
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
part = Rejected(spool, limit=10_000)
def files(): return [each.stat().st_size > 0 for each in (spool / "rejected").iterdir()]
part.add(interaction(), "it was bad")
resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
for _ in range(5): part.write()
print(files(), bool(part.error))
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
part.write()
print(files(), part.error)
"""
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], cwd=ROOT, capture_output=True, text=True, check=True
    )

    assert ["[] True", "[True] "] == done.stdout.splitlines()


def test_what_is_set_aside_is_settled_later(tmp_path: Path) -> None:
    """
    The next go on meanwhile, ten times; a file goes when all in it is settled, and none before.
    """
    directory = tmp_path / "spool"
    left(directory, *range(1, 6))
    left(directory, *range(6, 13))
    spool = opened(directory)
    spool.adopt()

    aside = []
    while (batch := spool.next(1, 1 << 20)) is not None:
        assert batch.place is not None
        spool.set_aside(batch.place)
        aside.append(batch)
    before = len(list(directory.iterdir()))
    for each in aside[4:]:
        settle(spool, each)
    rest = replayed(spool)
    between = len(list(directory.iterdir()))
    for each in aside[:4]:
        settle(spool, each)

    assert (10, 2) == (len(aside), len(rest))
    assert [*range(1, 13)] == sorted([*rest, *(number for each in aside for number, _ in each.records)])
    assert (2, 1, 0) == (before, between, len(list(directory.iterdir())))
    assert not spool.waiting


def test_what_is_forgotten_is_not_replayed(tmp_path: Path) -> None:
    """
    Records that were acknowledged although they are in the spool are passed over.
    """
    spool = opened(tmp_path)
    spool.append(records(1, 2, 3, 4))
    spool.forget([1, 2, 4])

    assert [3] == replayed(spool, most=2)
    assert [] == list(tmp_path.iterdir())


def test_another_process_cannot_have_what_is_held(tmp_path: Path) -> None:
    """
    A segment is taken over only when its holder let go of it, by closing or by its death.
    """
    holder, other = opened(tmp_path), opened(tmp_path, OTHER)
    holder.append(records(1))
    other.adopt()
    held = other.waiting
    holder.close(settled=False)
    other.adopt()

    assert not held
    assert [1] == replayed(other)


def test_what_another_removes_before_it_is_held_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Who meets a new segment before its maker locked it takes it for an empty one; the records go into the next.
    """
    flock, met = fcntl.flock, list[Path]()

    def flock_late(fd: int, how: int) -> None:
        if not met:
            met.extend(tmp_path.iterdir())
            assert Segment.adopt(met[0]) is None
        flock(fd, how)

    monkeypatch.setattr(fcntl, "flock", flock_late)
    spool = opened(tmp_path)
    spooled = spool.append(records(1, 2))
    spool.close(settled=False)
    other = opened(tmp_path, OTHER)
    other.adopt()

    assert (True, "") == (spooled, spool.error)
    assert [1, 2] == replayed(other)


def test_what_another_locks_before_it_is_held_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    While another looks whether a new segment is held, the records go into the next.
    """
    flock, others = fcntl.flock, list[int]()

    def flock_second(fd: int, how: int) -> None:
        if not others:
            others.append(os.open(next(tmp_path.iterdir()), os.O_RDONLY))
            flock(others[0], how)
        flock(fd, how)

    monkeypatch.setattr(fcntl, "flock", flock_second)
    spool = opened(tmp_path)
    spooled = spool.append(records(1, 2))
    os.close(others[0])

    assert (True, "", 1) == (spooled, spool.error, len(list(tmp_path.iterdir())))
    assert [1, 2] == replayed(spool)


def test_where_nothing_can_be_locked_nothing_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    A disk that has no locks is told as one that cannot be written, and neither files nor descriptors pile up.
    """

    def flock(_fd: int, _how: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", flock)
    before = open_files()
    spool = opened(tmp_path)

    assert not spool.append(records(1))
    assert os.strerror(errno.ENOLCK) in spool.error
    assert ([], before) == (list(tmp_path.iterdir()), open_files())


def test_a_spool_that_is_deleted_while_in_use_is_begun_anew(tmp_path: Path) -> None:
    """
    What comes after the directory was deleted is in a file that others find; what came before is still sent from here.
    """
    directory = of_target(tmp_path, GONE)
    spool = opened(directory)
    spool.append(records(1))
    shutil.rmtree(directory)
    appended = spool.append(records(2))
    (file,) = listed(tmp_path)

    assert (True, 1) == (appended, file.records)
    assert [1, 2] == replayed(spool)
    assert [] == listed(tmp_path)


def test_what_is_taken_over_keeps_its_numbering(tmp_path: Path) -> None:
    """
    Records of another life are sent under that life, even under the same numbers.
    """
    left(tmp_path, 1, 2)
    spool = opened(tmp_path)
    spool.append(records(1))
    spool.forget([1])
    spool.adopt()
    batch = spool.next(1000, 1 << 20)

    assert batch is not None
    assert (OTHER, records(1, 2)) == (batch.life, batch.records)


def test_many_files_are_taken_over_some_at_a_time(tmp_path: Path) -> None:
    """
    However many files were left, few are open at once, and all are replayed in order, the oldest first.
    """
    for number in range(1, 51):
        left(tmp_path, number).rename(tmp_path / f"{number:02}.spool")
    before = open_files()
    spool = opened(tmp_path)
    spool.adopt()
    held = open_files() - before

    assert 16 == held
    assert [*range(1, 51)] == replayed(spool, most=2)
    assert ([], False) == (list(tmp_path.iterdir()), spool.waiting)


def test_a_large_spool_has_no_more_files_of_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    However much a recorder may spool, it has few files open: they grow with the limit.
    """
    monkeypatch.setattr("steward.recording.spool.SEGMENT_BYTES", 1000)
    before = open_files()
    spool = opened(tmp_path, limit=1 << 20)
    for number in range(1, 201):
        assert spool.append([(number, b"x" * 4000)])
    held = open_files() - before

    assert held <= 64
    assert [*range(1, 201)] == replayed(spool)


def test_what_is_there_is_not_measured_for_each_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Where many files are, a hundred appends look at them no hundred times.
    """
    for number in range(20):
        left(tmp_path, number)
    measured = list[Path]()

    def measure(path: Path) -> int:
        measured.append(path)
        return size_of(path)

    monkeypatch.setattr("steward.recording.spool.size_of", measure)
    spool = opened(tmp_path)
    for number in range(100):
        assert spool.append(records(number))

    assert len(measured) < 20 * 50


def test_numbers_that_never_come_wait_for_who_replays(tmp_path: Path) -> None:
    """
    What is left to be told of a life comes back under it, some at a time, and its file goes when that is told.
    """
    forgone = [(2 * each, 2 * each) for each in range(1, 1501)]
    assert opened(tmp_path, OTHER).leave(OTHER, forgone)
    spool = opened(tmp_path)
    spool.adopt()
    found = []
    while (batch := spool.next(1000, 1 << 20)) is not None:
        assert (OTHER, 0) == (batch.life, len(batch.records))
        found += [list(batch.kept)]
        settle(spool, batch)

    assert [forgone[:1000], forgone[1000:]] == found
    assert [] == list(tmp_path.iterdir())


def test_only_the_user_may_read_it(tmp_path: Path) -> None:
    """
    Files are 0600 and directories 0700, whatever the umask is.
    """
    before = os.umask(0)
    try:
        spool = opened(of_target(tmp_path / "spool", GONE))
        spool.append(records(1))
        spool.reject(interaction(), "no")
        spool.write_rejected()
    finally:
        os.umask(before)
    modes = {stat.S_IMODE(each.stat().st_mode) for each in (tmp_path / "spool").rglob("*") if each.is_file()}
    folders = {stat.S_IMODE(each.stat().st_mode) for each in (tmp_path / "spool").rglob("*") if each.is_dir()}

    assert ({0o600}, {0o700}) == (modes, folders)


@pytest.mark.parametrize("cut", [1, 9, 20, 25])
def test_a_torn_tail_is_left_out(tmp_path: Path, cut: int) -> None:
    """
    What a crash cut off within the last record costs that record and no other.
    """
    path = left(tmp_path, 1, 2, 3)
    os.truncate(path, path.stat().st_size - cut)
    spool = opened(tmp_path)
    spool.adopt()

    assert [1, 2] == replayed(spool)
    assert [] == list(tmp_path.iterdir())


def test_zeros_at_the_end_are_left_out(tmp_path: Path) -> None:
    """
    A file that grew before its last records came to the disk is read up to there.
    """
    path = left(tmp_path, 1, 2)
    os.truncate(path, path.stat().st_size + 5000)
    spool = opened(tmp_path)
    spool.adopt()

    assert [1, 2] == replayed(spool)
    assert [] == list(tmp_path.iterdir())


@pytest.mark.parametrize("kept", [0, 10, 60])
def test_a_torn_beginning_holds_nothing(tmp_path: Path, kept: int) -> None:
    """
    A file that was cut off before its first record is removed.
    """
    os.truncate(left(tmp_path, 1), kept)
    spool = opened(tmp_path)
    spool.adopt()

    assert not spool.waiting
    assert [] == list(tmp_path.iterdir())


@pytest.mark.parametrize("at", [20, -40])
def test_what_is_damaged_stays_for_the_operator(tmp_path: Path, at: int) -> None:
    """
    A file with a flipped bit in the middle is read up to there, and kept under another name.
    """
    path = left(tmp_path, *range(1, 11))
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)
    spool = opened(tmp_path)
    spool.adopt()

    assert list(range(1, 10))[: 0 if at > 0 else 8] == replayed(spool)
    assert [path.with_suffix(".damaged").name] == [each.name for each in tmp_path.iterdir()]


def test_what_cannot_be_removed_is_replayed_once(tmp_path: Path) -> None:
    """
    A file that the disk does not remove is told, and keeps no other from being replayed.
    """
    path = left(tmp_path, 1)
    left(tmp_path, 2)
    spool = opened(tmp_path)
    spool.adopt()
    path.unlink()
    path.mkdir()  # which no unlink removes
    first = replayed(spool)
    spool.adopt()

    assert [1, 2] == sorted(first)
    assert [] == replayed(spool)
    assert str(path) in spool.read_error


def test_what_cannot_be_read_keeps_no_other_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Where the disk fails in the middle of a file, the rest of it stays, told, and other files are replayed.
    """
    path = left(tmp_path, 1, 2, 3)
    left(tmp_path, 4).rename(tmp_path / "later.spool")
    read = Segment.read

    def read_badly(self: Segment, most: int, size: int) -> tuple[list[Record], list[Range], int]:
        if self.path == path and self.unsettled:
            raise OSError(errno.EIO, os.strerror(errno.EIO), str(path))
        return read(self, most, size)

    monkeypatch.setattr(Segment, "read", read_badly)
    spool = opened(tmp_path)
    spool.adopt()
    first = spool.next(1, 1 << 20)
    assert first is not None
    assert first.place is not None
    spool.set_aside(first.place)
    rest = replayed(spool)
    settle(spool, first)
    spool.adopt()

    assert ([4], False) == (rest, spool.waiting)
    assert [path] == list(tmp_path.iterdir())
    assert f"{os.strerror(errno.EIO)}: {path}" == spool.read_error
    path.unlink()  # as another recorder does that could read it
    spool.adopt()
    assert spool.trouble == ""


HEADER = {"format": 1, "recorder_id": OTHER.id, "recorder_name": "there"}


@pytest.mark.parametrize(
    "header",
    [
        b"\xff",
        [1],
        {},
        HEADER | {"format": 0},
        HEADER | {"format": "1"},
        HEADER | {"recorder_id": 5},
        HEADER | {"recorder_id": "there"},
        HEADER | {"recorder_name": "\ud800"},
    ],
)
def test_what_is_none_of_ours_is_set_aside(tmp_path: Path, header: Any) -> None:
    """
    A file that says something else than ours do at its beginning is passed over, and kept under another name.
    """
    data = header if isinstance(header, bytes) else json.dumps(header).encode()
    path = tmp_path / f"{ids.mint()}.spool"
    path.write_bytes(segment.frame(0, data) + segment.frame(1, b"message"))
    left(tmp_path, 2)
    spool = opened(tmp_path)
    spool.adopt()

    assert [2] == replayed(spool)
    assert [path.with_suffix(".damaged")] == list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "forgone", [b"{}x", b"5", b"[[2]]", b'[["2", "3"]]', b"[[3, 2]]", b"[[0, 1]]", b"[[1, 1e30]]", b"[[1, %d]]" % 2**64]
)
def test_numbers_that_are_none_are_read_as_damage(tmp_path: Path, forgone: bytes) -> None:
    """
    A file with something else in the place of numbers that never come is read up to there, and kept.
    """
    path = left(tmp_path, 1, 2)
    path.write_bytes(path.read_bytes() + segment.frame(0, forgone))
    spool = opened(tmp_path)
    spool.adopt()

    assert [1, 2] == replayed(spool)
    assert [path.with_suffix(".damaged")] == list(tmp_path.iterdir())


def test_what_a_later_version_wrote_is_left_alone(tmp_path: Path) -> None:
    """
    A file of a format that is not known yet stays where it is, and is listed as such.
    """
    directory = of_target(tmp_path, GONE)
    directory.mkdir()
    path = directory / f"{ids.mint()}.spool"
    path.write_bytes(segment.frame(0, b'{"format": 2}') + segment.frame(1, b"message"))
    before = open_files()
    spool = opened(directory)
    spool.adopt()
    (file,) = listed(tmp_path)

    assert (False, before) == (spool.waiting, open_files())
    assert (path.name, "newer", None) == (file.name, file.state, file.records)
    assert "format 2" in file.problem


def test_the_limit_counts_what_others_left(tmp_path: Path) -> None:
    """
    What does not fit beside what is there is refused whole, with the reason, and fits when there is room again.
    """
    path = left(tmp_path, *range(100))
    spool = opened(tmp_path, limit=path.stat().st_size + 100)

    refused = spool.append(records(*range(100)))
    error = spool.error
    path.unlink()

    assert not refused
    assert "is full" in error
    assert spool.append(records(1))
    assert "" == spool.error


def test_what_is_refused_starves_nothing(tmp_path: Path) -> None:
    """
    What was refused takes an eighth of the limit, the latest of it, and none of the room of what is to be sent.
    """
    spool = opened(tmp_path, limit=64 * 1024)
    for number in range(250):
        spool.reject(interaction(), f"reason {number}")
        if number % 7 == 0:
            spool.write_rejected()
    spool.write_rejected()
    other = opened(tmp_path, OTHER, limit=64 * 1024)
    for number in range(250, 500):
        other.reject(interaction(), f"reason {number}")
    other.write_rejected()
    lines = [line for path in tmp_path.rglob("*.jsonl") for line in path.read_text("utf-8").splitlines()]
    reasons = {json.loads(line)["reason"] for line in lines}

    assert 6 * 1024 < sum(map(size_of, tmp_path.rglob("*.jsonl"))) <= 8 * 1024
    assert {f"reason {number}" for number in range(500 - len(lines), 500)} == reasons
    assert spool.append([(1, b"x" * 50 * 1024)])
    assert "" == other.trouble


def test_what_is_refused_and_too_large_is_told(tmp_path: Path) -> None:
    """
    Where even one refused record is more than may be kept, that is told, and no longer once another was kept.
    """
    spool = opened(tmp_path, limit=8 * 1024)
    spool.reject(interaction(query="x" * 2000), "no")
    spool.write_rejected()
    large = spool.trouble
    spool.reject(interaction(), "no")
    spool.write_rejected()

    assert "larger than the 1024 bytes" in large
    assert ("", 1) == (spool.trouble, len(list(tmp_path.rglob("*.jsonl"))))


def test_what_is_refused_together_goes_to_the_disk_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    A thousand refused records are a few writes, not thousands, and are there before the file that they were in goes.
    """
    left(tmp_path, 1)
    spool = opened(tmp_path)
    spool.adopt()
    batch = spool.next(1000, 1 << 20)
    assert batch is not None
    synced, fsync = list[int](), os.fsync

    def sync(fd: int) -> None:
        synced.append(fd)
        fsync(fd)

    monkeypatch.setattr(os, "fsync", sync)
    for number in range(1000):
        spool.reject(interaction(), f"reason {number}")
    settle(spool, batch)

    assert "reason 999" in "".join(each.read_text("utf-8") for each in tmp_path.rglob("*.jsonl"))
    assert [] == list(tmp_path.glob("*.spool"))
    assert len(synced) < 20


FULL = """
import resource, signal, sys
from steward import Recorder

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
recorder = Recorder("127.0.0.1:1", spool=sys.argv[1])
fields = {"session_id": "s", "user_role": "Dev", "query": "q" * 1000}
for _ in range(100): recorder.record(**fields)
before = recorder.flush(1)
resource.setrlimit(resource.RLIMIT_FSIZE, (500, resource.RLIM_INFINITY))
for _ in range(100): recorder.record(**fields)
full = recorder.flush(1)
error = recorder.counters().spool_error
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
report = recorder.close()
print(before.spooled, full.spooled, full.pending, bool(error), report.spooled, report.dropped)
"""


def test_a_disk_that_is_full_loses_nothing_while_there_is_memory(tmp_path: Path) -> None:
    """
    What the disk does not take stays in memory, told, and goes to disk when there is room; nothing is half written.
    """
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[1] == resource.RLIM_INFINITY
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(tmp_path)], capture_output=True, text=True, check=True, cwd=ROOT
    )
    spool = opened(of_target(tmp_path, GONE))
    spool.adopt()

    assert "100 100 100 True 200 0" == done.stdout.strip()
    assert list(range(1, 201)) == sorted(replayed(spool))


def test_frames_are_read_whatever_their_size(tmp_path: Path) -> None:
    """
    A message that is larger than what is read at once comes back whole.
    """
    big = [(1, b"a"), (2, b"b" * 700_000), (3, b"c")]
    made = Segment.make(tmp_path, LIFE)
    made.append(big)

    assert big == made.read(10, 1 << 30)[0]
    assert 3 == sum(1 for _ in segment.frames(os.open(made.path, os.O_RDONLY), made.position, made.size))


# The command line


def test_the_spool_is_listed_replayed_and_gone(server: App, client: Client, tmp_path: Path) -> None:
    """
    What waits for a server that moved is listed, sent to where it is now, and then not there any more.
    """
    spooled(tmp_path, 5)
    where = ("--directory", str(tmp_path))

    (file,) = run_json("spool", "list", *where)["files"]
    sent = steward(server, "spool", "replay", *where, "--of", GONE)

    assert (GONE, "waiting", 5) == (file["target"], file["state"], file["records"])
    assert {"replayed": 5, "rejected": 0, "left": 0, "unread_bytes": 0} == sent
    assert 5 == sum(1 for _ in client.list_interactions())
    assert {"files": []} == run_json("spool", "list", *where)


def run_json(*arguments: str) -> Any:
    """Run a command that needs no server, and return its JSON document."""
    done = run(*arguments, "--json")
    assert (0, "") == (done.returncode, done.stderr)
    return json.loads(done.stdout)


def test_a_replay_says_what_was_refused(server: App, client: Client, tmp_path: Path) -> None:
    """
    A record that the server refuses is counted apart, and kept in the rejected part.
    """
    with Recorder(GONE, spool=tmp_path) as recorder:
        for rating in (5.0, 7.0, 4.0):
            recorder.record(interaction(user_rating=rating))
    where = ("--directory", str(tmp_path))

    sent = steward(server, "spool", "replay", *where, "--of", GONE)
    (kept,) = run_json("spool", "list", *where)["files"]

    assert {"replayed": 2, "rejected": 1, "left": 0, "unread_bytes": 0} == sent
    assert ("rejected", 1) == (kept["state"], kept["records"])
    assert 2 == sum(1 for _ in client.list_interactions())


def test_a_replay_without_a_server_says_what_is_left(tmp_path: Path) -> None:
    """
    A replay that fails is told in a line, with exit code 1, and loses nothing.
    """
    spooled(tmp_path, 5)

    done = run("--target", GONE, "spool", "replay", "--directory", str(tmp_path))

    assert 1 == done.returncode
    assert "0 were sent, 5 are left: Unavailable" in done.stderr


def test_what_a_recorder_is_at_work_on_is_left_alone(server: App, tmp_path: Path) -> None:
    """
    A file that is held is listed as such, and neither replayed nor purged.
    """
    with Recorder(GONE, spool=tmp_path) as recorder:
        recorder.record(interaction())
        recorder.flush(timeout=1)
        where = ("--directory", str(tmp_path), "--of", GONE)
        sent = steward(server, "spool", "replay", *where)
        gone = steward(server, "spool", "purge", *where, "--yes")
        (file,) = run_json("spool", "list", *where[:2])["files"]

    assert {"replayed": 0, "rejected": 0, "left": 1, "unread_bytes": 0} == sent
    assert {"deleted": []} == gone
    assert ("held", 1) == (file["state"], file["records"])


def test_purge_asks_first_and_takes_what_was_meant(server: App, tmp_path: Path) -> None:
    """
    Nothing is deleted without a yes; --rejected deletes what was refused and nothing else.
    """
    with Recorder(server.target, spool=tmp_path) as recorder:
        recorder.record(interaction(user_rating=7.0))
    spooled(tmp_path, 2)
    where = ("--directory", str(tmp_path))

    refused = run("--target", GONE, "spool", "purge", *where, stdin="n\n")
    states = [each["state"] for each in run_json("spool", "list", *where)["files"]]
    rejected = steward(server, "spool", "purge", *where, "--rejected", "--yes")
    agreed = run("--target", GONE, "spool", "purge", *where, stdin="y\n")

    assert 1 == refused.returncode
    assert "Delete 2 records for 127.0.0.1:1?" in refused.stdout + refused.stderr
    assert ["waiting", "rejected"] == states
    assert 1 == len(rejected["deleted"])
    assert (0, []) == (agreed.returncode, run_json("spool", "list", *where)["files"])


def test_each_file_is_listed_and_purged_by_itself(tmp_path: Path) -> None:
    """
    What cannot be read keeps no other from being listed or deleted, and is named.
    """
    directory = of_target(tmp_path, GONE)
    spooled(tmp_path, 2)
    (directory / "a.spool").mkdir()
    (directory / "b.spool").write_bytes(segment.frame(0, b"[1]"))
    where = ("--directory", str(tmp_path))

    found = {each["name"]: each for each in run_json("spool", "list", *where)["files"]}
    shown = run("spool", "list", *where)
    purged = run("--target", GONE, "spool", "purge", *where, stdin="y\n")

    assert ("unreadable", None, "Is a directory") == tuple(
        found["a.spool"][key] for key in ("state", "records", "problem")
    )
    assert ("damaged", None) == (found["b.spool"]["state"], found["b.spool"]["records"])
    assert "2 records and 2 files that cannot be read" in shown.stdout
    assert "Delete 2 records and 2 files that cannot be read for" in purged.stdout + purged.stderr
    assert (1, True) == (purged.returncode, "2 files are deleted, but not a.spool (Is a directory)" in purged.stderr)
    assert ["a.spool"] == [each.name for each in directory.iterdir()]


def test_what_is_damaged_is_not_counted_as_records(server: App, tmp_path: Path) -> None:
    """
    Of a file whose third record of five is damaged two are sent; what else is in it is told in bytes.
    """
    with Recorder(GONE, spool=tmp_path) as recorder:
        for _ in range(5):
            recorder.record(interaction())
    (path,) = of_target(tmp_path, GONE).glob("*.spool")
    data = bytearray(path.read_bytes())
    with path.open("rb") as file:
        ends = [end for _, _, end in segment.frames(file.fileno(), 0, len(data))]
    data[ends[2] + 20] ^= 1
    path.write_bytes(data)
    where = ("--directory", str(tmp_path))

    sent = steward(server, "spool", "replay", *where, "--of", GONE)
    (file,) = run_json("spool", "list", *where)["files"]

    assert {"replayed": 2, "rejected": 0, "left": 0, "unread_bytes": len(data)} == sent
    assert ("damaged", None, len(data)) == (file["state"], file["records"], file["stored_bytes"])
