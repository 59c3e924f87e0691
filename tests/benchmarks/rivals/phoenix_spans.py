"""
Sends spans to Phoenix by its own package for that, in its environment: given the server's address and SQLite file.

Greets with the versions, then answers each line, a number of spans, with the seconds from the first call until the
last one stands in the file: Phoenix acknowledges them before.
"""

import json
import os
import sqlite3
import sys
import time
from contextlib import closing
from importlib.metadata import version

from phoenix.otel import register

from tests.benchmarks.loop import fields

QUEUE = 20_000  # spans that wait here before they are dropped; as many as Phoenix's own queue
PATIENCE = 300  # s
LOOK = 0.1  # s between looks into the file
NAMES = {"session_id": "session.id", "query": "input.value"}  # what OpenInference calls them


def main(address: str, database: str) -> None:
    """Answer until standard input ends."""
    os.environ["OTEL_BSP_MAX_QUEUE_SIZE"] = str(QUEUE)
    provider = register(
        endpoint=f"http://{address}", protocol="grpc", batch=True, set_global_tracer_provider=False, verbose=False
    )
    tracer = provider.get_tracer("benchmark")
    packages = ("arize-phoenix", "arize-phoenix-otel", "opentelemetry-sdk", "grpcio")
    print(json.dumps({each: version(each) for each in packages}), flush=True)
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as file:

        def stored() -> int:
            return int(file.execute("SELECT COUNT(*) FROM spans").fetchone()[0])

        for line in sys.stdin:
            made = [fields(number) for number in range(int(line))]
            named = [{NAMES.get(name, name): value for name, value in each.items()} for each in made]
            wanted, started = stored() + len(named), time.perf_counter()
            for each in named:
                tracer.start_span("answer", attributes=each).end()
            provider.force_flush()
            while (found := stored()) < wanted:
                if time.perf_counter() > started + PATIENCE:
                    raise RuntimeError(f"{wanted - found} of {len(named)} spans were not stored within {PATIENCE} s")
                time.sleep(LOOK)
            print(time.perf_counter() - started, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
