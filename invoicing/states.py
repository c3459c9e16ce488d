"""What state an invoice can be in, and where it may go from there. A finalized invoice is never rewritten."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Literal

State = Literal["draft", "finalized", "skipped"]

# draft      written, not yet numbered; nobody outside has seen it
# finalized  numbered and told; it stays as it is
# skipped    nothing was used and nothing is owed: kept with its lines as the proof, without a number
MOVES: Final[Mapping[State, frozenset[State]]] = MappingProxyType(
    {
        "draft": frozenset({"finalized"}),
        "finalized": frozenset(),
        "skipped": frozenset(),
    }
)


def states_before(state: State) -> list[State]:
    """The states from which an invoice may move to ``state``."""
    return [before for before, after in MOVES.items() if state in after]
