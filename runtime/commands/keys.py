"""``millrace keys``: make, list and revoke API keys."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import orjson
import typer
from rich import box
from rich.console import Console
from rich.table import Table
from sqlalchemy import Connection

from catalog.keys import StoredKey, create_key, list_keys, revoke_key
from core.db import transaction
from runtime.settings import load_settings
from runtime.wiring import open_books

AsJson = Annotated[bool, typer.Option("--json", help="Say it as JSON.")]

keys_app = typer.Typer(no_args_is_help=True)


@contextmanager
def books_open() -> Iterator[Connection]:
    """The books, for one transaction."""
    books = open_books(load_settings(), pool_size=1)
    try:
        with transaction(books) as connection:
            yield connection
    finally:
        books.dispose()


@keys_app.command()
def create(
    merchant: Annotated[str, typer.Option(help="The merchant's code.")],
    name: Annotated[str, typer.Option(help="What the key is for.")] = "",
    json: AsJson = False,
) -> None:
    """Make a key. It is shown this once: only its hash is kept."""
    with books_open() as connection:
        made = create_key(connection, merchant, name)
    if json:
        said = {"key_id": made.key_id, "merchant": merchant, "name": name, "key": made.key}
        print(orjson.dumps(said).decode())
        return
    print(made.key)
    typer.echo(f"{made.key_id} for {merchant}. Keep it now: it cannot be shown again.", err=True)


@keys_app.command("list")
def list_all(
    merchant: Annotated[str | None, typer.Option(help="Only this merchant's.")] = None, json: AsJson = False
) -> None:
    """List keys by their first letters, the revoked ones too."""
    with books_open() as connection:
        found = list_keys(connection, merchant)
    if json:
        print(orjson.dumps(found).decode())
        return
    table = Table("id", "merchant", "key", "name", "made", "revoked", box=box.SIMPLE)
    for key in found:
        table.add_row(*row_of(key))
    Console(highlight=False, markup=False).print(table)


def row_of(key: StoredKey) -> tuple[str, ...]:
    """A key as a table shows it."""
    revoked = f"{key.revoked_at:%Y-%m-%d %H:%M}" if key.revoked_at else ""
    return key.key_id, key.merchant, f"{key.prefix}…", key.name, f"{key.created_at:%Y-%m-%d %H:%M}", revoked


@keys_app.command()
def revoke(key_id: Annotated[str, typer.Argument(help="As 'keys list' shows it: key_…")]) -> None:
    """End a key for good. Gateways that have just seen it may take it for a few more seconds."""
    with books_open() as connection:
        revoke_key(connection, key_id)
    print(f"{key_id} is revoked")
