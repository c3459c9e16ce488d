"""A home of the demonstration's own: wiped before it starts, so that nothing of an earlier one counts."""

from __future__ import annotations

import shutil
from pathlib import Path

from runtime.embedded.home_lock import home_lock
from runtime.embedded.leftovers import end_leftovers


def fresh_home(home: Path) -> None:
    """Empty the folder; raises ``Refused`` (``home_in_use``) while another demonstration runs in it.

    Processes that a killed one left behind are ended first: their notes lie in the folder.
    """
    if home.exists():
        with home_lock(home):
            end_leftovers(home)
            wipe(home)
    home.mkdir(parents=True, exist_ok=True)


def wipe(home: Path) -> None:
    """Delete the folder with everything in it."""
    shutil.rmtree(home)
