"""What a run was made on: machine, versions, commit."""

from __future__ import annotations

import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import psutil

from benchmarks.bench import Options
from core.clock import SystemClock

ROOT = Path(__file__).parents[1]
PACKAGES = (
    "aiokafka chdb clickhouse-connect confluent-kafka fastapi faust-streaming msgspec numpy orjson polars psycopg "
    "pyarrow uvicorn uvloop"
).split()


def about_machine(options: Options) -> dict[str, Any]:
    """Plain values."""
    return {
        "at": SystemClock().now().isoformat(timespec="seconds"),
        "commit": told("git", "rev-parse", "--short", "HEAD"),
        "changed": bool(told("git", "status", "--porcelain", "--untracked-files=no")),
        "python": platform.python_version(),
        "machine": platform.machine(),
        "processor": processor_name(),
        "cores": psutil.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 2**30),
        "load_before": [round(load, 2) for load in psutil.getloadavg()],
        "log": options.log,
        "quick": options.quick,
        "merchants": options.merchants,
        "versions": {name: found for name in PACKAGES if (found := version_of(name))},
    }


def version_of(package: str) -> str | None:
    """What is installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def told(*command: str) -> str:
    """What a command says; empty when there is no such command."""
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return ""
    return done.stdout.strip()


def processor_name() -> str:
    """The processor as Linux names it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return platform.processor()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "")
