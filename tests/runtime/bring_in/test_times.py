from __future__ import annotations

from zoneinfo import ZoneInfo

import pytest

from runtime.bring_in.times import zoned_text

BERLIN = ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize(
    ("text", "zoned"),
    [
        ("2023-11-16 18:17:03.9799600", "2023-11-16T18:17:03.9799600+01:00"),
        ("2023-07-01T00:30", "2023-07-01T00:30:00+02:00"),
        ("2023-07-01", "2023-07-01T00:00:00+02:00"),
        ("2023-10-29 02:30:00", "2023-10-29T02:30:00+02:00"),
    ],
)
def test_a_naive_time_gets_the_offset_of_its_place_and_keeps_its_digits(text: str, zoned: str) -> None:
    """Winter, summer, a date alone, and the first of two equal hours."""
    assert zoned_text(text, BERLIN) == zoned


@pytest.mark.parametrize("text", ["2023-11-16T18:17:03Z", "2023-11-16 18:17:03.12+05:30", "1700158623.97", "soon", ""])
def test_other_texts_pass_unchanged(text: str) -> None:
    """Times with a zone, Unix seconds, and what is no time at all: that is for the gateway to say."""
    assert zoned_text(text, BERLIN) == text


def test_in_utc_only_a_date_alone_is_completed() -> None:
    """The real trace's first row goes out as it is."""
    assert zoned_text("2023-11-16 18:17:03.9799600", ZoneInfo("UTC")) == "2023-11-16 18:17:03.9799600"
    assert zoned_text("2023-11-16", ZoneInfo("UTC")) == "2023-11-16T00:00:00+00:00"


@pytest.mark.parametrize("text", ["2023-03-26 02:30:00", "2023-02-29 10:00:00", "2023-01-01 25:00"])
def test_a_time_that_no_clock_showed_is_refused(text: str) -> None:
    """Skipped by a clock change, or in no calendar."""
    with pytest.raises(ValueError, match=r"does not exist|out of range|must be in"):
        zoned_text(text, BERLIN)
