"""The line of the audits: it has streamed and billed a month."""

from __future__ import annotations

from tests.runtime.audit.conftest import audited, streamed

__all__ = ["audited", "streamed"]
