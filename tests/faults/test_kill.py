"""
kill -9 under load, again and again: nothing acknowledged is lost, nothing is there twice, and the store stays whole.

What this shows and what it does not: the page cache outlives the process, so it says nothing of a power failure.
"""

import json
import math
import os
import random
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2 as probe_pb2
from grpc_health.v1 import health_pb2_grpc as probe_pb2_grpc

from stewardd.testing import Daemon
from tests.faults.journal import Verdict, Writers, audit, free_port, known, missing

pytestmark = pytest.mark.faults

CYCLES = int(os.environ.get("STEWARD_FAULT_CYCLES", "3"))
SEED = int(os.environ.get("STEWARD_FAULT_SEED", time.time_ns() % 10**9))
CLIENTS = 16
LIFE = (0.05, 1.5)  # s from serving to being killed
SERVING = probe_pb2.HealthCheckResponse.SERVING


def started(data: Path, *, listen: str) -> tuple[Daemon, float]:
    """Start a daemon and return it with the seconds until a probe found it serving."""
    before = time.perf_counter()
    daemon = Daemon(data, listen=listen)
    with grpc.insecure_channel(daemon.target) as channel:
        answer = probe_pb2_grpc.HealthStub(channel).Check(probe_pb2.HealthCheckRequest(), timeout=10)
    assert answer.status == SERVING
    return daemon, time.perf_counter() - before


def cycles(data: Path, journals: Path) -> tuple[list[float], Counter[str], Verdict]:
    """
    Kill and start a daemon under load, CYCLES times.

    Return how long each start took, what the clients met, and what is wrong while the last one still serves.
    """
    chance = random.Random(SEED)
    restarts: list[float] = []
    seen: set[bytes] = set()
    with ExitStack() as stack:
        daemon, _ = started(data, listen=f"127.0.0.1:{free_port()}")
        stack.callback(lambda: daemon.__exit__())  # noqa: PLW0108 -- whichever is the last
        writers = stack.enter_context(Writers(daemon.target, journals, clients=CLIENTS, seed=SEED))
        for _ in range(CYCLES):
            time.sleep(chance.uniform(*LIFE))  # until some moment, not for something
            daemon.kill()
            acknowledged = known(journals).acknowledged.keys()
            daemon, took = started(data, listen=daemon.target)
            restarts.append(took)
            assert 0 == missing(data, acknowledged - seen)
            seen |= acknowledged
        return restarts, writers.stop(), audit(data, journals)


def rank(values: Sequence[float], share: float) -> float:
    """Return the value that *share* of *values* do not exceed."""
    return round(sorted(values)[math.ceil(share * len(values)) - 1], 3)


def test_what_is_acknowledged_survives_kill_9(tmp_path: Path) -> None:
    """
    Killed under 16 writing clients and started again, a server has all it acknowledged, once, in sessions that agree.
    """
    print(f"\nSTEWARD_FAULT_SEED={SEED}")
    data, journals = tmp_path / "data", tmp_path / "journals"
    journals.mkdir()

    restarts, failures, live = cycles(data, journals)
    verdict = audit(data, journals)

    acknowledged = len(known(journals).acknowledged)
    found = {
        "cycles": CYCLES,
        "acknowledged": acknowledged,
        "lost": verdict.lost,
        "duplicated": verdict.duplicated,
        "sessions_wrong": verdict.sessions_wrong,
        "restart_p50_s": rank(restarts, 0.5),
        "restart_p99_s": rank(restarts, 0.99),
        "restart_max_s": rank(restarts, 1.0),
        "failures": failures,
        "seed": SEED,
    }
    print(json.dumps(found))
    assert (Verdict(), Verdict()) == (live, verdict)
    assert acknowledged >= CYCLES
