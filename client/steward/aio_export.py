"""
An export of interactions, of the asynchronous client.
"""

import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from steward import columns
from steward.arrow import Arrow
from steward.errors import FailedPrecondition
from steward.files import fresh
from steward.types import RecordedInteraction
from steward.v1.export_pb2 import InteractionColumns


class AsyncInteractionExport:
    """
    Interactions to be taken out once: iterate over them, or take all by to_arrow or to_file.

    The server is asked for them when the first is taken. Each way raises steward.errors.Error or one of its kinds.
    """

    def __init__(self, batches: AsyncIterator[InteractionColumns]) -> None:
        self._batches: AsyncIterator[InteractionColumns] | None = batches
        self._values: AsyncIterator[RecordedInteraction] | None = None

    def __aiter__(self) -> AsyncIterator[RecordedInteraction]:
        if self._values is None:
            self._values = _values(self._taken())
        return self._values

    async def __anext__(self) -> RecordedInteraction:
        return await anext(self.__aiter__())

    async def to_arrow(self) -> Any:
        """
        Return all as a pyarrow.Table of typed columns, null where unset, made batch by batch.

        Raises: FailedPrecondition without pyarrow, or when the export was begun; and what iterating does.
        """
        arrow = Arrow()
        return arrow.table([arrow.batch(batch) async for batch in self._taken()])

    async def to_file(self, path: str | os.PathLike[str], *, force: bool = False) -> int:
        """
        Write all into the file *path*, and return how many; by its suffix .jsonl, .csv, .parquet or .arrow.

        It has the columns that export_table gives interactions, and its name when it is whole and on disk; until then
        it is beside, and when anything goes wrong nothing is left. Memory does not grow with it. What is there already
        is replaced by *force* only. Raises: InvalidArgument for another suffix, FailedPrecondition when *path* is
        there, without pyarrow where it is needed, or when the export was begun, Error when it cannot be written; and
        what iterating does.
        """
        with fresh(Path(path), force=force) as file:
            async for batch in self._taken():
                file.add(batch)
        return file.rows

    def _taken(self) -> AsyncIterator[InteractionColumns]:
        if self._batches is None:
            raise FailedPrecondition("this export was begun: call export_interactions for another one")
        batches, self._batches = self._batches, None
        return batches


async def _values(batches: AsyncIterator[InteractionColumns]) -> AsyncIterator[RecordedInteraction]:
    async for batch in batches:
        for each in columns.values(batch):
            yield each
