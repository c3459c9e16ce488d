"""A partition's folder of key files, as one owner of the partition sees it.

Several owners may meet here: one who was overtaken goes on until the ledger tells him. So files have names that nobody
else gives, each owner writes a manifest under his own epoch, and nobody removes a file once a newer manifest is there.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from secrets import token_hex

from core.logs import get_logger
from streams.key_manifest import Manifest, epochs_in, manifest_of, read_manifest, sync_folder, write_manifest
from streams.key_segment import BadFile, Segment, open_segment
from streams.ledger import Lease, SealedBlock

SealedHere = Callable[[SealedBlock], bool]


@dataclass(frozen=True, slots=True)
class Found:
    """Files that are sound, the manifest that names them, and the block of this ledger that they are complete to."""

    manifest: Path
    complete_to: SealedBlock
    segments: tuple[Segment, ...]


@dataclass
class KeyFolder:
    """The folder in one owner's hands."""

    path: Path
    lease: Lease
    _mark: str = field(default_factory=lambda: token_hex(4))
    _files: int = 0

    def new_file(self) -> Path:
        """A name that no other owner gives, nor did before."""
        self._files += 1
        return self.path / f"segment-{self.lease.epoch}-{self._mark}-{self._files}.keys"

    def overtaken(self) -> bool:
        """Whether a later owner has left a manifest."""
        return max(epochs_in(self.path), default=0) > self.lease.epoch

    def load(self, sealed: SealedHere) -> Found | None:
        """The files of the latest owner before us; None when there are none that can be used."""
        self.path.mkdir(parents=True, exist_ok=True)
        for epoch, path in sorted(epochs_in(self.path).items(), reverse=True):
            try:
                return self._open(epoch, path, sealed)
            except (BadFile, OSError) as error:
                get_logger("streams").warning("key files are of no use", partition=self.lease.partition, why=str(error))
        return None

    def _open(self, epoch: int, path: Path, sealed: SealedHere) -> Found:
        manifest = read_manifest(path)
        if (manifest.topic, manifest.partition) != (self.lease.topic, self.lease.partition):
            raise BadFile(f"{path.name} is of {manifest.topic}/{manifest.partition}")
        if epoch >= self.lease.epoch or not sealed(manifest.complete_to):
            raise BadFile(f"{path.name} is of another history than the ledger's")
        segments = [
            open_segment(self.path / Path(entry.name).name, entry.covers, entry.digest) for entry in manifest.entries
        ]
        return Found(path, manifest.complete_to, tuple(segments))

    def manifest(self, complete_to: SealedBlock, segments: Sequence[Segment]) -> Manifest:
        """What to publish for these files."""
        return manifest_of(self.lease.topic, self.lease.partition, self.lease.epoch, complete_to, segments)

    def publish(self, manifest: Manifest, obsolete: Iterable[Path]) -> bool:
        """Make files ours in the eyes of the next owner, then remove what they replaced.

        Does nothing and says False when a later owner is here already. Raises ``OSError`` as the disk does.
        """
        if self.overtaken():
            return False
        for entry in manifest.entries:
            sync_file(self.path / entry.name)
        write_manifest(self.path, manifest)
        if not self.overtaken():
            for path in obsolete:
                path.unlink(missing_ok=True)
        return True

    def clean(self, found: Found | None) -> None:
        """Remove everything but what was found. For a new owner, before any file of his own."""
        kept = set() if found is None else {found.manifest, *(segment.path for segment in found.segments)}
        for path in set(self.path.iterdir()) - kept:
            path.unlink(missing_ok=True)
        sync_folder(self.path)


def sync_file(path: Path) -> None:
    """Wait until a file's contents are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
