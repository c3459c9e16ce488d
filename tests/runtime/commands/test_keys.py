"""The commands ``millrace keys``."""

from __future__ import annotations

import orjson
import pytest
from sqlalchemy import Engine
from typer.testing import CliRunner

from catalog.apply import apply_text
from catalog.keys import find_key
from core.db import transaction
from core.errors import Refused
from runtime.commands.keys import keys_app
from tests.catalog.builders import catalog_text


@pytest.fixture
def acme(books: Engine, postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> Engine:
    """Books with a merchant, to which the command's settings point."""
    monkeypatch.setenv("MILLRACE_KAFKA", "127.0.0.1:1")
    monkeypatch.setenv("MILLRACE_CLICKHOUSE_URL", "http://127.0.0.1:1/none")
    monkeypatch.setenv("MILLRACE_POSTGRES_URL", postgres_url)
    apply_text(books, catalog_text())
    return books


def run(*arguments: str) -> str:
    """Run the command; what it printed."""
    return CliRunner().invoke(keys_app, arguments, catch_exceptions=False).stdout


def test_a_made_key_is_printed_alone(acme: Engine) -> None:
    """A script can take the output as the key."""
    key = run("create", "--merchant", "acme", "--name", "gateway").strip()

    with transaction(acme) as connection:
        assert find_key(connection, key) is not None


def test_a_key_is_made_listed_and_revoked(acme: Engine) -> None:
    """The life of a key on the command line."""
    made = orjson.loads(run("create", "--merchant", "acme", "--name", "[ci]", "--json"))
    (listed,) = orjson.loads(run("list", "--merchant", "acme", "--json"))
    assert (listed["key_id"], listed["name"], listed["revoked_at"]) == (made["key_id"], "[ci]", None)
    assert "key" not in listed

    assert run("revoke", made["key_id"]) == f"{made['key_id']} is revoked\n"

    shown = run("list")
    assert "[ci]" in shown
    assert made["key"] not in shown
    with transaction(acme) as connection:
        assert find_key(connection, made["key"]) is None


def test_a_key_for_nobody_is_refused(acme: Engine) -> None:
    """The merchant must be declared first."""
    with pytest.raises(Refused, match="there is no merchant 'nobody'"):
        run("create", "--merchant", "nobody")
