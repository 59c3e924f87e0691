"""
Stopping as an operator does: in time, with everything acknowledged in the file, and with one answer for who comes late.
"""

import signal
import time
from pathlib import Path

import pytest

from steward import Client
from steward.errors import Unavailable
from steward.transport import Retry
from stewardd.testing import Daemon
from tests.faults.journal import FILE, Verdict, Writers, audit, known

pytestmark = pytest.mark.faults

CLIENTS = 16
UNDER_LOAD = 1.0  # s
LONGEST = 10.0  # s


def test_a_term_under_load_loses_nothing_and_answers_unavailable(tmp_path: Path) -> None:
    """
    SIGTERM under 16 writing clients: exit 0 in 10 s, all acknowledged is in the one file, later calls get Unavailable.
    """
    data, journals = tmp_path / "data", tmp_path / "journals"
    journals.mkdir()
    with Daemon(data) as daemon, Writers(daemon.target, journals, clients=CLIENTS, seed=1, give_up=True) as writers:
        time.sleep(UNDER_LOAD)
        before = time.monotonic()
        code = daemon.stop()
        took = time.monotonic() - before
        failures = writers.stop()

    assert 0 == code, daemon.log
    assert took < LONGEST
    assert {"Unavailable"} == {each.split()[0] for each in failures}
    assert log_size(data) == 0
    assert Verdict() == audit(data, journals)
    assert len(known(journals).acknowledged) > CLIENTS


def test_an_interrupt_at_rest_is_a_stop_too(tmp_path: Path) -> None:
    """
    SIGINT to an idle server: exit 0, the log folded in, and Unavailable for whoever calls next.
    """
    with Daemon(tmp_path) as daemon, Client(daemon.target, retry=Retry(attempts=1)) as client:
        client.get_server_info()
        daemon.process.send_signal(signal.SIGINT)

        assert 0 == daemon.process.wait(LONGEST)
        assert log_size(tmp_path) == 0
        with pytest.raises(Unavailable):
            client.get_server_info()


def log_size(data: Path) -> int:
    """Return how much a stopped store has outside of its one file."""
    log = data / f"{FILE}-wal"
    return log.stat().st_size if log.exists() else 0
