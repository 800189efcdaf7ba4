"""`python -m kit`: the command line, where there is no console script."""

from kit.cli import main

main()
