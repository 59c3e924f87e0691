"""
Apache Arrow: interactions as typed columns, null where unset, and files of any batches, written piece by piece.

pyarrow is an extra, loaded when Arrow is first asked for. Pure.
"""

import io
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from steward.columns import KINDS, lists
from steward.errors import FailedPrecondition
from steward.v1.export_pb2 import InteractionColumns

GROUP_ROWS = 32 * 1024  # of a row group of Parquet, at most about so many,
GROUP_BYTES = 8 * 1024 * 1024  # or this much


class Arrow:
    """What makes batches and tables of interactions, with the fields that are *left_out* not in them."""

    def __init__(self, *, left_out: str = "") -> None:
        """Load pyarrow. Raises: FailedPrecondition when it is not installed."""
        self.pa = load_pyarrow()
        self._places = [place for place, name in enumerate(KINDS) if name != left_out]
        named = [(name, self._type(kind)) for name, kind in KINDS.items()]
        self.schema = self.pa.schema([named[place] for place in self._places])

    def batch(self, columns: InteractionColumns) -> Any:
        """Return *columns* as a pyarrow.RecordBatch. Raises: StreamTruncated."""
        found = lists(columns)
        arrays = [
            self.pa.array(found[place], field.type) for place, field in zip(self._places, self.schema, strict=True)
        ]
        return self.pa.record_batch(arrays, schema=self.schema)

    def table(self, batches: Iterable[Any]) -> Any:
        """Return *batches* as one pyarrow.Table."""
        return self.pa.Table.from_batches(batches, self.schema)

    def _type(self, kind: type) -> Any:
        if kind is datetime:
            return self.pa.timestamp("us", tz="UTC")
        return {str: self.pa.string(), bool: self.pa.bool_(), int: self.pa.int64(), float: self.pa.float64()}[kind]


class ArrowStream:
    """Arrow's IPC stream of *schema*, written batch by batch."""

    def __init__(self, schema: Any) -> None:
        self._sink = _Sink()
        self._writer = load_pyarrow().ipc.new_stream(self._sink, schema)

    def write(self, batch: Any) -> bytes:
        """Return what the file has more with *batch*."""
        self._writer.write_batch(batch)
        return self._sink.taken()

    def end(self) -> bytes:
        """Return what ends the file."""
        self._writer.close()
        return self._sink.taken()


class ParquetFile:
    """A Parquet file of *schema*, in row groups of bounded size."""

    def __init__(self, schema: Any) -> None:
        from pyarrow import parquet  # noqa: PLC0415 -- an extra

        self._pa = load_pyarrow()
        self._sink = _Sink()
        self._writer = parquet.ParquetWriter(self._sink, schema)
        self._held: list[Any] = []  # batches of the next row group

    def write(self, batch: Any) -> bytes:
        """Return what the file has more with *batch*, nothing until there is enough for a row group."""
        self._held.append(batch)
        many = sum(each.num_rows for each in self._held) >= GROUP_ROWS
        return self._group() if many or sum(each.nbytes for each in self._held) >= GROUP_BYTES else b""

    def end(self) -> bytes:
        """Return what ends the file."""
        last = self._group() if self._held else b""
        self._writer.close()
        return last + self._sink.taken()

    def _group(self) -> bytes:
        whole = self._pa.Table.from_batches(self._held)
        self._held = []
        self._writer.write_table(whole, row_group_size=whole.num_rows)
        return self._sink.taken()


class _Sink(io.BytesIO):
    """Takes what is written, and gives it away."""

    def taken(self) -> bytes:
        """Return what came since the last time. pyarrow keeps count of what went before by itself."""
        data = self.getvalue()
        self.seek(0)
        self.truncate()
        return data


def load_pyarrow() -> Any:
    """Return the module. Raises: FailedPrecondition when it is not installed."""
    try:
        import pyarrow as pa  # noqa: PLC0415 -- an extra
    except ImportError:
        raise FailedPrecondition("Arrow and Parquet need pyarrow: pip install 'steward-data[parquet]'") from None
    return pa
