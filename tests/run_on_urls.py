"""Runs the tests on engines that were started apart from them and are known by URL only, as in production.

``python -m tests.run_on_urls [pytest's own arguments]``
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from runtime.embedded.stack import EmbeddedStack


def main() -> int:
    """Start the engines, hand their addresses to pytest through the environment, and pass its verdict on."""
    with tempfile.TemporaryDirectory(prefix="millrace-urls-") as home, EmbeddedStack(Path(home)) as stack:
        found = stack.endpoints
        urls = {
            "MILLRACE_KAFKA": found.kafka,
            "MILLRACE_CLICKHOUSE_URL": found.clickhouse_url,
            "MILLRACE_POSTGRES_URL": found.postgres_url,
        }
        return subprocess.run(
            [sys.executable, "-m", "pytest", *sys.argv[1:]], env=os.environ | urls, check=False
        ).returncode


if __name__ == "__main__":
    raise SystemExit(main())
