"""
Who waits for the receipt of a record, by its number.
"""

from steward import codec, errors
from steward.recording.batches import Batch
from steward.recording.commands import Claim
from steward.types import Receipt
from steward.v1.ingest_pb2 import RecordInteractionsResponse


class Claims:
    """Those of one life."""

    def __init__(self) -> None:
        self._waiting: dict[int, Claim] = {}

    def add(self, number: int, claim: Claim) -> None:
        """Take note that somebody waits for the receipt of the record of this *number*."""
        self._waiting[number] = claim

    def forget(self, now: float) -> None:
        """Forget those whose time is up."""
        self._waiting = {number: each for number, each in self._waiting.items() if now < each.deadline}

    def grant(self, batch: Batch, response: RecordInteractionsResponse) -> None:
        """Hand out the receipts that came for *batch*, which is of this life."""
        if self._waiting:
            for (number, _), outcome in zip(batch.records, response.outcomes, strict=True):
                if number in self._waiting and outcome.HasField("receipt"):
                    self._waiting.pop(number).reply(codec.decode(Receipt, outcome.receipt))

    def refuse(self, number: int, error: errors.Error) -> None:
        """Tell who waits for the receipt of this *number* why there is none."""
        if number in self._waiting:
            self._waiting.pop(number).reply(error)

    def end(self) -> None:
        """Tell all that no receipt will come."""
        gone = errors.Cancelled("the recorder was closed before a receipt came")
        for claim in self._waiting.values():
            claim.reply(gone)
