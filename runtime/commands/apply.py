"""``millrace apply``: make the catalog say what a file declares."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import orjson
import typer
from rich.console import Console
from rich.text import Text
from sqlalchemy import Engine

from catalog.apply import Applied, apply_catalog, plan_catalog
from catalog.customers import load_customers_frame
from catalog.declaration import Declaration
from catalog.describe import as_json, counts, describe
from catalog.diff import Diff
from catalog.document import read_catalog
from catalog.yaml_text import YAML_BYTES_MAX
from clickhouse.client import UsageStore
from clickhouse.mirror import mirror_customers
from core.db import transaction
from core.errors import Refused
from runtime.settings import load_settings
from runtime.wiring import open_books, open_usage_store

COLOURS = {"+": "green", "~": "yellow", "=": "dim"}


def apply(
    file: Annotated[Path, typer.Argument(help="The catalog file: YAML, one document a merchant.")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the changes and stop.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Say it as one line of JSON.")] = False,
) -> None:
    """Show how the catalog differs from FILE, ask, and make it say what FILE says.

    What FILE does not mention stays as it is. Applying the same file again changes nothing.
    """
    declarations = read_catalog(read_file(file))
    settings = load_settings()
    with ExitStack() as opened:
        books = open_books(settings)
        opened.callback(books.dispose)
        with transaction(books) as connection:
            diffs = plan_catalog(connection, declarations)
        if not json:
            show(diffs)
        if dry_run or not agreed(diffs, yes):
            tell(diffs, None, json)
            return
        store = open_usage_store(settings)
        opened.callback(store.close)
        applied = write_catalog(books, store, declarations, diffs)
        tell(applied.diffs, applied.version, json)


def write_catalog(
    books: Engine, store: UsageStore, declarations: Sequence[Declaration], expected: Sequence[Diff] | None = None
) -> Applied:
    """Write the declarations, then copy their merchants' customers beside the usage, where views need them.

    The copy is made even when nothing was to be written: a copy that failed the last time is mended so.
    """
    with transaction(books) as connection:
        applied = apply_catalog(connection, declarations, expected)
    with transaction(books) as connection:
        codes = [declaration.merchant.code for declaration in declarations]
        customers = load_customers_frame(connection, applied.version, codes)
    mirror_customers(store, customers, version=applied.version)
    return applied


def read_file(file: Path) -> bytes:
    """The file's bytes; one byte more than allowed is enough to refuse it."""
    try:
        with file.open("rb") as source:
            return source.read(YAML_BYTES_MAX + 1)
    except OSError as error:
        raise Refused("file_unreadable", f"cannot read {file}: {error.strerror}") from error


def show(diffs: Sequence[Diff]) -> None:
    """Print the changes as a plan, coloured on a terminal."""
    console = Console(highlight=False, soft_wrap=True)
    for diff in diffs:
        for line in describe(diff):
            # As text, not as markup: a customer's key may hold brackets.
            console.print(Text(line, style=COLOURS.get(line.strip()[0], "bold")))


def agreed(diffs: Sequence[Diff], yes: bool) -> bool:
    """Whether to go on: nothing to change needs no question."""
    if yes or not any(diff.changes for diff in diffs):
        return True
    return typer.confirm("Apply these changes?", err=True)


def tell(diffs: Sequence[Diff], version: int | None, as_one_line: bool) -> None:
    """Say what was done; without a version nothing was written."""
    total = counts(diffs)
    if as_one_line:
        result = {"applied": version is not None, "version": version, **total, "merchants": list(map(as_json, diffs))}
        print(orjson.dumps(result).decode())
    elif version is None:
        print("nothing was written")
    elif total["created"] or total["changed"]:
        print(f"catalog version {version}: {total['created']:,} created, {total['changed']:,} changed")
    else:
        print(f"nothing to do: the catalog says so already (version {version})")
