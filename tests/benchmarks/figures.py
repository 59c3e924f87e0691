"""
How long the dearest figures take as the store grows, beside the same aggregate as one plain SQL scan.

No target yet: what is aimed at is that they stop growing with the store.
"""

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

from steward import Client, codec, ids
from steward.transport import aio_channel
from steward.v1.data_management_service_pb2_grpc import DataManagementServiceStub
from steward.v1.ingest_pb2 import RecordInteractionsRequest
from steward.v1.interaction_pb2 import Interaction as Message
from stewardd.store.database import Readers
from stewardd.testing import Daemon
from tests.benchmarks.load import drive
from tests.benchmarks.samples import interaction

SIZES = (10_000, 100_000, 1_000_000)
BATCH = 1000
TIMES = 5
SPREAD = timedelta(days=30)  # over which the interactions of every size lie, up to now

# What each has to know of all rows, and of those of its window.
_KNOWN = (
    "SELECT COUNT(*), COUNT(session), SUM(query <> ''), COUNT(response_time_seconds), COUNT(success), "
    "SUM(user_role <> '') FROM interaction"
)
_TOTALS = (
    "SELECT COUNT(*), COUNT(DISTINCT session), AVG(response_time_seconds), AVG(success), AVG(user_rating), "
    "SUM(code_snippets_shown), SUM(citations_provided) FROM interaction WHERE occurred_at >= ?"
)
CASES: dict[str, tuple[Callable[[Client], object], str]] = {
    "GetSummary": (Client.get_summary, _TOTALS),
    "GetQualityReport": (Client.get_quality_report, _KNOWN),
    "GetSystemHealth": (Client.get_system_health, _KNOWN),
}


async def figures(data: Path) -> list[dict[str, Any]]:
    """Ask for each at each size; the growth is against the size before."""
    begin, found = datetime.now(UTC) - SPREAD, []
    before: dict[str, float] = {}
    with Daemon(data) as daemon, Client(daemon.target, timeout=120) as client:
        recorded = 0
        for size in SIZES:
            async with aio_channel(daemon.target) as connection:
                stub = DataManagementServiceStub(connection)
                for requests in _requests(range(recorded, size), begin=begin):
                    await drive(stub.RecordInteractions, requests, in_flight=3)
            recorded = size
            for name, (ask, sql) in CASES.items():
                ours = _timed(partial(ask, client))
                plain = _plain(data / "steward.db", sql)
                found.append(
                    {
                        "case": "figures",
                        "rpc": name,
                        "interactions": size,
                        "seconds": ours,
                        "growth": ours / before[name] if name in before else None,
                        "plain_sql_seconds": plain,
                        "ratio": ours / plain,
                    }
                )
                before[name] = ours
    return found


def _requests(indexes: range, *, begin: datetime) -> Iterator[list[RecordInteractionsRequest]]:
    """Yield requests, some at a time so that memory stays small, with times all over the spread."""
    step = SPREAD / len(indexes)
    made: list[Message] = []
    requests: list[RecordInteractionsRequest] = []
    for number, index in enumerate(indexes):
        each = replace(interaction(index), occurred_at=begin + number * step, interaction_id=ids.mint())
        made.append(codec.encode(Message, each))
        if len(made) == BATCH:
            requests.append(RecordInteractionsRequest(interactions=made))
            made = []
        if len(requests) == 10:
            yield requests
            requests = []
    yield requests


def _plain(path: Path, sql: str) -> float:
    since = (datetime.now(UTC) - timedelta(days=7) - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    arguments = (since,) if "?" in sql else ()
    reader = Readers(path)
    with closing(reader):
        return _timed(lambda: reader.execute_sql(sql, arguments).fetchall())  # type: ignore[no-untyped-call] # Peewee's


def _timed(work: Callable[[], object]) -> float:
    """Return the median seconds that *work* takes, after a first time that does not count."""
    took = []
    for _ in range(TIMES + 1):
        started = perf_counter()
        work()
        took.append(perf_counter() - started)
    return median(took[1:])
