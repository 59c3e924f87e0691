"""
kill -9 under what is not an interaction: measurements, content, business figures, alert rules and their counts.
"""

import json
import os
import random
import threading
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest

from steward import (
    AlertMetric,
    AlertOperator,
    AlertRule,
    BusinessDay,
    Client,
    ContentAccess,
    MetricPoint,
    RecordReceipt,
    Retry,
)
from steward.errors import Error
from stewardd.testing import Daemon

pytestmark = pytest.mark.faults

CYCLES = int(os.environ.get("STEWARD_FAULT_CYCLES", "3"))
SEED = int(os.environ.get("STEWARD_FAULT_SEED", time.time_ns() % 10**9))
LIFE = (0.05, 0.6)  # s of writing before the kill
WATCHED = "watched"


@dataclass
class Acknowledged:
    """What a client was told is on disk."""

    points: list[MetricPoint] = field(default_factory=list)
    accesses: list[ContentAccess] = field(default_factory=list)
    days: list[BusinessDay] = field(default_factory=list)
    rule: AlertRule | None = None
    unsure: int = 0  # calls that met the kill


def write(target: str, known: Acknowledged, chance: random.Random) -> None:
    """Write until the server is gone."""
    with Client(target, retry=Retry(attempts=1)) as client:
        try:
            while True:
                points = [MetricPoint(name="m", value=1.0) for _ in range(chance.randint(1, 20))]
                client.record_metrics(points, all_or_nothing=True)
                known.points += points
                access = ContentAccess(content_type="project", content_id="x")
                client.record_content_access(access)
                known.accesses.append(access)
                day = BusinessDay(date="2025-09-30", developer_sessions=1.0, avg_session_duration=2.0)
                client.record_business_metric(day)
                known.days.append(day)
                client.set_alert_rule(
                    WATCHED,
                    metric=AlertMetric.TOTAL_INTERACTIONS,
                    operator=AlertOperator.LT,
                    threshold=float(chance.randint(0, 2)),
                )
                rules = client.evaluate_alerts().rules
                (known.rule,) = (each for each in rules if each.name == WATCHED)
        except Error:
            known.unsure += 1


def test_what_is_acknowledged_of_other_records_survives_kill_9(tmp_path: Path) -> None:
    """
    Each acknowledged record is there once, sent again it is known, and a rule has counted no less than was told.
    """
    print(f"\nSTEWARD_FAULT_SEED={SEED}")
    chance, known = random.Random(SEED), Acknowledged()
    for _ in range(CYCLES):
        with Daemon(tmp_path) as daemon:
            writer = threading.Thread(target=write, args=(daemon.target, known, chance))
            writer.start()
            time.sleep(chance.uniform(*LIFE))  # until some moment, not for something
            daemon.kill()
            writer.join()
    with Daemon(tmp_path) as daemon, Client(daemon.target) as client:
        again: list[bool] = []
        for start in range(0, len(known.points), 1000):
            outcomes = client.record_metrics(known.points[start : start + 1000])
            again += [isinstance(each, RecordReceipt) and each.already_stored for each in outcomes]
        again += [client.record_content_access(each).already_stored for each in known.accesses]
        again += [client.record_business_metric(each).already_stored for each in known.days]
        (points,) = client.get_performance().recorded
        (content,) = client.get_content_report().items
        report = client.get_business_report(since=datetime(2025, 9, 29, tzinfo=UTC))
        duration, sessions = report.days[0].recorded  # by name
        rules = {each.name: each for each in client.list_alert_rules()}

    print(json.dumps({"cycles": CYCLES, "acknowledged": len(again), "lost": again.count(False), "seed": SEED}))
    assert set() == {each for each in again if not each}
    # What met a kill may be there or not, but not in part: a batch is one transaction, a day's two figures are too.
    assert 0 <= points.points - len(known.points) <= 20 * known.unsure
    assert 0 <= content.accesses - len(known.accesses) <= known.unsure
    assert 0 <= sessions.records - len(known.days) <= known.unsure
    assert sessions.records == duration.records
    assert known.rule is not None
    assert rules[WATCHED].evaluations >= known.rule.evaluations
