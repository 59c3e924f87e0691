"""
Runs the cases, one JSON object a line. With names as arguments, only those.
"""

import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tests.benchmarks import alerts, backup, export, figures, record, recorder, start
from tests.benchmarks.lines import show
from tests.benchmarks.load import run

Lines = Mapping[str, Any] | Sequence[Mapping[str, Any]]  # one, or several
CASES: tuple[Callable[[Path], Awaitable[Lines]], ...] = (
    record.record_unary,
    record.record_alone,
    record.record_batches,
    recorder.recorder,
    start.start,
    start.import_steward,
    alerts.alert_seen,
    figures.figures,
    export.export,
    backup.backup,
)


async def main(names: list[str]) -> None:
    """Run the cases of these *names*, or all, each on a directory of its own."""
    for case in CASES:
        if not names or case.__name__ in names:
            with TemporaryDirectory(prefix="steward-bench-") as scratch:
                found = await case(Path(scratch))
            for line in [found] if isinstance(found, Mapping) else found:
                show(line)


run(main(sys.argv[1:]))
