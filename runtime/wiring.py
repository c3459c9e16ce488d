"""Builds the clients that the stages are handed. The only place that turns settings into connections."""

from __future__ import annotations

from confluent_kafka.admin import AdminClient
from sqlalchemy import Engine

from clickhouse import client as clickhouse_client
from clickhouse.client import UsageStore
from core.db import open_engine
from runtime import topic
from runtime.settings import Settings


def open_books(settings: Settings, *, pool_size: int = 5) -> Engine:
    """A pool on the Postgres that keeps catalog, ledger and invoices."""
    return open_engine(settings.postgres_url, pool_size=pool_size)


def open_usage_store(settings: Settings, *, answer_timeout_s: int = 300) -> UsageStore:
    """A client of the ClickHouse that keeps usage."""
    return clickhouse_client.open_usage_store(settings.clickhouse_url, answer_timeout_s=answer_timeout_s)


def open_admin(settings: Settings) -> AdminClient:
    """An administrative client of the log."""
    return topic.open_admin(settings.kafka)
