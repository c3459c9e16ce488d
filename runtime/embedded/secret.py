"""Passwords of the embedded engines: made up at first use, kept in files that only their owner reads."""

from __future__ import annotations

import os
import secrets
from pathlib import Path


def password_in(path: Path) -> str:
    """Read the password in a file, or make one up and write it there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return path.read_text(encoding="ascii").strip()
    with os.fdopen(handle, "w", encoding="ascii") as file:
        file.write(secrets.token_urlsafe(24))
    return path.read_text(encoding="ascii")
