"""Schema revisions, against a real Postgres."""

from __future__ import annotations

import importlib
import pkgutil
from concurrent.futures import ThreadPoolExecutor

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, inspect, text
from sqlalchemy.exc import DBAPIError

import migrations
from core.db import metadata, open_engine, transaction
from core.errors import Transient
from migrations.apply import (
    ADVISORY_LOCK,
    configuration,
    current_revision,
    downgrade,
    engine_of,
    latest_revision,
    set_lock_timeout,
    upgrade,
)

TABLE_MODULES = (
    "catalog.tables",
    "streams.tables",
    "rating.tables",
    "invoicing.tables",
    "ingest.tables",
    "runtime.audit.tables",
)

PRICE_OF_BEFORE = """
INSERT INTO merchants (merchant_id, code, name) VALUES ('m', 'acme', 'Acme');
INSERT INTO plans (plan_id, merchant_id, code, name, currency) VALUES ('plan', 'm', 'payg', 'Payg', 'USD');
INSERT INTO prices (price_id, plan_id, merchant_id, meter_id, model, definition, currency, from_version)
    VALUES ('one', 'plan', 'm', 'met', 'flat', '{}', 'USD', 1)
"""
LINES_OF_BEFORE = """
INSERT INTO charge_lines (run_id, subscription_id, price_id, merchant_id, customer_id, subject, plan, meter_id, meter,
    aggregation, model, currency, period, period_start, period_end, cutoff, catalog_version, quantity, amount, tiers,
    price, events, windows, input_hash)
SELECT run, subscription, 'pri', 'm', 'cus', 'c-1', 'payg', 'met', 'tokens', 'sum', 'flat', 'USD', '2023-11',
    '2023-11-01', '2023-12-01', '2023-12-02', 1, 3, 1.5, '[]', price::json, 3, 3, 'hash'
FROM (VALUES ('one', 'a', '{"b": 1, "a" : 2}'), ('one', 'b', '{"b": 1, "a" : 2}'),
    ('one', 'c', '{}'), ('two', 'd', '{}')) AS told (run, subscription, price)
"""
PRICES_OF_LINES = """
SELECT run_id, subscription_id, p.price::text FROM charge_lines JOIN charge_prices AS p USING (run_id, price_number)
"""
SECOND_VERSION = """
INSERT INTO prices (price_id, plan_id, merchant_id, meter_id, model, definition, currency, from_version, effective_from)
    VALUES ('two', 'plan', 'm', 'met', 'flat', '{}', 'USD', 2, '2024-01-01')
"""


def tables(books: Engine) -> set[str]:
    """The tables that exist."""
    return set(inspect(books).get_table_names())


def test_the_revisions_give_the_declared_tables(books: Engine) -> None:
    """Code and schema agree about every table, column, key and index of all packages."""
    for name in TABLE_MODULES:
        importlib.import_module(name)
    with transaction(books) as connection:
        found = compare_metadata(
            MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True}),
            metadata,
        )

    assert found == []
    assert tables(books) == set(metadata.tables) | {"alembic_version"}


def test_checks_and_partial_indexes_are_the_declared_ones(books: Engine) -> None:
    """What a comparison of tables does not look at: constraints by name, and the conditions of indexes."""
    for name in TABLE_MODULES:
        importlib.import_module(name)
    inspector = inspect(books)
    for table in metadata.tables.values():
        declared = {str(c.name) for c in table.constraints if type(c).__name__ == "CheckConstraint"}
        assert {str(c["name"]) for c in inspector.get_check_constraints(table.name)} == declared
        partial = {str(i.name) for i in table.indexes if i.dialect_options["postgresql"]["where"] is not None}
        found = inspector.get_indexes(table.name)
        assert {str(i["name"]) for i in found if i.get("dialect_options", {}).get("postgresql_where")} == partial


def test_revisions_form_one_chain() -> None:
    """Each revision has one before it, and none is left aside."""
    script = ScriptDirectory.from_config(configuration(None))
    names = [revision.revision for revision in script.walk_revisions()]

    assert script.get_heads() == [latest_revision()]
    assert names == sorted(names, reverse=True)
    assert names[-1] == "0001_catalog"


def test_every_revision_goes_back_and_forth(books: Engine) -> None:
    """Going back leaves nothing behind, one revision at a time; going forward again gives the same."""
    before = tables(books)
    while current_revision(books) is not None:
        downgrade(books, "-1")

    assert tables(books) == {"alembic_version"}
    upgrade(books)
    assert tables(books) == before
    assert current_revision(books) == latest_revision()


def test_upgrading_again_changes_nothing(books: Engine) -> None:
    """What is there already is left alone, with its rows."""
    with transaction(books) as connection:
        connection.execute(text("UPDATE catalog_version SET version = 7"))

    upgrade(books)

    with transaction(books) as connection:
        assert connection.execute(text("SELECT version FROM catalog_version")).scalar_one() == 7


def test_a_url_serves_as_well(postgres_url: str) -> None:
    """Whoever has only an address needs no engine."""
    downgrade(postgres_url, "base")
    assert current_revision(postgres_url) is None
    upgrade(postgres_url, "0001_catalog")

    assert current_revision(postgres_url) == "0001_catalog"


def test_processes_that_start_together_take_turns(books: Engine) -> None:
    """One of them migrates, the others wait and find it done."""
    downgrade(books, "base")

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: upgrade(books), range(4)))

    assert current_revision(books) == latest_revision()


def test_a_table_in_use_is_not_waited_for_long(books: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """A revision that cannot get its lock gives up with nothing changed, so that readers do not queue behind it."""
    monkeypatch.setattr("migrations.apply.TABLE_LOCK_WAIT_MS", 100)
    with books.connect() as reader:
        reader.execute(text("SELECT * FROM merchants"))
        with pytest.raises(Transient, match="lock timeout"):
            downgrade(books, "base")

    assert current_revision(books) == latest_revision()


def test_another_migration_is_waited_for_with_a_bound(books: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that hangs in its migration does not hang all others for ever."""
    monkeypatch.setattr("migrations.apply.WAIT_FOR_OTHERS_MS", 100)
    with transaction(books) as connection:
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": ADVISORY_LOCK})
        with pytest.raises(Transient, match="lock timeout"):
            upgrade(books)


def test_the_lock_bound_ends_with_the_transaction(postgres_url: str) -> None:
    """A pooled connection does not keep the impatience of a migration."""
    engine = open_engine(postgres_url, pool_size=1)
    with transaction(engine) as connection:
        set_lock_timeout(connection, 123)
        assert connection.execute(text("SHOW lock_timeout")).scalar_one() == "123ms"
    with transaction(engine) as connection:
        assert connection.execute(text("SHOW lock_timeout")).scalar_one() == "0"
    engine.dispose()


def test_an_engine_that_is_given_stays_open(books: Engine) -> None:
    """Only what was opened here is closed here."""
    with engine_of(books) as engine:
        assert engine is books


def test_the_scripts_lie_beside_the_code() -> None:
    """An installed wheel finds them, wherever it is and whatever the working folder."""
    folder = configuration(None).get_main_option("script_location")

    assert folder is not None
    assert folder == next(iter(migrations.__path__))
    assert {"apply", "env"} <= {module.name for module in pkgutil.iter_modules(migrations.__path__)}


def test_a_price_of_before_is_sold_ever_since(books: Engine) -> None:
    """It is the first version; going back is refused where there is a second, for one of them would be lost."""
    downgrade(books, "0008_late_usage")
    with transaction(books) as connection:
        connection.execute(text(PRICE_OF_BEFORE))
    upgrade(books)
    with transaction(books) as connection:
        assert str(connection.execute(text("SELECT effective_from FROM prices")).scalar_one()) == "0001-01-01"
        connection.execute(text(SECOND_VERSION))

    with pytest.raises(DBAPIError, match="uq_prices_live"):
        downgrade(books, "0008_late_usage")

    # In one transaction, so nothing of it was done.
    assert current_revision(books) == latest_revision()
    assert "price_pins" in tables(books)


def test_lines_of_before_keep_their_prices_to_the_letter(books: Engine) -> None:
    """Each text lies there once a run; going back, every line has its own again."""
    downgrade(books, "0014_json_as_written")
    with transaction(books) as connection:
        connection.execute(text(LINES_OF_BEFORE))
        before = connection.execute(text("SELECT run_id, subscription_id, price::text FROM charge_lines")).all()

    upgrade(books)

    with transaction(books) as connection:
        assert sorted(connection.execute(text(PRICES_OF_LINES)).all()) == sorted(before)
        assert connection.execute(text("SELECT count(*) FROM charge_prices")).scalar_one() == 3
    downgrade(books, "0014_json_as_written")
    with transaction(books) as connection:
        after = connection.execute(text("SELECT run_id, subscription_id, price::text FROM charge_lines")).all()
    assert sorted(after) == sorted(before)
    assert len(after) == 4
