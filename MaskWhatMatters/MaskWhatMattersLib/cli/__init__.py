"""The command `whatmatters`: see `whatmatters --help`."""

from MaskWhatMattersLib.cli.main import main

__all__ = ["main"]
