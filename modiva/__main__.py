"""The `modiva` command, and `python -m modiva`."""

import signal
import sys

__all__ = ["main"]


def main() -> int:
    """Run the command line of this process, interruptible from its first import to its end."""
    try:
        from modiva.cli import main as run

        code = run()
        # What is left is the end of the interpreter, which would show an interrupt as a traceback.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        return code
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        print("modiva: interrupted before anything was done", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
