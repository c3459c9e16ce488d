"""The manifest of a partition's key files: which belong together, and up to which sealed block they are complete."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import orjson
import xxhash

from streams.key_segment import LOG_START, BadFile, Covers, Point, Segment
from streams.ledger import SealedBlock

FORMAT = 1
NAME = re.compile(r"manifest-(\d+)\.json")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Entry:
    """A segment as the manifest names it."""

    name: str
    covers: Covers
    digest: bytes


@dataclass(frozen=True, slots=True)
class Manifest:
    """The files that together hold the keys of all sealed blocks up to ``complete_to``, the oldest first.

    ``epoch`` is that of the owner who wrote it. Each owner writes a manifest of his own, so that one who was
    overtaken and does not know it yet cannot touch his successor's.
    """

    topic: str
    partition: int
    epoch: int
    complete_to: SealedBlock
    entries: tuple[Entry, ...]


def manifest_of(topic: str, partition: int, epoch: int, complete_to: SealedBlock, found: Sequence[Segment]) -> Manifest:
    """What to write about these segments."""
    entries = tuple(Entry(segment.path.name, segment.covers, segment.digest) for segment in found)
    return Manifest(topic, partition, epoch, complete_to, entries)


def point_after(block: SealedBlock | None) -> Point:
    """The first point that a block leaves to those after it; the start when there was none."""
    return LOG_START if block is None else (block.incarnation, block.next_offset)


def manifest_name(epoch: int) -> str:
    """The file in which the owner of an epoch says which files there are."""
    return f"manifest-{epoch}.json"


def epochs_in(folder: Path) -> dict[int, Path]:
    """The manifests of a folder by their owners' epochs."""
    found = [(NAME.fullmatch(path.name), path) for path in folder.iterdir()]
    return {int(match[1]): path for match, path in found if match}


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Put a manifest in the place of the owner's last one, at once and for certain."""
    path = folder / manifest_name(manifest.epoch)
    draft = path.with_suffix(".draft")
    with draft.open("wb") as file:
        file.write(as_bytes(manifest))
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)
    sync_folder(folder)


def sync_folder(folder: Path) -> None:
    """Make names that came and went in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def as_bytes(manifest: Manifest) -> bytes:
    """The manifest as JSON, with a sum over it."""
    block = manifest.complete_to
    said = orjson.dumps(
        {
            "format": FORMAT,
            "topic": manifest.topic,
            "partition": manifest.partition,
            "epoch": manifest.epoch,
            "complete_to": {
                "incarnation": block.incarnation,
                "next_offset": block.next_offset,
                "intended_at_us": (block.intended_at - EPOCH) // timedelta(microseconds=1),
                "digest": block.digest,
            },
            "segments": [
                {
                    "name": entry.name,
                    "since": entry.covers.since,
                    "until": entry.covers.until,
                    "digest": entry.digest.hex(),
                }
                for entry in manifest.entries
            ],
        }
    )
    return orjson.dumps({"manifest": orjson.Fragment(said), "sum": xxhash.xxh3_128_hexdigest(said)})


def read_manifest(path: Path) -> Manifest:
    """Read a manifest; raises ``BadFile`` when it is damaged or does not hold together."""
    try:
        outer = orjson.loads(path.read_bytes())
        said: dict[str, Any] = outer["manifest"]
        sound = xxhash.xxh3_128_hexdigest(orjson.dumps(said)) == outer["sum"] and said["format"] == FORMAT
        manifest = as_manifest(said) if sound else None
    except (ValueError, KeyError, TypeError) as error:
        raise BadFile(f"{path.name} cannot be read: {error!r}") from error
    if manifest is None or path.name != manifest_name(manifest.epoch):
        raise BadFile(f"{path.name} is damaged")
    points = [LOG_START, *(point for entry in manifest.entries for point in (entry.covers.since, entry.covers.until))]
    bounds = [*points, point_after(manifest.complete_to)]
    if not manifest.entries or any(left != right for left, right in list(pairwise(bounds))[::2]):
        raise BadFile(f"{path.name} leaves blocks out")
    return manifest


def as_manifest(said: dict[str, Any]) -> Manifest:
    """A manifest from its JSON."""
    topic, partition, block = said["topic"], said["partition"], said["complete_to"]
    entries = tuple(
        Entry(
            entry["name"],
            Covers(topic, partition, (entry["since"][0], entry["since"][1]), (entry["until"][0], entry["until"][1])),
            bytes.fromhex(entry["digest"]),
        )
        for entry in said["segments"]
    )
    intended_at = EPOCH + timedelta(microseconds=block["intended_at_us"])
    complete_to = SealedBlock(block["incarnation"], block["next_offset"], intended_at, block["digest"])
    return Manifest(topic, partition, said["epoch"], complete_to, entries)
