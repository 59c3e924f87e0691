"""`python -m stewardd` is `stewardd`."""

from stewardd.cli import main

main()
