"""Programs are served, web pages of other sites are not."""

from __future__ import annotations

import pytest

from runtime.embedded.clickhouse.guard import comes_from_a_page
from tests.runtime.embedded.clickhouse.conftest import Server


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"host": "127.0.0.1:18123"}, False),
        ({"host": "localhost:18123"}, False),
        ({"host": "[::1]:18123"}, False),
        ({}, False),
        ({"host": "localhost:18123", "origin": "http://localhost:18123", "sec-fetch-site": "same-origin"}, False),
        ({"host": "localhost:18123", "origin": "https://evil.example"}, True),
        ({"host": "localhost:18123", "origin": "null"}, True),
        ({"host": "localhost:18123", "sec-fetch-site": "cross-site"}, True),
        ({"host": "evil.example:18123"}, True),
    ],
)
def test_a_page_is_known_by_its_headers(headers: dict[str, str], expected: bool) -> None:
    """Browsers set these headers themselves; a page cannot leave them out."""
    assert comes_from_a_page(headers, local=True) is expected


def test_a_server_for_other_machines_may_have_any_name() -> None:
    """Only then; the rest holds everywhere."""
    assert not comes_from_a_page({"host": "clickhouse.internal:8123"}, local=False)
    assert comes_from_a_page({"host": "clickhouse.internal:8123", "origin": "https://evil.example"}, local=False)


def test_a_page_cannot_run_a_statement(server: Server) -> None:
    """A form that posts to a local port needs nobody's leave in a browser."""
    reply = server.http.post("/", content="DROP DATABASE millrace", headers={"Origin": "https://evil.example"})

    assert reply.status_code == 403
    assert server.ask("EXISTS DATABASE millrace") == "1\n"
