"""``python -m runtime`` is the same as ``millrace``, wherever the console script may lie."""

from runtime.cli import main

main()
