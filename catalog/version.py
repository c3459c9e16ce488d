"""The catalog's version: one number that grows with every change."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Column, ColumnElement, Connection, Table, bindparam, select, update

from catalog.tables import catalog_version


def current_version(connection: Connection) -> int:
    """The newest version whose catalog is complete; 0 for an empty catalog."""
    version: int = connection.execute(select(catalog_version.c.version)).scalar_one()
    return version


def lock_version(connection: Connection) -> int:
    """The current version, with all other writers held back until this transaction ends."""
    version: int = connection.execute(select(catalog_version.c.version).with_for_update()).scalar_one()
    return version


def bump(connection: Connection) -> int:
    """Open the next version and return it.

    The row stays locked until the transaction ends, so that versions become visible in their order and a reader
    that sees version v sees all of it.
    """
    statement = (
        update(catalog_version).values(version=catalog_version.c.version + 1).returning(catalog_version.c.version)
    )
    version: int = connection.execute(statement).scalar_one()
    return version


def holds_at(table: Table, version: int) -> ColumnElement[bool]:
    """The condition under which a row of a versioned table holds at ``version``."""
    return (table.c.from_version <= version) & (table.c.until_version.is_(None) | (table.c.until_version > version))


def close_rows(connection: Connection, column: Column[str], ids: Iterable[str], version: int) -> None:
    """End the rows that hold now and whose ``column`` is one of ``ids``; others take their place in ``version``."""
    values = [{"closed_id": closed_id} for closed_id in ids]
    if values:
        table = column.table
        statement = update(table).where(column == bindparam("closed_id"), table.c.until_version.is_(None))
        connection.execute(statement.values(until_version=version), values)
