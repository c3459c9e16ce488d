"""The fault matrix on a running stack: each row strikes three times in one stream, and the checker judges it.

The rows share a stack for as long as they succeed; one that fails leaves the next a fresh one. The seed decides on
traffic and instants: MILLRACE_FAULT_SEED, printed with every failure.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from _pytest.mark import ParameterSet

from core.clock import SystemClock
from runtime.settings import log_kind
from tests.runtime.faults.field import SLACK_S, Field
from tests.runtime.faults.rows import STACK_ROWS, STRIKES, StackRow, run_row
from tests.runtime.faults.stack_process import ROOT
from tests.runtime.kafka.small_disk import may_mount

pytestmark = [pytest.mark.faults, pytest.mark.timeout(420)]

LOG = log_kind(os.environ.get("MILLRACE_LOG", "embedded"))
SEED = int(os.environ.get("MILLRACE_FAULT_SEED", "20231117"))


class Shared:
    """The present field; a spoiled one is replaced."""

    def __init__(self, folders: pytest.TempPathFactory) -> None:
        self.folders = folders
        self.field: Field | None = None
        self.seed = SEED - 1

    def present(self) -> Field:
        """A field on which nothing has failed yet."""
        if self.field is None:
            self.seed += 1
            self.field = Field(self.folders.mktemp("field"), LOG, self.seed)
            self.field.start()
        return self.field

    def spoil(self) -> None:
        """Do not use it again."""
        if self.field is not None:
            field, self.field = self.field, None
            field.stop()

    @contextmanager
    def field_for(self, row: StackRow) -> Iterator[Field]:
        """The field that all share, or one of the row's own if it needs a small disk."""
        if row.small_disk_of is None:
            try:
                yield self.present()
            except BaseException:
                self.spoil()
                raise
            return
        folder = self.folders.mktemp("small")
        if not may_mount(folder / "tried"):
            pytest.skip("a small disk needs the right to mount")
        own = Field(folder, LOG, max(SEED, self.seed), small_disk_of=row.small_disk_of)
        try:
            own.start()
            yield own
        finally:
            own.stop()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shared]:
    """A stack for all rows of this module."""
    one = Shared(tmp_path_factory)
    yield one
    one.spoil()


def as_parameter(row: StackRow) -> ParameterSet:
    """A row under its number."""
    return pytest.param(row, id=f"row-{row.name}")


@pytest.mark.parametrize("row", [as_parameter(row) for row in STACK_ROWS if LOG in row.logs])
def test_a_row_of_the_matrix_holds(
    shared: Shared, row: StackRow, record_property: Callable[[str, object], None]
) -> None:
    """Three strikes in one stream: safe after each, caught up in time, and every invariant holds in the end."""
    began_s = SystemClock().steady_s()
    record_property("row", row.name)
    with shared.field_for(row) as field:
        seed = field.ledger.plan.seed
        try:
            ran = run_row(field, row, seed)
        except AssertionError as error:
            error.add_note(f"row {row.name}, log {LOG}, MILLRACE_FAULT_SEED={seed}")
            raise
    facts = {
        "log": LOG,
        "seed": seed,
        "strikes": STRIKES,
        "longest_s": f"{ran.longest_s:.1f}",
        "caught_up_s": f"{ran.caught_up_s:.1f}",
        "seconds": f"{SystemClock().steady_s() - began_s:.1f}",
    }
    for name, fact in facts.items():
        record_property(name, fact)


def test_the_month_of_all_rows_is_billed_right(shared: Shared, record_property: Callable[[str, object], None]) -> None:
    """The month is closed, and the checker, as the program that it is, finds every number as the generator has it."""
    field = shared.present()
    if field.chunk < 0:
        field.send().finish(60)
    field.drain(SLACK_S)
    field.close_month()
    command = [sys.executable, "-m", "tests.checker", str(field.ledger.path), "--home", str(field.home)]
    done = subprocess.run(command, cwd=ROOT, env=field.env(), capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    record_property("row", "month")
    record_property("log", LOG)
    record_property("seed", field.ledger.plan.seed)
    record_property("said", done.stdout)
