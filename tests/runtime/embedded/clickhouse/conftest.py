"""One running front for all tests of the HTTP interface, and a fresh database for each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count

import httpx
import pytest

from runtime.embedded.clickhouse.part import clickhouse_part
from runtime.embedded.ports import free_port
from runtime.embedded.supervisor import Supervisor

NUMBERS = count(1)


@dataclass(frozen=True)
class Server:
    """A running front and the database of one test."""

    url: str
    database: str
    http: httpx.Client

    @property
    def dsn(self) -> str:
        """The address with the database."""
        return f"{self.url}/{self.database}"

    @property
    def dsn_query(self) -> str:
        """The address to which parameters can be added."""
        return f"{self.url}/?database={self.database}"

    def ask(self, sql: str, **parameters: str) -> str:
        """The text of a reply that must be good."""
        reply = self.send(sql, **parameters)
        assert reply.status_code == 200, reply.text
        return reply.text

    def send(self, sql: str | bytes, **parameters: str) -> httpx.Response:
        """The reply to a statement sent as a body."""
        return self.http.post("/", content=sql, params={"database": self.database, **parameters})

    def insert(self, sql: str, data: bytes, headers: dict[str, str] | None = None, **parameters: str) -> httpx.Response:
        """The reply to an insert whose statement is in the address and whose data are the body."""
        asked = {"query": sql, "database": self.database, **parameters}
        return self.http.post("/", content=data, params=asked, headers=headers)


@pytest.fixture(scope="session")
def front_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a front that runs for the whole of the tests."""
    home, port = tmp_path_factory.mktemp("front"), free_port()
    with Supervisor(home) as supervisor:
        supervisor.start([clickhouse_part(home.resolve(), port, "millrace", guarded=False)])
        yield f"http://127.0.0.1:{port}"


@pytest.fixture
def server(front_url: str) -> Iterator[Server]:
    """The front with a fresh database."""
    database = f"db{next(NUMBERS)}"
    with httpx.Client(base_url=front_url, timeout=60) as http:
        http.post("/", content=f"CREATE DATABASE {database}").raise_for_status()
        yield Server(front_url, database, http)
        http.post("/", content=f"DROP DATABASE {database}").raise_for_status()
