"""
Kill -9 at every system call of create, verify, prune and restore that changes or makes a file; of a restore also where
the store is damaged.

Each is run once to count its calls, then once for each of them, on a fresh copy of the same store; in the short run for
one of each kind.
"""

import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from pathlib import Path

import pytest

from steward import Client
from stewardd.backup import Backups, finished
from stewardd.privacy import Redactor, load_key
from stewardd.testing import running_server
from tests.samples import interaction, recorded

pytestmark = pytest.mark.faults

LONG = int(os.environ.get("STEWARD_FAULT_CYCLES", "0")) > 0
TIMES = 3 if LONG else 1
ROOT = Path(__file__).parents[2]
CHANGING = "openat,mkdir,write,pwrite64,ftruncate,fsync,fdatasync,link,rename,unlink,unlinkat,rmdir"
DAMAGE = b"no database" * 10_000
Point = tuple[str, int]


@dataclass(frozen=True)
class Made:
    """A store with two rows, of which its two backups have one."""

    data: Path
    older: str
    newer: str


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    data = tmp_path_factory.mktemp("made") / "data"
    with running_server(data) as server, Client(server.target) as client:
        recorded(client, interaction(query="old"))
        older, newer = client.create_backup(), client.create_backup()
        client.verify_backup(newer.id)
        recorded(client, interaction(query="new"))
    return Made(data, older.id, newer.id)


def traced(data: Path, log: Path, step: str, *flags: str) -> int:
    """Run *step* on *data* under strace with *flags*, and return its exit code."""
    command = ["strace", "-f", "-qq", "-o", str(log), "-e", f"trace={CHANGING}", *flags]
    program = [sys.executable, "-B", "-m", "tests.faults.backup_steps", str(data), *step.split()]
    return subprocess.run([*command, *program], cwd=ROOT, capture_output=True, check=False).returncode


def points_of(log: Path) -> list[Point]:
    """
    Return the calls in *log* that change or make a file, by their names and their places among those of their thread.

    The places are as strace counts them: a call that only opens a file is counted, and is none of them.
    """
    counted: Counter[tuple[str, str]] = Counter()
    points: set[Point] = set()
    for thread, call, rest in re.findall(r"^(\d+) +(\w+)\((.*)", log.read_text(errors="replace"), re.MULTILINE):
        counted[thread, call] += 1
        if call != "openat" or "O_CREAT" in rest:
            points.add((call, counted[thread, call]))
    return sorted(points)


def chosen(points: list[Point]) -> list[Point]:
    """Return all *points*, in the short run the one in the middle of each kind."""
    kinds = [list(each) for _, each in groupby(points, key=itemgetter(0))]
    return points if LONG else [each[len(each) // 2] for each in kinds]


def state(data: Path) -> tuple[list[str], list[bool], list[str]]:
    """
    Start a server on *data* and return what it has: questions, whether its backups pass, and what else is beside them.

    Where the store is damaged there are no questions, and no start.
    """
    questions = []
    if (data / "steward.db").read_bytes() != DAMAGE:
        with running_server(data) as server, Client(server.target) as client:
            questions = [each.query for each in client.export_interactions()]
            recorded(client, interaction(query="after"))
    backups = Backups(data / "backups", redactor=Redactor(load_key(data, given=None, fresh=False)))
    if not questions:
        backups.clear()
    passed = [finished(backups.verify(each.id, now=each.created_at)).passed for each in backups.listed()]
    strange = [each.name for each in (data / "backups").iterdir() if not each.name.endswith((".db.zst", ".verified"))]
    return questions, passed, strange


STEPS = {
    "create": [["old", "new"]],
    "verify": [["old", "new"]],
    "prune": [["old", "new"]],
    "restore": [["old", "new"], ["old"]],
    "restore damaged": [[], ["old"]],
}


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.timeout(7200)
def test_a_kill_leaves_all_or_nothing(made: Made, tmp_path: Path, step: str) -> None:
    """
    Whichever call it comes at, every backup that is listed passes, a restore happened or did not, a store that was
    damaged is still there, and the next start cleans up.
    """
    if shutil.which("strace") is None:
        pytest.skip("NOTHING IS KNOWN OF KILLS: strace is not installed")
    name, _, damaged = step.partition(" ")
    arguments = {"verify": f"verify {made.older}", "restore": f"restore {made.older}"}.get(name, name)
    log, data = tmp_path / "log", tmp_path / "data"

    def run(*flags: str) -> int:
        shutil.copytree(made.data, data)
        if damaged:
            (data / "steward.db").write_bytes(DAMAGE)
        return traced(data, log, arguments, *flags)

    code = run()
    points = points_of(log)
    kinds = Counter(call for call, _ in points)
    shutil.rmtree(data)
    killed = 0
    for call, number in chosen(points) * TIMES:
        killed += run("-e", f"inject={call}:signal=KILL:when={number}") != 0
        questions, passed, strange = state(data)
        assert questions in STEPS[step], (call, number)
        assert all(passed), (call, number)
        assert len(passed) >= 1, (call, number)
        assert [] == strange, (call, number)
        assert not damaged or DAMAGE in {each.read_bytes() for each in data.glob("steward.db*")}, (call, number)
        shutil.rmtree(data)

    tried = len(chosen(points)) * TIMES
    print(f"\n{step}: {dict(kinds)}; {killed} of {tried} killed, all as they should be")
    assert 0 == code
    assert killed >= tried * 0.9  # the rest came to their end with fewer calls
