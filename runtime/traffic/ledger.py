"""The simulator's own account: what was answered for every event that it sent. Knows nothing of the product."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson

from runtime.traffic.draws import Ints
from runtime.traffic.plan import TrafficPlan

UNANSWERED, ACCEPTED, REFUSED = 0, 1, 2


class SimulatorLedger:
    """One byte an event: not answered, accepted, or refused at the door; and counts of what went on.

    With a ``path`` the answers lie in a mapped file beside it from the first one on, so that they outlive the
    process that sent; without one they are kept in memory.
    """

    def __init__(self, plan: TrafficPlan, path: Path | None = None) -> None:
        self.plan = plan
        self.path = path
        self.answers: npt.NDArray[np.uint8]
        if path is None:
            self.answers = np.zeros(plan.events, dtype=np.uint8)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            self.answers = np.memmap(answers_path(path), dtype=np.uint8, mode="w+", shape=(plan.events,))
        self.refused_by_code: Counter[str] = Counter()
        self.requests = 0
        self.retries = 0
        # Events of tries without an answer: they may have been stored, so that the next try repeats them.
        self.maybe_repeated = 0
        self.save()

    def acknowledge(self, ordinals: Ints, refused: Mapping[int, str]) -> None:
        """Note the answer to one request: ``refused`` maps an index in it to the code of its refusal."""
        self.answers[ordinals] = ACCEPTED
        if refused:
            self.answers[ordinals[list(refused)]] = REFUSED
            self.refused_by_code.update(refused.values())
        self.requests += 1

    def repeat(self, events: int, *, maybe_stored: bool) -> None:
        """Note that a request of so many events has to be sent again."""
        self.retries += 1
        if maybe_stored:
            self.maybe_repeated += events

    @property
    def accepted(self) -> int:
        """Events acknowledged as accepted."""
        return int(np.count_nonzero(self.answers == ACCEPTED))

    @property
    def refused(self) -> int:
        """Events refused at the door."""
        return int(np.count_nonzero(self.answers == REFUSED))

    @property
    def answered(self) -> int:
        """Events of the plan that got an answer."""
        return int(np.count_nonzero(self.answers))

    def acknowledged(self) -> Ints:
        """The ordinals of all events acknowledged as accepted."""
        return np.flatnonzero(self.answers == ACCEPTED).astype(np.int64)

    def save(self) -> None:
        """Write plan and counts to the ledger's path, if it has one."""
        if self.path is None:
            return
        if isinstance(self.answers, np.memmap):
            self.answers.flush()
        state = {
            "plan": self.plan.to_json(),
            "refused_by_code": dict(self.refused_by_code),
            "requests": self.requests,
            "retries": self.retries,
            "maybe_repeated": self.maybe_repeated,
        }
        draft = self.path.with_suffix(".draft")
        draft.write_bytes(orjson.dumps(state, option=orjson.OPT_INDENT_2))
        draft.replace(self.path)


def answers_path(path: Path) -> Path:
    """Where the answers of the ledger at ``path`` lie."""
    return path.with_name(path.name + ".answers")


def load_ledger(path: Path) -> SimulatorLedger:
    """Read a ledger back, with its answers in memory."""
    state: dict[str, Any] = orjson.loads(path.read_bytes())
    ledger = SimulatorLedger(TrafficPlan.from_json(state["plan"]))
    ledger.answers[:] = np.fromfile(answers_path(path), dtype=np.uint8)
    ledger.refused_by_code.update(state["refused_by_code"])
    ledger.requests = state["requests"]
    ledger.retries = state["retries"]
    ledger.maybe_repeated = state["maybe_repeated"]
    return ledger


def event_ids(plan: TrafficPlan, ordinals: Ints) -> Iterator[str]:
    """The event ids of ordinals that were sent under their own id."""
    return (plan.event_id(ordinal) for ordinal in ordinals.tolist())
