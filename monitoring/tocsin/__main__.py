"""``python -m tocsin``: the command line without the installed script."""

from .cli import main

main(prog_name="tocsin")
