"""What a bill takes of a meter, as a catalog file says it."""

from __future__ import annotations

import pytest

from catalog.document import read_catalog
from core.errors import Refused
from tests.rating.text_table import table

METER = "{{code: m, event_type: call, aggregation: {}, value: n, billed: {{{}}}}}"
CASES = """
    aggregation | billed                        | read as, or the fault
    max         | bucket: hour, combine: sum    | bucket:hour:sum
    unique      | bucket: day, combine: avg     | bucket:day:avg
    max         | percentile: 99.90             | percentile:99.9
    latest      | held: hour                    | held:hour
    sum         | carried: end                  | carried:end
    latest      | carried: rise                 | carried:rise
    sum         | carried: rise                 | billed_not_with_aggregation
    max         | bucket: week, combine: sum    | choice_unknown
    max         | bucket: hour                  | field_missing
    max         | percentile: 0                 | percentile_invalid
    max         | percentile: 100.1             | percentile_invalid
    unique      | percentile: 50                | billed_not_with_aggregation
    max         | held: hour                    | billed_not_with_aggregation
    avg         | carried: end                  | billed_not_with_aggregation
    sum         | carried: end, held: hour      | billed_invalid
    sum         | carried: end, combine: sum    | field_unknown
"""


@pytest.mark.parametrize(("aggregation", "billed", "expected"), list(table(CASES)))
def test_a_derivation_goes_with_its_aggregation(aggregation: str, billed: str, expected: str) -> None:
    """It is read into one spelling, or refused with every fault under its path."""
    source = f"merchant: {{code: a}}\nmeters: [{METER.format(aggregation, billed)}]".encode()
    if ":" not in expected:
        with pytest.raises(Refused) as refused:
            read_catalog(source)
        assert [problem.code for problem in refused.value.problems] == [expected]
        assert str(refused.value.problems[0].field).startswith("meters[0].billed")
        return
    (found,) = read_catalog(source)
    assert found.meters[0].billed == expected
