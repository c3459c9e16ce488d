"""A partition with key files, driven by hand, and what its folder holds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import get_args
from uuid import UUID

from streams.block import Counts
from streams.decode import Message
from streams.key_manifest import epochs_in, read_manifest
from streams.partition import Partition
from streams.sink import Moment
from tests.streams.builders import Said, messages

MOMENTS: tuple[Moment, ...] = get_args(Moment)


class Killed(BaseException):
    """What a failpoint raises in the place of SIGKILL."""


def said(number: int) -> Said:
    """One of many distinct events."""
    return Said(str(number), {"tokens": "1"})


def log_of(numbers: Sequence[int], first_offset: int = 0, producer: int = 1) -> list[Message]:
    """Two events a message."""
    groups = [[said(number) for number in numbers[at : at + 2]] for at in range(0, len(numbers), 2)]
    return messages(groups, first_offset, UUID(int=producer))


def drive(partition: Partition, log: Sequence[Message]) -> Counts:
    """Deliver everything; returns the sums of stored and duplicates."""
    waiting, stored, duplicates = list(log), 0, 0
    while waiting:
        advance = partition.advance(waiting)
        if not advance.count:
            break
        if advance.counts is not None:
            stored, duplicates = stored + advance.counts.stored, duplicates + advance.counts.duplicates
        del waiting[: advance.count]
    return Counts(stored=stored, duplicates=duplicates)


def only_folder(folder: Path) -> Path:
    """The folder of partition 0."""
    return folder / "0"


def segments_in(folder: Path) -> list[Path]:
    """The key files of partition 0."""
    return sorted(only_folder(folder).glob("*.keys"))


def named_segments(folder: Path) -> list[Path]:
    """The key files that the latest manifest names."""
    epochs = epochs_in(only_folder(folder))
    manifest = read_manifest(epochs[max(epochs)])
    return [only_folder(folder) / entry.name for entry in manifest.entries]


FIRST = log_of(range(100))
AGAIN = log_of(range(100), first_offset=50)
