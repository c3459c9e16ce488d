"""Numbers for the lives of a topic: one that was deleted and made anew counts its offsets from 0 again."""

from __future__ import annotations

from sqlalchemy import Connection, func, select
from sqlalchemy.dialects.postgresql import insert

from core.errors import Stop
from streams.tables import stream_incarnations


def number_incarnation(connection: Connection, topic: str, topic_id: str, partitions: int) -> int:
    """The number of the incarnation with this id; the next free one if it is new. Counts from 1.

    Raises ``Stop`` when it has another number of partitions than the ones before: copies of an event would then meet
    in different partitions and be counted twice.
    """
    # Two workers may see a new id at once; the lock puts them in line.
    connection.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(f"incarnation:{topic}", 0))))
    known = connection.execute(
        select(stream_incarnations)
        .where(stream_incarnations.c.topic == topic)
        .order_by(stream_incarnations.c.incarnation)
    ).all()
    for row in known:
        if row.topic_id == topic_id:
            return int(row.incarnation)
    if known and known[-1].partitions != partitions:
        raise Stop(f"topic {topic} had {known[-1].partitions} partitions and now has {partitions}")
    number = known[-1].incarnation + 1 if known else 1
    connection.execute(
        insert(stream_incarnations).values(topic=topic, incarnation=number, topic_id=topic_id, partitions=partitions)
    )
    return int(number)
