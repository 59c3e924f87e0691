"""
How fast a backup is made and verified, what it costs in memory, and what it does to those who record meanwhile.

Beside it the same work by the programs sqlite3, zstd and sha256sum, and the predecessor's: a copy, then Python's gzip.
"""

import asyncio
import gzip
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from itertools import count
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

from steward.aio import AsyncClient
from steward.transport import aio_channel
from steward.v1.data_management_service_pb2_grpc import DataManagementServiceStub
from stewardd.testing import Daemon
from tests.benchmarks.child import Child
from tests.benchmarks.load import percentile
from tests.benchmarks.samples import singles

ROWS = 1_000_000
BATCH = 10_000
TIMES = 3
SECONDS = 4.0  # of recording, alone and meanwhile each
PROGRAMS = ("sqlite3", "zstd", "sha256sum")
_BY_PROGRAMS = 'sqlite3 "$0" ".backup $1" && zstd -q -3 -T2 "$1" -o "$2" && sha256sum "$1" "$2"'


async def backup(data: Path) -> list[dict[str, Any]]:
    """Make backups of a store of some size, alone and while others record."""
    store = data / "steward.db"
    with Child("raw", str(store), "1000") as raw:
        for start in range(0, ROWS, BATCH):
            raw.ask(f"{start} {BATCH}")
    programs, predecessor = _by_programs(store), _timed(lambda: _as_the_predecessor(store))
    with Daemon(data) as daemon:
        async with aio_channel(daemon.target) as channel, AsyncClient(daemon.target, timeout=60) as client:
            stub, numbers = DataManagementServiceStub(channel), count(ROWS)
            await _record(stub, numbers, SECONDS)
            before = _memory(daemon.process.pid)
            helpers = asyncio.create_task(_helpers(daemon.process.pid))
            took = [await _made(client) for _ in range(TIMES)]
            helpers.cancel()
            grown = _memory(daemon.process.pid) - before + await helpers
            made = await anext(client.list_backups())
            started = perf_counter()
            verification = await client.verify_backup(made.id)
            verified = perf_counter() - started
            recorded = await _recorded_meanwhile(stub, numbers, client)
    seconds = median(took)
    return [
        {
            "case": "backup",
            "bytes": made.plain_bytes,
            "seconds": seconds,
            "programs_s": programs or "not all are installed",
            "ratio": seconds / programs if programs else None,
            "at_most": 1.5,
            "predecessor_s": predecessor,
            "times_faster": predecessor / seconds,
            "at_least": 5.0,
            "grown_mib": grown,
            "grown_at_most": 64,
            "verify_s": verified,
            "passed": verification.passed,
        },
        recorded,
    ]


async def _made(client: AsyncClient) -> float:
    started = perf_counter()
    await client.create_backup()
    return perf_counter() - started


async def _recorded_meanwhile(stub: Any, numbers: Any, client: AsyncClient) -> dict[str, Any]:
    """Record one by one in turns, alone and while backups are made one after the other."""
    alone: list[float] = []
    meanwhile: list[float] = []
    for _ in range(TIMES):
        alone += await _record(stub, numbers, SECONDS)
        making = asyncio.create_task(_endless(client))
        meanwhile += await _record(stub, numbers, SECONDS)
        making.cancel()
        await asyncio.gather(making, return_exceptions=True)
        while (await client.get_backup_status()).running:
            pass
    return {
        "case": "record_during_backup",
        "records": len(meanwhile),
        "alone_p99_s": percentile(alone, 99),
        "meanwhile_p99_s": percentile(meanwhile, 99),
        "ratio": percentile(meanwhile, 99) / percentile(alone, 99),
        "at_most": 2.0,
    }


async def _record(stub: Any, numbers: Any, seconds: float) -> list[float]:
    took, end = [], perf_counter() + seconds
    while perf_counter() < end:
        number = next(numbers)
        (request,) = singles(range(number, number + 1))
        started = perf_counter()
        await stub.RecordInteraction(request)  # a refused one ends the measurement
        took.append(perf_counter() - started)
    return took


async def _endless(client: AsyncClient) -> None:
    while True:
        await client.create_backup()


def _by_programs(store: Path) -> float | None:
    """Return how long the programs take; None where one of them is not installed."""
    if not all(map(shutil.which, PROGRAMS)):
        print(f"{', '.join(PROGRAMS)} are not all installed: no baseline for backups", file=sys.stderr)
        return None
    copy, packed = store.with_name("programs.db"), store.with_name("programs.db.zst")
    command = ["sh", "-c", _BY_PROGRAMS, str(store), str(copy), str(packed)]

    def once() -> None:
        subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
        copy.unlink()
        packed.unlink()

    return median(_timed(once) for _ in range(TIMES))


def _as_the_predecessor(store: Path) -> None:
    copy, packed = store.with_name("copy.db"), store.with_name("copy.db.gz")
    shutil.copy2(store, copy)
    with copy.open("rb") as plain, gzip.open(packed, "wb") as file:
        shutil.copyfileobj(plain, file)
    copy.unlink()
    packed.unlink()


def _timed(work: Callable[[], None]) -> float:
    started = perf_counter()
    work()
    return perf_counter() - started


async def _helpers(pid: int) -> float:
    """Return, when cancelled, the most memory that a process begun by *pid* had in use at its peak, in MiB."""
    most = 0.0
    try:
        while True:
            most = max(most, *map(_memory_if_any, _children(pid)), 0.0)
            await asyncio.sleep(0.02)
    except asyncio.CancelledError:
        return most


def _children(pid: int) -> list[int]:
    listed = (each.read_text(encoding="ascii") for each in Path(f"/proc/{pid}/task").glob("*/children"))
    return [int(each) for line in listed for each in line.split()]


def _memory_if_any(pid: int) -> float:
    with suppress(OSError, ValueError):
        return _memory(pid)
    return 0.0  # it has ended


def _memory(pid: int) -> float:
    """Return the resident memory of a process at its peak, in MiB. Raises: ValueError when it has ended."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    (line,) = (each for each in status.splitlines() if each.startswith("VmHWM"))
    return int(line.split()[1]) / 1024
