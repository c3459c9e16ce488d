"""What the door says about each event of a request."""

from __future__ import annotations

from dataclasses import dataclass, field

from core.errors import Problem
from ingest.rows import Accepted, Rows


@dataclass(frozen=True, slots=True)
class Rejection:
    """One refused event: its place in the request, its id if it had a readable one, and why."""

    index: int
    event_id: str | None
    problem: Problem


@dataclass(slots=True)
class Verdict:
    """Accepted events as rows, refused ones with their reasons, and ids that we had to make.

    The fast lane puts what it accepted into ``sheets``, in order, the rows of its odd events between them.
    """

    rows: list[Rows] = field(default_factory=list)
    rejections: list[Rejection] = field(default_factory=list)
    generated: list[tuple[int, str]] = field(default_factory=list)
    sheets: list[Accepted] = field(default_factory=list)

    @property
    def kept(self) -> list[Accepted]:
        """Accepted events, whichever lane they took."""
        return self.sheets or [*self.rows]

    @property
    def accepted(self) -> int:
        """How many events were accepted."""
        return sum(map(len, self.kept))

    def body(self) -> dict[str, object]:
        """The verdict as the answer's JSON."""
        said: dict[str, object] = {"accepted": self.accepted, "rejected": [describe(one) for one in self.rejections]}
        if self.generated:
            said["generated"] = [{"index": index, "id": event_id} for index, event_id in self.generated]
            # A second try would be given other ids, and would be billed again.
            said["retry_safe"] = False
        return said


def describe(rejection: Rejection) -> dict[str, object]:
    """One rejection as JSON."""
    problem = rejection.problem
    return {
        "index": rejection.index,
        "id": rejection.event_id,
        "code": problem.code,
        "message": problem.message,
        "field": problem.field,
    }
