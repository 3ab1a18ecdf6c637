"""`python -m pipeline` is `leukoflow`."""

from pipeline.cli import main

main()
