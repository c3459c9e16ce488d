from __future__ import annotations

from pathlib import Path

from sqlalchemy import select

from core.db import transaction
from runtime.demo.run import Parts
from runtime.settings import load_settings
from streams.tables import stream_partitions


def test_a_stack_is_ready_once_its_worker_has_claimed_its_partitions(line: Parts) -> None:
    """A month that is closed at once finds a stream that moves."""
    with transaction(line.books) as connection:
        owned = connection.execute(select(stream_partitions.c.partition, stream_partitions.c.owner)).all()

    assert sorted(place.partition for place in owned if place.owner) == [0, 1, 2, 3]


def test_where_a_worker_says_that_it_is_ready_is_told_by_the_environment(tmp_path: Path) -> None:
    """Not by default: several workers may share a home."""
    env = {"MILLRACE_KAFKA": "k", "MILLRACE_CLICKHOUSE_URL": "c", "MILLRACE_POSTGRES_URL": "p"}

    assert load_settings(env).ready_file is None
    assert load_settings(env | {"MILLRACE_READY_FILE": str(tmp_path / "r")}).ready_file == tmp_path / "r"
