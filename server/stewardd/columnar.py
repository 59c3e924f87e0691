"""
Tables as Apache Arrow and Parquet: typed columns, in batches and row groups of bounded size.

pyarrow is an extra, loaded when the first such file is asked for.
"""

import io
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from types import ModuleType
from typing import Any

from steward.errors import FailedPrecondition
from stewardd.pages import Page
from stewardd.tables import Column, Kind

GROUP_ROWS = 32 * 1024  # of a row group, at most about so many,
GROUP_BYTES = 8 * 1024 * 1024  # or this much


def demand_pyarrow() -> None:
    """Raise FailedPrecondition when pyarrow is not installed."""
    if find_spec("pyarrow") is None:
        raise FailedPrecondition(
            "the server has no pyarrow, which Arrow and Parquet need: pip install 'steward-data[parquet]' there, "
            "or ask for csv or jsonl"
        )


class Columnar:
    """Arrow's IPC stream, or with *parquet* a Parquet file."""

    def __init__(self, columns: Sequence[Column], *, parquet: bool = False) -> None:
        self._arrow = _pyarrow()
        self._columns = columns
        self._schema = self._arrow.schema([(each.name, self._type(each.kind)) for each in columns])
        self._sink = _Sink()
        self._held: list[Any] = []  # batches of the next row group
        self._parquet = parquet
        self._writer: Any = None

    def begin(self) -> bytes:
        if self._parquet:
            from pyarrow import parquet  # noqa: PLC0415 -- an extra

            self._writer = parquet.ParquetWriter(self._sink, self._schema)
        else:
            self._writer = self._arrow.ipc.new_stream(self._sink, self._schema)
        return self._sink.taken()

    def add(self, page: Page) -> bytes:
        batches = self._read(page.content)
        if not self._parquet:
            for each in batches:
                self._writer.write_batch(each)
            return self._sink.taken()
        self._held += batches
        many = sum(each.num_rows for each in self._held) >= GROUP_ROWS
        return self._group() if many or sum(each.nbytes for each in self._held) >= GROUP_BYTES else b""

    def end(self) -> Iterator[bytes]:
        if self._held:
            yield self._group()
        self._writer.close()
        yield self._sink.taken()

    def close(self) -> None:
        self._held = []

    def _group(self) -> bytes:
        whole = self._arrow.Table.from_batches(self._held)
        self._held = []
        self._writer.write_table(whole, row_group_size=whole.num_rows)
        return self._sink.taken()

    def _type(self, kind: Kind) -> Any:
        match kind:
            case Kind.TIME:
                return self._arrow.timestamp("us", tz="UTC")
            case Kind.BOOLEAN:
                return self._arrow.bool_()
            case Kind.INTEGER:
                return self._arrow.int64()
            case Kind.REAL:
                return self._arrow.float64()
        return self._arrow.string()

    def _read(self, lines: bytes) -> list[Any]:
        """Return what `typed_line` spelled."""
        from pyarrow import csv  # noqa: PLC0415 -- an extra

        kinds = {
            each.name: self._arrow.int64() if each.kind is Kind.TIME else self._type(each.kind)
            for each in self._columns
        }
        found = csv.read_csv(
            self._arrow.BufferReader(lines),
            csv.ReadOptions(column_names=list(kinds), use_threads=False, block_size=len(lines) + 1),
            csv.ParseOptions(newlines_in_values=True),
            csv.ConvertOptions(
                column_types=kinds,
                null_values=[""],
                strings_can_be_null=True,
                quoted_strings_can_be_null=False,
                true_values=["1"],
                false_values=["0"],
            ),
        )
        batches: list[Any] = found.cast(self._schema).to_batches()
        return batches


def _pyarrow() -> ModuleType:
    import pyarrow as pa  # noqa: PLC0415 -- an extra

    loaded: ModuleType = pa
    return loaded


class _Sink(io.RawIOBase):
    """Takes what is written, and gives it away."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._size = 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        part = bytes(data)
        self._parts.append(part)
        self._size += len(part)
        return len(part)

    def tell(self) -> int:
        return self._size

    def taken(self) -> bytes:
        """Return what came since the last time."""
        whole = b"".join(self._parts)
        self._parts = []
        return whole
