"""What is decided about dead letters, in the books. A decision is made once, and kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, delete, func, insert, select, update

from core.errors import Conflict, Problem, Refused
from runtime.dead_letters.letters import Letter, find_letters
from streams.tables import dead_letter_decisions, dead_letters

DECISIONS = dead_letter_decisions
NOW = func.clock_timestamp()
REASON_CHARACTERS_MAX = 1_000


def begin_requeue(connection: Connection, ids: Sequence[str], changes: Mapping[str, str]) -> tuple[Letter, ...]:
    """Write down that letters go out again with some properties set; returns those that are to be sent.

    Letters that were requeued already are left out. One that was being sent when its sender died goes out as it was
    meant to then. Raises ``Refused`` for unknown and unreadable letters and ``Conflict`` for discarded ones, or when
    other changes are asked for than those that may have gone out already; nothing is written then.
    """
    lock(connection, ids)
    letters = find_letters(connection, ids)
    refuse_all(
        [
            *(
                problem(one, "letter_unreadable", "no event could be read from it")
                for one in letters
                if not one.payload
            ),
            *(problem(one, "letter_discarded", one.reason) for one in letters if one.state == "discarded"),
            *(
                problem(one, "requeue_under_way", f"it may have been sent with {one.changes}; send it without --set")
                for one in letters
                if one.state == "sending" and changes and dict(changes) != one.changes
            ),
        ]
    )
    rows = [row_of(one, "sending", changes) for one in letters if one.state == "waiting"]
    if rows:
        connection.execute(insert(DECISIONS), rows)
    sent = [one.dead_letter_id for one in letters if one.state in {"waiting", "sending"}]
    return find_letters(connection, sent) if sent else ()


def end_requeue(connection: Connection, accepted: Sequence[str], refused: Sequence[str]) -> None:
    """Write down what the door said: accepted letters are requeued, refused ones wait again."""
    under_way = DECISIONS.c.state == "sending"
    connection.execute(
        update(DECISIONS)
        .where(DECISIONS.c.dead_letter_id.in_(accepted), under_way)
        .values(state="requeued", decided_at=NOW)
    )
    connection.execute(delete(DECISIONS).where(DECISIONS.c.dead_letter_id.in_(refused), under_way))


def discard(connection: Connection, ids: Sequence[str], reason: str) -> int:
    """Give letters up for a reason, which stays in the books; returns how many were waiting until now.

    A letter that was discarded before keeps its first reason. Raises ``Refused`` for unknown letters and without a
    reason, and ``Conflict`` for letters that were sent again or may have been.
    """
    said = reason.strip()
    if not said or len(said) > REASON_CHARACTERS_MAX:
        raise Refused("reason_invalid", f"say why, in 1 to {REASON_CHARACTERS_MAX} characters")
    lock(connection, ids)
    letters = find_letters(connection, ids)
    gone = [one for one in letters if one.state in {"sending", "requeued"}]
    refuse_all([problem(one, "letter_requeued", "it was sent again, or may have been") for one in gone])
    rows = [row_of(one, "discarded", {}, said) | {"decided_at": NOW} for one in letters if one.state == "waiting"]
    for row in rows:
        connection.execute(insert(DECISIONS).values(row))
    return len(rows)


def lock(connection: Connection, ids: Sequence[str]) -> None:
    """Keep others from deciding about the same letters until this transaction ends."""
    chosen = select(dead_letters.c.dead_letter_id).where(dead_letters.c.dead_letter_id.in_(ids))
    connection.execute(chosen.order_by(dead_letters.c.dead_letter_id).with_for_update())


def row_of(letter: Letter, state: str, changes: Mapping[str, str], reason: str = "") -> dict[str, Any]:
    """A decision as a row."""
    return {"dead_letter_id": letter.dead_letter_id, "state": state, "changes": dict(changes), "reason": reason}


def problem(letter: Letter, code: str, message: str) -> Problem:
    """What stands against one letter."""
    return Problem(code, message, letter.dead_letter_id)


def refuse_all(problems: Sequence[Problem]) -> None:
    """Raise all that stands against a decision together, if anything does."""
    if problems:
        kind = Refused if problems[0].code == "letter_unreadable" else Conflict
        raise kind(problems[0].code, "nothing was decided or sent", problems=tuple(problems))
