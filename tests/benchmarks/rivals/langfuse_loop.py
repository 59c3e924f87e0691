"""
The loop with the SDK of Langfuse, in its own environment: given the URL to send to.

An interaction is an event, an observation that takes one call, with the query as its input and the rest as its
metadata.
"""

import sys
from typing import Any

from langfuse import Langfuse

from tests.benchmarks.loop import answer


def main(url: str) -> None:
    """Answer until standard input ends."""
    client = Langfuse(
        public_key="pk-lf-benchmark",
        secret_key="sk-lf-benchmark",  # noqa: S106 -- made up
        base_url=url,
        flush_at=512,
        flush_interval=5,
    )

    def record(*, query: str, query_type: str, **others: Any) -> None:
        client.create_event(name=query_type, input=query, metadata=others)

    answer(record, client.flush, packages=("langfuse", "opentelemetry-sdk"))
    client.shutdown()


if __name__ == "__main__":
    main(*sys.argv[1:])
