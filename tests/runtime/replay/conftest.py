"""The line of the audits, which has streamed and billed a month."""

from __future__ import annotations

import pytest

from tests.runtime.audit.conftest import audited, streamed

__all__ = ["audited", "streamed"]


@pytest.fixture(autouse=True)
def at_home(endpoints_env: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands find the line by their environment."""
    for name, value in endpoints_env.items():
        monkeypatch.setenv(name, value)
