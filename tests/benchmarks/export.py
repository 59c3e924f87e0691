"""
How fast interactions are taken out, what that costs in memory, and what it does to those who record meanwhile.

Beside it the program sqlite3, writing the same rows as CSV, where it is installed.
"""

import asyncio
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from itertools import count
from pathlib import Path
from time import perf_counter
from typing import Any

from steward import ExportFormat
from steward.aio import AsyncClient
from steward.transport import aio_channel
from steward.v1.data_management_service_pb2_grpc import DataManagementServiceStub
from steward.v1.export_pb2 import ExportInteractionsRequest
from stewardd.testing import Daemon
from tests.benchmarks.child import Child
from tests.benchmarks.load import percentile
from tests.benchmarks.samples import singles

ROWS = 1_000_000
SMALL = 10_000  # rows of the first export, after which memory is taken
RECORDS = 1500  # a measurement of how long a record takes, one after the other
FORMATS = (ExportFormat.CSV, ExportFormat.JSONL, ExportFormat.PARQUET)
_CSV = "SELECT i.*, s.pseudonym FROM interaction i JOIN session s ON s.key = i.session ORDER BY i.seq"


async def export(data: Path) -> list[dict[str, Any]]:
    """Take all out as typed batches and as files; then record while files are taken out."""
    store = data / "steward.db"
    with Child("raw", str(store), "1000") as raw:
        for start in range(0, ROWS, SMALL):
            raw.ask(f"{start} {SMALL}")
    plain = _sqlite3(store)
    found = []
    with Daemon(data) as daemon:
        async with aio_channel(daemon.target) as channel, AsyncClient(daemon.target, timeout=60) as client:
            stub: Any = DataManagementServiceStub(channel)
            await _first(stub.ExportInteractions(ExportInteractionsRequest()))
            before = _memory(daemon)
            found.append(await _line("typed", lambda: _typed(stub), daemon, before, plain, at_least_per_s=150_000))
            for form in FORMATS:
                file = _file(client, form)
                found.append(await _line(form.name.lower(), file, daemon, before, plain))
            found.append(await _recorded_meanwhile(stub, client))
    return found


async def _line(
    kind: str,
    take: Callable[[], Awaitable[int]],
    daemon: Daemon,
    before: float,
    plain: float | None,
    **aims: float,
) -> dict[str, Any]:
    started = perf_counter()
    size = await take()
    per_s = ROWS / (perf_counter() - started)
    return {
        "case": "export",
        "kind": kind,
        "rows": ROWS,
        "rows_per_s": per_s,
        "bytes": size,
        "sqlite3_csv_rows_per_s": plain or "sqlite3 is not installed",
        "ratio": per_s / plain if plain else None,
        "grown_mib": _memory(daemon) - before,
        **aims,
    }


async def _typed(stub: Any) -> int:
    rows = size = 0
    async for part in stub.ExportInteractions(ExportInteractionsRequest()):
        rows += len(part.batch.rows.interactions)
        size += part.ByteSize()
    _demand(rows)
    return size


def _file(client: AsyncClient, form: ExportFormat) -> Callable[[], Awaitable[int]]:
    async def take() -> int:
        return sum([len(chunk) async for chunk in client.export_table("interactions", format=form)])

    return take


async def _first(parts: Any) -> None:
    """Read the first of *parts* up to a few, then give up."""
    rows = 0
    async for part in parts:
        rows += len(part.batch.rows.interactions)
        if rows >= SMALL:
            parts.cancel()
            return


async def _recorded_meanwhile(stub: Any, client: AsyncClient) -> dict[str, Any]:
    """Record one by one, first alone, then while a file is taken out."""
    numbers = count(ROWS)
    alone = await _record(stub, numbers)
    exporting = asyncio.create_task(_endless(client))
    meanwhile = await _record(stub, numbers)
    exporting.cancel()
    return {
        "case": "record_while_exporting",
        "alone_p99_s": percentile(alone, 99),
        "meanwhile_p99_s": percentile(meanwhile, 99),
        "ratio": percentile(meanwhile, 99) / percentile(alone, 99),
        "at_most": 2.0,
    }


async def _record(stub: Any, numbers: Any) -> list[float]:
    took = []
    for _ in range(RECORDS):
        number = next(numbers)
        (request,) = singles(range(number, number + 1))
        started = perf_counter()
        await stub.RecordInteraction(request)
        took.append(perf_counter() - started)
    return took


async def _endless(client: AsyncClient) -> None:
    while True:
        async for _ in _chunks(client):
            pass


def _chunks(client: AsyncClient) -> AsyncIterator[bytes]:
    return client.export_table("interactions", format=ExportFormat.CSV)


def _sqlite3(store: Path) -> float | None:
    """Return how many rows a second the program sqlite3 writes as CSV; None where it is not installed."""
    program = shutil.which("sqlite3")
    if program is None:
        print("sqlite3 is not installed: no baseline for exports", file=sys.stderr)
        return None
    started = perf_counter()
    subprocess.run([program, "-readonly", "-csv", str(store), _CSV], stdout=subprocess.DEVNULL, check=True)
    return ROWS / (perf_counter() - started)


def _memory(daemon: Daemon) -> float:
    """Return the resident memory of *daemon* at its peak, in MiB."""
    status = Path(f"/proc/{daemon.process.pid}/status").read_text(encoding="ascii")
    (line,) = (each for each in status.splitlines() if each.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


def _demand(rows: int) -> None:
    if rows != ROWS:
        raise RuntimeError(f"{rows} of {ROWS} interactions came")
