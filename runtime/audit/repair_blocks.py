"""Makes blocks again and writes them, many at a time.

    1. read     what is stored of the blocks; those that are as they were sealed need nothing
    2. make     each again from its events, or from its messages and the keys of the blocks before it; one that does
                not come out with the digest that was sealed is left as it is
    3. begin    write the generation of each repair down
    4. delete   what is stored of the blocks in tables that differ, if there is anything
    5. insert   their rows of a table at once, under the token of the first with its generation behind it
    6. prove    read the blocks back: each has its digest
    7. end      the repairs are done

No close begins meanwhile. A crash between 3 and 7 leaves repairs that are begun and not done, and blocks that are right
or differ: the next repair takes the next generation. Steps 3 to 6 come more than once where corrections are made again,
since they read the rows of the blocks before them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import partial

import pyarrow.compute as pc

from core.errors import MillraceError, Stop
from runtime.audit.blocks import Block, Place, place_of_block
from runtime.audit.check_blocks import Evidence, by_block, rows_from_log
from runtime.audit.finding import Repair
from runtime.audit.keys_before import KeysBefore
from runtime.audit.mended import Mended
from runtime.audit.read_rows import BlockRows, Rows, read_blocks
from runtime.audit.rebuild import digest_of_rows, windows_again
from runtime.audit.rebuild_corrected import alone_from_events, alone_in
from runtime.audit.repair_ledger import Mending, begin_repairs, end_repairs, without_close
from runtime.audit.rewrite import Stores, delete_rows, insert_rows
from streams.decode import Message
from streams.rows import EVENT, EVENTS, TABLES

NOTHING_READ = BlockRows({}, {})


@dataclass(frozen=True, slots=True)
class Asked:
    """A block to be made again, and why."""

    kind: Repair
    block: Block


@dataclass(frozen=True, slots=True)
class Remade:
    """A block's rows with the digest that was sealed; those of some tables are to be written."""

    asked: Asked
    rows: Rows
    tables: Collection[str]
    # Tables in which something of the block is stored.
    had: Collection[str]

    @property
    def block(self) -> Block:
        """The block."""
        return self.asked.block


class BlockMender:
    """Mends blocks in the order of the log, as many at a time as it is given."""

    def __init__(self, stores: Stores, evidence: Evidence, fills: Collection[Place]) -> None:
        self._stores = stores
        self._evidence = evidence
        self._fills = fills
        self._keys: dict[tuple[int, int], KeysBefore] = {}

    def mend(self, some: Sequence[Asked]) -> list[Mended]:
        """Steps 1 to 7. What goes wrong with one block does not keep the others."""
        portion = Portion(self._stores, self._evidence, self._fills, some)
        try:
            with without_close(self._stores.books) as connection:
                portion.read()
                for asked in some:
                    portion.make(asked, self._keys_of(asked.block))
                portion.write()
                end_repairs(connection, self._stores.topic, portion.proved)
        except MillraceError as error:
            return [Mended(asked.kind, asked.block.place, done=False, message=str(error)) for asked in some]
        for keys in self._keys.values():
            keys.forget_ahead()
        return [portion.said[place_of_block(asked.block)] for asked in some]

    def _keys_of(self, block: Block) -> KeysBefore:
        """Those of one partition at a time: they may be many."""
        name = block.incarnation, block.partition
        if name not in self._keys:
            self._keys = {name: KeysBefore(self._stores.usage, block.partition)}
        return self._keys[name]


class Portion:
    """Blocks that are read at once, and written at once as far as none needs what another one writes."""

    def __init__(self, stores: Stores, evidence: Evidence, fills: Collection[Place], some: Sequence[Asked]) -> None:
        self.said: dict[Place, Mended] = {}
        self.proved: list[tuple[Place, int]] = []
        self._stores = stores
        self._evidence = evidence
        self._fills = fills
        self._some = some
        self._stored = NOTHING_READ
        self._made: dict[Place, Rows] = {}
        self._messages: dict[Place, list[Message]] = {}
        self._unread: dict[int, str] = {}
        self._waiting: list[Remade] = []
        # When the last block of each partition was announced.
        self._until = {asked.block.partition: asked.block.intended_at for asked in some}

    def read(self) -> None:
        """Step 1, then of step 2 what needs no other block, and the messages for the rest. Raises ``Stop``."""
        blocks = [asked.block for asked in self._some]
        self._stored = self._stores.retry("reading blocks", partial(read_blocks, self._stores.usage, blocks))
        from_log: dict[int, list[Block]] = defaultdict(list)
        for asked in self._some:
            block, own = asked.block, self._stored.of_block(asked.block)
            if digest_of_rows(own) == block.digest:
                self._say(asked, f"{block} is as it was sealed: nothing to do")
            elif not self._windows_proved(block, own) and self._evidence.log and self._evidence.log.holds(block):
                from_log[block.partition].append(block)
        for partition, some in from_log.items():
            try:
                self._messages |= self._stores.retry("reading the log", partial(self._read_log, partition, some))
            except MillraceError as error:
                self._unread[partition] = str(error)

    def make(self, asked: Asked, keys: KeysBefore) -> None:
        """Step 2 for a block, when those before it have been through it."""
        place, own = place_of_block(asked.block), self._stored.of_block(asked.block)
        if place in self.said:
            return
        try:
            again = self._made.pop(place, None) or self._again(asked.block, own, keys)
        except MillraceError as error:
            self._say(asked, str(error), done=False)
            return
        if again is None:
            said = f"{asked.block} cannot be made again with the digest that was sealed; nothing was changed"
            self._say(asked, said, done=False)
            return
        differ = [table for table in TABLES if not own[table].equals(again[table])]
        had = [table for table in TABLES if own[table].num_rows]
        self._waiting.append(Remade(asked, again, differ or TABLES, had))

    def write(self) -> None:
        """Steps 3 to 6 for all blocks that wait for it."""
        some, self._waiting = self._waiting, []
        if not some:
            return
        try:
            mendings = [Mending(one.asked.kind, place_of_block(one.block), one.block.last_offset) for one in some]
            generations = begin_repairs(self._stores.books, self._stores.topic, mendings)
            begun = list(zip(some, generations, strict=True))
            for table in TABLES:
                write_table(self._stores, table, [pair for pair in begun if table in pair[0].tables])
            self._prove(begun)
        except MillraceError as error:
            for one in some:
                self._say(one.asked, str(error), done=False)

    def _prove(self, begun: Sequence[tuple[Remade, int]]) -> None:
        """Step 6. Raises ``Stop`` when the store stays away."""
        blocks = [one.block for one, _generation in begun]
        found = self._stores.retry("reading blocks back", partial(read_blocks, self._stores.usage, blocks))
        for one, generation in begun:
            if digest_of_rows(found.of_block(one.block)) == one.block.digest:
                self.proved.append((place_of_block(one.block), generation))
                rows = sum(one.rows[table].num_rows for table in one.tables)
                said = f"{one.block}: {rows} rows of {', '.join(one.tables)} written again, generation {generation}"
                self._say(one.asked, said)
            else:
                said = f"{one.block} was written again and still differs: somebody else writes to it"
                self._say(one.asked, said, done=False)

    def _windows_proved(self, block: Block, own: Rows) -> bool:
        """Whether an ordinary block comes out of its stored events."""
        if self._stands_alone(block, own):
            return False
        again = windows_again(own[EVENTS], block, self._evidence.catalog(block.catalog_version))
        proved = digest_of_rows(again) == block.digest
        if proved:
            self._made[place_of_block(block)] = again
        return proved

    def _stands_alone(self, block: Block, own: Rows) -> bool:
        """Whether it is a block of corrections or of a fill, as far as its rows tell."""
        events = own[EVENTS]
        corrects = events.num_rows and pc.all(pc.not_equal(events.column("action"), EVENT)).as_py()
        return bool(corrects) or place_of_block(block) in self._fills

    def _read_log(self, partition: int, some: Sequence[Block]) -> dict[Place, list[Message]]:
        """The messages of some blocks of a partition, by one consumer."""
        log = self._evidence.log
        assert log is not None, "it holds these blocks"
        return by_block(some, list(log.reader.read_ranges(partition, ranges_of(some))))

    def _again(self, block: Block, own: Rows, keys: KeysBefore) -> Rows | None:
        """The block's rows from what the blocks before it left; None when they cannot be proved."""
        if self._stands_alone(block, own):
            self._write_before(block)
            catalog = self._evidence.catalog(block.catalog_version)
            again = alone_from_events(own, block, catalog, self._evidence.earlier)
            if again is not None and digest_of_rows(again) == block.digest:
                return again
        messages = self._messages.pop(place_of_block(block), None)
        if messages is None:
            if block.partition in self._unread:
                raise Stop(self._unread[block.partition])
            return None
        if alone_in(messages) is not None:
            self._write_before(block)
        index = partial(keys.before, block.intended_at, self._until[block.partition])
        patiently = partial(self._stores.retry, "reading keys", index)
        again = rows_from_log(self._evidence, block, own, messages, patiently)
        if digest_of_rows(again) != block.digest:
            return None
        keys.count(block.intended_at, again[EVENTS])
        return again

    def _write_before(self, block: Block) -> None:
        """Corrections read what the blocks before them left: that must lie in the store by now."""
        if any(one.block.partition == block.partition for one in self._waiting):
            self.write()

    def _say(self, asked: Asked, message: str, *, done: bool = True) -> None:
        self.said[place_of_block(asked.block)] = Mended(asked.kind, asked.block.place, done=done, message=message)


def write_table(stores: Stores, table: str, begun: Sequence[tuple[Remade, int]]) -> None:
    """Steps 4 and 5 for a table and the blocks whose rows of it differ. Raises ``Stop``."""
    if begun:
        first, generation = begun[0]
        delete_rows(stores, table, [place_of_block(one.block) for one, _generation in begun if table in one.had])
        insert_rows(stores, table, first.block, generation, [one.rows[table] for one, _generation in begun])


def ranges_of(blocks: Sequence[Block]) -> list[tuple[int, int]]:
    """The offsets of blocks of a partition, in the order of the log; neighbours in one range."""
    ranges: list[tuple[int, int]] = []
    for block in blocks:
        if ranges and ranges[-1][1] + 1 == block.first_offset:
            ranges[-1] = (ranges[-1][0], block.last_offset)
        else:
            ranges.append((block.first_offset, block.last_offset))
    return ranges
