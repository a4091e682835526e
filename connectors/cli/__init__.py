"""The command `xiangyin`."""

import io
import os
import signal
import sys

from connectors.cli.app import run_command


def main() -> None:
    """Run the command line; exit status 0, or 1 with one plain sentence on standard error."""
    _open_standard_streams()
    # Being ended is like Ctrl-C: a command first ends the processes that it has started. In a shell's background
    # Ctrl-C is ignored from the start, and being ended would be with it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    sys.exit(run_command())


def _open_standard_streams() -> None:
    """A stream that was closed is empty instead: its number would be given to the next file that is opened."""
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        if getattr(sys, name) is None:
            os.open(os.devnull, os.O_RDWR)
            setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")
