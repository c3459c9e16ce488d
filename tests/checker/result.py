"""What the checker says of one invariant."""

from __future__ import annotations

from dataclasses import dataclass

FAULTS_SHOWN_MAX = 10


@dataclass(frozen=True, slots=True)
class InvariantResult:
    """``figures`` are what was counted on the way; ``faults`` are sentences, none when the invariant holds."""

    name: str
    says: str
    figures: dict[str, int | str]
    faults: tuple[str, ...]

    @property
    def holds(self) -> bool:
        """Whether no fault was found."""
        return not self.faults

    def row(self) -> str:
        """One line of a table, and the first faults below it."""
        counted = ", ".join(f"{name} {value}" for name, value in self.figures.items())
        lines = [f"{self.name}  {'holds ' if self.holds else 'BROKEN'}  {self.says}: {counted}"]
        lines += [f"      {fault}" for fault in self.faults[:FAULTS_SHOWN_MAX]]
        if len(self.faults) > FAULTS_SHOWN_MAX:
            lines.append(f"      and {len(self.faults) - FAULTS_SHOWN_MAX} more")
        return "\n".join(lines)
