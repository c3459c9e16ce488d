"""How ClickHouse's words become ours."""

from __future__ import annotations

import pytest
from clickhouse_connect.driver.exceptions import DatabaseError, OperationalError, ProgrammingError

from clickhouse.errors import UsageStoreError, translate
from core.errors import Transient

LONG = (
    "Received ClickHouse exception, code: 60, server response: Code: 60. DB::Exception: Code: 60. DB::Exception: "
    "Table m.x does not exist. (UNKNOWN_TABLE) (version 26.9.2.1 (official build))\nStack trace:\n0. DB::throw "
    "(for url http://127.0.0.1:8123)"
)


def test_a_refusal_keeps_its_code_its_name_and_one_sentence() -> None:
    """What a person can act on stays; where it happened inside the server goes."""
    said = translate(DatabaseError(LONG, code=60, name="UNKNOWN_TABLE"))

    assert str(said) == "ClickHouse: Table m.x does not exist (UNKNOWN_TABLE, code 60)"


@pytest.mark.parametrize(
    "error",
    [
        OperationalError("Error HTTPConnectionPool(host='127.0.0.1'): Read timed out. executing HTTP request"),
        DatabaseError("HTTP driver received HTTP status 502, server response: bad gateway"),
        OperationalError("HTTP driver received HTTP status 503"),
        DatabaseError("code: 252, server response: Too many parts (300)", code=252, name="TOO_MANY_PARTS"),
        DatabaseError("code: 241, server response: memory", code=241),
    ],
)
def test_busy_full_slow_and_gone_may_be_tried_again(error: DatabaseError) -> None:
    """Everything that time can heal is ``Transient``."""
    assert isinstance(translate(error), Transient)


@pytest.mark.parametrize(
    "error",
    [
        DatabaseError("HTTP driver received HTTP status 401, server response: who are you"),
        DatabaseError("code: 516, server response: Authentication failed", code=516),
        ProgrammingError("Setting x is unknown or readonly"),
    ],
)
def test_what_time_cannot_heal_is_not_tried_again(error: DatabaseError) -> None:
    """A wrong password or a bad setting stays wrong."""
    assert isinstance(translate(error), UsageStoreError)
