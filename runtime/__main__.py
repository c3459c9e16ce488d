"""``python -m runtime`` is the same as ``millrace``, wherever the console script may lie."""

from runtime.start import main

main()
