"""What repairs are asked for, and what became of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from runtime.audit.blocks import Place
from runtime.audit.finding import Repair


@dataclass(frozen=True, slots=True)
class Mended:
    """What became of one repair; ``done`` is False when it was left as it was, and ``message`` says why."""

    kind: Repair
    place: dict[str, Any]
    done: bool
    message: str


def place_in(place: Mapping[str, Any]) -> Place:
    """The place of a finding, by what a block is found."""
    return place["incarnation"], place["partition"], place["first_offset"]
