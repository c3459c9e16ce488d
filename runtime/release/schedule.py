"""Turns on a schedule: soon after the catalog changed or a backfill was decided, and every so often in any case."""

from __future__ import annotations

import threading
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from catalog.version import current_version
from core.db import transaction
from core.errors import Conflict, MillraceError, Transient
from core.logs import get_logger
from ingest.backfill import MOVING, list_backfills
from runtime.release.find import EPOCH
from runtime.release.send import LogSender
from runtime.release.turn import ReleaseParts, Turn, release_turn

# How soon a changed catalog is noticed; costs two small questions to Postgres.
LOOK_EVERY_S = 1.0
# A block that began under the old catalog may hold an event after the turn for the new one: it is found by this.
AGAIN_S = 5.0
# Blocks that were under way, and clocks that differ.
MARGIN = timedelta(hours=1)
# Everything that is held is looked at so often in any case.
WHOLE_EVERY_S = 3600.0


@dataclass(slots=True)
class Seen:
    """What the last turn was for, and when it was."""

    version: int = -1
    looked_at_s: float = float("-inf")
    # All that was held before this instant was looked at under ``version``.
    all_before: datetime = EPOCH
    again: bool = False
    whole_at_s: float = float("-inf")


def release_for_ever(parts: ReleaseParts, every_s: float, stopping: threading.Event) -> None:
    """Turn until told to stop. Parts that are away are waited for."""
    log, seen, sender = get_logger("releaser"), Seen(), parts.open_sender()
    while not stopping.is_set():
        try:
            look(parts, sender, seen, every_s)
        except Conflict:
            seen.again = True
        except Transient as error:
            log.warning("nothing released this time", error=str(error))
            # What was lost on the way must not be numbered over.
            sender.close()
            sender = parts.open_sender()
        except MillraceError:
            log.exception("nothing released this time")
        stopping.wait(LOOK_EVERY_S)
    sender.close()


def look(parts: ReleaseParts, sender: LogSender, seen: Seen, every_s: float) -> Turn | None:
    """Make a turn if there is a reason for one."""
    now_s = parts.clock.steady_s()
    with transaction(parts.books) as connection:
        version = current_version(connection)
        moving: Any = list_backfills(connection, states=MOVING, limit=1)
    since_s = now_s - seen.looked_at_s
    due = version != seen.version or moving or since_s >= every_s or (seen.again and since_s >= AGAIN_S)
    if not due:
        return None
    began = parts.clock.now()
    # Under the same catalog what could not count before cannot count now: only what came since is looked at. The first
    # turn of a version does not count for that: the copy of the customers beside the usage may come a little later.
    whole = version != seen.version or now_s - seen.whole_at_s >= WHOLE_EVERY_S
    turn = release_turn(parts, sender, EPOCH if whole else seen.all_before)
    if whole:
        seen.whole_at_s = now_s
    if version != seen.version:
        seen.all_before = EPOCH
    elif turn.events < parts.rows_max:
        seen.all_before = began - MARGIN
    if turn.sent or turn.ended:
        get_logger("releaser").info("released", **asdict(turn))
    seen.again = version != seen.version or bool(turn.sent)
    seen.version, seen.looked_at_s = version, now_s
    return turn
