"""
The loop with Steward's recorder: given the address of a server and a directory for the spool.
"""

import sys

from steward import Recorder
from tests.benchmarks.loop import answer


def main(target: str, spool: str) -> None:
    """Answer until standard input ends."""
    with Recorder(target, spool=spool) as opened:

        def flush() -> None:
            report = opened.flush(60)
            if report.pending or report.spooled or report.rejected or report.dropped:
                raise RuntimeError(f"not all were acknowledged: {report}")

        answer(opened.record, flush, packages=("steward-data",))


if __name__ == "__main__":
    main(*sys.argv[1:])
