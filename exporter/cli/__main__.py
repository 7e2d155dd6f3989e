"""``python -m exporter.cli``: the command line without its console script."""

from exporter.cli import main

main()
