"""
How long it takes until something can be done: until a daemon serves what it has, until the client is imported.
"""

import json
import subprocess
import sys
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthStub

from steward.transport import aio_channel, channel
from steward.v1.data_management_service_pb2_grpc import DataManagementServiceStub
from stewardd.testing import Daemon
from tests.benchmarks.load import drive
from tests.benchmarks.samples import batches

Figures = dict[str, str | float | list[str]]

ROWS = 100_000
TIMES = 5
# gRPC itself imports the packages grpc_health and grpc_reflection, which are empty, where they are installed.
HEAVY = ("stewardd", "peewee", "structlog", "opentelemetry", "pydantic", "grpc_health.v1", "grpc_reflection.v1alpha")
IMPORT = """
import json, sys, time
started = time.perf_counter()
import steward
seconds = time.perf_counter() - started
print(json.dumps({"seconds": seconds, "modules": sorted(sys.modules)}))
"""


async def start(data: Path) -> Figures:
    """Start daemons on a store of some size, until each answers SERVING."""
    with Daemon(data) as daemon:
        async with aio_channel(daemon.target) as connection:
            requests = batches(range(ROWS), size=1000)
            await drive(DataManagementServiceStub(connection).RecordInteractions, requests, in_flight=2)
    return {"case": "start", "rows": ROWS, "seconds": median(_started(data) for _ in range(TIMES)), "at_most": 1.5}


def _started(data: Path) -> float:
    """Return the seconds from the start of a process to its SERVING."""
    started = perf_counter()
    with Daemon(data) as daemon, channel(daemon.target) as connection:
        answer = HealthStub(connection).Check(HealthCheckRequest(), wait_for_ready=True)
        seconds = perf_counter() - started
    if answer.status != HealthCheckResponse.SERVING:
        raise RuntimeError("the daemon started, but does not serve")
    return seconds


async def import_steward(_data: Path) -> Figures:
    """Import the client in a fresh interpreter, and see that nothing comes along that only the server needs."""
    results = [_imported() for _ in range(TIMES)]
    return {
        "case": "import_steward",
        "seconds": median(each["seconds"] for each in results),
        "only_for_the_server": [name for name in HEAVY if name in results[0]["modules"]],
    }


def _imported() -> dict[str, Any]:
    result: dict[str, Any] = json.loads(subprocess.check_output([sys.executable, "-c", IMPORT]))
    return result
