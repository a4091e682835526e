"""The command `xiangyin`."""

import sys

from connectors.cli.app import run_command


def main() -> None:
    """Run the command line; exit status 0, or 1 with one plain sentence on standard error."""
    sys.exit(run_command())
