"""Real parts for tests: a broker, a ClickHouse engine and Postgres, started once; a fresh database or topic a test.

A test that asks for none of these fixtures cannot reach any of the three: their addresses are known here only.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import count
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import pytest
import structlog
from sqlalchemy import Engine, create_engine, text

from clickhouse.client import UsageStore, open_usage_store
from clickhouse.migrate import migrate
from core.clock import ManualClock, SystemClock
from core.db import open_engine
from migrations.apply import upgrade
from runtime.embedded.endpoints import Endpoints
from runtime.embedded.ports import EmbeddedPorts
from runtime.embedded.stack import embedded_parts
from runtime.embedded.stack import endpoints as endpoints_of
from runtime.embedded.supervisor import Supervisor
from runtime.topic import open_admin, wait_for_topic

NUMBERS = count(1)


@pytest.fixture(scope="session")
def endpoints(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoints]:
    """The engines given by the environment, each missing one started as an embedded part."""
    given = {
        "kafka": os.environ.get("MILLRACE_KAFKA"),
        "clickhouse": os.environ.get("MILLRACE_CLICKHOUSE_URL"),
        "postgres": os.environ.get("MILLRACE_POSTGRES_URL"),
    }
    without = frozenset(name for name, url in given.items() if url)
    home, ports = tmp_path_factory.mktemp("stack"), EmbeddedPorts.free()
    with Supervisor(home) as supervisor:
        supervisor.start(embedded_parts(home, ports, without))
        yield endpoints_of(
            home,
            ports,
            kafka=given["kafka"],
            clickhouse_url=given["clickhouse"],
            postgres_url_given=given["postgres"],
        )


def with_database(url: str, database: str) -> str:
    """The same server, another database."""
    return urlunsplit(urlsplit(url)._replace(path=f"/{database}"))


@pytest.fixture(scope="session")
def postgres_template(endpoints: Endpoints) -> Iterator[str]:
    """A migrated database from which each test's own is cloned in milliseconds."""
    name = f"template_{uuid4().hex[:8]}"
    run_alone(endpoints.postgres_url, f"CREATE DATABASE {name}")
    engine = open_engine(with_database(endpoints.postgres_url, name))
    upgrade(engine)
    engine.dispose()
    yield name
    run_alone(endpoints.postgres_url, f"DROP DATABASE {name} WITH (FORCE)")


def run_alone(url: str, statement: str) -> None:
    """Run a statement that no transaction may hold."""
    engine = create_engine(url.replace("postgresql://", "postgresql+psycopg://", 1), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(statement))
    engine.dispose()


@pytest.fixture
def postgres_url(endpoints: Endpoints, postgres_template: str) -> Iterator[str]:
    """The address of a fresh, migrated Postgres database."""
    name = f"test_{uuid4().hex[:8]}_{next(NUMBERS)}"
    run_alone(endpoints.postgres_url, f"CREATE DATABASE {name} TEMPLATE {postgres_template}")
    yield with_database(endpoints.postgres_url, name)
    run_alone(endpoints.postgres_url, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def books(postgres_url: str) -> Iterator[Engine]:
    """A pool on a fresh, migrated Postgres database."""
    engine = open_engine(postgres_url)
    yield engine
    engine.dispose()


@pytest.fixture(scope="session")
def clickhouse_template(endpoints: Endpoints) -> Iterator[tuple[str, list[str]]]:
    """A migrated database's name, and the statements that made what is in it: run for another name, they take a third
    of what the migrations take.
    """
    name = f"template_{uuid4().hex[:8]}"
    store = open_usage_store(with_database(endpoints.clickhouse_url, name))
    migrate(store)
    # Views name their columns, so that what they read from need not be there yet.
    made = store.query_frame("SELECT create_table_query FROM system.tables WHERE database = currentDatabase()")
    yield name, made["create_table_query"].to_list()
    store.drop_database()
    store.close()


@pytest.fixture
def clickhouse_url(endpoints: Endpoints, clickhouse_template: tuple[str, list[str]]) -> Iterator[str]:
    """The address of a fresh, migrated ClickHouse database."""
    name = f"test_{uuid4().hex[:8]}_{next(NUMBERS)}"
    url = with_database(endpoints.clickhouse_url, name)
    store = open_usage_store(url)
    store.create_database()
    template, statements = clickhouse_template
    for statement in statements:
        store.command(statement.replace(f"{template}.", f"{name}."))
    store.command(f"INSERT INTO schema_migrations SELECT * FROM {template}.schema_migrations")
    yield url
    store.command(f"DROP DATABASE IF EXISTS {name}")
    store.close()


@pytest.fixture
def usage_store(clickhouse_url: str) -> Iterator[UsageStore]:
    """A client on a fresh, migrated ClickHouse database."""
    store = open_usage_store(clickhouse_url)
    yield store
    store.close()


@pytest.fixture
def topic(endpoints: Endpoints) -> Iterator[str]:
    """A fresh topic of four partitions."""
    name = f"test.{uuid4().hex[:8]}.usage-events"
    admin = open_admin(endpoints.kafka)
    wait_for_topic(admin, name, 4, SystemClock())
    yield name
    admin.delete_topics([name], request_timeout=5)[name].exception(10)


@pytest.fixture
def clock() -> ManualClock:
    """A hand-moved clock."""
    return ManualClock(datetime(2023, 11, 20, 12, tzinfo=UTC))


@pytest.fixture(autouse=True)
def logs_of_one_test() -> Iterator[None]:
    """A command sets up logging for its process, on a stream that its own test closes: the next one starts afresh."""
    yield
    structlog.reset_defaults()
