"""
How fast interactions are taken out, what that costs in memory, and what it does to those who record meanwhile.

Beside it the program sqlite3, writing the same rows as CSV, where it is installed, and the predecessor's way.
"""

import shutil
import subprocess
import sys
from itertools import count
from pathlib import Path
from time import perf_counter
from typing import Any

from steward.transport import aio_channel
from steward.v1.data_management_service_pb2_grpc import DataManagementServiceStub
from stewardd.testing import Daemon
from tests.benchmarks.child import Child
from tests.benchmarks.load import percentile
from tests.benchmarks.memory import Peak, taken
from tests.benchmarks.samples import singles

ROWS = 1_000_000
SMALL = 10_000  # rows of the first export, after which memory is taken
RECORDS = 1500  # a measurement of how long a record takes, one after the other
AIMS: dict[str, dict[str, float]] = {
    "COLUMNS": {"at_least_per_s": 150_000},
    "ROWS": {},
    "CSV": {"ratio_at_least": 0.4},
    "JSONL": {"ratio_at_least": 0.4},
    "PARQUET": {"at_least_per_s": 150_000},
}
MEANWHILE = ("COLUMNS", "CSV", "PARQUET", "XLSX")
_CSV = "SELECT i.*, s.pseudonym FROM interaction i JOIN session s ON s.key = i.session ORDER BY i.seq"


async def export(data: Path) -> list[dict[str, Any]]:
    """Take all out as typed batches and as files; then record while they are taken out."""
    store = data / "steward.db"
    with Child("raw", str(store), "1000") as raw:
        for start in range(0, ROWS, SMALL):
            raw.ask(f"{start} {SMALL}")
    plain = _sqlite3(store)
    found = [_predecessor(store, data / "predecessor")]
    with Daemon(data) as daemon:
        found += [_taken(daemon, how, plain) for how in AIMS]
        async with aio_channel(daemon.target) as channel:
            stub: Any = DataManagementServiceStub(channel)
            numbers = count(ROWS)
            await _record(stub, numbers)
            found += [await _recorded_meanwhile(stub, daemon, how, numbers) for how in MEANWHILE]
    return found


def _taken(daemon: Daemon, how: str, plain: float | None) -> dict[str, Any]:
    """Take all, after a small export; what the daemon has in memory is that of all its processes."""
    with Child("taker", daemon.target, how) as taker:
        with Peak(daemon.process.pid) as small:
            taker.ask(str(SMALL))
        idle = taken(daemon.process.pid)
        with Peak(daemon.process.pid) as large:
            rows, size, seconds = taker.ask("0").split()
    if int(rows) != ROWS:
        raise RuntimeError(f"{rows} of {ROWS} interactions came")
    per_s = ROWS / float(seconds)
    return {
        "case": "export",
        "kind": how.lower(),
        "rows": ROWS,
        "rows_per_s": per_s,
        "bytes": int(size),
        "sqlite3_csv_rows_per_s": plain or "sqlite3 is not installed",
        "ratio": per_s / plain if plain else None,
        **AIMS[how],
        "idle_mib": idle,
        "over_idle_mib": large.mib - idle,
        "grown_mib": large.mib - small.mib,
        "grown_at_most_mib": 32,
    }


async def _recorded_meanwhile(stub: Any, daemon: Daemon, how: str, numbers: Any) -> dict[str, Any]:
    """Record one by one while one export after the other is under way, and before and after it alone."""
    alone = await _record(stub, numbers)
    with Child("taker", daemon.target, how) as taker:
        taker.ask("again")
        meanwhile = await _record(stub, numbers)
    alone += await _record(stub, numbers)
    return {
        "case": "record_while_exporting",
        "kind": how.lower(),
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


def _sqlite3(store: Path) -> float | None:
    """Return how many rows a second the program sqlite3 writes as CSV; None where it is not installed."""
    program = shutil.which("sqlite3")
    if program is None:
        print("sqlite3 is not installed: no baseline for exports", file=sys.stderr)
        return None
    started = perf_counter()
    subprocess.run([program, "-readonly", "-csv", str(store), _CSV], stdout=subprocess.DEVNULL, check=True)
    return ROWS / (perf_counter() - started)


def _predecessor(store: Path, file: Path) -> dict[str, Any]:
    command = [sys.executable, "-m", "tests.benchmarks.legacy_export", str(store), str(file)]
    found = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.split()
    file.unlink()
    csv, json = (ROWS / float(seconds) for seconds in found)
    return {"case": "export", "kind": "predecessor", "csv_rows_per_s": csv, "json_rows_per_s": json}
