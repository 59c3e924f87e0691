"""
What a recorder costs the assistant, and what it brings to the server.

A record is timed on the caller's thread, with the server there and with it gone, with pauses in which the processor's
caches and clock go down, and then as fast as it goes. Beside it stands what the caller pays anyway: to make the
interaction and to put it into a list. The rate into the server stands beside that of plain batches,
in turn.
"""

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

from steward import Interaction, Recorder
from steward.transport import aio_channel
from steward.v1.data_management_service_pb2_grpc import DataManagementServiceStub
from stewardd.testing import Daemon
from tests.benchmarks.load import drive
from tests.benchmarks.loop import FIELDS, LOOPS, cost, fields
from tests.benchmarks.samples import batches

ROUNDS = 5
BATCH = 1000
BATCHES = 20  # a round
QUEUED = 100_000
GONE = "127.0.0.1:1"


async def recorder(data: Path) -> list[dict[str, Any]]:
    """Time a record, with the server there and gone; compare the rates; weigh a full queue."""
    with Daemon(data / "store") as daemon:
        cost = await asyncio.to_thread(_costs, daemon.target, data)
        rates = await _rates(daemon.target, data)
    return [*cost, rates, _memory()]


def _costs(target: str, data: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for loop, (calls, pace) in LOOPS.items():
        made: list[Interaction] = []
        found.append({"case": "interaction_made", "loop": loop, **cost(_maker(made), calls=calls, pace=pace)})
    for server, address in (("there", target), ("gone", GONE)):
        for loop, (calls, pace) in LOOPS.items():
            with Recorder(address, spool=data / "spool") as opened:
                took = cost(opened.record, calls=calls, pace=pace)
            found.append(
                {
                    "case": "recorder_record",
                    "server": server,
                    "loop": loop,
                    **took,
                    "p50_at_most": 10.0,
                    "p99_at_most": 20.0,
                }
            )
    return found


def _maker(made: list[Interaction]) -> Callable[..., object]:
    """Return what makes an interaction of its fields and puts it among those *made*."""
    return lambda **fields: made.append(Interaction(**fields))


async def _rates(target: str, data: Path) -> dict[str, Any]:
    """Record by a recorder and by plain batches, in turn; the median of the ratios."""
    ours, plain = [], []
    for index in range(ROUNDS):
        async with aio_channel(target) as channel:
            stub = DataManagementServiceStub(channel)
            rows = range(index * BATCH * BATCHES, (index + 1) * BATCH * BATCHES)
            run = await drive(stub.RecordInteractions, batches(rows, size=BATCH), in_flight=3)
            plain.append(run.per_s * BATCH)
        ours.append(await asyncio.to_thread(sustained, target, data, records=BATCH * BATCHES))
    return {
        "case": "recorder_rate",
        "rows_per_s": median(ours),
        "plain_rows_per_s": median(plain),
        "ratio": median(our / other for our, other in zip(ours, plain, strict=True)),
        "at_least": 0.8,
    }


def sustained(target: str, data: Path, *, records: int) -> float:
    """Return how many interactions a second come to the server's disk."""
    made = [Interaction(**fields(number)) for number in range(records)]
    with Recorder(target, spool=data / "spool") as opened:
        started = time.perf_counter()
        for each in made:
            opened.record(each)
        report = opened.flush(60)
        seconds = time.perf_counter() - started
    if report.acknowledged != len(made):
        raise RuntimeError(f"{report.acknowledged} of {len(made)} were acknowledged")
    return len(made) / seconds


def _memory() -> dict[str, Any]:
    """Return what a full queue takes, measured in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.recorder"], capture_output=True, text=True, check=True
    )
    return {"case": "recorder_memory", "records": QUEUED, "mib": json.loads(done.stdout)}


def _weigh() -> float:
    """Return how many MiB the process grows by as it queues records that nobody takes."""
    opened = Recorder(GONE, spool=False, max_age=3600, batch_records=1000)
    opened._core.intake.called = True  # noqa: SLF001 -- so that a full batch calls nobody
    before = _resident()
    for number in range(QUEUED):
        opened.record(**{**FIELDS, "query": f"{number}: {FIELDS['query']}"})
    return _resident() - before


def _resident() -> float:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * 4096 / 2**20


if __name__ == "__main__":
    print(json.dumps(_weigh()), flush=True)
    os._exit(0)  # nothing is to be sent
