"""The `psd` command: one file a command, and the heavy imports inside them."""

from psd_lab.cli.app import main

__all__ = ["main"]
