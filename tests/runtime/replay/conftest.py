"""The line of the audits, which has streamed and billed a month, and that of the corrections."""

from __future__ import annotations

import pytest

from tests.runtime.audit.conftest import audited, streamed
from tests.runtime.corrections.conftest import log_sender, releasing, sender

__all__ = ["audited", "log_sender", "releasing", "sender", "streamed"]


@pytest.fixture(autouse=True)
def at_home(endpoints_env: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands find the line by their environment."""
    for name, value in endpoints_env.items():
        monkeypatch.setenv(name, value)
