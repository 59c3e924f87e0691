"""
Tables as Apache Arrow and Parquet: typed columns, in batches and row groups of bounded size.

pyarrow is an extra, loaded when the first such file is asked for.
"""

from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from typing import Any

from steward.arrow import ArrowStream, ParquetFile, load_pyarrow
from steward.errors import FailedPrecondition
from stewardd.pages import Page
from stewardd.tables import Column, Kind


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
        self._arrow = load_pyarrow()
        self._columns = columns
        self._schema = self._arrow.schema([(each.name, self._type(each.kind)) for each in columns])
        self._file = (ParquetFile if parquet else ArrowStream)(self._schema)

    def begin(self) -> bytes:
        return b""

    def add(self, page: Page) -> bytes:
        return b"".join([self._file.write(batch) for batch in self._read(page.content)])

    def end(self) -> Iterator[bytes]:
        yield self._file.end()

    def close(self) -> None:
        return

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
