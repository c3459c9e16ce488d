"""Times of all the kinds that senders write."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.shape import NumberText
from ingest.times import read_column, read_time

NOON = 1_700_481_600_000_000


@pytest.mark.parametrize(
    ("value", "micros"),
    [
        ("2023-11-20T12:00:00Z", NOON),
        ("2023-11-20T12:00:00.5Z", NOON + 500_000),
        ("2023-11-20t12:00:00.5z", NOON + 500_000),
        ("2023-11-20 12:00:00.9799600", NOON + 979_960),
        ("2023-11-20T12:00:00.1234569Z", NOON + 123_456),
        ("2023-11-20T14:00:00+02:00", NOON),
        ("2023-11-20T12:00+00:00", NOON),
        ("2023-11-20T11:59:60Z", NOON - 1),
        (1_700_481_600, NOON),
        ("1700481600", NOON),
        (NumberText("1700481600.1234567"), NOON + 123_456),
        ("1700481600.000001", NOON + 1),
    ],
)
def test_a_time_is_read_exactly(value: object, micros: int) -> None:
    """Cut to microseconds, never rounded, and without a float in between."""
    assert read_time(value) == micros


@pytest.mark.parametrize(
    "value",
    [
        *("", "yesterday", "2023-11-20", "2023-02-30T00:00:00Z", "2023-11-20T25:00:00Z", "2023-W47-1T12:00:00Z"),
        *("20231120T120000Z", "٢٠٢٣-11-20T12:00:00Z", "2023-11-20T12:00:00+99:99", "1e9"),
        *(-1, True, None, [], {}, 10**400),
    ],
)
def test_what_is_no_time_is_refused(value: object) -> None:
    """With a sentence, and no other exception."""
    with pytest.raises(ValueError, match=r"time|RFC 3339|date"):
        read_time(value)


def test_milliseconds_are_pointed_out() -> None:
    """Thirteen digits are a common mistake."""
    with pytest.raises(ValueError, match="seconds, not milliseconds"):
        read_time(1_700_481_600_000)


INSTANTS = st.datetimes(datetime(1971, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
ZONES = st.sampled_from(["Z", "+00:00", "+05:30", "-08:00", "+0100", "-03", "", "z"])
WRITTEN = st.tuples(INSTANTS, ZONES, st.sampled_from(["T", " ", "t"]), st.integers(0, 9))


@given(WRITTEN)
def test_a_written_instant_is_read_back(written: tuple[datetime, str, str, int]) -> None:
    """Whatever zone and number of decimals it is written with."""
    instant, zone, separator, digits = written
    text = f"{instant:%Y-%m-%d}{separator}{instant:%H:%M:%S}"
    micros = instant.microsecond
    if digits:
        decimals = f"{micros:06d}".ljust(9, "7")[:digits]
        text += f".{decimals}"
        micros = int(decimals[:6].ljust(6, "0"))
    else:
        micros = 0
    hours, minutes = {"+05:30": (5, 30), "-08:00": (-8, 0), "+0100": (1, 0), "-03": (-3, 0)}.get(zone, (0, 0))
    expected = instant.replace(microsecond=micros) - timedelta(hours=hours, minutes=minutes)

    assert read_time(text + zone) == (expected - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


TIME_LIKE = st.from_regex(
    r"\A20[12]\d-[01]\d-[0-3]\d[T t][012]\d(:?[0-6]\d){1,2}([.,]\d{0,9})?(Z|z|[+-]\d\d(:?\d\d)?)?\Z"
)


@given(st.lists(st.one_of(TIME_LIKE, st.text(min_size=20, max_size=30)), min_size=1, max_size=3))
def test_reading_a_column_is_reading_each(texts: list[str]) -> None:
    """The fast path never accepts or means anything else than the slow one."""
    column = (texts * 8)[: max(8, len(texts))]

    found = read_column(column)

    if found is not None:
        assert found == [read_time(text) for text in column]
