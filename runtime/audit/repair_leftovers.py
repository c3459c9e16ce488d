"""Deletes what given-up blocks left behind, many blocks at a time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import Connection, text

from core.errors import MillraceError
from runtime.audit.blocks import AT_PLACES, Place, by_column
from runtime.audit.mended import Mended, place_in
from runtime.audit.read_rows import BLOCKS_AT_ONCE
from runtime.audit.repair_ledger import without_close
from runtime.audit.rewrite import Stores, delete_rows

GIVEN_UP = text(f"""
    SELECT incarnation, partition, first_offset
    FROM stream_blocks {AT_PLACES} WHERE topic = :topic AND state = 'abandoned'
""")
ONLY_EVIDENCE = "these rows may be all that is left of a block: fill its hole from the log instead"


def delete_leftovers(stores: Stores, places: Sequence[dict[str, Any]]) -> Iterator[list[Mended]]:
    """Delete the rows of blocks that were given up; those of any other may be the only evidence, and stay."""
    for start in range(0, len(places), BLOCKS_AT_ONCE):
        some = places[start : start + BLOCKS_AT_ONCE]
        try:
            with without_close(stores.books) as connection:
                done = delete_some(stores, connection, some)
        except MillraceError as error:
            done = [Mended("leftovers", place, done=False, message=str(error)) for place in some]
        yield done


def delete_some(stores: Stores, connection: Connection, places: Sequence[dict[str, Any]]) -> list[Mended]:
    """The same for as many as are deleted at once. Raises ``Stop`` when the store stays away."""
    bound = {"topic": stores.topic, **by_column([place_in(place) for place in places])}
    given_up = {(row[0], row[1], row[2]) for row in connection.execute(GIVEN_UP, bound)}
    of_table: dict[str, list[Place]] = defaultdict(list)
    for place in places:
        if place_in(place) in given_up:
            of_table[place["table"]].append(place_in(place))
    for table, some in of_table.items():
        delete_rows(stores, table, some)
    return [told(place, done=place_in(place) in given_up) for place in places]


def told(place: dict[str, Any], *, done: bool) -> Mended:
    """What became of a block's rows of a table."""
    deleted = f"rows of the given-up block {place['first_offset']} deleted from {place['table']}"
    return Mended("leftovers", place, done=done, message=deleted if done else ONLY_EVIDENCE)
