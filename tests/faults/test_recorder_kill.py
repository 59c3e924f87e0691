"""
A recorder while its server is killed, itself is killed, the network fails and the disk of its spool is full.

What it said is acknowledged or spooled arrives once; of the rest the server knows which numbers have not come.
"""

import json
import os
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

import pytest

from steward import Client, Recorder
from steward.types import ComponentStatus
from stewardd.testing import Daemon
from tests.faults import recording
from tests.faults.disks import Disk, mounting
from tests.faults.journal import PATIENCE, ROOT, Verdict, audit, free_port, known
from tests.faults.network import Network
from tests.samples import interaction
from tests.table_files import exported

pytestmark = pytest.mark.faults

CYCLES = 3 * int(os.environ.get("STEWARD_FAULT_CYCLES", "2"))
SEED = int(os.environ.get("STEWARD_FAULT_SEED", time.time_ns() % 10**9))
BACK = 30.0  # s within which records are acknowledged again
MISSING_AT_ONCE = {"STEWARD_MISSING_SECONDS": "0"}


@contextmanager
def small_disk(at: Path) -> Iterator[Disk | None]:
    """Have a small disk, mounted *at* a place of a process that does nothing else; None where there may be none."""
    at.mkdir()
    command = (*mounting("6m"), str(at), "sh", "-c", "echo mounted; exec cat")
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield Disk(process, at) if process.stdout.readline() == "mounted\n" else None
        assert process.stdin is not None
        process.stdin.close()


class World:
    """A server, a network to it, and one client after another with the same spool."""

    def __init__(self, directory: Path, disk: Disk | None, chance: random.Random) -> None:
        self.data, self.journals = directory / "data", directory / "journals"
        self.journals.mkdir()
        self.spool = (directory if disk is None else disk.root) / "spool"
        self._disk = disk
        self._chance = chance
        self._daemon = Daemon(self.data, listen=f"127.0.0.1:{free_port()}", environment=MISSING_AT_ONCE)
        self.server = self._daemon.target
        self._network = Network(self.server)
        self._client: subprocess.Popen[str] | None = None
        self._clients = 0
        found = (self.kill_server, self.kill_client, self.cut, self.silence, self.fill_disk)
        self.faults: tuple[Callable[[], None], ...] = found if disk else found[:-1]

    def __enter__(self) -> Self:
        self._network.__enter__()
        self._start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._client is not None and self._client.poll() is None:
            self._kill()
        self._network.__exit__()
        self._daemon.__exit__()

    def _start(self, *flags: str) -> None:
        """Start the next client."""
        self._clients += 1
        self._journal = self.journals / f"client {self._clients}.journal"
        given = self._network.target, str(self.spool), str(self._journal)
        self._client = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "tests.faults.recording",
                *given,
                "--seed",
                str(self._chance.getrandbits(30)),
                *flags,
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        if not flags:
            assert self._client.stdout is not None
            assert self._client.stdout.readline() == "recording\n"

    def _kill(self) -> None:
        assert self._client is not None
        self._client.kill()
        self._client.communicate()

    def finish(self) -> None:
        """Let the client end, and another send what is left in the spool."""
        for flags in ((), ("--replay",)):
            if flags:
                self._start(*flags)
            assert self._client is not None
            self._client.communicate("", timeout=2 * PATIENCE)
            assert 0 == self._client.returncode, flags

    def awaited(self, what: Callable[[recording.Life], object], *, since: recording.Life) -> None:
        """Wait until *what* holds of the client that is at work, which was *since* as it is told."""
        deadline = time.monotonic() + BACK
        while not what(found := self.told()):
            assert time.monotonic() < deadline, f"not within {BACK:g} s: {since.counters}, then {found.counters}"
            time.sleep(0.05)

    def told(self) -> recording.Life:
        """Return what the client that is at work told."""
        return recording.life(self._journal)

    # The faults

    def _pass_time(self, most: float) -> None:
        time.sleep(self._chance.uniform(0, most))  # until some moment, not for something

    def kill_server(self) -> None:
        """Kill the server, and start it again after a while."""
        self._daemon.kill()
        self._pass_time(1.0)
        self._daemon = Daemon(self.data, listen=self.server, environment=MISSING_AT_ONCE)

    def kill_client(self) -> None:
        """Kill the client, and start the next."""
        self._kill()
        self._start()

    def cut(self) -> None:
        """Cut the network in the midst of a request or an answer."""
        self._network.cut(after=self._chance.choice((0, self._chance.randint(0, 30_000))))

    def silence(self) -> None:
        """Have the network swallow all for a while."""
        self._network.silence()
        self._pass_time(2.0)
        self._network.heal(reset=self._chance.random() < 0.5)

    def fill_disk(self) -> None:
        """Fill the disk of the spool, while nothing can be sent; kill the client now and then."""
        assert self._disk is not None
        before = self.told()
        self._disk.fill()
        self._network.silence()
        self.awaited(lambda found: found.counters.get("spool_error"), since=before)
        self._pass_time(1.0)
        if self._chance.random() < 0.3:
            self.kill_client()
        self._disk.free()
        self._network.heal(reset=self._chance.random() < 0.5)


def gaps(client: Client) -> dict[str, set[int]]:
    """Return the numbers that have not come, by recorder."""
    found: dict[str, set[int]] = {}
    for each in exported(client, "recorders"):
        found[each["recorder_id"]] = set(range(int(each["highest"]) + 1, int(each["issued"]) + 1))
    for each in exported(client, "recorder_gaps"):
        found[each["recorder_id"]].update(range(int(each["first"]), int(each["last"]) + 1))
    return found


def told_by_health(client: Client) -> tuple[ComponentStatus, dict[str, float]]:
    """Return what health says of recorders."""
    (found,) = (each for each in client.get_system_health().components if each.name == "recorders")
    return found.status, {each.name: each.value for each in found.figures}


def account(life: recording.Life, row: dict[str, str], missing: set[int], stored: set[str]) -> list[str]:
    """
    Return what is wrong with a recorder's account, the *row*, whose *missing* are numbers, while ids are *stored*.

    The numbers are in the order of recording, unless something was dropped: that has a number, but not one in order.
    What was refused or dropped is forgone, or missing when a kill -9 came before that was told: it was in memory only.
    """
    issued, forgone = int(row["issued"]), int(row["forgone"])
    came = len(stored.intersection(life.sent))
    wrong = []
    if issued != came + forgone + len(missing):
        wrong.append(f"{issued} issued, {came} came, {forgone} forgone, {len(missing)} missing")
    if not 0 <= forgone <= len(life.bad | life.dropped):
        wrong.append(f"{forgone} forgone of {len(life.bad)} bad and {len(life.dropped)} dropped")
    if not life.dropped:
        good = {number for number, key in enumerate(life.sent[:issued], 1) if key not in life.bad}
        expected = {number for number in good if life.sent[number - 1] not in stored}
        if expected != missing & good:
            wrong.append(f"missing {sorted(missing & good)}, expected {sorted(expected)}")
    return [f"{row['name']}: {each}" for each in wrong]


def test_a_recorder_keeps_its_word_through_all_faults(tmp_path: Path) -> None:
    """
    Whatever is killed, cut, silent or full: what it acknowledged or spooled is stored once, what is missing is told.
    """
    print(f"\nSTEWARD_FAULT_SEED={SEED}")
    chance, began = random.Random(SEED), time.monotonic()
    happened: Counter[str] = Counter()
    with small_disk(tmp_path / "disk") as disk, World(tmp_path, disk, chance) as world:
        for cycle in range(CYCLES):
            fault = world.faults[cycle] if cycle < len(world.faults) else chance.choice(world.faults)
            happened[fault.__name__] += 1
            fault()
            before = world.told()
            world.awaited(lambda found, seen=before.flushes: found.flushes > seen + 1, since=before)  # type: ignore[misc]
        world.finish()
        lives = {each.stem: recording.life(each) for each in world.journals.iterdir()}
        with Client(world.server) as client:
            ids = [each.interaction_id for each in client.export_interactions()]
            rows = {each["name"]: each for each in exported(client, "recorders")}
            missing = gaps(client)
            status, figures = told_by_health(client)
        verdict = audit(world.data, world.journals)
    stored = set(ids)
    wrong = [
        fault for name, row in rows.items() for fault in account(lives[name], row, missing[row["recorder_id"]], stored)
    ]
    kept = {name: len(life.kept - stored) for name, life in lives.items()}
    # What is against the rules may have been spooled too, before it was refused.
    short = [name for name, life in lives.items() if len(stored.intersection(life.sent) | life.bad) < life.most_kept]
    last = f"client {len(lives) - 1}"  # before the one that replayed
    found = {
        "cycles": CYCLES,
        "faults": happened,
        "seconds": round(time.monotonic() - began),
        "recorded": sum(len(each.sent) for each in lives.values()),
        "stored": len(stored),
        "receipts": len(known(world.journals).acknowledged),
        "said_kept": sum(len(each.kept) for each in lives.values()),
        "lost": sum(kept.values()),
        "duplicated": len(ids) - len(stored),
        "fewer_than_counted": short,
        "recorders": len(lives),
        "accounts": len(rows),
        "by_number": sum(not lives[name].dropped for name in rows),
        "missing": sum(map(len, missing.values())),
        "forgone": sum(int(each["forgone"]) for each in rows.values()),
        "dropped": sum(len(each.dropped) for each in lives.values()),
        "refused_by_rule": sum(len(each.bad) for each in lives.values()),
        "spooled_at_most": max(each.most_kept for each in lives.values()),
        "wrong": len(wrong),
        "seed": SEED,
    }
    print(json.dumps(found))
    if disk is None:
        print("NOTHING IS KNOWN OF A SPOOL ON A FULL DISK: a tmpfs cannot be mounted here")
    assert dict.fromkeys(lives, 0) == kept
    assert (0, []) == (len(ids) - len(stored), short)
    assert set() == stored & {key for each in lives.values() for key in each.bad | each.dropped}
    assert [] == wrong
    assert set() == missing[rows[last]["recorder_id"]]  # it was not killed
    assert int(rows[last]["forgone"]) == len(lives[last].bad | lives[last].dropped)
    assert (len(rows), found["missing"], found["forgone"], len(stored), 0) == tuple(
        figures[each] for each in ("recorders", "missing", "forgone", "received", "lost")
    )
    assert (ComponentStatus.DEGRADED if found["missing"] else ComponentStatus.OK) == status
    assert Verdict() == verdict


def test_a_stalled_server_is_waited_for_no_longer_than_told(tmp_path: Path) -> None:
    """
    While a server takes connections and never answers, a close of 5 s takes less than 5.5; all is spooled and replayed.
    """
    with Daemon(tmp_path / "data") as daemon, Network(daemon.target) as network, Client(daemon.target) as client:
        network.silence()
        recorder = Recorder(network.target, spool=tmp_path / "spool")
        took, made = [], []
        for _ in range(5000):
            before = time.perf_counter()
            made.append(recorder.record(interaction()))
            took.append(time.perf_counter() - before)
        before = time.monotonic()
        report = recorder.close(5)
        closed = time.monotonic() - before
        network.heal(reset=True)
        with Recorder(network.target, spool=tmp_path / "spool") as second:
            second.flush()
            recording.replay(tmp_path / "spool")
            replayed = second.counters().replayed
        stored = sorted(each.interaction_id for each in client.export_interactions())
    print(f"\nrecord: {sorted(took)[2500] * 1e6:.1f} us median; close(5): {closed:.2f} s; {replayed} replayed")

    assert (0, 5000, 0, 0) == (report.acknowledged, report.spooled, report.pending, report.dropped)
    assert closed < 5.5
    assert sorted(made) == stored
