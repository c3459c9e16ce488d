"""Dead letters as rows of their table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from core.ids import new_id
from streams.dead_letter import DeadLetter
from streams.ledger import Lease
from streams.plan import Intent

# Postgres keeps no NUL in text or JSON; a letter that carries one must not stop the block it is in.
NUL, SUBSTITUTE = "\0", "�"


def letter_rows(
    lease: Lease, intent: Intent, letters: Sequence[DeadLetter], at_once: int
) -> Iterator[list[dict[str, Any]]]:
    """The rows of ``dead_letters``, in lists of at most ``at_once``."""
    for start in range(0, len(letters), at_once):
        yield [
            {
                "dead_letter_id": new_id("dlt"),
                "topic": lease.topic,
                "incarnation": intent.incarnation,
                "partition": lease.partition,
                "kafka_offset": letter.kafka_offset,
                "position": letter.position,
                "merchant_id": without_nul(letter.merchant_id),
                "event_id": without_nul(letter.event_id),
                "code": letter.code,
                "message": without_nul(letter.message),
                "payload": without_nul(letter.payload),
                "raw": letter.raw,
            }
            for letter in letters[start : start + at_once]
        ]


def without_nul(value: Any) -> Any:
    """The same text, or the same object of texts, with every NUL replaced by the sign for what cannot be shown."""
    if isinstance(value, str):
        return value.replace(NUL, SUBSTITUTE)
    if isinstance(value, dict):
        return {without_nul(name): without_nul(inner) for name, inner in value.items()}
    return value
