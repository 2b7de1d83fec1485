"""``python -m labkit.cli``, the same as ``labkit``."""

from labkit.cli import main

main()
