from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from core.errors import Refused
from runtime.bring_in.csv_rows import CsvRows
from runtime.bring_in.ndjson_rows import NdjsonRows
from runtime.bring_in.parquet_rows import ParquetRows
from runtime.bring_in.row import Row
from tests.runtime.bring_in.trace import trace_file


def written(tmp_path: Path, content: bytes) -> Path:
    """A file with this content."""
    path = tmp_path / "file"
    path.write_bytes(content)
    return path


def read_all(path: Path) -> list[Row]:
    """Every row of a CSV."""
    rows = CsvRows(path)
    try:
        return list(rows.rows())
    finally:
        rows.close()


def test_csv_keeps_every_digit_across_windows_line_ends_and_a_byte_order_mark(tmp_path: Path) -> None:
    """Numbers stay text: nothing is read as a float."""
    path = written(tmp_path, b"\xef\xbb\xbfTIMESTAMP,Tokens\r\n2023-11-16 18:17:03.9799600,1.10\r\n\r\nx,007\r\n")
    rows = CsvRows(path)
    assert rows.columns == ["TIMESTAMP", "Tokens"]
    assert list(rows.rows()) == [
        Row(1, {"TIMESTAMP": "2023-11-16 18:17:03.9799600", "Tokens": "1.10"}),
        Row(2, {"TIMESTAMP": "x", "Tokens": "007"}),
    ]
    assert rows.share_read() == 1
    rows.close()


def test_csv_fields_may_hold_commas_quotes_and_line_ends_and_empty_ones_are_left_out(tmp_path: Path) -> None:
    """Quoted as RFC 4180 says."""
    rows = CsvRows(written(tmp_path, b'a,b,c\n"x, ""y""\nz",,3\n'))
    assert list(rows.rows()) == [Row(1, {"a": 'x, "y"\nz', "c": "3"})]
    rows.close()


def test_a_csv_row_of_another_length_is_a_fault_of_that_row_alone(tmp_path: Path) -> None:
    """The rows around it are read."""
    rows = CsvRows(written(tmp_path, b"a;b\n1;2\n1;2;3\n4;5\n"), ";")
    found = list(rows.rows())
    assert [row.fault for row in found] == [None, "the row has 3 fields and the header 2", None]
    rows.close()


@pytest.mark.parametrize(
    ("content", "code"),
    [(b"", "file_empty"), (b"a,a\n1,2\n", "columns_repeated"), (b'a\n"open\n', "file_not_csv"), (b"a\n\xff\n", "utf8")],
)
def test_a_file_that_is_no_csv_is_refused_as_a_whole(tmp_path: Path, content: bytes, code: str) -> None:
    """Empty, ambiguous, unclosed quotes, another encoding."""
    path = written(tmp_path, content)
    with pytest.raises(Refused) as caught:
        read_all(path)
    assert code in caught.value.code


def test_ndjson_keeps_numbers_as_written_and_flattens_objects(tmp_path: Path) -> None:
    """Trailing zeros, exponents and long integers survive; arrays become JSON text; nulls are left out."""
    line = b'{"n":1.10,"e":1E-7,"big":12345678901234567890123,"o":{"x":true,"y":null},"a":[1.50,"\xc3\xa9",{"k":2}]}'
    rows = NdjsonRows(written(tmp_path, b"\xef\xbb\xbf" + line + b"\r\n\n[1]\n{oops\n" + b'{"v":NaN}'))
    first, *others = rows.rows()
    assert first.fields == {
        "n": "1.10",
        "e": "1E-7",
        "big": "12345678901234567890123",
        "o.x": "true",
        "a": '[1.50,"é",{"k":2}]',
    }
    assert [row.number for row in others] == [3, 4, 5]
    assert all(row.fault for row in others)
    rows.close()


def test_parquet_gives_exact_texts_of_every_type(tmp_path: Path) -> None:
    """Decimals stay plain, timestamps are in UTC, structs are flattened, nulls are left out."""
    table = pa.table(
        {
            "i": pa.array([2**62, None], pa.int64()),
            "d": pa.array([Decimal("0.0000000010"), Decimal("12.5")], pa.decimal128(20, 10)),
            "f": pa.array([0.1, 1e22], pa.float64()),
            "t": pa.array([datetime(2023, 11, 16, 18, 17, 3, 979960, tzinfo=UTC), None], pa.timestamp("us", "UTC")),
            "naive": pa.array([1_700_158_623_000_000, None], pa.timestamp("us")),
            "day": pa.array([date(2023, 11, 16), None], pa.date32()),
            "s": pa.array([{"b": True}, {"b": False}], pa.struct([("b", pa.bool_())])),
        }
    )
    path = tmp_path / "file.parquet"
    pq.write_table(table, path)
    rows = ParquetRows(path)
    assert rows.columns == ["i", "d", "f", "t", "naive", "day", "s.b"]
    first, second = rows.rows()
    assert first.fields == {
        "i": str(2**62),
        "d": "0.0000000010",
        "f": "0.1",
        "t": "2023-11-16 18:17:03.979960Z",
        "naive": "2023-11-16 18:17:03.000000",
        "day": "2023-11-16",
        "s.b": "true",
    }
    assert second.fields == {"d": "12.5000000000", "f": "1e+22", "s.b": "false"}
    assert rows.share_read() == 1
    rows.close()


def test_a_file_that_is_no_parquet_is_refused(tmp_path: Path) -> None:
    """With its name in the sentence."""
    with pytest.raises(Refused, match="not a Parquet file"):
        ParquetRows(written(tmp_path, b"hello"))


def test_the_real_trace_reads_to_the_totals_that_it_is_known_for(tmp_path: Path) -> None:
    """8,819 requests, 18,059,974 context and 245,896 generated tokens."""
    rows = CsvRows(trace_file(tmp_path))
    found = list(rows.rows())
    rows.close()
    assert found[0].fields == {
        "TIMESTAMP": "2023-11-16 18:17:03.9799600",
        "ContextTokens": "4808",
        "GeneratedTokens": "10",
    }
    assert len(found) == 8_819
    assert sum(int(row.fields["ContextTokens"]) for row in found) == 18_059_974
    assert sum(int(row.fields["GeneratedTokens"]) for row in found) == 245_896
