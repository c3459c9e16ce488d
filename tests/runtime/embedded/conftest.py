"""Small processes to supervise, written in place of engines where only their life and death matters."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from runtime.embedded.part import Part

MakePart = Callable[..., Part]


@pytest.fixture
def make_part(tmp_path: Path) -> MakePart:
    """Makes a part that runs a piece of Python; it is ready when it has made the file ``<name>.ready``."""

    def make(name: str, code: str, **options: Any) -> Part:
        flag = tmp_path / f"{name}.ready"
        begin = f"import os, pathlib, signal, sys, time\nready = pathlib.Path({str(flag)!r})\n"
        argv = (sys.executable, "-u", "-c", begin + code)
        return Part(name=name, argv=argv, ready=flag.exists, prepare=lambda: flag.unlink(missing_ok=True), **options)

    return make


def alive(pid: int) -> bool:
    """Whether a process runs; one that is dead but not yet taken note of does not."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
