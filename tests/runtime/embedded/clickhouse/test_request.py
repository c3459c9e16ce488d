"""Requests are read from their address and headers."""

from __future__ import annotations

import base64

import pytest

from runtime.embedded.clickhouse.errors import EngineError
from runtime.embedded.clickhouse.request import Ask, read_ask


def ask(query_string: str, **headers: str) -> Ask:
    """A POST with these headers, whose names have underscores here."""
    return read_ask("POST", query_string.encode(), {name.replace("_", "-"): text for name, text in headers.items()})


def test_any_other_parameter_is_a_setting() -> None:
    """What the interface itself does not know goes to the engine, which refuses unknown names."""
    found = ask("query=SELECT+1&max_threads=2&param_x=%27a%27&database=d&send_progress_in_http_headers=1")

    assert found.settings == {"max_threads": "2", "param_x": "'a'"}
    assert (found.query, found.database) == ("SELECT 1", "d")


def test_parameters_may_have_the_names_of_the_interface() -> None:
    """A bound value called "database" is still a bound value."""
    assert ask("param_database=x&param_a_format=y").settings == {"param_database": "x", "param_a_format": "y"}


@pytest.mark.parametrize(
    ("query_string", "headers", "account"),
    [
        ("", {}, ("default", "")),
        ("user=u&password=p", {}, ("u", "p")),
        ("", {"x_clickhouse_user": "u", "x_clickhouse_key": "p"}, ("u", "p")),
        ("", {"authorization": "Basic " + base64.b64encode(b"u:p:q").decode()}, ("u", "p:q")),
    ],
)
def test_credentials_come_in_four_ways(query_string: str, headers: dict[str, str], account: tuple[str, str]) -> None:
    """Each client library prefers another."""
    found = ask(query_string, **headers)

    assert (found.user, found.password) == account


def test_encodings_count_only_when_compression_is_on() -> None:
    """The engine's own default decides when the client says nothing."""
    encodings = {"accept_encoding": "gzip;q=1.0, zstd"}

    assert ask("enable_http_compression=1", **encodings).accept == ("gzip", "zstd")
    assert ask("enable_http_compression=0", **encodings).accept == ()
    assert ask("", **encodings).accept == ("gzip", "zstd")


@pytest.mark.parametrize(
    ("query_string", "code"), [("compress=1", 48), ("session_timeout=x", 374), ("session_timeout=9999", 374)]
)
def test_what_cannot_be_done_is_said(query_string: str, code: int) -> None:
    """A clear error in place of a reply that the client cannot read."""
    with pytest.raises(EngineError) as caught:
        ask(query_string)

    assert caught.value.code == code


def test_get_must_not_change_anything() -> None:
    """As in ClickHouse, only POST may."""
    assert read_ask("GET", b"", {}).read_only
    assert not read_ask("POST", b"", {}).read_only
