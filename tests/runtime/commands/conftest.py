"""The environment in which commands find the stores of their test."""

from __future__ import annotations

import pytest

from runtime.embedded.endpoints import Endpoints


@pytest.fixture
def stores_env(postgres_url: str, clickhouse_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings that point at fresh stores, and at a log that does not answer."""
    monkeypatch.setenv("MILLRACE_KAFKA", "127.0.0.1:1")
    monkeypatch.setenv("MILLRACE_POSTGRES_URL", postgres_url)
    monkeypatch.setenv("MILLRACE_CLICKHOUSE_URL", clickhouse_url)


@pytest.fixture
def stack_env(stores_env: None, endpoints: Endpoints, topic: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings that point at fresh stores and an empty log."""
    monkeypatch.setenv("MILLRACE_KAFKA", endpoints.kafka)
    monkeypatch.setenv("MILLRACE_TOPIC", topic)
