"""
The loop that times a record on the caller's thread: the same one, over the same content, for Steward and its rivals.

Of the standard library alone, since rivals import it in environments of their own.
"""

import json
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from statistics import median
from time import perf_counter_ns
from typing import Any

from tests.benchmarks.load import percentile

LOOPS: dict[str, tuple[int, float]] = {"paced": (4_000, 0.0005), "tight": (20_000, 0.0)}  # calls, s between two
FIELDS: dict[str, Any] = {
    "session_id": "session-1",
    "user_role": "Software Developer",
    "query": "How does the RAG engine work, and what does it cost to run it?",
    "query_type": "technical",
    "response_time_seconds": 1.5,
    "response_length": 900,
    "success": True,
}


def fields(number: int) -> dict[str, Any]:
    """Return the content of the record of this *number*: sessions have 8 turns."""
    return {**FIELDS, "session_id": f"session-{number // 8}"}


def cost(record: Callable[..., object], *, calls: int, pace: float) -> dict[str, float]:
    """Return what a call of *record* takes, and one that does nothing; in microseconds."""
    nothing = _timed(_nothing, calls=calls, pace=pace)
    took = _timed(record, calls=calls, pace=pace)
    return {
        "p50_us": median(took),
        "p99_us": percentile(took, 99),
        "mean_us": sum(took) / len(took),
        "noop_p50_us": median(nothing),  # what the machine takes
        "noop_p99_us": percentile(nothing, 99),
    }


def answer(record: Callable[..., object], flush: Callable[[], object], *, packages: tuple[str, ...]) -> None:
    """
    Greet with the versions of *packages*, then answer each line, calls and the pause between two in s, with the cost.

    *flush* is called after each, outside of what is timed: the next finds nothing under way.
    """
    print(json.dumps({each: version(each) for each in packages}), flush=True)
    for line in sys.stdin:
        calls, pace = line.split()
        found = cost(record, calls=int(calls), pace=float(pace))
        flush()
        print(json.dumps(found), flush=True)


def _nothing(**_: Any) -> None:
    """Do nothing."""


def _timed(record: Callable[..., object], *, calls: int, pace: float) -> list[float]:
    """Call *record* so many times, *pace* seconds apart, with the fields; return what each took, in microseconds."""
    took = []
    for _ in range(calls):
        started = perf_counter_ns()
        record(**FIELDS)
        took.append((perf_counter_ns() - started) / 1000)
        if pace:
            time.sleep(pace)
    return took
