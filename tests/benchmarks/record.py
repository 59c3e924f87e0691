"""
How fast interactions are recorded, durably, by a real daemon: one by one under load, alone, and in batches.

Every case measures a baseline in turn with the daemon, a few times, and reports the median of the ratios.
"""

from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from statistics import median

from steward.aio import AsyncClient
from steward.transport import aio_channel
from steward.v1.data_management_service_pb2_grpc import DataManagementServiceStub
from stewardd.testing import Daemon
from tests.benchmarks.child import Child
from tests.benchmarks.load import Run, drive, percentile
from tests.benchmarks.samples import batches, singles

Figures = dict[str, str | float]

ROUNDS = 7
CALLS = 4000  # a round, under load
CALLS_ALONE = 500  # a round
BATCH = 1000
BATCHES = 15  # a round


@dataclass(frozen=True, slots=True)
class Compared:
    """Rounds of single calls, of the daemon and of the server that does nothing."""

    ours: list[Run]
    noop: list[Run]


async def record_unary(data: Path, *, in_flight: int = 32) -> Figures:
    """Record one by one, many at a time; compare the rates."""
    runs = await _compare(data, calls=CALLS, in_flight=in_flight)
    latencies = list(chain.from_iterable(run.latencies for run in runs.ours))
    return {
        "case": "record_unary",
        "in_flight": in_flight,
        "per_s": median(run.per_s for run in runs.ours),
        "p50_s": median(latencies),
        "p99_s": percentile(latencies, 99),
        "noop_per_s": median(run.per_s for run in runs.noop),
        "ratio": median(ours.per_s / noop.per_s for ours, noop in zip(runs.ours, runs.noop, strict=True)),
        "at_least": 0.5,
    }


async def record_alone(data: Path) -> Figures:
    """Record one by one, each when the one before is answered; compare the latencies."""
    runs = await _compare(data, calls=CALLS_ALONE, in_flight=1)
    ours, noop = ([median(run.latencies) for run in each] for each in (runs.ours, runs.noop))
    return {
        "case": "record_alone",
        "in_flight": 1,
        "p50_s": median(ours),
        "p99_s": percentile(list(chain.from_iterable(run.latencies for run in runs.ours)), 99),
        "noop_p50_s": median(noop),
        "latency_ratio": median(our / no for our, no in zip(ours, noop, strict=True)),
        "at_most": 2.5,
    }


async def record_batches(data: Path, *, in_flight: int = 3) -> Figures:
    """Record by the thousand; compare the rates with the bare insert of the same rows."""
    rates, bare, latencies = [], [], []
    with Daemon(data / "ours") as daemon, Child("raw", str(data / "raw.db"), str(BATCH)) as raw:
        async with _stub(daemon.target) as stub:
            for index in range(ROUNDS):
                rows = _round(index, BATCH * BATCHES)
                run = await drive(stub.RecordInteractions, batches(rows, size=BATCH), in_flight=in_flight)
                rates.append(run.per_s * BATCH)
                latencies += run.latencies
                bare.append(len(rows) / float(raw.ask(f"{rows.start} {len(rows)}")))
        await _check(daemon.target, recorded=ROUNDS * BATCH * BATCHES)
    return {
        "case": "record_batches",
        "batch": BATCH,
        "in_flight": in_flight,
        "rows_per_s": median(rates),
        "p50_s": median(latencies),
        "p99_s": percentile(latencies, 99),
        "raw_rows_per_s": median(bare),
        "ratio": median(our / raw for our, raw in zip(rates, bare, strict=True)),
        "at_least": 0.35,
    }


async def _compare(data: Path, *, calls: int, in_flight: int) -> Compared:
    """Send as many *calls* to the daemon and to the server that does nothing, in turn; the first round warms up."""
    compared = Compared([], [])
    with ExitStack() as stack:
        daemon, noop = stack.enter_context(Daemon(data)), stack.enter_context(Child("noop"))
        async with _stub(daemon.target) as ours, _stub(noop.greeting) as theirs:
            for index in range(ROUNDS + 1):
                requests = singles(_round(index, calls))
                compared.ours.append(await drive(ours.RecordInteraction, requests, in_flight=in_flight))
                compared.noop.append(await drive(theirs.RecordInteraction, requests, in_flight=in_flight))
        await _check(daemon.target, recorded=(ROUNDS + 1) * calls)
    return Compared(compared.ours[1:], compared.noop[1:])


def _round(index: int, count: int) -> range:
    return range(index * count, (index + 1) * count)


@asynccontextmanager
async def _stub(address: str) -> AsyncIterator[DataManagementServiceStub]:
    async with aio_channel(address) as channel:
        yield DataManagementServiceStub(channel)


async def _check(address: str, *, recorded: int) -> None:
    """See that all was stored: a benchmark of refusals would be fast."""
    async with AsyncClient(address) as client:
        summary = await client.get_summary(since=datetime(1970, 1, 1, tzinfo=UTC))
    if summary.interactions.total != recorded:
        raise RuntimeError(f"{summary.interactions.total} of {recorded} interactions were stored")
