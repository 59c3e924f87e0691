"""
The comparison with rivals, without the rivals: they are installed by `make bench-rivals` only.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from steward import Client
from stewardd.app import App
from tests.benchmarks.child import Child
from tests.benchmarks.rivals.__main__ import main


def test_the_loop_times_a_recorder(server: App, client: Client, tmp_path: Path) -> None:
    """
    The loop, in a process of its own, answers what a record costs, and all it recorded came to the server.
    """
    with Child("rivals.ours", server.target, str(tmp_path)) as ours:
        found = [json.loads(ours.ask(line)) for line in ("50 0.0005", "100 0.0")]

    assert ["steward-data"] == list(json.loads(ours.greeting))
    assert all(0 < each["noop_p50_us"] < each["p50_us"] <= each["p99_us"] for each in found)
    assert 150 == client.get_summary().interactions.total


def test_a_rival_that_fails_is_told_of_and_the_next_is_measured(capsys: pytest.CaptureFixture[str]) -> None:
    """
    One that cannot be measured is named on stderr, with the reason and exit code 1; the other one's figures are there.
    """

    def broken(_data: Path) -> Iterator[dict[str, Any]]:
        raise OSError("no room for it")

    def fine(data: Path) -> Iterator[dict[str, Any]]:
        yield {"case": "fine", "empty": not list(data.iterdir()), "ratio": 1 / 3}

    code = main({"broken": broken, "fine": fine})

    out, err = capsys.readouterr()
    assert 1 == code
    assert {"case": "fine", "empty": True, "ratio": 0.3333} == json.loads(out)
    assert "no room for it" in err
    assert "NOT MEASURED: broken;" in err


def test_a_process_that_ends_early_is_told_of() -> None:
    """
    A process that ends before it greets is an error that names it.
    """
    with pytest.raises(RuntimeError, match=r"the process of rivals\.ours ended early"):
        Child("rivals.ours")
