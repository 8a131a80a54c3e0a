"""Where the `seg` program begins: Ctrl-C is answered in one line also while modules are still loaded."""

import sys


def main() -> None:
    """Run `seg` with the arguments of the process and exit with its code."""
    try:
        from toolkit.cli.app import main as run

        run()
    except KeyboardInterrupt:
        sys.stderr.write("seg: stopped.\n")
        sys.exit(130)
