"""Clients that are not ours read the views: plain HTTP as ClickHouse documents it, and the SQLAlchemy dialect."""

from __future__ import annotations

import shutil
import subprocess
from decimal import Decimal
from urllib.parse import urlsplit

import clickhouse_connect
import httpx
import orjson
import pytest
from sqlalchemy import create_engine, text

from clickhouse.client import UsageStore
from tests.clickhouse.builders import at, window, windows_frame

BY_DAY = "SELECT day, quantity FROM usage_by_day_in(zone = {zone:String}) WHERE subject = {subject:String} ORDER BY day"


@pytest.fixture(autouse=True)
def two_days(usage_store: UsageStore) -> None:
    """Usage on two days of Berlin that are one in UTC."""
    rows = [window(sum=Decimal("0.1")), window(sum=Decimal("0.2"), window_start=at("2023-11-20T23:30:00"))]
    usage_store.insert_frame("usage_windows", windows_frame(rows), token="w")


def server_and_database(url: str) -> tuple[str, str]:
    """The server's own address, and the database that the tests use there."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}", parts.path.strip("/")


def test_plain_http_asks_and_is_answered(clickhouse_url: str) -> None:
    """The statement in the body, values in ``param_…``, the format in the statement."""
    server, database = server_and_database(clickhouse_url)
    bound = {"database": database, "param_zone": "Europe/Berlin", "param_subject": "c-1"}

    answer = httpx.post(server, params=bound, content=BY_DAY + " FORMAT JSONEachRow")

    assert [orjson.loads(line) for line in answer.text.splitlines()] == [
        {"day": "2023-11-20", "quantity": 0.1},
        {"day": "2023-11-21", "quantity": 0.2},
    ]


def test_a_get_request_asks_and_is_answered(clickhouse_url: str) -> None:
    """Reading needs no body."""
    server, database = server_and_database(clickhouse_url)
    query = f"SELECT sum(quantity) FROM {database}.usage_by_day FORMAT CSV"

    assert httpx.get(server, params={"query": query}).text == "0.3\n"


def test_curl_reads_the_views(clickhouse_url: str) -> None:
    """As the README shows it."""
    server, database = server_and_database(clickhouse_url)
    curl = shutil.which("curl")
    assert curl is not None, "curl is needed to test what we tell people to type"
    command = [curl, "-sS", f"{server}/?database={database}", "--data-binary", "@-"]
    asked = "SELECT meter, events, quantity FROM usage_total FORMAT TSVWithNames"

    done = subprocess.run(command, input=asked, capture_output=True, text=True, check=True)

    assert done.stdout == "meter\tevents\tquantity\nsum_meter\t2\t0.3\n"


def test_the_sqlalchemy_dialect_reads_the_views(clickhouse_url: str) -> None:
    """Decimals arrive as decimals, parameters are bound."""
    engine = create_engine(clickhouse_url.replace("http://", "clickhousedb://", 1))
    asked = text("SELECT subject, quantity FROM usage_total WHERE meter = :meter")

    with engine.connect() as connection:
        rows = connection.execute(asked, {"meter": "sum_meter"}).all()
    engine.dispose()

    assert [tuple(row) for row in rows] == [("c-1", Decimal("0.3"))]


def test_clickhouse_connect_reads_a_view_of_a_zone(clickhouse_url: str) -> None:
    """The driver's own client, with bound parameters, as the README shows it."""
    with clickhouse_connect.get_client(dsn=clickhouse_url) as client:
        rows = client.query(BY_DAY, parameters={"zone": "Europe/Berlin", "subject": "c-1"}).result_rows

    assert [(day.isoformat(), quantity) for day, quantity in rows] == [
        ("2023-11-20", Decimal("0.1")),
        ("2023-11-21", Decimal("0.2")),
    ]
