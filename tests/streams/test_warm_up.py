"""After the warm-up a block finds all that it runs compiled."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from core.compiled import is_compiling
from streams.warm_up import trial_events, warm_up

ROOT = Path(__file__).parents[2]
# For how many types each kernel has code: after the warm-up, and after a block of other events and meters.
COUNTED = """
import gc
from numba.core.dispatcher import Dispatcher
from streams.block import Known, process_block
from streams.key_index import KeyIndex
from streams.sequences import SealedSequences
from streams.warm_up import AT, warm_up
from streams.window import BlockPlace
from tests.streams.builders import Said, compiled, messages, meter

def types():
    kernels = [one for one in gc.get_objects() if isinstance(one, Dispatcher) and one.__module__.startswith("streams.")]
    return {one.__qualname__: len(one.signatures) for one in kernels}

warm_up()
warm = types()
catalog = compiled(meter(), meter("calls", "count"), meter("users", "unique", "user", group_by=("model", "user")))
groups = [[Said(str(at), {"tokens": "0.5", "user": "u", "model": "m"}) for at in range(first, first + 50)]
          for first in (0, 40)]
assert process_block(
    messages(groups), BlockPlace(AT, 1, 0, 0), catalog, Known(KeyIndex(), SealedSequences())
).counts.stored == 90
assert len(warm) > 5 and types() == warm, (warm, types())
"""


def test_the_trial_block_holds_good_held_and_rejected_events() -> None:
    """All ways through a block are taken, so that nothing is left to compile."""
    counts = warm_up().counts

    assert counts.received == trial_events().num_rows
    assert counts.stored and counts.held and counts.rejected


@pytest.mark.skipif(not is_compiling(), reason="nothing is compiled here")
def test_a_block_after_the_warm_up_compiles_nothing() -> None:
    """Other events and other meters run the same code."""
    argv = [sys.executable, "-c", COUNTED]
    done = subprocess.run(argv, cwd=ROOT, env=os.environ, capture_output=True, check=False, text=True)

    assert done.returncode == 0, done.stderr
