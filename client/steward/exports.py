"""
Checks that an export came whole: counts and digests what comes, and holds it against the trailer.

Pure.
"""

import hashlib
from collections.abc import Sequence

from steward.errors import StreamTruncated
from steward.v1 import export_pb2, interaction_pb2


class ExportCheck:
    """What came of an export so far, over however many streams it was resumed."""

    def __init__(self) -> None:
        self.complete = False
        self._rows = 0
        self._digest = bytes(32)

    def take(self, message: export_pb2.ExportInteractionsResponse) -> Sequence[interaction_pb2.RecordedInteraction]:
        """Return the interactions of the next *message*. Raises: StreamTruncated when it shows that some miss."""
        match message.WhichOneof("part"):
            case "header":
                self._demand(message.header.resumed_rows, self._digest)
            case "batch":
                content = message.batch.rows.SerializeToString(deterministic=True)
                self._digest = hashlib.sha256(self._digest + content).digest()
                self._rows += len(message.batch.rows.interactions)
                return message.batch.rows.interactions
            case "trailer":
                self._demand(message.trailer.rows, message.trailer.digest)
                self.complete = True
        return ()

    def end(self) -> None:
        """See that the stream had its trailer. Raises: StreamTruncated when not."""
        if not self.complete:
            raise StreamTruncated(f"the export ended after {self._rows} interactions without its trailer")

    def _demand(self, rows: int, digest: bytes) -> None:
        if rows != self._rows:
            raise StreamTruncated(f"{self._rows} interactions came of {rows}")
        if digest != self._digest:
            raise StreamTruncated(f"the {rows} interactions that came are not those that were sent")
