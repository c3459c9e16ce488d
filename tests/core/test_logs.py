"""Secrets never reach the logs."""

from __future__ import annotations

from core.logs import hide_secrets


def test_secrets_are_hidden_by_name_and_by_shape() -> None:
    """A value under a telling name, a key in a sentence and a password in an address are all replaced."""
    event = {
        "api_key": "anything",
        "key_id": "key_01",
        "event": "refused bb_abcdefghijklmnop from 10.0.0.1",
        "url": "postgresql://millrace:hunter2@127.0.0.1/millrace",
    }

    hidden = hide_secrets(None, "info", dict(event))

    assert hidden["api_key"] == "[hidden]"
    assert hidden["key_id"] == "key_01"
    assert hidden["event"] == "refused [hidden] from 10.0.0.1"
    assert "hunter2" not in hidden["url"]
