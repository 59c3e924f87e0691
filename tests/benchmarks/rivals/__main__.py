"""
Measures Steward beside each rival, one JSON object a line. With names as arguments, only those.

Rivals are installed first, where they are not yet. What fails says so on stderr, and the exit code is 1; the others
are still measured.
"""

import json
import signal
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from importlib.metadata import version
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from stewardd.testing import Daemon
from tests.benchmarks.child import Child
from tests.benchmarks.lines import show
from tests.benchmarks.loop import LOOPS
from tests.benchmarks.recorder import sustained
from tests.benchmarks.rivals import environment

Lines = Iterator[dict[str, Any]]
Measure = Callable[[Path], Lines]

ROUNDS = 5  # of a loop, in turn
SPANS = 2_000  # a round; Phoenix refuses more than 20,000 that it has not stored yet
SPAN_ROUNDS = 3


def langfuse(data: Path) -> Lines:
    """Time a record in turn with an observation, each in a process of its own with a server in another."""
    with ExitStack() as stack:
        python, variables = environment.python("langfuse"), environment.variables()
        sink = stack.enter_context(Child("rivals.langfuse_sink", python=python, environment=variables))
        daemon = stack.enter_context(Daemon(data / "store"))
        ours = stack.enter_context(Child("rivals.ours", daemon.target, str(data / "spool")))
        theirs = stack.enter_context(Child("rivals.langfuse_loop", sink.greeting, python=python, environment=variables))
        for loop, (calls, pace) in LOOPS.items():
            before = int(sink.ask("count"))
            line = f"{calls} {pace}"
            took = [(json.loads(ours.ask(line)), json.loads(theirs.ask(line))) for _ in range(ROUNDS)]
            arrived = int(sink.ask("count")) - before
            yield {
                "case": "rival_record",
                "rival": "langfuse",
                "loop": loop,
                **_medians(our for our, _ in took),
                **{f"rival_{name}": value for name, value in _medians(their for _, their in took).items()},
                "rival_arrived": arrived / (calls * ROUNDS),  # the share that its queue did not drop
                "ratio": median(their["p50_us"] / our["p50_us"] for our, their in took),
                "at_least": 6.0,
                "versions": {**json.loads(ours.greeting), **json.loads(theirs.greeting)},
            }


def _medians(rounds: Iterator[Mapping[str, float]]) -> dict[str, float]:
    found = list(rounds)
    return {name: median(each[name] for each in found) for name in found[0]}


def phoenix(data: Path) -> Lines:
    """Bring records to Steward's disk in turn with as many spans, of the same texts, to Phoenix's."""
    with ExitStack() as stack:
        python, variables = environment.python("phoenix"), environment.variables()
        log = environment.BUILD / "phoenix.log"
        working = data / "phoenix"
        working.mkdir()
        server = stack.enter_context(
            Child("rivals.phoenix_server", str(working), str(log), python=python, environment=variables)
        )
        spans = stack.enter_context(
            Child(
                "rivals.phoenix_spans",
                server.greeting,
                str(working / "phoenix.db"),
                python=python,
                environment=variables,
            )
        )
        daemon = stack.enter_context(Daemon(data / "store"))
        rates = [
            (sustained(daemon.target, data, records=SPANS), SPANS / float(spans.ask(str(SPANS))))
            for _ in range(SPAN_ROUNDS)
        ]
        yield {
            "case": "rival_rate",
            "rival": "phoenix",
            "records": SPANS,
            "rows_per_s": median(our for our, _ in rates),
            "rival_rows_per_s": median(their for _, their in rates),
            "ratio": median(our / their for our, their in rates),
            "durability": "acknowledged, on disk (WAL, synchronous=FULL)",
            # As phoenix/db/engines.py has it.
            "rival_durability": "committed, not yet on disk (WAL, synchronous=OFF); acknowledged before",
            "versions": {"steward-data": version("steward-data"), **json.loads(spans.greeting)},
        }


RIVALS: dict[str, Measure] = {"langfuse": langfuse, "phoenix": phoenix}


def main(rivals: Mapping[str, Measure]) -> int:
    """Measure beside each of *rivals*; return the exit code."""
    failed = []
    for name, measure in rivals.items():
        try:
            with TemporaryDirectory(prefix="steward-rivals-") as scratch:
                for line in measure(Path(scratch)):
                    show(line)
        except Exception:  # noqa: BLE001 -- whatever it is, it is told, and the next one is measured
            traceback.print_exc()
            failed.append(name)
    if failed:
        print(f"NOT MEASURED: {', '.join(failed)}; see above and {environment.BUILD}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was started ends too
    sys.exit(main({name: RIVALS[name] for name in sys.argv[1:] or RIVALS}))
