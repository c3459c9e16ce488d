"""The catalog's version."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from sqlalchemy import Engine

from catalog.apply import apply_text
from catalog.version import bump, current_version
from core.db import transaction
from tests.catalog.builders import catalog_text, scalar


def test_an_empty_catalog_has_version_zero(books: Engine) -> None:
    """Nothing has been declared yet."""
    with transaction(books) as connection:
        assert current_version(connection) == 0


def test_versions_grow_by_one(books: Engine) -> None:
    """Each change of the catalog has a number of its own."""
    for expected in (1, 2, 3):
        with transaction(books) as connection:
            assert bump(connection) == expected


def test_writers_take_turns(books: Engine) -> None:
    """Files applied at the same time get versions of their own and lose nothing of each other."""
    texts = [catalog_text(merchant=f"m-{number}") for number in range(8)]
    with ThreadPoolExecutor(4) as pool:
        versions = [applied.version for applied in pool.map(lambda text: apply_text(books, text), texts)]

    assert sorted(versions) == list(range(1, 9))
    assert scalar(books, "SELECT count(DISTINCT from_version) FROM prices") == 8


def test_the_same_file_applied_twice_at_once_is_applied_once(books: Engine) -> None:
    """The second writer waits, looks again, and finds nothing to do."""
    with ThreadPoolExecutor(4) as pool:
        applied = list(pool.map(lambda _: apply_text(books, catalog_text()), range(4)))

    assert {one.version for one in applied} == {1}
    assert sum(bool(one.diffs[0].changes) for one in applied) == 1
