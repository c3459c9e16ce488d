"""A front with a password asks every client for it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import clickhouse_connect
import httpx
import pytest
from clickhouse_connect.driver.exceptions import DatabaseError

from runtime.embedded.clickhouse.part import clickhouse_part
from runtime.embedded.ports import free_port
from runtime.embedded.supervisor import Supervisor


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a front for one user."""
    home: Path = tmp_path_factory.mktemp("guarded")
    port = free_port()
    part = clickhouse_part(home.resolve(), port, "millrace", guarded=False)
    (home / "secret").write_text("s3cret:é\n", encoding="utf-8")
    part = replace(part, argv=(*part.argv, "--user", "ann", "--password-file", str(home / "secret")))
    with Supervisor(home) as supervisor:
        supervisor.start([part])
        yield f"http://127.0.0.1:{port}"


def test_the_right_password_is_taken_in_every_form(guarded: str) -> None:
    """Basic, headers and address."""
    ask = {"query": "SELECT 1"}
    headers = [(b"X-ClickHouse-User", b"ann"), (b"X-ClickHouse-Key", "s3cret:é".encode())]
    assert httpx.get(guarded, params=ask, auth=("ann", "s3cret:é")).text == "1\n"
    assert httpx.get(guarded, params={**ask, "user": "ann", "password": "s3cret:é"}).text == "1\n"
    assert httpx.get(guarded, params=ask, headers=headers).text == "1\n"
    client = clickhouse_connect.get_client(dsn=guarded, username="ann", password="s3cret:é")
    assert client.query("SELECT 1").first_row == (1,)
    client.close()


@pytest.mark.parametrize("auth", [None, ("ann", "wrong"), ("default", ""), ("bob", "s3cret:é")])
def test_anybody_else_is_refused(guarded: str, auth: tuple[str, str] | None) -> None:
    """403 with ClickHouse's number, before anything is run; a health check needs no password."""
    reply = httpx.post(guarded, content="SELECT 1", auth=auth)

    assert reply.status_code == 403
    assert reply.headers["x-clickhouse-exception-code"] == "516"
    assert "AUTHENTICATION_FAILED" in reply.text
    assert httpx.get(f"{guarded}/ping").text == "Ok.\n"


def test_the_driver_understands_the_refusal(guarded: str) -> None:
    """It raises its own error with the number."""
    with pytest.raises(DatabaseError) as caught:
        clickhouse_connect.get_client(dsn=guarded, username="ann", password="wrong")

    assert caught.value.code == 516
