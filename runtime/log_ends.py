"""Where the log ends, for whoever wants to know how fresh the stores are."""

from __future__ import annotations

from confluent_kafka import KafkaException, TopicCollection, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec  # type: ignore[attr-defined]

from api.freshness import LogEnds
from core.clock import Clock

# Freshness is told beside an answer: it must not keep the answer waiting.
ANSWER_S = 1.0


def look_at_log(admin: AdminClient, topic: str, clock: Clock) -> LogEnds | None:
    """The log's ends as of now or a little later; None when the broker does not answer at once."""
    looked_at = clock.now()
    try:
        asked = admin.describe_topics(TopicCollection([topic]), request_timeout=ANSWER_S)
        found = asked[topic].result(ANSWER_S * 2)
        latest = OffsetSpec.latest()  # type: ignore[no-untyped-call]
        places = {TopicPartition(topic, partition): latest for partition in range(len(found.partitions))}
        answers = admin.list_offsets(places, request_timeout=ANSWER_S)
        ends = {place.partition: int(answer.result(ANSWER_S * 2).offset) for place, answer in answers.items()}
    except (KafkaException, TimeoutError):
        return None
    return LogEnds(looked_at, str(found.topic_id), ends)
