"""
A client in a process of its own that records steadily by a Recorder, and keeps its journal, until told to end.

    python -m tests.faults.recording TARGET SPOOL JOURNAL --seed 1 [--replay]

Prints `recording` when it begins. It ends when standard input is closed; or, when it is to replay, as soon as nothing
is left in the spool. Its name is that of the journal.
"""

import argparse
import json
import random
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from steward import Interaction, Recorder
from steward.errors import DeadlineExceeded, InvalidArgument, ResourceExhausted
from steward.transport import Retry
from steward.types import RecorderCounters
from tests.faults.journal import Journal, lines
from tests.faults.writers import made_up

QUEUE = 100  # records: soon full while nothing is taken
PACE = 0.04  # s between bursts, at most
REPLAYED = 60.0  # s to empty a spool in
BAD = ("server", "client")  # who refuses it


class Told(Journal):
    """What one recorder is about to be given, and what it told of it."""

    def bad(self, interaction: Interaction) -> None:
        """Note that *interaction*, which comes next, will be refused."""
        self._write([f"bad {interaction.interaction_id}\n"])

    def dropped(self, interaction: Interaction) -> None:
        """Note that *interaction* had no room and will never come."""
        self._write([f"dropped {interaction.interaction_id}\n"])

    def settled(self, count: int) -> None:
        """Note that a flush says that of the first *count* none is in memory only."""
        self._write([f"settled {count}\n"])

    def counters(self, counters: RecorderCounters) -> None:
        """Note *counters*."""
        self._write([f"counters {json.dumps(asdict(counters))}\n"])


@dataclass
class Life:
    """What the journal of one recorder says."""

    sent: list[str] = field(default_factory=list)  # ids in the order of recording; the last may not have been recorded
    bad: set[str] = field(default_factory=set)
    dropped: set[str] = field(default_factory=set)
    settled: int = 0  # of those sent, the first so many are not in memory only
    most_kept: int = 0  # how many it said are acknowledged or spooled, at most
    flushes: int = 0  # that found nothing in memory only
    counters: dict[str, object] = field(default_factory=dict)  # the last

    @property
    def kept(self) -> set[str]:
        """The ids of those that a flush said to be acknowledged or spooled."""
        return set(self.sent[: self.settled]) - self.bad - self.dropped


def life(journal: Path) -> Life:
    """Read the *journal* of a recorder, which may still be written."""
    found = Life()
    for line in lines(journal):
        match line.split(" ", 2):
            case ["sent", key, _]:
                found.sent.append(key)
            case ["bad", key]:
                found.bad.add(key)
            case ["dropped", key]:
                found.dropped.add(key)
            case ["settled", count]:
                found.settled, found.flushes = int(count), found.flushes + 1
            case ["counters", *rest]:
                found.counters = json.loads(" ".join(rest))
                kept = [found.counters[each] for each in ("acknowledged", "spooled")]
                found.most_kept = max(found.most_kept, sum(each for each in kept if isinstance(each, int)))
    return found


def made(chance: random.Random) -> Iterator[tuple[Interaction, bool]]:
    """Yield interactions, and whether each is good: a few the server refuses, a few cannot even be sent."""
    while True:
        good = replace(made_up(chance), occurred_at=datetime.now(UTC))  # or else the recorder would say when
        match chance.random():
            case less if less < 0.01:
                yield replace(good, user_rating=7.0), False
            case less if less < 0.02:
                yield replace(good, query="\ud800"), False
            case _:
                yield good, True


class Client:
    """One that records on one thread, and flushes on another."""

    def __init__(self, recorder: Recorder, journal: Told, *, seed: int) -> None:
        self._recorder = recorder
        self._journal = journal
        self._chance = random.Random(seed)
        self._count = 0  # how many were recorded
        self._over = threading.Event()

    def run(self) -> None:
        """Record until standard input is closed."""
        threads = [threading.Thread(target=self._record), threading.Thread(target=self._flush)]
        for each in threads:
            each.start()
        print("recording", flush=True)
        sys.stdin.read()
        self._over.set()
        for each in threads:
            each.join()

    def _record(self) -> None:
        some = made(self._chance)
        while not self._over.wait(self._chance.uniform(0, PACE)):
            for _ in range(self._chance.randint(1, 20)):
                self._one(*next(some), now=self._chance.random() < 0.005)

    def _one(self, interaction: Interaction, good: bool, *, now: bool) -> None:  # noqa: FBT001 -- comes in a pair
        """Record *interaction*; wait for its receipt a while, if that is to be *now*."""
        if not good:
            self._journal.bad(interaction)
        self._journal.sent([interaction])
        before = self._dropped()
        if now:
            with suppress(DeadlineExceeded, InvalidArgument, ResourceExhausted):
                self._journal.acknowledged([self._recorder.record_now(interaction, timeout=0.2)])
        else:
            self._recorder.record(interaction)
        if self._dropped() > before:
            self._journal.dropped(interaction)
        self._count += 1

    def _dropped(self) -> int:
        return sum(self._recorder.counters().dropped.values())

    def _flush(self) -> None:
        chance = random.Random(self._chance.random())
        while not self._over.wait(chance.uniform(0, 0.1)):
            count = self._count
            report = self._recorder.flush(chance.uniform(0, 0.2))
            if report.pending == 0:
                self._journal.settled(count)
            self._journal.counters(self._recorder.counters())


def replay(spool: Path) -> None:
    """Wait until nothing is in the *spool* that is to be sent."""
    deadline = time.monotonic() + REPLAYED
    while left := sorted(spool.rglob("*.spool")):
        assert time.monotonic() < deadline, f"not replayed within {REPLAYED:g} s: {left}"
        time.sleep(0.02)


def main() -> None:
    """Do what the command line says."""
    parser = argparse.ArgumentParser()
    parser.add_argument("target")
    parser.add_argument("spool", type=Path)
    parser.add_argument("journal", type=Path)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--replay", action="store_true")
    given = parser.parse_args()
    journal = Told(given.journal)
    recorder = Recorder(
        given.target,
        spool=given.spool,
        name=given.journal.stem,
        queue_records=QUEUE,
        batch_records=50,
        max_age=0.05,
        timeout=2.0,
        retry=Retry(first_delay=0.05, max_delay=0.5),
    )
    if given.replay:
        recorder.flush()
        replay(given.spool)
    else:
        Client(recorder, journal, seed=given.seed).run()
    recorder.close(10)
    counters = recorder.counters()
    told = counters.acknowledged + counters.pending + counters.spooled + counters.rejected
    assert counters.recorded == told + sum(counters.dropped.values()), counters
    assert counters.pending == 0, counters
    journal.counters(counters)
    journal.close()


if __name__ == "__main__":
    main()
