"""One file a command; the list is in ``runtime/cli.py``."""
